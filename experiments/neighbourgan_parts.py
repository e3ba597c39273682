"""What each part of NeighbourGAN adds, and with what weight, on the development split.

python -m experiments.neighbourgan_parts [DATA_ROOT]     about 35 minutes on one thread
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from anogan.baselines import BASELINES
from anogan.calibration import hold_out
from anogan.config import DEFAULT
from anogan.data import Split
from anogan.detectors import NeighbourGAN
from anogan.evaluation import auroc
from anogan.files import write_text
from anogan.training import EncoderTraining, GANTraining, train_encoder, train_gan
from experiments.development import REPORTS, run_cells, summarise

# Weights of the gradients' hyperplane, of the code and of the reconstruction.
WEIGHTS = {
    "gradients alone (no GAN)": (1, 0, 0),
    "code alone": (0, 1, 0),
    "reconstruction alone": (0, 0, 1),
    "gradients and code": (1, 0.25, 0),
    "gradients and reconstruction": (1, 0, 0.125),
    "all, 1 : 1/4 : 1/8": (1, 0.25, 0.125),
    "all, 1 : 1/4 : 1/4": (1, 0.25, 0.25),
    "all, 1 : 1/2 : 1/4": (1, 0.5, 0.25),
    "all, 1 : 1/2 : 1/2": (1, 0.5, 0.5),
}
CELLS = {
    ("mnist", "one_vs_rest"): "8 2 3 9",
    ("fashion-mnist", "one_vs_rest"): "6 2 4 0",
    ("mnist", "leave_one_out"): "9 1 7 4 5",
}


def measure(split: Split, seed: int) -> Iterator[dict[str, Any]]:
    training, held_out = hold_out(len(split.x_train), 0.1, seed)
    x, x_held_out = split.x_train[training], split.x_train[held_out]
    baseline = BASELINES["oriented-gradient-knn"](seed).fit(x)
    yield {
        "parts": "5 nearest in oriented gradients",
        "auroc": auroc(split.y_test, -baseline.score_samples(split.x_test)),
    }
    tensor = torch.from_numpy(x)
    gan = train_gan(tensor, GANTraining(tuple(x.shape[1:]), DEFAULT.gan, seed))
    gan = train_encoder(tensor, EncoderTraining(gan, DEFAULT.encoder, seed))
    terms = NeighbourGAN(device="cpu").adopt(gan, x, x_held_out).explain(split.x_test).terms
    views = np.stack([terms[name] for name in NeighbourGAN.terms])
    for name, weights in WEIGHTS.items():
        yield {"parts": name, "auroc": auroc(split.y_test, np.array(weights) @ views)}


if __name__ == "__main__":
    root = next(iter(sys.argv[1:]), None)
    file = REPORTS / "neighbourgan_parts.csv"
    for (data, protocol), classes in CELLS.items():
        cells = [(label, seed) for seed in (0, 1) for label in classes.split()]
        table = run_cells(file, data, cells, measure, root, protocol)
    texts = [
        f"## {data}, {protocol}\n\n{summarise(part, ['parts'])}"
        for (data, protocol), part in table.groupby(["data", "protocol"])
    ]
    write_text(REPORTS / "neighbourgan_parts.md", "\n".join(texts))
