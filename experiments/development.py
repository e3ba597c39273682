"""The development split: settings are compared on the official training files alone, never on test files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from anogan.detectors.calibration import hold_out
from anogan.digits.datasets import load_dataset
from anogan.digits.splits import ImageSet, Split, parse_classes
from anogan.files import write_text
from anogan.pictures.files import to_unit_range

REPORTS = Path("reports/development")
OTHERS = 200  # training images of each other class


def development_split(images: ImageSet, label: str, seed: int, protocol: str, holdout: float = 0.1) -> Split:
    """Train on nine tenths of the normal training images; test on the last tenth against anomalous training images."""
    chosen = np.isin(images.label_train, parse_classes(label, images.classes)) == (protocol == "one_vs_rest")
    own = np.flatnonzero(chosen)
    training, held_out = hold_out(len(own), holdout, seed)
    rng = np.random.default_rng(seed)
    others = [np.flatnonzero((images.label_train == c) & ~chosen) for c in range(len(images.classes))]
    each = OTHERS if protocol == "one_vs_rest" else 9 * OTHERS
    rows = np.concatenate([own[held_out], *(rng.choice(o, each, replace=False) for o in others if len(o))])
    return Split(
        x_train=to_unit_range(images.x_train[own[training]]),
        x_test=to_unit_range(images.x_train[rows]),
        y_test=(~chosen[rows]).astype(np.int64),
        label_test=images.label_train[rows],
        classes=images.classes,
    )


def run_cells(
    table: Path,
    data: str,
    cells: Iterable[tuple[str, int]],
    measure: Callable[[Split, int], Iterable[dict[str, Any]]],
    data_root: str | None,
    protocol: str = "one_vs_rest",
) -> pd.DataFrame:
    """Append the rows that `measure(split, seed)` gives for every (class, seed); a cell in the table is not rerun."""
    torch.set_num_threads(1)
    images = load_dataset(data, data_root)
    rows = pd.read_csv(table, dtype={"class": str}).to_dict("records") if table.exists() else []
    finished = {(row["data"], row["protocol"], row["class"], row["seed"]) for row in rows}
    for label, seed in tqdm([c for c in cells if (data, protocol, *c) not in finished], desc=table.stem, disable=None):
        begin = time.monotonic()
        found = list(measure(development_split(images, label, seed, protocol), seed))
        rows += [{"data": data, "protocol": protocol, "class": label, "seed": seed} | row for row in found]
        write_text(table, pd.DataFrame(rows).to_csv(index=False, float_format="%.5g"))
        print(f"{data} {protocol} {label} seed {seed}: {time.monotonic() - begin:.0f} s", flush=True)
    return pd.DataFrame(rows)


def summarise(table: pd.DataFrame, by: list[str], value: str = "auroc") -> str:
    """Mean ± standard deviation over seeds, a column for every class, as Markdown."""
    cells = table.groupby([*by, "class"], sort=False)[value].agg(["mean", "std"])
    text = cells.apply(lambda c: f"{c['mean']:.4f} ± {c['std']:.4f}", axis=1).unstack("class")
    text["mean"] = table.groupby(by, sort=False)[value].mean().map("{:.4f}".format)
    header = [*by, *map(str, text.columns)]
    lines = [header, ["---"] * len(header)]
    for index, row in text.iterrows():
        lines.append([*map(str, index if isinstance(index, tuple) else (index,)), *row])
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
