"""Features of windows, and their Mahalanobis distance from those of training windows."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from anogan.gan.layers import precise

SMALLEST_SPREAD = 0.01  # samples lie in [-1, 1]
SMALLEST_DISTANCE = 1e-6


class Ellipsoid(NamedTuple):
    """Mean and inverse covariance of features (n, d)."""

    mean: Tensor  # (d,)
    precision: Tensor  # (d, d)

    @classmethod
    def fit(cls, x: Tensor, shrinkage: float) -> Ellipsoid:
        """Fit to x (n, d). `shrinkage` (0 to 1) draws the correlation matrix towards the identity."""
        mean, spread = x.mean(0), x.std(0, correction=0).clamp_min(SMALLEST_SPREAD)
        standard = (x - mean) / spread
        correlation = standard.T @ standard / len(x)
        correlation = (1 - shrinkage) * correlation + shrinkage * torch.eye(len(mean)).to(correlation)
        return cls(mean, correlation.inverse() / spread / spread[:, None])

    def log_distance(self, x: Tensor) -> Tensor:
        """Return the log of the squared Mahalanobis distance (n,)."""
        difference = precise(x) - self.mean
        squared = ((difference @ precise(self.precision)) * difference).sum(1).to(x.dtype)
        return squared.clamp_min(SMALLEST_DISTANCE).log()


def figures(x: Tensor) -> Tensor:
    """Return the mean and the log variance of each channel of x (n, channels, *size), (n, 2 channels)."""
    x = x.flatten(2)
    return torch.cat([x.mean(2), (x.var(2, correction=0) + SMALLEST_DISTANCE).log()], dim=1)
