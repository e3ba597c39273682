"""The page of `anogan sensitivity`: how many faults of each kind and severity are caught, and the smallest that are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from anogan.budgets import in_words
from anogan.errors import RunError
from anogan.evaluation.trials import CAUGHT, NOTHING, Cell, smallest_caught, trial_table
from anogan.photos.sensitivity import Example, PhotoTrials, examples
from anogan.pictures.drawing import overlay, picture, png
from anogan.pictures.files import resized
from anogan.report.figures import ANOMALOUS, NORMAL, QUIET, TEXT, Drawing
from anogan.report.page import Drawn, Pictured, Section, data_uri, draw, write_tables
from anogan.sensors.sensitivity import SensorTrials, amount, in_spreads

SHADES = colormaps["cividis"]
CURVE_COLUMNS = 4  # of curves
LONGER = 320  # pixels of the longer side of a picture
BEST = "Smallest severity caught"
MISSED = "not caught"
OVERVIEW = (
    "Left: share of the faults that are caught, in per cent; framed: the smallest severity from which on at least "
    f"{CAUGHT:.0%} are. Right: AUROC, 0.5 where the scores know nothing of the fault. Column 0: no fault, what chance "
    "alone gives."
)
CURVES = (
    "Blue: share caught, with its 95 % interval; orange: AUROC; dotted: share caught without any fault; dashed: "
    f"{CAUGHT:.0%}."
)


def smallest(summary: pd.DataFrame) -> pd.Series:
    """Return the smallest severity caught of each kind, in increasing order, NaN if none is."""
    faults = summary[summary["kind"] != NOTHING]
    severities = {kind: smallest_caught(part.set_index("severity")["rate"]) for kind, part in faults.groupby("kind")}
    means = faults.groupby("kind")["rate"].mean()
    order = sorted(severities, key=lambda kind: (math.isnan(severities[kind]), severities[kind], -means[kind]))
    return pd.Series({kind: severities[kind] for kind in order}, dtype=float)


# Figures.


def overview(summary: pd.DataFrame) -> Drawing:
    """Draw kinds by severities: the share caught and, next to it, AUROC."""
    best, severities = smallest(summary), sorted(summary["severity"].unique())
    chance = summary[summary["kind"] == NOTHING].iloc[0]

    def grid(name: str) -> NDArray[np.float64]:
        table = summary.pivot_table(index="kind", columns="severity", values=name)
        table = table.reindex(index=best.index, columns=severities)
        return np.asarray(table.fillna({0.0: chance[name]}), dtype=np.float64)

    def draw(figure: Figure) -> None:
        figure.set_size_inches(9, 1.1 + 0.27 * len(best))
        left, right = figure.subplots(1, 2, sharey=True)
        _heat(left, grid("rate"), 0, lambda value: f"{100 * value:.0f}")
        _heat(right, grid("auroc"), 0.5, lambda value: f"{value:.2f}".replace("0.", "."))
        left.invert_yaxis()  # and the other with it
        left.set_title("caught, %", fontsize=9)
        right.set_title("AUROC", fontsize=9)
        left.set_yticks(np.arange(len(best)) + 0.5, [_words(kind) for kind in best.index])
        for axes in (left, right):
            axes.set_xticks(np.arange(len(severities)) + 0.5, [f"{severity:g}" for severity in severities])
            axes.set_xlabel("severity")
        for row, severity in enumerate(best):
            if not math.isnan(severity):
                place = severities.index(severity), row
                left.add_patch(Rectangle(place, 1, 1, fill=False, edgecolor=ANOMALOUS, linewidth=2, clip_on=False))

    return draw


def _heat(axes: Axes, values: NDArray[np.float64], low: float, text: Any) -> None:
    axes.pcolormesh(values, cmap=SHADES, vmin=low, vmax=1, edgecolors=QUIET, linewidth=0.4)
    for (row, column), value in np.ndenumerate(values):
        if not math.isnan(value):
            colour = "#ffffff" if (value - low) / (1 - low) < 0.55 else "#000000"
            axes.text(column + 0.5, row + 0.5, text(value), ha="center", va="center", fontsize=7.5, color=colour)
    axes.axvline(1, color=TEXT, linewidth=2, zorder=3)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def curves(summary: pd.DataFrame) -> Drawing:
    """Draw the share caught with its interval, and AUROC, against severity, for each kind."""
    kinds = list(smallest(summary).index)
    chance = float(summary.loc[summary["kind"] == NOTHING, "rate"].iloc[0])
    rows = -(-len(kinds) // CURVE_COLUMNS)

    def draw(figure: Figure) -> None:
        figure.set_size_inches(9, 0.5 + 1.75 * rows)
        panels = figure.subplots(rows, min(CURVE_COLUMNS, len(kinds)), sharex=True, sharey=True, squeeze=False)
        for axes, kind in zip(panels.flat, kinds, strict=False):
            part = summary[summary["kind"] == kind].sort_values("severity")
            at = np.arange(len(part))
            axes.fill_between(at, part["low"], part["high"], color=NORMAL, alpha=0.2, linewidth=0)
            axes.plot(at, part["rate"], "o-", color=NORMAL, markersize=3, linewidth=1.4, label="caught")
            axes.plot(at, part["auroc"], "s-", color=ANOMALOUS, markersize=2.5, linewidth=1.1, label="AUROC")
            axes.axhline(CAUGHT, color=QUIET, linestyle="--", linewidth=0.8)
            axes.axhline(chance, color=TEXT, linestyle=":", linewidth=1)
            axes.set_title(_words(kind), fontsize=9)
            axes.set(ylim=(-0.03, 1.03), yticks=(0, 0.5, 1))
            axes.set_xticks(at, [f"{severity:g}" for severity in part["severity"]], rotation=90, fontsize=7)
            axes.xaxis.set_minor_locator(NullLocator())
            axes.tick_params(labelbottom=True)
        for axes in list(panels.flat)[len(kinds) :]:
            axes.set_axis_off()
        figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=2, fontsize=8)
        figure.supxlabel("severity", fontsize=9)

    return draw


def _words(kind: str) -> str:
    return kind.replace("_", " ")


# Pages.


def write_sensor_page(
    out: Path, run: Path, data: Path | None, trials: SensorTrials, cells: Sequence[Cell], summary: pd.DataFrame
) -> tuple[pd.DataFrame, Path]:
    """Write the page. Returns the table of the smallest severities caught, and the page's path."""
    step, chance = trials.step, summary[summary["kind"] == NOTHING].iloc[0]
    left_out = f"{trials.left_out} more had an alarm on at the onset and were left out. " * bool(trials.left_out)
    intro = [
        f"No fault was needed: faults of known strength were put into {len(trials.usable)} healthy stretches"
        f"{_source(data)}. Each has {trials.lead} rows before the onset "
        f"({in_words(trials.lead * step)}) and {trials.duration} rows under the fault "
        f"({in_words(trials.duration * step)}), on one channel at a time, every channel as often as the others. "
        f"{left_out}Rows were scored exactly as live.",
        "A fault is caught when an alarm begins between its onset and its end. AUROC compares the scores of the rows "
        "under the fault with those of the same rows without it. Without any fault an alarm began in "
        f"{chance['caught']} of {chance['trials']} trials ({_interval(chance)}): that much is chance.",
        "A severity of 1 is grave, 0 is none; a spread is the healthy channel's own. By the last row of a fault a "
        "score looks at nothing else, so that a longer one is caught more often only where it grows or where scores "
        "waver near the threshold. Trials that share a stretch are not independent: their intervals are a little too "
        "narrow.",
    ]
    best = smallest(summary)
    table = pd.DataFrame(
        [_row(summary, kind, severity) | _late(summary, kind, severity) for kind, severity in best.items()]
    )
    severities = per_channel(trials, cells).reindex(best.index)
    sections = [
        _first(summary, table),
        Section(
            "Smallest fault caught on each channel",
            (
                "In the channel's own unit, unless the first column says otherwise: the smallest of the severities "
                f"from which on at least {CAUGHT:.0%} of the faults of this channel were caught.",
            ),
            in_units(trials, severities),
        ),
        Section("The same as severity", (), _as_text(severities)),
        Section("Kind by kind", (CURVES,), _whole(summary, step), (("curves", CURVES, curves(summary)),)),
    ]
    return table, write_tables(out, f"sensitivity · {run}", "How small a fault is caught", intro, sections)


