"""The part of a window that the GAN cannot generate, compared with that of training windows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from anogan.config.detectors import SubspaceConfig
from anogan.gan.inversion import chunks, encode
from anogan.gan.networks import GAN
from anogan.views.base import Memory, View
from anogan.views.ellipsoid import Ellipsoid, figures


@dataclass(frozen=True)
class Unexplained(View):
    """Mahalanobis distance of the mean and log variance of x - G(E(x)) per channel from those of training windows.

    G has learnt how channels move together, so the residual shows which of them no longer follow the others.
    """

    config: SubspaceConfig = SubspaceConfig()
    weight: float = 1.0

    name = "residual"
    needs = frozenset({"encoder"})
    remembered = frozenset({"residual_mean", "residual_precision"})

    @torch.no_grad()
    def remember(self, x: Tensor, gan: GAN) -> Memory:
        parts = [
            self._figures(part, gan.generator(z))[:count]
            for (part, count), z in zip(chunks(x, gan.device), encode(gan, x), strict=True)
        ]
        usual = Ellipsoid.fit(torch.cat(parts), self.config.shrinkage)
        return {"residual_mean": usual.mean, "residual_precision": usual.precision}

    def distance(self, x: Tensor, z: Tensor, x_hat: Tensor, gan: GAN, memory: Memory) -> Tensor:
        usual = Ellipsoid(memory["residual_mean"], memory["residual_precision"])
        return usual.log_distance(self._figures(x, x_hat))

    def _figures(self, x: Tensor, x_hat: Tensor) -> Tensor:
        return figures(x - x_hat)
