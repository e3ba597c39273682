"""What fitting a detector without networks takes, anew: train_seconds in reports/benchmark/, and its report.

python -m experiments.fit_seconds DETECTOR [DATA_ROOT]     about two minutes; its scores stay as they are

CPU seconds of one thread, which other work on the machine hardly changes.
"""

from __future__ import annotations

import sys
import time
from functools import cache

import pandas as pd
import torch
from tqdm import tqdm

from anogan.benchmark.baselines import BASELINES
from anogan.config.presets import DEFAULT
from anogan.detectors.calibration import hold_out
from anogan.digits.datasets import load_dataset
from anogan.digits.splits import PROTOCOLS
from anogan.files import write_text
from experiments.benchmark import OUT, publish


def main(name: str, data_root: str | None) -> None:
    torch.set_num_threads(1)
    images = cache(load_dataset)
    file = OUT / "results.csv"
    table = pd.read_csv(file, dtype={"class": str})
    for row, cell in tqdm(table[table["detector"] == name].iterrows(), disable=None):
        split = PROTOCOLS[cell["protocol"]](images(cell["data"], data_root), cell["class"])
        x = split.x_train[hold_out(len(split.x_train), DEFAULT.holdout, cell["seed"])[0]]
        detector, begin = BASELINES[name](cell["seed"]), time.process_time()
        detector.fit(x)
        table.loc[row, "train_seconds"] = time.process_time() - begin
    write_text(file, table.to_csv(index=False, float_format="%.5f"))
    publish()


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in BASELINES:
        sys.exit(__doc__)
    main(sys.argv[1], next(iter(sys.argv[2:]), None))
