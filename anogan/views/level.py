"""The level and the variance of a window on the slow scale. Needs no network."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from anogan.config.detectors import SubspaceConfig
from anogan.gan.networks import GAN
from anogan.views.base import Memory, View
from anogan.views.ellipsoid import Ellipsoid, figures


@dataclass(frozen=True)
class Level(View):
    """Mahalanobis distance of the mean and log variance of each slow channel from those of training windows.

    If `slow` is true, the second half of the channels shows the first half on a slower scale, and only the second half
    is used. Otherwise all channels are.
    """

    config: SubspaceConfig = SubspaceConfig()
    weight: float = 1.0
    slow: bool = True

    name = "level"
    remembered = frozenset({"level_mean", "level_precision"})

    def remember(self, x: Tensor, gan: GAN) -> Memory:
        usual = Ellipsoid.fit(self._figures(x), self.config.shrinkage)
        return {"level_mean": usual.mean, "level_precision": usual.precision}

    def distance(self, x: Tensor, z: Tensor, x_hat: Tensor, gan: GAN, memory: Memory) -> Tensor:
        return Ellipsoid(memory["level_mean"], memory["level_precision"]).log_distance(self._figures(x))

    def _figures(self, x: Tensor) -> Tensor:
        return figures(x[:, x.shape[1] // 2 :] if self.slow else x)
