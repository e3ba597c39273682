"""Figures of docs/concepts.md, from scikit-learn's small digits: docs/figures/.

python -m experiments.docs_figures     a minute on one thread; no download
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.figure import Figure

from anogan import FAnoGAN
from anogan.config import PRESETS
from anogan.data import load_dataset, one_vs_rest
from anogan.files import write_bytes
from anogan.images import png, tile
from anogan.reporting import figures
from anogan.synthesis import draw

OUT = Path("docs/figures")
SHOWN = 3  # normal digits, and as many others


def histogram(normal: np.ndarray, other: np.ndarray, threshold: float) -> figures.Drawing:
    def draw_it(figure: Figure) -> None:
        figure.set_size_inches(6, 2.4)
        axes = figure.subplots()
        edges = np.linspace(0, float(np.quantile(other, 0.98)), 40)
        for scores, name, colour in (
            (normal, "held-out normal digits", figures.NORMAL),
            (other, "other digits", figures.ANOMALOUS),
        ):
            axes.hist(scores, edges, density=True, alpha=0.6, color=colour, label=name)
        axes.axvline(threshold, color=figures.TEXT, linewidth=1.2, label="threshold")
        axes.set(xlabel="anomaly score A(x)", yticks=[])
        axes.legend()

    return draw_it


def main() -> None:
    torch.set_num_threads(1)
    preset = PRESETS["digits"]
    split = one_vs_rest(load_dataset("digits"), "3")
    settings = replace(preset.gan, steps=1000), replace(preset.encoder, steps=800)
    detector = FAnoGAN(*settings, false_alarm_rate=0.05, holdout=preset.holdout).fit(split.x_train)
    write_bytes(OUT / "generated.png", png(tile(draw(detector.gan_, 16, 0).numpy(), 8), 3))
    rows = [*np.flatnonzero(split.y_test == 0)[:SHOWN], *np.flatnonzero(split.y_test == 1)[:SHOWN]]
    x = split.x_test[rows]
    x_hat = detector.reconstruct(x)
    write_bytes(OUT / "inverted.png", png(tile(np.concatenate([x, x_hat, np.abs(x - x_hat) - 1]), len(x)), 3))
    other = detector.anomaly_score(split.x_test[split.y_test == 1])
    with rc_context(figures.STYLE):
        _, picture, _ = figures.render(histogram(detector.calibration_scores_, other, detector.threshold_))
    write_bytes(OUT / "scores.png", picture)


if __name__ == "__main__":
    main()
