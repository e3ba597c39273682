"""Figures of a report, drawn from a run's tables. Each fits a phone's width and takes the page's text colour."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from sklearn.metrics import precision_recall_curve, roc_curve

from anogan.files import Json

TEXT = "#010203"  # stands for the page's text colour and becomes CSS currentColor
COLOURS = ("#2f7fd6", "#d9730d", "#2a9d6f", "#a855c7", "#c0392b")
NORMAL, ANOMALOUS, QUIET = "#2f7fd6", "#d9730d", "#8a8f98"
STYLE: Any = {
    "axes.edgecolor": TEXT,
    "axes.grid": True,
    "axes.labelcolor": TEXT,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "grid.alpha": 0.25,
    "grid.color": QUIET,
    "legend.frameon": False,
    "savefig.transparent": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "anogan",
    "text.color": TEXT,
    "text.parse_math": False,  # a channel or folder may be named $x$
    "xtick.color": TEXT,
    "ytick.color": TEXT,
}
WIDTH, HEIGHT = 4.4, 3.3  # inches

Drawing = Callable[[Figure], None]


def render(draw: Drawing) -> tuple[str, bytes, bool]:
    """Draw a figure as SVG for the page and as PNG on white for slides. Also returns whether it takes a whole line."""
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, HEIGHT))
        draw(figure)
        svg, png = io.StringIO(), io.BytesIO()
        figure.savefig(svg, format="svg", metadata={"Date": None})
        figure.savefig(png, format="png", dpi=160, transparent=False, metadata={"Software": None})
    text = svg.getvalue()
    return text[text.index("<svg") :].replace(TEXT, "currentColor"), png.getvalue(), figure.get_figwidth() > WIDTH


def plain_powers(axis: Axis) -> None:
    """Put plain numbers at the powers of a logarithmic axis, because matplotlib's own are mathematical text."""
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def _by_detector(scores: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    groups = scores.groupby("detector", sort=False)
    return [(str(name), COLOURS[i % len(COLOURS)], table) for i, (name, table) in enumerate(groups)]


def roc(scores: pd.DataFrame, results: Mapping[str, Any]) -> Drawing:
    """Draw the ROC curve of each detector."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for name, colour, table in _by_detector(scores):
            x, y, _ = roc_curve(table["anomalous"], table["score"])
            axes.plot(x, y, color=colour, label=f"{name} {results[name]['auroc']:.3f}")
        axes.plot([0, 1], [0, 1], ":", color=QUIET, label="chance 0.500")
        axes.set(xlabel="normal images flagged (FPR)", ylabel="anomalies caught (TPR)", xlim=(0, 1), ylim=(0, 1.01))
        axes.legend(title="AUROC", loc="lower right")

    return draw


def precision_recall(scores: pd.DataFrame, results: Mapping[str, Any]) -> Drawing:
    """Draw the precision-recall curve of each detector."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for name, colour, table in _by_detector(scores):
            precision, recall, _ = precision_recall_curve(table["anomalous"], table["score"])
            share = table["anomalous"].mean()
            label = f"{name} {results[name]['auprc']:.3f} (chance {share:.2f})"
            axes.plot(recall, precision, color=colour, label=label)
        axes.set(xlabel="anomalies caught (recall)", ylabel="flagged that are anomalies (precision)", xlim=(0, 1))
        axes.set_ylim(0, 1.01)
        axes.legend(title="AUPRC", loc="lower left")

    return draw


def histograms(table: pd.DataFrame, threshold: float) -> Drawing:
    """Draw one detector's scores: normal on top, then every held-out class, with the threshold through all."""
    order = (
        table.groupby(["anomalous", "class"])["score"].median().sort_values().sort_index(level=0, sort_remaining=False)
    )
    top = np.quantile(table["score"], 0.995)
    low = table["score"].min()
    edges = np.linspace(low, max(top, threshold * 1.05), 50)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        rows = list(order.index)
        for level, (anomalous, name) in enumerate(rows):
            values = table.loc[(table["anomalous"] == anomalous) & (table["class"] == name), "score"]
            counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
            base = len(rows) - 1 - level
            heights = base + 0.9 * counts / max(counts.max(), 1)
            axes.stairs(heights, edges, baseline=base, fill=True, alpha=0.75, color=ANOMALOUS if anomalous else NORMAL)
        axes.axvline(threshold, color=TEXT, linestyle="--", linewidth=1)
        axes.annotate("threshold", (threshold, len(rows)), textcoords="offset points", xytext=(3, -2), va="top")
        labels = [f"{name}" if anomalous else f"normal {name}" for anomalous, name in rows]
        axes.set_yticks([len(rows) - 1 - i + 0.2 for i in range(len(rows))], labels)
        axes.set(xlabel="anomaly score A(x)", ylim=(0, len(rows)), xlim=(edges[0], edges[-1]))
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)

    return draw