def write_photo_page(
    out: Path, run: Path, data: Path | None, trials: PhotoTrials, cells: Sequence[Cell], summary: pd.DataFrame
) -> tuple[pd.DataFrame, Path]:
    """Write the page. Returns the table of the smallest severities caught, and the page's path."""
    chance = summary[summary["kind"] == NOTHING].iloc[0]
    intro = [
        f"No defect was needed: defects of known strength were drawn into {len(trials.photos)} photos of good parts"
        f"{_source(data)}. They were drawn at the photos' own resolution, and judged as any photo is.",
        "A defect is caught when its photo is flagged, and found when a box around a flagged region touches it. AUROC "
        f"compares the photos with what they were before. Of the untouched ones {chance['caught']} of "
        f"{chance['trials']} were flagged ({_interval(chance)}): that much is chance.",
        "Severity is opacity: at 1 a defect hides what was there, at 0.1 a tenth of it shows. Place and form are drawn "
        "for each trial and are the same at every severity.",
    ]
    best = smallest(summary)
    table = pd.DataFrame(
        [_row(summary, kind, severity) | _size(summary, kind, severity) for kind, severity in best.items()]
    )
    shown = tuple(_pictured(example) for example in examples(trials, cells))
    text = (
        "Of each kind a defect at the smallest severity caught, and one that was missed at the largest severity that "
        "is not. From above: the photo, where the defect is, and what the detector says: heat where it looks "
        "defective, a box around each region.",
    )
    sections = [
        _first(summary, table),
        Section("What is caught and what is missed", text, pd.DataFrame(), (), shown),
        Section("Kind by kind", (CURVES,), _whole(summary, 0), (("curves", CURVES, curves(summary)),)),
    ]
    return table, write_tables(out, f"sensitivity · {run}", "How small a fault is caught", intro, sections)


