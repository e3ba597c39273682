"""The discrimination term of AnoGAN and f-AnoGAN: the residual between features of the discriminator."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from anogan.config.gan import ResidualName
from anogan.gan.networks import GAN
from anogan.gan.scores import RESIDUALS
from anogan.views.base import Memory, View


@dataclass(frozen=True)
class Discrimination(View):
    """R(f(x), f(x_hat)): l1 in AnoGAN (eq. 7), mse in f-AnoGAN (eq. 8)."""

    config: ResidualName
    weight: float = 1.0

    name = "discrimination"

    def distance(self, x: Tensor, z: Tensor, x_hat: Tensor, gan: GAN, memory: Memory) -> Tensor:
        features = gan.discriminator.features
        return RESIDUALS[self.config](features(x), features(x_hat))
