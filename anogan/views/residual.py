"""The residual of AnoGAN and f-AnoGAN: how far x is from its reconstruction."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from anogan.config.gan import ResidualName
from anogan.gan.networks import GAN
from anogan.gan.scores import RESIDUALS
from anogan.views.base import Memory, View


@dataclass(frozen=True)
class Residual(View):
    """R(x, x_hat) (AnoGAN, eq. 4; f-AnoGAN, eq. 6)."""

    config: ResidualName
    weight: float = 1.0

    name = "residual"

    def distance(self, x: Tensor, z: Tensor, x_hat: Tensor, gan: GAN, memory: Memory) -> Tensor:
        return RESIDUALS[self.config](x, x_hat)