def _source(data: Path | None) -> str:
    """Say where the good data are from, and what the detector has seen of them."""
    if data:
        return f" of {data}"
    return (
        " that the run had held out: neither the networks nor what the detector remembers or measures by has seen "
        "those it scores here. The threshold was set on them all the same: chance may be a little more than stated"
    )


def _first(summary: pd.DataFrame, table: pd.DataFrame) -> Section:
    text = f"The smallest of the severities from which on at least {CAUGHT:.0%} of the faults were caught."
    return Section(BEST, (text,), table, (("overview", OVERVIEW, overview(summary)),))


def _interval(row: pd.Series) -> str:
    return f"{row['rate']:.1%}, 95 % interval {row['low']:.1%} to {row['high']:.1%}"


def _at(summary: pd.DataFrame, kind: str, severity: float) -> pd.Series:
    """Return the cell of the smallest severity caught or, if none is, of the largest."""
    part = summary[summary["kind"] == kind].sort_values("severity")
    return part.iloc[-1] if math.isnan(severity) else part[part["severity"] == severity].iloc[0]


def _row(summary: pd.DataFrame, kind: Any, severity: float) -> dict[str, str]:
    cell = _at(summary, kind, severity)
    return {
        "fault": _words(kind),
        "smallest severity caught": MISSED if math.isnan(severity) else f"{severity:g}",
        "caught": _share(cell) + (f" at {cell['severity']:g}" if math.isnan(severity) else ""),
        "AUROC": f"{cell['auroc']:.3f}",
    }


def _share(cell: pd.Series) -> str:
    return f"{cell['rate']:.0%} ({cell['low']:.0%}–{cell['high']:.0%})"


def _late(summary: pd.DataFrame, kind: Any, severity: float) -> dict[str, str]:
    cell = _at(summary, kind, severity)
    return {"median delay": _delay(cell), "what it is": "" if math.isnan(severity) else in_spreads(kind, severity)}


def _delay(cell: pd.Series) -> str:
    if math.isnan(cell["delay_rows"]):
        return "–"
    return f"{cell['delay_rows']:.0f} rows, {in_words(cell['delay_seconds'])}"


