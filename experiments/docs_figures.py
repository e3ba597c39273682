"""The figures of docs/concepts.md and docs/sensors.md, from scikit-learn's small digits: docs/figures/.

python -m experiments.docs_figures     about a minute on one thread, nothing to download
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve
from torch import Tensor

from anogan.config.gan import GANConfig, SearchConfig
from anogan.config.presets import DEFAULT
from anogan.detectors import AnoGAN, FAnoGAN
from anogan.detectors.calibration import hold_out, p_values
from anogan.digits.datasets import load_dataset
from anogan.digits.splits import one_vs_rest
from anogan.evaluation.metrics import auroc
from anogan.files import write_bytes
from anogan.gan.networks import GAN
from anogan.gan.training import EncoderTraining, GANTraining, latents, random_stream, train
from anogan.report.figures import ANOMALOUS, NORMAL, QUIET, TEXT, Drawing, render

OUT = Path("docs/figures")
DIGIT, SEED, RATE = "3", 0, 0.05
STAGES = (1, 50, 200, 1000)  # generator updates
ENCODER = replace(DEFAULT.encoder, steps=800)
SEARCHED = (0, 5, 20, 60)  # updates of z
SHOWN = 6


def stages(x: Tensor) -> tuple[dict[int, Tensor], GAN]:
    """Samples of the same latents after every stage of one training, and the networks of the last."""
    z, drawn = latents(SHOWN, DEFAULT.gan.latent_dim, random_stream(SEED, "docs", 0)), {}
    for steps in STAGES:  # the same seed takes the same steps
        gan = train(x, GANTraining(tuple(x.shape[1:]), GANConfig(steps=steps), SEED))
        with torch.no_grad():
            drawn[steps] = gan.generator(z)
    return drawn, gan


def image(axes: Axes, x: Tensor | np.ndarray, title: str = "", **how: object) -> None:
    axes.imshow(np.asarray(x)[0], **({"cmap": "gray", "vmin": -1, "vmax": 1} | how))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_title(title, fontsize=8)


def rows_of_images(rows: Sequence[tuple[str, Sequence[Tensor]]], size: tuple[float, float]) -> Drawing:
    def draw(figure: Figure) -> None:
        figure.set_size_inches(size)
        grid = figure.subplots(len(rows), max(len(images) for _, images in rows), squeeze=False)
        for line, (label, images) in zip(grid, rows, strict=True):
            for axes, x in zip(line, images, strict=True):
                image(axes, x)
            line[0].set_ylabel(label, rotation=0, ha="right", va="center", labelpad=6)

    return draw


def compared(detector: FAnoGAN, queries: dict[str, np.ndarray]) -> Drawing:
    """Each query, its reconstruction and its anomaly map."""
    found = detector.explain(np.stack(list(queries.values())))

    def draw(figure: Figure) -> None:
        figure.set_size_inches(1.15 * len(queries) + 0.9, 3.7)
        grid = figure.subplots(3, len(queries))
        for i, (name, x) in enumerate(queries.items()):
            p = p_values(detector.calibration_scores_, found.score[i : i + 1])[0]
            image(grid[0, i], x, f"a {name}")
            image(grid[1, i], found.reconstruction[i])
            image(grid[2, i], found.anomaly_map[i], cmap="inferno", vmin=0, vmax=2)
            grid[2, i].set_xlabel(f"A = {found.score[i]:.2f}\np = {p:.2g}", fontsize=8)
        for axes, label in zip(grid[:, 0], ("x", "G(E(x))", "map"), strict=True):
            axes.set_ylabel(label, rotation=0, ha="right", va="center", labelpad=6)

    return draw


def searched(gan: GAN, training: np.ndarray, held_out: np.ndarray, queries: dict[str, np.ndarray]) -> Drawing:
    """What latent search has found after so many updates of z."""
    x, found = np.stack(list(queries.values())), {}
    for steps in SEARCHED:
        config = SearchConfig(steps=steps, learning_rate=0.1, patience=0, residual="mse", discrimination_weight=0.0)
        detector = AnoGAN(gan.config, config, false_alarm_rate=RATE, device="cpu").calibrate(
            gan, training, held_out[:20]
        )
        found[steps] = detector.reconstruct(x), detector.anomaly_score(x)

    def draw(figure: Figure) -> None:
        figure.set_size_inches(1.1 * (len(SEARCHED) + 1) + 0.4, 1.4 * len(queries))
        grid = figure.subplots(len(queries), len(SEARCHED) + 1, squeeze=False)
        for line, (name, query), i in zip(grid, queries.items(), range(len(queries)), strict=True):
            image(line[0], query, f"x, a {name}")
            for axes, (steps, (x_hat, score)) in zip(line[1:], found.items(), strict=True):
                image(axes, x_hat[i], f"{steps} steps" if i == 0 else "")
                axes.set_xlabel(f"R = {score[i]:.2f}", fontsize=8)

    return draw


def threshold(detector: FAnoGAN, score: np.ndarray, y: np.ndarray) -> Drawing:
    """Held-out normal scores set the threshold; test scores fall on its two sides."""
    top = np.quantile(score, 0.99)
    edges = np.linspace(0, top, 40)

    def draw(figure: Figure) -> None:
        figure.set_size_inches(5.6, 3.4)
        axes = figure.subplots(3, sharex=True)
        parts = [
            ("held out, normal", detector.calibration_scores_, QUIET),
            ("test, normal", score[y == 0], NORMAL),
            ("test, anomalous", score[y == 1], ANOMALOUS),
        ]
        for one, (label, values, colour) in zip(axes, parts, strict=True):
            one.hist(np.clip(values, 0, top), edges, color=colour)
            one.axvline(detector.threshold_, color=TEXT, linestyle="--", linewidth=1)
            above = (values > detector.threshold_).mean()
            one.set_title(f"{label}: {above:.0%} above", loc="left", fontsize=9)
            one.set_yticks([])
            one.grid(visible=False, axis="y")
        place = (detector.threshold_, axes[0].get_ylim()[1])
        axes[0].annotate("threshold", place, textcoords="offset points", xytext=(4, -2), va="top")
        axes[-1].set(xlabel="anomaly score A(x)", xlim=(0, top))

    return draw


def p_value_of(detector: FAnoGAN, score: float) -> Drawing:
    """A p-value is counted: held-out normal scores at least as high, one more, of all and one more."""
    held_out = detector.calibration_scores_
    above = int((held_out >= score).sum())

    def draw(figure: Figure) -> None:
        figure.set_size_inches(5.6, 1.7)
        axes = figure.subplots()
        axes.plot(held_out, np.zeros_like(held_out), "|", markersize=22, color=QUIET)
        higher = held_out[held_out >= score]
        axes.plot(higher, np.zeros_like(higher), "|", markersize=22, color=ANOMALOUS)
        axes.plot([score], [0], "v", color=NORMAL, markersize=9)
        p = (above + 1) / (len(held_out) + 1)
        axes.set_title(f"{above} of {len(held_out)} are as high: p = ({above} + 1) / ({len(held_out)} + 1) = {p:.2f}")
        axes.set(xlabel="score of the new sample (triangle) and of held-out normal ones", yticks=[], ylim=(-1, 1))
        axes.grid(visible=False)

    return draw


def trade_off(score: np.ndarray, y: np.ndarray) -> Drawing:
    """ROC: every threshold at once; the area below is AUROC."""
    flagged, caught, _ = roc_curve(y, score)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.fill_between(flagged, caught, color=NORMAL, alpha=0.15, linewidth=0)
        axes.plot(flagged, caught, color=NORMAL)
        axes.plot([0, 1], [0, 1], ":", color=QUIET)
        axes.annotate(f"AUROC = {auroc(y, score):.3f}", (0.5, 0.2), fontsize=11)
        axes.annotate("guessing", (0.62, 0.56), rotation=37, color=QUIET)
        axes.set(xlabel="normal samples flagged", ylabel="anomalies caught", xlim=(0, 1), ylim=(0, 1.01))

    return draw


def looked_at() -> Drawing:
    """The rows that the score of a row of sensors looks at: the last 20, and 20 means of 12."""

    def draw(figure: Figure) -> None:
        figure.set_size_inches(6.4, 2.5)
        axes = figure.subplots()
        stream, rows = np.random.default_rng(SEED), np.arange(-300, 1)
        signal = np.sin(rows / 30) + 0.12 * stream.standard_normal(len(rows))
        axes.plot(rows, signal, color=QUIET, linewidth=0.8)
        blocks = np.arange(-240, 0, 12)
        for begin in blocks:
            inside = (rows > begin) & (rows <= begin + 12)
            axes.plot([begin + 0.5, begin + 11.5], [signal[inside].mean()] * 2, color=ANOMALOUS, linewidth=3)
        axes.axvspan(-19.5, 0.5, color=NORMAL, alpha=0.25, linewidth=0)
        axes.annotate("last 20 rows", (-20, -1.3), ha="right", color=NORMAL)
        axes.annotate("means of 20 blocks of 12 rows", (-120, 1.35), ha="center", color=ANOMALOUS)
        axes.set(xlabel="rows before now", yticks=[], xlim=(-300, 6), ylim=(-1.5, 1.7))

    return draw


def main() -> None:
    torch.set_num_threads(1)
    split = one_vs_rest(load_dataset("digits"), DIGIT)
    training_rows, held_out_rows = hold_out(len(split.x_train), 0.3, SEED)
    x, held_out = split.x_train[training_rows], split.x_train[held_out_rows]
    drawn, gan = stages(torch.from_numpy(x))
    gan = train(torch.from_numpy(x), EncoderTraining(gan, ENCODER, SEED))
    detector = FAnoGAN(gan.config, ENCODER, false_alarm_rate=RATE, device="cpu").calibrate(gan, x, held_out)
    score = detector.anomaly_score(split.x_test)
    first = {name: split.x_test[split.label_test == int(name)][0] for name in ("3", "8", "5", "0", "1", "7")}
    stage_rows = [(f"{steps:,} step{'s' * (steps > 1)}", list(images)) for steps, images in drawn.items()]
    normal = score[split.y_test == 0]
    figures: dict[str, Drawing] = {
        "training": rows_of_images([("real", list(torch.from_numpy(x[:SHOWN]))), *stage_rows], (5.2, 3.9)),
        "search": searched(gan, x, held_out, {name: first[name] for name in ("3", "7")}),
        "encoder": compared(detector, first),
        "threshold": threshold(detector, score, split.y_test),
        "p_value": p_value_of(detector, float(np.quantile(normal, 0.8))),
        "roc": trade_off(score, split.y_test),
        "rows": looked_at(),
    }
    for name, draw in figures.items():
        write_bytes(OUT / f"{name}.png", render(draw)[1])


if __name__ == "__main__":
    main()
