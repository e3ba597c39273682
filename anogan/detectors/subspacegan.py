"""SubspaceGAN: how far a window of signals leaves what is usual, by a linear model and by what the GAN cannot draw."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from anogan.config import SENSORS, EncoderConfig, GANConfig, SubspaceConfig
from anogan.detectors.base import Memory
from anogan.detectors.views import ViewsDetector

LIMIT = 0.99  # quantile of training windows that T2 and SPE are measured by
SHRINKAGE = 0.01  # of correlations towards none, so that they can be inverted
SMALLEST = 0.01  # standard deviation; samples lie in [-1, 1]
SMALLEST_DISTANCE = 1e-6


class Subspace(NamedTuple):
    """The principal components of windows as vectors (n, d): what is usual, and how T2 and SPE usually are."""

    window_mean: Tensor  # (d,)
    window_spread: Tensor  # (d,)
    components: Tensor  # (d, k)
    variance: Tensor  # (k,), of each component
    limits: Tensor  # (2,), of T2 and SPE

    @classmethod
    def fit(cls, x: Tensor, share: float) -> Subspace:
        """As many components as hold a `share` of the variance of standardised x."""
        mean, spread = x.mean(0), x.std(0, correction=0).clamp_min(SMALLEST)
        _, values, rows = torch.linalg.svd((x - mean) / spread, full_matrices=False)
        variance = values.square() / len(x)
        held = variance.cumsum(0) / variance.sum().clamp_min(SMALLEST_DISTANCE)
        k = min(int((held < share).sum()) + 1, len(variance))
        found = cls(mean, spread, rows[:k].T.contiguous(), variance[:k].clamp_min(SMALLEST_DISTANCE), torch.ones(2))
        limits = torch.stack([part.quantile(LIMIT) for part in found.distances(x)]).clamp_min(SMALLEST_DISTANCE)
        return found._replace(limits=limits)

    def distances(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Hotelling's T2 within the subspace and the squared error beside it (Jackson & Mudholkar 1979), each (n,)."""
        z = (x - self.window_mean) / self.window_spread
        code = z @ self.components
        return (code.square() / self.variance).sum(1), (z - code @ self.components.T).square().sum(1)


class SubspaceGAN(ViewsDetector):
    """x -> z = E(x); A(x) is the weighted sum of two views, each the logarithm of a distance in units of its spread
    over held-out normal samples:

    - linear: T2 and SPE of the window against the principal components of training windows, by their limits;
    - residual: mean and logarithmic variance of x - G(E(x)) per channel, by Mahalanobis' distance from those of
      training windows. The channels move together in ways that G has learnt, so what it cannot draw tells which of
      them no longer follow.

    Components, and mean and precision of the residual, are part of the model.
    """

    terms = ("linear", "residual")
    remembered = ViewsDetector.remembered | {*Subspace._fields, "residual_mean", "residual_precision"}
    encoder: EncoderConfig

    def __init__(
        self,
        gan: GANConfig = SENSORS.gan,
        encoder: EncoderConfig = SENSORS.encoder,
        subspace: SubspaceConfig = SubspaceConfig(),
        *,
        false_alarm_rate: float = 0.01,
        holdout: float = 0.3,
        random_state: int = 0,
        device: str = "auto",
    ) -> None:
        self.gan = gan
        self.encoder = encoder
        self.subspace = subspace
        self.false_alarm_rate = false_alarm_rate
        self.holdout = holdout
        self.random_state = random_state
        self.device = device

    @property
    def _weights(self) -> tuple[float, ...]:
        return 1.0, self.subspace.residual_weight

    @torch.no_grad()
    def _remember(self, x: Tensor) -> Memory:
        generator = self.gan_.generator
        parts = [self._unexplained(part, generator(z))[:count] for part, z, count in self._encoded(x)]
        residual = torch.cat(parts)
        mean, spread = residual.mean(0), residual.std(0, correction=0).clamp_min(SMALLEST)
        standard = (residual - mean) / spread
        correlation = standard.T @ standard / len(x)
        correlation = (1 - SHRINKAGE) * correlation + SHRINKAGE * torch.eye(len(mean)).to(correlation)
        precision = correlation.inverse() / spread / spread[:, None]
        linear = Subspace.fit(x.flatten(1).to(residual), self.subspace.variance)
        return linear._asdict() | {"residual_mean": mean, "residual_precision": precision}

    def _views(self, x: Tensor, z: Tensor, x_hat: Tensor) -> Tensor:
        memory = self.memory_
        subspace = Subspace(*(memory[name] for name in Subspace._fields))
        linear = (torch.stack(subspace.distances(x.flatten(1))) / subspace.limits[:, None]).sum(0)
        difference = self._unexplained(x, x_hat) - memory["residual_mean"]
        residual = ((difference @ memory["residual_precision"]) * difference).sum(1)
        return torch.stack([linear, residual]).clamp_min(SMALLEST_DISTANCE).log()

    @staticmethod
    def _unexplained(x: Tensor, x_hat: Tensor) -> Tensor:
        """x - x_hat in two figures per channel (n, 2 channels): its mean, and the logarithm of its variance."""
        residual = (x - x_hat).flatten(2)
        variance = residual.var(2, correction=0)
        return torch.cat([residual.mean(2), (variance + SMALLEST_DISTANCE).log()], dim=1)
