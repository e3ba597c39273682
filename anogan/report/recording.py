"""The page of a scored recording: measurements, score, threshold and alarms on one time axis."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from anogan.budgets import UNITS, in_words
from anogan.report.figures import ANOMALOUS, COLOURS, NORMAL, QUIET, Drawing
from anogan.report.known_faults import Found, Truth, compare, find, names
from anogan.report.page import Section, write_tables
from anogan.sensors.alarms import Alarm
from anogan.sensors.model import SensorModel
from anogan.sensors.recordings import Recording

Times = NDArray[np.float64] | NDArray[np.datetime64]
POINTS = 1200  # of a drawn line; each stands for the lowest and highest of its rows
CHANNELS_SHOWN = 12  # channels, those with the largest shares in the alarms
NEAR = 3  # lengths of the first alarm drawn around it


def write_recording_page(
    out: Path,
    title: str,
    recording: Recording,
    model: SensorModel,
    table: pd.DataFrame,
    alarms: list[Alarm],
    truth: Sequence[Truth] = (),
) -> Path:
    """Write the page, figures and tables of a scored recording, compared with known faults if there are any."""
    rule, rows = model.rule, len(recording)
    span = rows * model.step
    score = table["score"].to_numpy()
    found = find(truth, recording, table, alarms)
    caption = "The score, its threshold, and every channel; alarms are shaded"
    views = [("overview", caption, slice(0, rows))]
    views += [(f"fault-{i}", f"{fault.name.capitalize()} from near", fault.near) for i, fault in enumerate(found, 1)]
    if not truth and alarms and (near := around(table, alarms[0])) != slice(0, rows):
        views.append(("first-alarm", "The first alarm from near", near))
    drawings = [(name, text, timeline(recording, model, table, alarms, view, found)) for name, text, view in views]
    intro = [
        f"{rows:,} rows in steps of {in_words(model.step)}: {in_words(span)}. "
        f"{np.isfinite(score).sum():,} of them have a score; the first {model.detector.gan_.shape[1] - 1} rows of "
        f"every stretch fill the window. {_looks_back(model)}",
        f"An alarm begins when the score has been above {rule.threshold:.4g} for {rule.persist} rows and ends when it "
        f"has been below {rule.release:.4g} for as many. While the machine is healthy: {rule.promise}, asked for "
        f"{rule.budget}, from {len(rule.peaks)} healthy blocks of "
        f"{in_words(rule.block * rule.step)} that nothing was trained on.",
        *recording.notes,
    ]
    share = float(np.nanmean(table["alarm"].to_numpy() > 0)) if rows else 0.0
    count = f"{len(alarms)} alarm{'s' * (len(alarms) != 1)} in {in_words(span)}, {share:.1%} of the rows."
    listed = shown(alarms)
    if truth:
        listed.insert(1, "fault", names(found, alarms))
    sections = [compare(found, recording, model, table, alarms)] if truth else []
    sections.append(Section("Alarms", (count,), listed, tuple(drawings)))
    return write_tables(out, "recording", title, intro, sections)


def _looks_back(model: SensorModel) -> str:
    """Describe the rows that a score uses."""
    window, slow = model.detector.gan_.shape[1], model.slow
    blocks = f", and at the means of the last {window} blocks of {slow} rows" if slow > 1 else ""
    return f"A score looks at its own row and the {window - 1} before it{blocks}, never ahead."


def shown(alarms: Sequence[Alarm]) -> pd.DataFrame:
    """Return a table of the alarms in words."""
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
    """Return the alarm's rows and NEAR times as many on both sides."""
    rows = np.flatnonzero(table["alarm"].to_numpy() == alarm.number)
    margin = min(NEAR * len(rows), len(rows) + 500)
    return slice(max(0, int(rows[0]) - margin), min(len(table), int(rows[-1]) + 1 + margin))


def timeline(
    recording: Recording,
    model: SensorModel,
    table: pd.DataFrame,
    alarms: Sequence[Alarm],
    rows: slice,
    found: Sequence[Found] = (),
) -> Drawing:
    """Draw the score and every channel on one time axis, with known faults as bars above."""
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
        for axes, channel in zip(others, order, strict=True):
            _line(axes, times, recording.values[rows, channel], COLOURS[2])
            axes.set_ylabel(recording.channels[channel], rotation=0, ha="right", va="center", fontsize=8)
            axes.yaxis.set_major_locator(MaxNLocator(2))
            axes.tick_params(labelsize=7)
        for axes in (top, *others):
            for begin, end in _spans(active):
                axes.axvspan(times[begin], times[end], color=ANOMALOUS, alpha=0.18, linewidth=0)
            if times[0] < times[-1]:
                axes.set_xlim(times[0], times[-1])
        _mark(figure, (top, *others), times, found, rows)
        last = others[-1] if others else top
        if label is None:
            locator = AutoDateLocator()
            last.xaxis.set_major_locator(locator)
            last.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        else:
            last.set_xlabel(label)

    return draw


def _mark(figure: Figure, panels: Sequence[Axes], times: Times, found: Sequence[Found], rows: slice) -> None:
    """Draw a bar above the top axes for every known fault in these rows, a line at its begin, and a legend."""
    handles: list[Artist] = [Patch(color=ANOMALOUS, alpha=0.18, label="alarm")]
    for fault, colour in zip(found, itertools.cycle(COLOURS[3:])):
        begin, end = (int(np.clip(row - rows.start, 0, len(times) - 1)) for row in (fault.rows.start, fault.rows.stop))
        if begin == end:
            continue
        handles.append(Patch(color=colour, label=fault.name))
        panels[0].axvspan(times[begin], times[end], 1.04, 1.12, color=colour, linewidth=0, clip_on=False)
        for axes in panels if begin else ():
            axes.axvline(times[begin], color=colour, linewidth=1, linestyle="--")
    if found:
        figure.legend(handles=handles, loc="outside upper left", ncols=len(handles), fontsize=8)


def _by_share(channels: Sequence[str], alarms: Sequence[Alarm]) -> list[int]:
    """Return the numbers of the channels in order, at most CHANNELS_SHOWN of them, those with the largest shares."""
    weight = {name: sum(alarm.shares.get(name, 0.0) for alarm in alarms) for name in channels}
    kept = sorted(range(len(channels)), key=lambda c: -weight[channels[c]])[:CHANNELS_SHOWN]
    return sorted(kept)


def _axis(recording: Recording, rows: slice) -> tuple[Times, str | None]:
    """Return the times to draw at and their label; dates need none."""
    time = recording.time[rows]
    if len(recording) and isinstance(recording.stamps[0], str):
        return (time * 1e9).astype("datetime64[ns]"), None
    if np.array_equal(recording.time, np.arange(len(recording))):
        return time, "row"
    span = float(time[-1] - time[0]) if len(time) else 0.0
    unit = max((u for u in ("second", "hour", "day") if UNITS[u] * 3 <= span), key=lambda u: UNITS[u], default="second")
    return time / UNITS[unit], f"{unit}s"


def _line(axes: Axes, times: Times, values: NDArray[np.float64], colour: str) -> None:
    """Draw a line through all rows or, if there are many, a band between the lowest and highest of every few rows."""
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
    """Return the first and last row of every alarm."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], active, [0]])))
    marks = [int(edge) for edge in edges]
    return [(begin, min(end, len(active) - 1)) for begin, end in itertools.pairwise(marks) if active[begin]]