def _size(summary: pd.DataFrame, kind: Any, severity: float) -> dict[str, str]:
    cell = _at(summary, kind, severity)
    return {
        "found": "–" if math.isnan(cell["found"]) else f"{cell['found']:.0%}",
        "share of the photo": f"{cell['area']:.2%}",
        "extent, pixels": f"{cell['extent']:.0f}",
        "grey levels of 255": f"{cell['contrast']:.1f}",
    }


def _whole(summary: pd.DataFrame, step: float) -> pd.DataFrame:
    """Return every cell in words."""
    rows = []
    for _, cell in summary.iterrows():
        row = {"fault": _words(cell["kind"]), "severity": f"{cell['severity']:g}", "trials": cell["trials"]}
        row |= {"caught": _share(cell), "AUROC": f"{cell['auroc']:.3f}"}
        if step:
            row["median delay"] = _delay(cell)
        elif cell["kind"] != NOTHING:
            row |= _size(summary[summary["severity"] == cell["severity"]], cell["kind"], cell["severity"])
        rows.append(row)
    return pd.DataFrame(rows).fillna("–")


def per_channel(trials: SensorTrials, cells: Sequence[Cell]) -> pd.DataFrame:
    """Return the smallest severity caught, kinds by channels."""
    table = trial_table([cell for cell in cells if cell["kind"] != NOTHING])
    rates = table.groupby(["kind", "channel", "severity"])["caught"].mean()
    found = {key: smallest_caught(part.droplevel([0, 1])) for key, part in rates.groupby(level=[0, 1])}
    return pd.Series(found).unstack()[[trials.names[channel] for channel in trials.channels]]


def in_units(trials: SensorTrials, severities: pd.DataFrame) -> pd.DataFrame:
    """Convert severities, kinds by channels, to amounts in the channels' own units."""
    rows = []
    for kind, row in severities.iterrows():
        found = {"fault": f"{_words(str(kind))}, {amount(str(kind), 1.0, 1.0)[0]}"}
        for channel in trials.channels:
            severity = row[trials.names[channel]]
            known = not math.isnan(severity)
            found[trials.names[channel]] = amount(str(kind), severity, trials.spread(channel))[1] if known else MISSED
        rows.append(found)
    return pd.DataFrame(rows)


def _as_text(severities: pd.DataFrame) -> pd.DataFrame:
    text = severities.map(lambda severity: MISSED if math.isnan(severity) else f"{severity:g}")
    text.insert(0, "fault", [_words(str(kind)) for kind in severities.index])
    return text


def _pictured(example: Example) -> Pictured:
    kind, severity, made, inspection = example
    framing = made.model.framing
    left, top = framing.crop[:2] if framing.crop else (0, 0)
    boxes = [(r.left - left, r.top - top, r.width, r.height) for r in inspection.regions]
    part, mask = framing.cropped(made.photo), framing.cropped(made.mask[None].astype(np.float32) * 2 - 1)
    heat = np.moveaxis(overlay(part, inspection.map, boxes), 2, 0).astype(np.float32) / 127.5 - 1
    scale = min(1.0, LONGER / max(part.shape[1:]))
    size = max(1, round(part.shape[1] * scale)), max(1, round(part.shape[2] * scale))
    shown = {"photo": part, "the defect": mask, "what is said": heat}
    pictures = tuple((what, data_uri(png(picture(resized(x, *size))))) for what, x in shown.items())
    verdict = "caught" if inspection.anomaly else "missed"
    return Pictured(pictures, (f"{_words(kind)}, severity {severity:g}", f"{verdict}, p = {inspection.p_value:.2g}"))


# In the report of a run.


def in_brief(folder: Path, out: Path) -> dict[str, Drawn | pd.DataFrame]:
    """Return the overview and the table of the smallest severities; nothing if there are no results."""
    if not (folder / "cells.csv").is_file():
        return {}
    name = "-".join(BEST.lower().split())
    try:
        summary = pd.read_csv(folder / "cells.csv")
        table = pd.read_csv(folder / "tables" / f"{name}.csv", dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise RunError(f"{folder} cannot be read: {error}") from error
    (drawn,) = draw(out, [("sensitivity", OVERVIEW, overview(summary))])
    return {"drawn": drawn, "table": table}
