"""What each part of NeighbourGAN adds, and with what weight, on the development split.

python -m experiments.neighbourgan_parts [DATA_ROOT]     about 35 minutes on one thread
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anogan.benchmark.baselines import BASELINES
from anogan.config.presets import DEFAULT
from anogan.detectors import NeighbourGAN
from anogan.detectors.calibration import Floats, hold_out
from anogan.digits.splits import Split
from anogan.evaluation.metrics import auroc
from anogan.gan.scores import blurred_cosine
from anogan.gan.training import EncoderTraining, GANTraining, train
from anogan.views.gradients import oriented_gradients
from anogan.views.nearest import nearest
from experiments.benchmark import OUT
from experiments.development import run_cells

# Weights of the gradients, the code, and the error of the reconstruction relative to the nearest training images'.
WEIGHTS = {
    "gradients alone (no GAN)": (1, 0, 0),
    "code alone": (0, 1, 0),
    "reconstruction alone": (0, 0, 1),
    "gradients and code, 1 : 1/8": (1, 1 / 8, 0),
    "gradients and code, 1 : 1/4 (chosen)": (1, 1 / 4, 0),
    "gradients and code, 1 : 1/2": (1, 1 / 2, 0),
    "gradients and reconstruction, 1 : 1/16": (1, 0, 1 / 16),
    "all, 1 : 1/4 : 1/16": (1, 1 / 4, 1 / 16),
    "all, 1 : 1/4 : 1/8": (1, 1 / 4, 1 / 8),
}
CELLS = {
    ("mnist", "one_vs_rest"): "8 2 3 9",
    ("fashion-mnist", "one_vs_rest"): "6 2 4 0",
    ("mnist", "leave_one_out"): "9 1 7 4 5",
}


def measure(split: Split, seed: int) -> Iterator[dict[str, Any]]:
    def row(parts: str, score: Floats) -> dict[str, Any]:
        return {"parts": parts, "auroc": auroc(split.y_test, score)}

    training, held_out = hold_out(len(split.x_train), 0.1, seed)
    x, x_held_out = split.x_train[training], split.x_train[held_out]
    baseline = BASELINES["oriented-gradient-knn"](seed).fit(x)
    yield row("5 nearest in oriented gradients", -baseline.score_samples(split.x_test))
    tensor = torch.from_numpy(x)
    gan = train(tensor, GANTraining(tuple(x.shape[1:]), DEFAULT.gan, seed))
    gan = train(tensor, EncoderTraining(gan, DEFAULT.encoder, seed))
    for sparsity in (0, 1, DEFAULT.neighbour.code_sparsity):
        neighbour = replace(DEFAULT.neighbour, code_sparsity=sparsity)
        detector = NeighbourGAN(neighbour=neighbour, device="cpu").calibrate(gan, x, x_held_out)
        terms = detector.explain(split.x_test).terms
        if sparsity in (0, 1):
            parts = f"gradients and code, 1 : 1/4, {'wholly' if sparsity else 'not'} relative to sparsity"
            yield row(parts, terms["gradients"] + terms["code"] / 4)
    own = errors(detector, x)
    error, normal = (relative_errors(detector, own, images) for images in (split.x_test, x_held_out))
    views = np.stack([terms["gradients"], terms["code"], (error - normal.mean()) / normal.std()])
    for name, weights in WEIGHTS.items():
        yield row(name, np.array(weights) @ views)


def errors(detector: NeighbourGAN, x: NDArray[np.float32]) -> Tensor:
    """log R(x, G(E(x))) (n,)."""
    x_hat = torch.from_numpy(detector.reconstruct(x))
    return blurred_cosine(torch.from_numpy(x), x_hat).clamp_min(1e-6).log()


def relative_errors(detector: NeighbourGAN, own: Tensor, x: NDArray[np.float32]) -> Floats:
    """The errors of x, less the mean of those of its ten nearest training images."""
    parts = torch.from_numpy(x).split(500)
    rows = torch.cat([nearest(oriented_gradients(part), detector.memory_["gradients"], 10)[1] for part in parts])
    difference: Floats = (errors(detector, x) - own[rows].mean(1)).double().numpy()
    return difference


if __name__ == "__main__":
    root = next(iter(sys.argv[1:]), None)
    for seed in (0, 1):
        for (data, protocol), classes in CELLS.items():
            run_cells(OUT / "parts.csv", data, [(label, seed) for label in classes.split()], measure, root, protocol)