def per_class(results: Mapping[str, Any]) -> Drawing:
    """Draw the AUROC of each detector against each anomalous class."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        classes = list(next(iter(results.values()))["per_class"])
        for i, (name, result) in enumerate(results.items()):
            values = [result["per_class"].get(c, np.nan) for c in classes]
            axes.plot(values, range(len(classes)), "o", color=COLOURS[i % len(COLOURS)], alpha=0.85, label=name)
        axes.set_yticks(range(len(classes)), classes)
        axes.invert_yaxis()
        axes.axvline(0.5, linestyle=":", color=QUIET)
        axes.set(xlabel="AUROC, normal against this class", ylabel="anomalous class", xlim=(None, 1.005))
        axes.legend(loc="best")

    return draw


def _curves(axes: Axes, lines: Sequence[Json], names: Mapping[str, str]) -> None:
    for i, (key, label) in enumerate(names.items()):
        points = [(line["step"], line[key]) for line in lines if key in line]
        if points:
            axes.plot(*zip(*points, strict=True), color=COLOURS[i], label=label, linewidth=1.3)
    axes.set(xlabel="step", xlim=(0, None))
    axes.legend(loc="best")


def curves(lines: Sequence[Json], names: Mapping[str, str], ylabel: str, **limits: Any) -> Drawing:
    """Draw values of log lines against the training step; `names` maps keys to labels."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        _curves(axes, lines, names)
        axes.set(ylabel=ylabel, **limits)

    return draw


def spread(part: pd.DataFrame) -> Drawing:
    """Draw the AUROC of every detector: a dot for each class (mean over seeds), a bar at their mean."""
    classes = part.groupby(["detector", "class"])["auroc"].mean()
    means = classes.groupby(level=0).mean().sort_values()

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for level, (name, mean) in enumerate(means.items()):
            values = classes[name]
            axes.plot(values, [level] * len(values), "o", color=COLOURS[0], alpha=0.45, markersize=4)
            axes.plot(mean, level, "|", color=ANOMALOUS, markersize=15, markeredgewidth=2.5)
        labels = [f"{name}  {mean:.4f}" for name, mean in means.items()]
        axes.set_yticks(range(len(means)), labels)
        axes.set(xlabel="AUROC", xlim=(None, 1.004), ylim=(-0.6, len(means) - 0.4))
        axes.grid(axis="y", visible=False)

    return draw


def pairs(part: pd.DataFrame, detector: str, against: str) -> Drawing:
    """Draw the AUROC of two detectors on every class, as means over seeds."""
    table = part.pivot_table(index="class", columns="detector", values="auroc")[[detector, against]].dropna()
    table = table.sort_values(detector)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        levels = range(len(table))
        axes.hlines(levels, table.min(axis=1), table.max(axis=1), color=QUIET, linewidth=2)
        axes.plot(table[against], levels, "o", color=ANOMALOUS, label=against, markersize=5)
        axes.plot(table[detector], levels, "o", color=NORMAL, label=detector, markersize=5)
        axes.set_yticks(levels, table.index)
        axes.set(xlabel="AUROC", ylabel="class")
        axes.legend(loc="best")
        axes.grid(axis="y", visible=False)

    return draw


def search_cost(table: pd.DataFrame) -> Drawing:
    """Draw AUROC against seconds per image: a line per way to start the search, a label per number of steps."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for i, (start, part) in enumerate(table.groupby("start")):
            line = part.groupby("steps")[["seconds_per_image", "auroc"]].mean()
            axes.plot(line["seconds_per_image"] * 1000, line["auroc"], "o-", color=COLOURS[i], label=start)
            for steps, point in line.iterrows():
                place = (point["seconds_per_image"] * 1000, point["auroc"])
                axes.annotate(str(steps), place, textcoords="offset points", xytext=(4, 5), fontsize=8)
        axes.set(xscale="log", xlabel="milliseconds per image, one thread", ylabel="AUROC")
        plain_powers(axes.xaxis)
        axes.legend(title="search starts", loc="best")

    return draw


def fidelity(part: pd.DataFrame) -> Drawing:
    """Draw precision and recall of the generator per class; hollow dots are real images in its place."""
    means = part.groupby("class")[["precision", "recall", "precision_floor", "recall_floor"]].mean()

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        levels = np.arange(len(means))
        for name, colour, shift in (("precision", COLOURS[0], 0.12), ("recall", COLOURS[1], -0.12)):
            axes.plot(means[f"{name}_floor"], levels + shift, "o", color=colour, markerfacecolor="none", markersize=5)
            axes.plot(means[name], levels + shift, "o", color=colour, label=name, markersize=5)
        axes.set_yticks(levels, means.index)
        axes.set(xlim=(0, 1.02), xlabel="share", ylabel="normal class")
        axes.legend(loc="best")
        axes.grid(axis="y", visible=False)

    return draw
