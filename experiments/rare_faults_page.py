"""The page of `experiments.rare_faults`: reports/rare_faults/index.html from its CSV files alone.

python -m experiments.rare_faults_page
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import bootstrap

from anogan.report import figures
from anogan.report.page import Section, write_tables
from experiments.rare_faults import OURS, OUT

COLUMN = "learned from"
NAMES = {"macro_f1": "macro-F1", "auroc": "AUROC"}
TEXTS = {
    "SKAB valves": (
        "A water circuit: normal, the valve at the pump's inlet closing, the one at the outlet. Ten experiments "
        "teach, ten others test; an event is 50 consecutive rows of one experiment. The two valves differ in "
        "little but the temperatures of their days, so that even all recorded rows do not tell them apart well."
    ),
    "built-in machine": (
        "The simulated pump: normal and nine faults. Every event is a simulation of its own, on another day, at "
        "another severity."
    ),
}
INTRO = (
    "A fault was recorded once, for 50 rows. A random forest learns from those rows, from plenty of normal ones, "
    "and from what each line below makes of the 50; it is tested on real rows of other experiments. Figures are "
    "macro-F1, the mean over the classes, whatever their size: mean ± standard deviation over the training seeds 0, "
    "1 and 2, each the mean of its draws of events.",
    "The column 'ours, difference' compares anogan simulate with a line on the same draws, with a 95 % bootstrap "
    "interval over the draws: the test rows are the same in all of them, and the draws of one seed share its GAN, so "
    "that it is too narrow for another GAN or other test rows. How much jitter is best is not known beforehand; ten "
    "per cent of a normal channel's standard deviation is usual, and four amounts stand here. 'Put onto recorded "
    "normal rows, no GAN' is what the idea does without a generator.",
)


def table(part: pd.DataFrame, metric: str = "macro_f1") -> pd.DataFrame:
    """A row for all that was learned from, the best first."""
    draws = part.pivot_table(index=["seed", "draw"], columns=COLUMN, values=metric)
    rows = []
    for name in draws:
        seeds = draws[name].dropna().groupby("seed").mean()
        mean = f"{seeds.mean():.3f} ± {seeds.std():.3f}"
        row = {COLUMN: name, NAMES[metric]: mean, "draws": int(draws[name].count())}
        row["ours, difference"] = difference((draws[OURS] - draws[name]).dropna()) if name != OURS else "–"
        rows.append(row | {"order": seeds.mean()})
    return pd.DataFrame(rows).sort_values("order", ascending=False, kind="stable").drop(columns="order")


def difference(values: pd.Series) -> str:
    interval = bootstrap((values.to_numpy(),), np.mean, rng=np.random.default_rng(0)).confidence_interval
    return f"{values.mean():+.3f} ({interval.low:+.3f} to {interval.high:+.3f})"


def dots(part: pd.DataFrame, xlabel: str, metric: str = "macro_f1") -> figures.Drawing:
    """A dot per draw, a line at the mean."""
    order = part.groupby(COLUMN)[metric].mean().sort_values()

    def draw(figure: Figure) -> None:
        figure.set_size_inches(2 * figures.WIDTH, 0.32 * len(order) + 0.9)
        axes = figure.subplots()
        rng = np.random.default_rng(0)
        for y, (name, mean) in enumerate(order.items()):
            found = part[part[COLUMN] == name][metric].to_numpy()
            colour = figures.ANOMALOUS if name == OURS else figures.NORMAL
            axes.plot(found, y + rng.uniform(-0.2, 0.2, len(found)), ".", color=colour, alpha=0.45, markersize=6)
            axes.plot([mean, mean], [y - 0.35, y + 0.35], color=colour, linewidth=2.5)
        axes.set_yticks(range(len(order)), list(order.index))
        axes.set_xlabel(xlabel)

    return draw


def write(out: Path) -> Path:
    results, development = (pd.read_csv(out / f"{name}.csv") for name in ("results", "development"))
    sections = [
        Section(
            name,
            (TEXTS[name],),
            table(part),
            ((name.replace(" ", "_"), "Every draw a dot, the mean a line.", dots(part, "macro-F1 on real rows")),),
        )
        for name, part in results.groupby("case", sort=False)
    ]
    means = development.pivot_table(index=COLUMN, columns="case", values="macro_f1").round(3)
    text = (
        "Where the settings were chosen: on the ten SKAB experiments that teach above, one half of them against the "
        "other, and on other simulations. No row that is tested on above was used."
    )
    sections.append(Section("Development", (text,), means.reset_index()))
    return write_tables(out, "Experiment", "Imitating a fault of which 50 rows were recorded", INTRO, sections)


if __name__ == "__main__":
    print(write(OUT))
