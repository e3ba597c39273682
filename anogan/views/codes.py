"""The distance from the code E(x) of a sample to the nearest codes of training samples."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from anogan.config.detectors import NeighbourConfig
from anogan.gan.inversion import encode
from anogan.gan.networks import GAN
from anogan.views.base import Memory, View
from anogan.views.nearest import nearest, spacing


@dataclass(frozen=True)
class Codes(View):
    """Log of the mean distance to the nearest codes, relative to how far those codes are from each other.

    In a dense region of normal codes a small distance is already anomalous; in a sparse one it is not.
    """

    config: NeighbourConfig = NeighbourConfig()
    weight: float = 1.0

    name = "code"
    needs = frozenset({"encoder"})
    remembered = frozenset({"codes", "spacing"})

    @torch.no_grad()
    def remember(self, x: Tensor, gan: GAN) -> Memory:
        codes = torch.cat([normalize(z, dim=1) for z in encode(gan, x)])[: len(x)]
        return {"codes": codes, "spacing": spacing(codes, self.config.code_neighbours)}

    def distance(self, x: Tensor, z: Tensor, x_hat: Tensor, gan: GAN, memory: Memory) -> Tensor:
        distance, rows = nearest(normalize(z, dim=1), memory["codes"], self.config.code_neighbours)
        return distance.mean(1).log() - self.config.code_sparsity * memory["spacing"][rows].mean(1)
