"""What the parts of SubspaceGAN add, on healthy recordings with injected faults: reports/development/sensors.csv.

python -m experiments.sensors_development FOLDER     FOLDER holds skab/; ten minutes on one thread

No labelled recording is opened here: SKAB's recording without faults is cut into stretches and a fault of known kind,
place and strength is added to each, and the built-in pump has faults inside its loop.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from anogan.evaluation.metrics import auroc
from anogan.files import write_text
from anogan.sensors.recordings import from_table
from anogan.simulators.pump import CHANNELS, Fault, simulate
from experiments.development import REPORTS
from experiments.public_recordings import LabelledRecording, load_skab_healthy
from experiments.sensors import ours

FILE = REPORTS / "sensors.csv"
SEEDS = (0, 1)
TRAIN, LENGTH, STRIDE = 400, 1100, 1400  # rows of a stretch to train on, in all, and between two stretches
KINDS = ("bias", "drift", "gain", "oscillation", "several", "several, slowly")
STRENGTHS = {"weak": (2.0, 6.0), "strong": (4.0, 20.0)}  # standard deviations of the training rows
PUMP_FAULTS = ("bearing wear", "leak", "blocked inlet", "stuck valve", "flow sensor drift")
PUMP_STRENGTHS = {"weak": 0.15, "strong": 0.75}


def inject(
    x: NDArray[np.float64], kind: str, rows: slice, strength: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """x (n, channels) with a fault of `kind` in `rows`, reached within 30 rows unless slowly."""
    x, t = x.copy(), np.arange(rows.stop - rows.start)
    spread, channel = x[:TRAIN].std(0) + 1e-9, int(rng.integers(x.shape[1]))
    sign, direction = rng.choice([-1, 1]), rng.standard_normal(x.shape[1])
    if kind == "bias":
        x[rows, channel] += sign * strength * spread[channel] * np.minimum(1, t / 30)
    elif kind == "drift":
        x[rows, channel] += 2 * sign * strength * spread[channel] * t / len(t)
    elif kind == "gain":
        mean = x[: rows.start, channel].mean()
        x[rows, channel] = mean + (x[rows, channel] - mean) * (1 + strength / 2)
    elif kind == "oscillation":
        x[rows, channel] += strength * spread[channel] * np.sin(2 * np.pi * t / rng.uniform(6, 40))
    else:
        grown = np.minimum(1, t / (30 if kind == "several" else len(t) / 2))
        x[rows] += strength * spread * direction / np.linalg.norm(direction) * grown[:, None]
    return x


def cases(folder: Path, strength: str) -> Iterator[tuple[str, LabelledRecording]]:
    values = load_skab_healthy(folder / "skab").values
    rng = np.random.default_rng(0)
    for begin in range(0, len(values) - LENGTH, STRIDE):
        for kind in KINDS:
            first = int(rng.integers(540, 640))
            rows = slice(first, first + int(rng.integers(250, 400)))
            found = inject(values[begin : begin + LENGTH], kind, rows, rng.uniform(*STRENGTHS[strength]), rng)
            yield f"SKAB, {strength}", labelled(f"{kind} {begin}", pd.DataFrame(found), rows, TRAIN)
    for number, name in enumerate(PUMP_FAULTS):
        rows = slice(6600, 7800)
        fault = Fault(name, 10 * rows.start, 10 * rows.stop, PUMP_STRENGTHS[strength], 2000)
        table = simulate(84_000, 200 + number, [fault], 10)
        yield f"pump, {strength}", labelled(name, table[list(CHANNELS)], rows, 6000)


def labelled(name: str, table: pd.DataFrame, rows: slice, n_train: int) -> LabelledRecording:
    anomalous = np.zeros(len(table), dtype=np.int64)
    anomalous[rows] = 1
    return LabelledRecording(name, from_table(table.rename(columns=str), name), anomalous, n_train)


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    rows: list[Any] = pd.read_csv(FILE).to_dict("records") if FILE.exists() else []
    finished = {(row["data"], row["fault"], row["seed"]) for row in rows}
    cells = [(*case, seed) for seed in SEEDS for strength in STRENGTHS for case in cases(folder, strength)]
    for data, case, seed in tqdm([c for c in cells if (c[0], c[1].name, c[2]) not in finished], disable=None):
        for name, score, _, _ in ours(case, seed):
            found = {"data": data, "fault": case.name, "seed": seed, "detector": name}
            rows.append(found | {"auroc": auroc(case.y_test, score[case.n_train :])})
        write_text(FILE, pd.DataFrame(rows).to_csv(index=False, float_format="%.5f"))
    table = pd.DataFrame(rows).pivot_table(index="detector", columns="data", values="auroc", sort=False)
    print(table.round(4).to_string())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
