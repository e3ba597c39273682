"""The page of `experiments.speed`: reports/speed/index.html from results.csv and machines.json.

python -m experiments.speed_page     draws it again
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from anogan.report.figures import COLOURS, QUIET, plain_powers
from anogan.report.page import Section, write_tables

OUT = Path("reports/speed")
SLOWER_IS_MORE = ("s per image and step", "s per image", "seconds")  # units in which less is better

SECTIONS = {
    "training": (
        "Training",
        "The same networks, batch and optimiser. The tutorial's loop: a DataLoader with per-image transforms, NCHW, "
        "BCELoss, gradients through every network, .item() at every step. Ours: images in memory, channels last, one "
        "batch of generated images for both updates, no gradient through a frozen network. bfloat16 is a choice "
        "(--gan.precision bfloat16), never the default.",
        "Arithmetic is what PyTorch's counter finds in each loop. Beside the machine's matrix product (NumPy's or "
        "PyTorch's, whichever is faster) it may exceed 1, where the convolutions' library uses wider instructions than "
        "the matrix library does; beside the middle convolution alone it cannot in the same precision.",
    ),
    "busy": (
        "Beside other work",
        "Training of the default GAN while other processes keep cores busy for good, or come and go every second. As "
        "OpenMP is, threads wait for each other by keeping their core busy. Commands take as many threads as there are "
        "processors that other programs leave idle, looked at four times a second.",
    ),
    "convergence": (
        "Until it is trained",
        "Digit 8 of MNIST, development split: GAN with the default steps, then the encoder as in the f-AnoGAN paper "
        "until its held-out error has not improved by 1 % for 300 steps; three seeds.",
    ),
    "search": (
        "Latent search, per step",
        "AnoGAN's search with the paper's score, a whole batch against one image at a time, at equal steps. On a GPU "
        "one image at a time wastes far more; not measured here.",
    ),
    "inversion": (
        "Latent search, to the answer",
        "Digit 8 of MNIST, development split, half of the images normal. The score's AUROC beside what an image costs; "
        "the encoder is trained once.",
    ),
    "scoring": (
        "Scoring by the encoder",
        "End to end against the bare forward passes of encoder, generator and discriminator. From files, decoding "
        "overlaps scoring.",
    ),
    "memory": ("A million images", "One memory-mapped file, scored block by block into a CSV, resumable."),
    "processes": (
        "Two processes",
        "torchrun with one thread each and the same batch in all; every step is that of one process with the whole "
        "batch.",
    ),
    "start": ("The first answer", "Wall time of whole commands, each in a new process."),
}


def number(value: float) -> str:
    """Three or four figures."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}" if abs(value) < 1 else f"{value:.3g}"


def shown(part: pd.DataFrame) -> pd.DataFrame:
    """The rows of one part as text."""
    ratio = ["" if alone else f"{ratio:.3g}" for ratio, alone in zip(part["ratio"], _alone(part), strict=True)]
    extremes = [
        "" if rounds == 1 else f"{number(low)} to {number(high)}"
        for low, high, rounds in zip(part["low"], part["high"], part["rounds"], strict=True)
    ]
    return pd.DataFrame(
        {
            "what": part["part"],
            "variant": part["variant"],
            "median": [f"{number(value)} {unit}" for value, unit in zip(part["median"], part["unit"], strict=True)],
            "lowest to highest": extremes,
            "ratio to the first": ratio,
        }
    )


def _alone(part: pd.DataFrame) -> pd.Series:
    """Rows with nothing to be compared with."""
    return part.groupby(["part", "unit"])["variant"].transform("size") == 1


def gains(results: pd.DataFrame) -> pd.DataFrame:
    """Times as fast as the first variant, for everything that is a speed or a time."""
    timed = results["unit"].eq("images/s") | results["unit"].isin(SLOWER_IS_MORE)
    part = results[timed & results["measured"].isin(["training", "convergence", "search", "inversion"])]
    part = part[part["ratio"] != 1]
    gain = part["ratio"].where(~part["unit"].isin(SLOWER_IS_MORE), 1 / part["ratio"])
    return pd.DataFrame({"label": part["part"] + ": " + part["variant"], "gain": gain})


def draw_gains(table: pd.DataFrame, figure: Figure) -> None:
    figure.set_size_inches(8.5, 0.8 + 0.25 * len(table))
    axes = figure.subplots()
    labels, values = table["label"][::-1], table["gain"][::-1]
    axes.barh(range(len(values)), values, color=COLOURS[0], height=0.6)
    for place, value in enumerate(values):
        axes.text(value * 1.05, place, number(value), va="center", fontsize=7)
    axes.axvline(1, color=QUIET, linestyle=":")
    axes.set_yticks(range(len(values)), labels, fontsize=7)
    axes.set(xscale="log", xlabel="times as fast as the tutorial's loop", xlim=(0.8, values.max() * 2.5))
    plain_powers(axes.xaxis)
    axes.grid(axis="y", visible=False)


def cluster(results: pd.DataFrame) -> str:
    """What two processes measured says of 64 GPUs: an estimate on paper, its assumptions named."""
    exchanged = results.loc[results["unit"] == "MB exchanged per step", "median"].iloc[0]
    ring = 2 * 63 / 64 * exchanged / 1024
    return (
        f"On paper, 64 GPUs with 128 images each: a ring all-reduce sends {ring * 1024:.0f} MB per process and step, "
        f"{1000 * ring / 25:.2g} ms at 25 GB/s, and batch normalisation's sums add a few small messages. A step takes "
        "about 5 ms if a GPU computes this network at 20 TFLOP/s, so about nine tenths of the time would be "
        "arithmetic. Nothing of this was measured."
    )


def write_speed_page(out: Path) -> Path:
    """Write index.html, figures and tables into `out`; returns the page."""
    results = pd.read_csv(out / "results.csv")
    machines = json.loads((out / "machines.json").read_text())
    sections = []
    for name, (title, *text) in SECTIONS.items():
        part = results[results["measured"] == name]
        if len(part):
            text += [cluster(results)] if name == "processes" else []
            text += ["Measured with " + ", ".join(f"{key}: {value}" for key, value in machines[name].items()) + "."]
            sections.append(Section(title, tuple(text), shown(part)))
    if len(table := gains(results)):
        first = sections[0]
        drawing = ("gains", "Times as fast as the first variant", lambda figure: draw_gains(table, figure))
        sections[0] = Section(first.title, first.text, first.table, (drawing,))
    intro = [
        "Every figure was measured beside what it is compared with, A B A B in one process tree: the ratio is the "
        "median of the rounds' ratios. Parts may come from different machines.",
        "Made by python -m experiments.speed.",
    ]
    return write_tables(out, "speed", "How fast", intro, sections)


if __name__ == "__main__":
    print(write_speed_page(OUT))
