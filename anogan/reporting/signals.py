"""The page of a scored recording: what was measured, the score, the threshold and the alarms on one time axis."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from anogan.alarms import UNITS, Alarm, in_words
from anogan.data.recordings import Recording
from anogan.reporting.figures import ANOMALOUS, COLOURS, NORMAL, QUIET, Drawing
from anogan.reporting.page import Section, write_tables
from anogan.signals import SignalModel

POINTS = 1200  # of a drawn line; each stands for the lowest and highest of its rows
SHOWN = 12  # channels, those with the largest shares in the alarms
NEAR = 3  # lengths of the first alarm drawn around it


def write_recording_page(
    out: Path, title: str, recording: Recording, model: SignalModel, table: pd.DataFrame, alarms: list[Alarm]
) -> Path:
    """Write index.html, figures and tables of a recording that `score_recording` has scored into `out`."""
    rule, rows = model.rule, len(recording)
    span = rows * model.step
    score = table["score"].to_numpy()
    caption = "The score, its threshold, and every channel; alarms are shaded"
    drawings = [("overview", caption, timeline(recording, model, table, alarms, slice(0, rows)))]
    if alarms and (near := around(table, alarms[0])) != slice(0, rows):
        drawings.append(("first-alarm", "The first alarm from near", timeline(recording, model, table, alarms, near)))
    intro = [
        f"{rows:,} rows in steps of {in_words(model.step)}: {in_words(span)}. "
        f"{np.isfinite(score).sum():,} of them have a score; the first {model.detector.gan_.shape[1] - 1} rows of "
        "every stretch fill the window. A score looks at its own row and those before it, never ahead.",
        f"An alarm begins when the score has been above {rule.threshold:.4g} for {rule.persist} rows and ends when it "
        f"has been below {rule.release:.4g} for as many. While the machine is healthy: at most one alarm in "
        f"{in_words(1 / rule.promised)} (asked for: {rule.budget}), from {len(rule.peaks)} healthy blocks of "
        f"{in_words(rule.block * rule.step)} that nothing was trained on.",
        *recording.notes,
    ]
    share = float(np.nanmean(table["alarm"].to_numpy() > 0)) if rows else 0.0
    found = f"{len(alarms)} alarm{'s' * (len(alarms) != 1)} in {in_words(span)}, {share:.1%} of the rows"
    section = Section("Alarms", (found + ".",), shown(alarms), tuple(drawings))
    return write_tables(out, "recording", title, intro, [section])


def shown(alarms: Sequence[Alarm]) -> pd.DataFrame:
    """The alarms in words."""
    rows = [
        {
            "alarm": alarm.number,
            "start": alarm.start,
            "end": "lasts" if alarm.end is None else alarm.end,
            "peak": f"{alarm.peak:.4g}",
            "p-value": f"{alarm.p_value:.2g}",
            "rise": f"{alarm.kind}, {in_words(alarm.rise)}",
            "channels": alarm.named(),
        }
        for alarm in alarms
    ]
    return pd.DataFrame(rows, columns=["alarm", "start", "end", "peak", "p-value", "rise", "channels"])


def around(table: pd.DataFrame, alarm: Alarm) -> slice:
    """The alarm's rows and NEAR times as many about them."""
    rows = np.flatnonzero(table["alarm"].to_numpy() == alarm.number)
    margin = min(NEAR * len(rows), len(rows) + 500)
    return slice(max(0, int(rows[0]) - margin), min(len(table), int(rows[-1]) + 1 + margin))


def timeline(
    recording: Recording, model: SignalModel, table: pd.DataFrame, alarms: Sequence[Alarm], rows: slice
) -> Drawing:
    """The score and every channel on one time axis."""
    order = _by_share(recording.channels, alarms)
    times, label = _axis(recording, rows)
    score, active = table["score"].to_numpy()[rows], table["alarm"].to_numpy()[rows]

    def draw(figure: Figure) -> None:
        figure.set_size_inches(9, 1.7 + 0.75 * len(order))
        top, *others = np.atleast_1d(
            figure.subplots(1 + len(order), 1, sharex=True, gridspec_kw={"height_ratios": [2] + [1] * len(order)})
        )
        _line(top, times, score, NORMAL)
        top.axhline(model.rule.threshold, color=ANOMALOUS, linewidth=1)
        top.axhline(model.rule.release, color=QUIET, linewidth=0.8, linestyle=":")
        top.text(1.005, model.rule.threshold, "alarm", transform=top.get_yaxis_transform(), va="center", fontsize=7)
        top.set_ylabel("score", rotation=0, ha="right", va="center")
        top.set_ylim(bottom=0)
        for axes, channel in zip(others, order, strict=True):
            _line(axes, times, recording.values[rows, channel], COLOURS[2])
            axes.set_ylabel(recording.channels[channel], rotation=0, ha="right", va="center", fontsize=8)
            axes.yaxis.set_major_locator(MaxNLocator(2))
            axes.tick_params(labelsize=7)
        for axes in (top, *others):
            for begin, end in _spans(active):
                axes.axvspan(times[begin], times[end], color=ANOMALOUS, alpha=0.18, linewidth=0)
            axes.set_xlim(times[0], times[-1])
        last = others[-1] if others else top
        if label is None:
            locator = AutoDateLocator()  # type: ignore[no-untyped-call]
            last.xaxis.set_major_locator(locator)
            last.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
        else:
            last.set_xlabel(label)

    return draw


def _by_share(channels: Sequence[str], alarms: Sequence[Alarm]) -> list[int]:
    """Numbers of the channels, in their order, without those that matter least where there are more than SHOWN."""
    weight = {name: sum(alarm.shares.get(name, 0.0) for alarm in alarms) for name in channels}
    kept = sorted(range(len(channels)), key=lambda c: -weight[channels[c]])[:SHOWN]
    return sorted(kept)


def _axis(recording: Recording, rows: slice) -> tuple[NDArray[np.float64] | NDArray[np.datetime64], str | None]:
    """Times to draw at, and what they are called unless they are dates."""
    time = recording.time[rows]
    if len(recording) and isinstance(recording.stamps[0], str):
        return (time * 1e9).astype("datetime64[ns]"), None
    if np.array_equal(recording.time, np.arange(len(recording))):
        return time, "row"
    span = float(time[-1] - time[0]) if len(time) else 0.0
    unit = max((u for u in ("second", "hour", "day") if UNITS[u] * 3 <= span), key=lambda u: UNITS[u], default="second")
    return time / UNITS[unit], f"{unit}s"


def _line(
    axes: Axes, times: NDArray[np.float64] | NDArray[np.datetime64], values: NDArray[np.float64], colour: str
) -> None:
    """A line through all rows or, where there are many, the band between the lowest and highest of each few."""
    each = len(values) // POINTS
    if each < 3:
        axes.plot(times, values, color=colour, linewidth=0.8)
        return
    parts = values[: len(values) // each * each].reshape(-1, each)
    with np.errstate(all="ignore"):
        low, high = np.fmin.reduce(parts, axis=1), np.fmax.reduce(parts, axis=1)
    at = times[: len(parts) * each : each]
    axes.fill_between(at, low, high, color=colour, linewidth=0.6)


def _spans(active: NDArray[np.int64]) -> list[tuple[int, int]]:
    """First and last row of every alarm."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], active, [0]])))
    marks = [int(edge) for edge in edges]
    return [(begin, min(end, len(active) - 1)) for begin, end in itertools.pairwise(marks) if active[begin]]
