"""SubspaceGAN: how far a window of sensor rows is from usual ones, by a linear model and what the GAN cannot draw."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from anogan.config.detectors import SubspaceConfig
from anogan.config.gan import EncoderConfig, GANConfig
from anogan.config.presets import SENSORS
from anogan.detectors.base import Memory
from anogan.detectors.views import ViewsDetector
from anogan.gan.layers import precise

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
    def fit(cls, x: Tensor, config: SubspaceConfig) -> Subspace:
        """As many components as hold `config.variance` of the variance of standardised x (n, d)."""
        mean, spread = x.mean(0), x.std(0, correction=0).clamp_min(SMALLEST)
        _, values, rows = torch.linalg.svd((x - mean) / spread, full_matrices=False)
        variance = values.square() / len(x)
        held = variance.cumsum(0) / variance.sum().clamp_min(SMALLEST_DISTANCE)
        k = min(int((held < config.variance).sum()) + 1, len(variance))
        found = cls(mean, spread, rows[:k].T.contiguous(), variance[:k].clamp_min(SMALLEST_DISTANCE), torch.ones(2))
        limits = torch.stack([part.quantile(config.quantile) for part in found.distances(x)]).clamp_min(
            SMALLEST_DISTANCE
        )
        return found._replace(limits=limits)

    def distances(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Hotelling's T2 within the subspace and the squared error beside it (Jackson & Mudholkar 1979), each (n,)."""
        components = precise(self.components)
        z = (precise(x) - self.window_mean) / self.window_spread
        code = z @ components
        t2, spe = (code.square() / self.variance).sum(1), (z - code @ components.T).square().sum(1)
        return t2.to(x.dtype), spe.to(x.dtype)


class Ellipsoid(NamedTuple):
    """Where figures (n, d) usually are, and how they usually go together."""

    mean: Tensor  # (d,)
    precision: Tensor  # (d, d)

    @classmethod
    def fit(cls, x: Tensor, shrinkage: float) -> Ellipsoid:
        mean, spread = x.mean(0), x.std(0, correction=0).clamp_min(SMALLEST)
        standard = (x - mean) / spread
        correlation = standard.T @ standard / len(x)
        correlation = (1 - shrinkage) * correlation + shrinkage * torch.eye(len(mean)).to(correlation)
        return cls(mean, correlation.inverse() / spread / spread[:, None])

    def distance(self, x: Tensor) -> Tensor:
        """Squared distance of Mahalanobis (n,)."""
        difference = precise(x) - self.mean
        return ((difference @ precise(self.precision)) * difference).sum(1).to(x.dtype)


class SubspaceGAN(ViewsDetector):
    """x -> z = E(x); A(x) is the weighted sum of views, each the logarithm of a distance in units of its spread
    over held-out normal samples:

    - linear: T2 and SPE of the window against the principal components of training windows, by their limits;
    - residual: mean and logarithmic variance of x - G(E(x)) per channel, by Mahalanobis' distance from those of
      training windows. The channels move together in ways that G has learnt, so what it cannot draw tells which of
      them no longer follow;
    - level: the same figures of x itself in its slow channels. `slow` says that the second half of the channels shows
      the first on a slower scale; without it this view counts for nothing.

    Components, means and precisions are part of the model.
    """

    terms = ("linear", "residual", "level")
    remembered = ViewsDetector.remembered | {
        *Subspace._fields,
        *(f"{view}_{field}" for view in ("residual", "level") for field in ("mean", "precision")),
    }
    encoder: EncoderConfig

    def __init__(
        self,
        gan: GANConfig = SENSORS.gan,
        encoder: EncoderConfig = SENSORS.encoder,
        subspace: SubspaceConfig = SubspaceConfig(),
        *,
        slow: bool = False,
        false_alarm_rate: float = 0.01,
        holdout: float = 0.3,
        random_state: int = 0,
        device: str = "auto",
    ) -> None:
        self.gan = gan
        self.encoder = encoder
        self.subspace = subspace
        self.slow = slow
        self.false_alarm_rate = false_alarm_rate
        self.holdout = holdout
        self.random_state = random_state
        self.device = device

    @property
    def _weights(self) -> tuple[float, ...]:
        return 1.0, self.subspace.residual_weight, float(self.slow)

    @torch.no_grad()
    def _remember(self, x: Tensor) -> Memory:
        generator = self.gan_.generator
        parts = [self._unexplained(part, generator(z))[:count] for part, z, count in self._encoded(x)]
        config = self.subspace
        residual = Ellipsoid.fit(torch.cat(parts), config.shrinkage)
        x = x.to(residual.mean)
        level = Ellipsoid.fit(self._level(x), config.shrinkage)
        linear = Subspace.fit(x.flatten(1), config)
        memory = {f"residual_{field}": tensor for field, tensor in residual._asdict().items()}
        memory |= {f"level_{field}": tensor for field, tensor in level._asdict().items()}
        return linear._asdict() | memory

    def _views(self, x: Tensor, z: Tensor, x_hat: Tensor) -> Tensor:
        memory = self.memory_
        subspace = Subspace(*(memory[name] for name in Subspace._fields))
        residual, level = (
            Ellipsoid(memory[f"{view}_mean"], memory[f"{view}_precision"]) for view in ("residual", "level")
        )
        linear = (torch.stack(subspace.distances(x.flatten(1))) / subspace.limits[:, None]).sum(0)
        views = [linear, residual.distance(self._unexplained(x, x_hat)), level.distance(self._level(x))]
        return torch.stack(views).clamp_min(SMALLEST_DISTANCE).log()

    def _level(self, x: Tensor) -> Tensor:
        return figures(x[:, x.shape[1] // 2 :] if self.slow else x)

    @staticmethod
    def _unexplained(x: Tensor, x_hat: Tensor) -> Tensor:
        return figures(x - x_hat)


def figures(x: Tensor) -> Tensor:
    """The mean of each channel of x (n, channels, *size), and the logarithm of its variance (n, 2 channels)."""
    x = x.flatten(2)
    return torch.cat([x.mean(2), (x.var(2, correction=0) + SMALLEST_DISTANCE).log()], dim=1)
