"""What more search steps buy, cold and from the encoder: reports/benchmark/search_steps.csv.

python -m experiments.search_steps [DATA_ROOT]     about five minutes per class and seed on one thread
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pandas as pd
import torch
from tqdm import tqdm

from anogan.benchmark.run import Job, Networks
from anogan.config.presets import DEFAULT
from anogan.detectors import AnoGAN, Hybrid
from anogan.detectors.calibration import hold_out
from anogan.digits.datasets import load_dataset
from anogan.digits.splits import ImageSet, one_vs_rest
from anogan.evaluation.metrics import auroc, balanced_subset
from anogan.files import write_text
from experiments.benchmark import OUT

FILE = OUT / "search_steps.csv"
STEPS = (0, 5, 20, 100, 500)
CLASSES = ["8", "2", "3", "0", "1"]
IMAGES = 300  # half normal
CALIBRATION = 64  # held-out images scored besides; no threshold is used here


def measure(images: ImageSet, label: str, seed: int) -> Iterator[dict[str, Any]]:
    split = one_vs_rest(images, label)
    training, held_out = hold_out(len(split.x_train), DEFAULT.holdout, seed)
    x = split.x_train[training]
    job = Job("mnist", "one_vs_rest", label, seed, ())
    gan, _ = Networks(job, torch.from_numpy(x), OUT.resolve() / "networks").get(
        DEFAULT.gan, {"encoder": DEFAULT.encoder}
    )
    rows = balanced_subset(split.label_test, split.y_test, IMAGES, seed)
    for steps in STEPS:
        detectors = {
            "cold": AnoGAN(gan=gan.config, search=replace(DEFAULT.search, steps=steps, patience=0), device="cpu"),
            "from the encoder": Hybrid(
                gan=gan.config,
                encoder=DEFAULT.encoder,
                search=replace(DEFAULT.hybrid, steps=steps, patience=0),
                device="cpu",
            ),
        }
        for start, detector in detectors.items():
            detector.calibrate(gan, x, split.x_train[held_out[:CALIBRATION]])
            begin = time.perf_counter()
            score = detector.anomaly_score(split.x_test[rows])
            seconds = (time.perf_counter() - begin) / len(rows)
            found = {"start": start, "steps": steps, "auroc": auroc(split.y_test[rows], score)}
            yield {"class": label, "seed": seed, "n": len(rows)} | found | {"seconds_per_image": seconds}


def main(data_root: str | None) -> None:
    torch.set_num_threads(1)
    images = load_dataset("mnist", data_root)
    rows: list[Any] = pd.read_csv(FILE, dtype={"class": str}).to_dict("records") if FILE.exists() else []
    finished = {(row["class"], row["seed"]) for row in rows}
    cells = [(c, seed) for seed in (0, 1, 2) for c in CLASSES if (c, seed) not in finished]
    for label, seed in tqdm(cells, disable=None):
        rows += measure(images, label, seed)
        write_text(FILE, pd.DataFrame(rows).to_csv(index=False, float_format="%.5g"))


if __name__ == "__main__":
    main(next(iter(sys.argv[1:]), None))
