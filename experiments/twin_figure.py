"""The figure of `experiments.twin_page`: one trial in time, all times to detect, and the false trips."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.lines import Line2D
from scipy.stats import chi2

from anogan.report.figures import ANOMALOUS, COLOURS, NORMAL, QUIET, Drawing
from anogan.simulators.pump import CHANNELS, HOUR, FaultName
from experiments.twin_settings import DRAWN, RAMPS, SEVERITIES, WATCHED

FAULTS = get_args(FaultName)
SHADES = dict(zip(SEVERITIES, ("#8fbfec", NORMAL, ANOMALOUS), strict=True))


def fresh(results: pd.DataFrame) -> pd.DataFrame:
    """The trials in which no alarm lasted when the fault came."""
    return results[results["early"] == 0]


def poisson_interval(count: int, level: float = 0.95) -> tuple[float, float]:
    """Exact interval of the mean that a count comes from (Garwood 1936)."""
    tail = (1 - level) / 2
    low = float(chi2.ppf(tail, 2 * count)) / 2 if count else 0.0
    return low, float(chi2.ppf(1 - tail, 2 * count + 2)) / 2


def overview(results: pd.DataFrame, healthy: pd.DataFrame, timeline: pd.DataFrame) -> Drawing:
    def draw(figure: Figure) -> None:
        figure.set_size_inches(11, 6.6)
        grid = figure.add_gridspec(2, 2, width_ratios=(1.15, 1), height_ratios=(4.6, 1))
        draw_loop(figure, grid[:, 0], timeline)
        draw_times(figure.add_subplot(grid[0, 1]), fresh(results))
        draw_trips(figure.add_subplot(grid[1, 1]), healthy)

    return draw


def draw_loop(figure: Figure, place: SubplotSpec, timeline: pd.DataFrame) -> None:
    """One trial: hours on the left, the minutes about the trip on the right."""
    panels = ("vibration", "flow", "level", "score")
    cells: Any = place.subgridspec(len(panels), 2, width_ratios=(1.7, 1)).subplots(sharex="col", sharey="row")
    runs = dict(list(timeline.groupby("run")))
    trip, safe, threshold = (float(timeline[name].iloc[0]) for name in ("trip", "safe", "threshold"))
    near = runs["tripped"][runs["tripped"]["time"].between(trip - 60, trip + 360)]
    for name, (hours, minutes) in zip(panels, cells, strict=True):
        hours.plot(runs["without"]["time"] / HOUR, runs["without"][name], color=QUIET, linewidth=0.8, alpha=0.8)
        hours.plot(runs["tripped"]["time"] / HOUR, runs["tripped"][name], color=NORMAL, linewidth=0.9)
        close = near if name == "score" else runs["seconds"]
        minutes.plot((close["time"] - trip) / 60, close[name], color=NORMAL, linewidth=1)
        hours.set_ylabel(f"{name}\n{CHANNELS.get(name, '')}".strip(), rotation=0, ha="right", va="center", fontsize=8)
        hours.axvline(0, color=COLOURS[3], linestyle="--", linewidth=1)
        for axes, moment in ((hours, trip / HOUR), (minutes, 0)):
            axes.axvline(moment, color=ANOMALOUS, linewidth=1)
        minutes.axvspan((safe - trip) / 60, 6, color=COLOURS[2], alpha=0.15, linewidth=0)
        for axes in (hours, minutes):
            axes.tick_params(labelsize=7)
            if name == "score":
                axes.set_yscale("symlog", linthresh=1)
                axes.set_yticks([0, 1, 10, 100], ["0", "1", "10", "100"])
                axes.axhline(threshold, color=ANOMALOUS, linestyle=":", linewidth=1)
            else:
                axes.locator_params(axis="y", nbins=3)
    cells[-1, 0].set(xlabel="hours since the onset", xlim=(-2, (trip + 2 * HOUR) / HOUR))
    cells[-1, 1].set(xlabel="minutes since the trip", xlim=(-1, 6))
    name, severity, kind = DRAWN
    cells[0, 0].set_title(f"{name.capitalize()}, severity {severity:g}, {kind}", fontsize=9, loc="left")
    handles = [
        Line2D([], [], color=NORMAL, label="with the trip"),
        Line2D([], [], color=QUIET, label="without"),
        Line2D([], [], color=COLOURS[3], linestyle="--", label="onset"),
        Line2D([], [], color=ANOMALOUS, linestyle=":", label="threshold"),
        Line2D([], [], color=ANOMALOUS, label="alarm = trip"),
        Line2D([], [], color=COLOURS[2], alpha=0.3, linewidth=6, label=f"safe, {safe - trip:.0f} s later"),
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles), fontsize=8)


def draw_times(axes: Axes, results: pd.DataFrame) -> None:
    """A dot for each trial; those beyond the right line were not detected."""
    rng = np.random.default_rng(0)
    edge = 1.6 * WATCHED
    for level, name in enumerate(reversed(FAULTS)):
        for lane, severity in enumerate(SEVERITIES):
            for kind in RAMPS:
                part = results[(results["fault"] == name) & (results["severity"] == severity)]
                detect = part[part["onset"] == kind]["detect"]
                x = detect.fillna(edge) * np.exp(np.where(detect.isna(), rng.uniform(-0.25, 0.25, len(detect)), 0))
                y = level + 0.26 * (lane - 1) + rng.uniform(-0.08, 0.08, len(detect))
                face = SHADES[severity] if kind == "sudden" else "none"
                axes.scatter(x / HOUR, y, s=9, facecolors=face, edgecolors=SHADES[severity], linewidths=0.7)
    axes.axvline(WATCHED / HOUR, color=QUIET, linewidth=0.8)
    for boundary in range(1, len(FAULTS)):
        axes.axhline(boundary - 0.5, color=QUIET, linewidth=0.4, alpha=0.6)
    axes.set(xscale="log", xlim=(40 / HOUR, 2.2 * WATCHED / HOUR), ylim=(-0.5, len(FAULTS) - 0.5))
    marks = {1 / 60: "1 min", 0.05: "3 min", 0.2: "12 min", 1: "1 h", 6: "6 h", edge / HOUR: "not\nin 24 h"}
    axes.set_xticks(list(marks), list(marks.values()), fontsize=7)
    axes.set_xticks([], minor=True)
    axes.set_yticks(range(len(FAULTS)), list(reversed(FAULTS)), fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.set_title("Time to detect", fontsize=9, loc="left")
    handles = [
        Line2D([], [], marker="o", linestyle="", color=SHADES[s], markersize=4, label=f"severity {s:g}") for s in SHADES
    ]
    handles.append(
        Line2D([], [], marker="o", linestyle="", color=QUIET, fillstyle="none", markersize=4, label="ramped")
    )
    axes.legend(handles=handles, loc="lower right", bbox_to_anchor=(1, 1), ncols=4, fontsize=7, handletextpad=0.1)


def draw_trips(axes: Axes, healthy: pd.DataFrame) -> None:
    """False trips of each training seed and their interval, beside what was promised on average."""
    groups = list(healthy.groupby("seed"))
    for level, (_, part) in enumerate(reversed(groups)):
        per = 1000 / part["hours"].sum()
        count = int(part["alarms"].sum())
        low, high = poisson_interval(count)
        axes.plot([low * per, high * per], [level, level], color=NORMAL, linewidth=1.5)
        axes.plot(count * per, level, "o", color=NORMAL, markersize=5, clip_on=False)
        axes.plot(part["promised"].sum() * per, level, "|", color=ANOMALOUS, markersize=11, markeredgewidth=2)
    axes.set_yticks(range(len(groups)), [f"training seed {seed}" for seed, _ in reversed(groups)], fontsize=8)
    axes.set(xlim=(0, None), ylim=(-0.6, len(groups) - 0.4))
    axes.tick_params(axis="x", labelsize=7)
    axes.grid(axis="y", visible=False)
    axes.set_title(
        "False trips in 1,000 healthy hours, 95 % interval; bar: promised on average", fontsize=9, loc="left"
    )
