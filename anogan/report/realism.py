"""The page of generated samples: how close to real they are in numbers, and examples of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from anogan.evaluation.realism import (
    COLUMNS,
    COPIED,
    COPY_QUANTILE,
    FLOOR,
    MEASURED,
    SHARE,
    Samples,
    SampleSets,
    Space,
    autocorrelation,
    compare,
    correlation,
    evenly,
    memorisation,
)
from anogan.pictures.drawing import tile
from anogan.report.figures import ANOMALOUS, NORMAL, QUIET, Drawing
from anogan.report.page import Captioned, Section, write_tables

GENERATED = "generated"
SIDES = (("real", NORMAL), (GENERATED, ANOMALOUS))
CHANNELS_SHOWN = 12  # channels
ACROSS = 4  # small figures in a line
WINDOWS, IMAGES = 3, 36  # of each kind that are shown
FEW_IMAGES, LARGE = 16, 64  # so many images of so many pixels
MEANING = {
    "marginal": ("0", "Distance of the distributions of single values (Wasserstein-1), in spreads of the channel."),
    "autocorrelation": ("0", "Difference of the autocorrelations up to half a sample: how values follow each other."),
    "cross-correlation": ("0", "Difference of the correlations between channels; none where there is one channel."),
    "precision": ("1", "Share of the samples that lie among real ones: fidelity."),
    "recall": ("1", "Share of the real samples that lie among these: variety."),
    "density": ("1", "As precision, but counts the real samples around, so that one odd real sample matters "
                "little; far above 1: crowded where real samples are commonest."),
    "coverage": ("1", "Share of the real samples with one of these next to them: variety; low where kinds lack."),
    "nearest training": ("near 1", "Median distance to the nearest training sample, as a share of what it is for "
                         f"held-out real samples. Below {COPIED}: copies. Far above 1: unlike anything real."),
    "near copies": (f"{COPY_QUANTILE}", f"Share that is nearer to a training sample than {1 - COPY_QUANTILE:.0%} of "
                    f"held-out real ones are. Above {SHARE}: copies."),
    "discriminative": ("0", "How well a random forest tells these from held-out real ones: its accuracy minus a half. "
                       "0: it cannot. 0.5: it always can."),
}  # fmt: skip


TRANSFER = (
    "Train on synthetic, test on real: a random forest learns from normal windows and from the first half of each "
    "recorded fault, or from what is made of that half; it is tested on the second half and on held-out normal "
    "windows. The halves are of one event, which favours copies, and say little of other events. With 'generated', "
    "the normal windows are generated too.",
)


def write_realism(out: Path, title: str, sets: SampleSets, *, seed: int) -> Path:
    """Write index.html, figures and tables that compare generated with real samples into `out`.

    Raises `ValueError` unless there are as many channel names as channels.
    """
    train, held_out, generated, channels, transfer, defects = sets
    if len(channels) != train.shape[1]:
        raise ValueError(f"expected {train.shape[1]} channel names, got {len(channels)}")
    table = compare(train, held_out, {GENERATED: generated}, seed)
    real, made = evenly(held_out, MEASURED), evenly(generated, MEASURED)
    intro = [
        f"{len(generated):,} generated samples beside {len(train):,} real ones that the generator learned from and "
        f"{len(held_out):,} that it never saw. Every row below measures the same number of samples, at most "
        f"{MEASURED:,}.",
        f"No figure means much alone. Read each beside the row '{FLOOR}': it is the floor, what real samples give when "
        "they stand in the generated ones' place. A figure at the floor is as good as this comparison can tell.",
        "The other two rows are the cheapest generators there are. A good generator beats the Gaussian samples where "
        "they fail, and is far from the jittered copies in the two columns that tell memory: 'nearest training' and "
        "'near copies'.",
    ]
    warning = memorisation(table).get(GENERATED)
    verdict = f"Warning. {warning}" if warning else "There is no sign that training samples were memorised."
    sections = [
        Section("How close to real", (verdict,), _shown(table)),
        *([] if transfer is None else [Section("Does it teach the faults", TRANSFER, transfer)]),
        Section("What the columns say", _meaning(table), pd.DataFrame()),
        Section("Values", (), pd.DataFrame(), _drawings(Space.fit(train, seed), real, made, channels)),
        _side_by_side(train, real, made, channels),
        *(_defects(train, label, *pair) for label, pair in (defects or {}).items()),
    ]
    return write_tables(out, "generated samples", title, intro, sections)


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """Put the generated samples and the floor first, with three digits, and drop columns without a value."""
    rank = table["samples"].map({GENERATED: 0, FLOOR: 1}).fillna(2)
    rows = table.loc[rank.sort_values(kind="stable").index].dropna(axis="columns", how="all")
    return rows.map(lambda cell: f"{cell:.3f}" if isinstance(cell, float) else cell)


def _meaning(table: pd.DataFrame) -> tuple[str, ...]:
    names = [name for name in COLUMNS if not table[name].isna().all()]
    return tuple(f"{name.capitalize()} (best: {MEANING[name][0]}). {MEANING[name][1]}" for name in names)


def _drawings(space: Space, real: Samples, made: Samples, channels: Sequence[str]) -> tuple[Captioned, ...]:
    scaled = space.scale(real), space.scale(made)
    drawings: list[Captioned] = [
        ("marginals", "Distribution of the values of each channel", marginals(real, made, channels)),
        (
            "autocorrelation",
            "Autocorrelation: how alike two values of a sample are, by the places between them"
            + (", along columns (solid) and rows (dashed)" if real.ndim == 4 else ""),
            autocorrelations(*scaled, channels),
        ),
    ]
    if len(channels) > 1 and real.ndim == 3:
        drawings.append(("correlation", "Correlation between the channels", correlations(*scaled, channels)))
    caption = "The two directions in which real samples differ most: principal components of the training samples"
    drawings.append(("components", caption, components(space, real, made)))
    return tuple(drawings)


def _panels(figure: Figure, channels: Sequence[str]) -> list[Axes]:
    """Make one axes for each of the first CHANNELS_SHOWN channels, under its name."""
    names = channels[:CHANNELS_SHOWN]
    across = min(ACROSS, len(names))
    rows = -(-len(names) // across)
    if across > 1:
        figure.set_size_inches(9, 0.5 + 1.7 * rows)
    panels = list(figure.subplots(rows, across, squeeze=False).flat)
    for axes, name in zip(panels, names, strict=False):
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
    for axes in panels[len(names) :]:
        axes.remove()
    return panels[: len(names)]


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles[:2], labels[:2], loc="outside upper left", ncols=2, markerscale=2.5)


def marginals(real: Samples, made: Samples, channels: Sequence[str]) -> Drawing:
    """Draw the distribution of the values of each channel."""

    def draw(figure: Figure) -> None:
        panels = _panels(figure, channels)
        for c, axes in enumerate(panels):
            low, high = np.quantile(np.concatenate([real[:, c].ravel(), made[:, c].ravel()]), (0.001, 0.999))
            edges = np.linspace(low, high if high > low else low + 1, 60)
            for x, (name, colour) in zip((real, made), SIDES, strict=True):
                counts, _ = np.histogram(np.clip(x[:, c], edges[0], edges[-1]), edges)
                axes.stairs(counts / counts.sum(), edges, color=colour, linewidth=1.3, label=name)
            axes.set(yticks=[], ylim=(0, None))
            axes.xaxis.set_major_locator(MaxNLocator(3))
        _legend(figure, panels[0])

    return draw


def autocorrelations(real: Samples, made: Samples, channels: Sequence[str]) -> Drawing:
    """Draw the autocorrelation of each channel."""
    curves = [autocorrelation(x) for x in (real, made)]

    def draw(figure: Figure) -> None:
        panels = _panels(figure, channels)
        for c, axes in enumerate(panels):
            axes.axhline(0, color=QUIET, linewidth=0.8)
            for by_axis, (name, colour) in zip(curves, SIDES, strict=True):
                for values, style in zip(by_axis, ("-", "--"), strict=False):
                    lags = np.arange(values.shape[1] + 1)
                    axes.plot(
                        lags, [1, *values[c]], style, color=colour, linewidth=1.3, label=name if style == "-" else ""
                    )
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            axes.set(xlim=(0, None), ylim=(None, 1.05))
        _legend(figure, panels[0])
        figure.supxlabel("places apart", fontsize=9)

    return draw


def correlations(real: Samples, made: Samples, channels: Sequence[str]) -> Drawing:
    """Draw the correlations between channels as matrices."""
    names = channels[:CHANNELS_SHOWN]

    def draw(figure: Figure) -> None:
        figure.set_size_inches(9, 1.6 + 0.33 * len(names))
        left, right = figure.subplots(1, 2, sharey=True)
        for axes, x, (name, _) in zip((left, right), (real, made), SIDES, strict=True):
            _matrix(axes, correlation(x[:, : len(names)]))
            axes.set_title(name, fontsize=9)
            axes.set_xticks(np.arange(len(names)) + 0.5, names, rotation=40, ha="right")
        left.set_yticks(np.arange(len(names)) + 0.5, names)
        left.invert_yaxis()  # and the other with it

    return draw


def _matrix(axes: Axes, values: NDArray[np.float64]) -> None:
    axes.pcolormesh(values, cmap="RdBu_r", vmin=-1, vmax=1, edgecolors=QUIET, linewidth=0.4)
    for (row, column), value in np.ndenumerate(values):
        text = f"{value:.1f}".replace("-0.0", "0.0").replace("0.", ".") if row != column else ""
        colour = "#ffffff" if abs(value) > 0.65 else "#000000"
        axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=7.5, color=colour)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def components(space: Space, real: Samples, made: Samples) -> Drawing:
    """Draw the samples along the first two principal components."""
    places = [space.components.transform(space.scale(x).reshape(len(x), -1)) for x in (real, made)]
    shares = space.components.explained_variance_ratio_

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for values, (name, colour) in zip(places, SIDES, strict=True):
            second = values[:, 1] if values.shape[1] > 1 else np.zeros(len(values))
            axes.scatter(values[:, 0], second, s=7, color=colour, alpha=0.45, linewidth=0, label=name)
        for side, share in zip(("xlabel", "ylabel"), shares, strict=False):
            axes.set(**{side: f"{'first' if side == 'xlabel' else 'second'} component, {share:.0%} of the variance"})
        _legend(figure, axes)

    return draw


def _side_by_side(train: Samples, real: Samples, made: Samples, channels: Sequence[str]) -> Section:
    if real.ndim == 3:
        text = (
            f"Left: {WINDOWS} real windows that the generator never saw. Right: {WINDOWS} generated ones. Not chosen."
        )
        drawing = windows(evenly(real, WINDOWS + 2)[1:-1], evenly(made, WINDOWS + 2)[1:-1], channels)
        caption = f"A column is a window; a line of figures is a channel{_first(channels)}"
        return Section("Samples", (text,), pd.DataFrame(), (("samples", caption, drawing),))
    sheets = sheet({name: x for x, (name, _) in zip((real, made), SIDES, strict=True)}, low_high(train))
    return Section("Samples", (), pd.DataFrame(), (("samples", "Not chosen: evenly spaced", sheets),))


def _defects(train: Samples, label: str, recorded: Samples, imitated: Samples) -> Section:
    text = (
        f"{len(imitated):,} imitated from {len(recorded):,} recorded: what the generator cannot draw of a recorded "
        "sample is put onto good ones, half to one and a half times as strong."
    )
    sheets = sheet({"recorded": recorded, "imitated": imitated}, low_high(train))
    drawing = (f"defects-{label}", "Not chosen: evenly spaced", sheets)
    return Section(f"Defects: {label}", (text,), pd.DataFrame(), (drawing,))


def low_high(x: Samples) -> tuple[float, float]:
    """Return the lowest and the highest value."""
    return float(x.min()), float(x.max())


def sheet(groups: Mapping[str, Samples], scale: tuple[float, float]) -> Drawing:
    """Draw images of each group in rows and columns, side by side. `scale` gives the values of black and white."""

    def draw(figure: Figure) -> None:
        figure.set_size_inches(9, 4.7)
        for axes, (name, x) in zip(figure.subplots(1, len(groups)), groups.items(), strict=True):
            most = FEW_IMAGES if max(x.shape[2:]) >= LARGE else IMAGES
            axes.imshow(tile(_unit(evenly(x, most), *scale), columns=round(most**0.5)), interpolation="none")
            axes.set_title(name, fontsize=9)
            axes.set_axis_off()

    return draw


def _first(channels: Sequence[str]) -> str:
    return f", the first {CHANNELS_SHOWN} of {len(channels)}" if len(channels) > CHANNELS_SHOWN else ""


def _unit(x: Samples, low: float, high: float) -> Samples:
    """Scale to [-1, 1]. Of channels that are no colours only the first is kept."""
    shown = x if x.shape[1] == 3 else x[:, :1]
    return np.asarray((shown - low) / (high - low) * 2 - 1, dtype=np.float32)


def windows(real: Samples, made: Samples, channels: Sequence[str]) -> Drawing:
    """Draw real and generated windows. The figures in a line share their scale, so that they can be compared."""
    names = channels[:CHANNELS_SHOWN]
    columns = [(x, *side) for group, side in zip((real, made), SIDES, strict=True) for x in group]

    def draw(figure: Figure) -> None:
        figure.set_size_inches(9, 0.6 + 0.75 * len(names))
        panels = figure.subplots(len(names), len(columns), sharex=True, sharey="row", squeeze=False)
        for row, name in zip(panels, names, strict=True):
            row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
            row[0].yaxis.set_major_locator(MaxNLocator(2))
        for column, (x, name, colour) in zip(panels.T, columns, strict=True):
            column[0].set_title(name, fontsize=9)
            for axes, values in zip(column, x, strict=False):
                axes.plot(values, color=colour, linewidth=0.9)
                axes.tick_params(labelsize=7)

    return draw
