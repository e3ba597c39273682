"""How good a generator is: KID, FID, precision and recall in the features of a small classifier trained in place."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from anogan.gan.training import random_stream, seeded_init

Features = NDArray[np.float64]
BATCH = 128


class Classifier(nn.Module):
    """x (n, channels, height, width) -> logits (n, classes). Its features describe what people see in these images;
    those of a network trained on photographs would not."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            *(nn.Conv2d(channels, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.ReLU()),
            *(nn.Conv2d(32, 64, 3, 2, 1), nn.BatchNorm2d(64), nn.ReLU()),
            *(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(1024, 64)),
            nn.BatchNorm1d(64, affine=False),  # features of mean 0 and variance 1, whatever the classifier's scale
        )
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(64, classes))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.trunk(x))
        return logits


def train_classifier(x: Tensor, label: Tensor, seed: int, epochs: int = 3) -> Classifier:
    """On images x (n, channels, height, width) of all classes; label (n,) counts from 0.

    Images that are measured with it must not be among x: a classifier sees what it was trained on with other eyes.
    """
    with seeded_init(seed, "classifier"):
        classifier = Classifier(x.shape[1], int(label.max()) + 1).to(x.device)
    optimiser = torch.optim.Adam(classifier.parameters(), lr=2e-3)
    for epoch in range(epochs):
        for rows in torch.randperm(len(x), generator=random_stream(seed, "classifier", epoch)).split(BATCH)[:-1]:
            optimiser.zero_grad()
            cross_entropy(classifier(x[rows]), label[rows]).backward()
            optimiser.step()
    return classifier.eval().requires_grad_(False)


def features(classifier: Classifier, x: Tensor) -> Features:
    """The classifier's view (n, 64) of x."""
    found: Features = torch.cat([classifier.trunk(part) for part in x.split(500)]).cpu().double().numpy()
    return found


def frechet_distance(a: Features, b: Features) -> float:
    """FID (Heusel et al. 2017): the squared Fréchet distance of two Gaussians fitted to the features."""
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # tr sqrt(A B) = tr sqrt(sqrt(A) B sqrt(A)), whose argument is symmetric and loses nothing where a feature is dead
    root = _root(cov_a)
    covariance = np.trace(cov_a) + np.trace(cov_b) - 2 * np.trace(_root(root @ cov_b @ root))
    return float(np.square(a.mean(0) - b.mean(0)).sum() + max(covariance, 0))


def _root(symmetric: Features) -> Features:
    values, vectors = np.linalg.eigh(symmetric)
    root: Features = vectors * np.sqrt(values.clip(0)) @ vectors.T
    return root


def kernel_distance(a: Features, b: Features) -> float:
    """KID (Bińkowski et al. 2018): unbiased squared MMD with the kernel (x.y / d + 1)^3; may fall below 0."""

    def kernel(x: Features, y: Features) -> Features:
        values: Features = (x @ y.T / x.shape[1] + 1) ** 3
        return values

    def within(x: Features) -> float:
        values = kernel(x, x)
        return float((values.sum() - np.trace(values)) / (len(x) * (len(x) - 1)))

    return within(a) + within(b) - 2 * float(kernel(a, b).mean())


def nearest_distances(x: Tensor, memory: Tensor) -> Features:
    """Euclidean distance (n,) of x to the nearest of memory, pixel by pixel: near 0 for a copy."""
    parts = [torch.cdist(part.flatten(1), memory.flatten(1)).amin(1) for part in x.split(500)]
    found: Features = torch.cat(parts).cpu().double().numpy()
    return found
