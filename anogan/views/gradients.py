"""The distance of a sample's oriented gradients from those of its nearest training samples. Needs no network."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool1d, avg_pool2d, normalize, pad, relu

from anogan.config.detectors import NeighbourConfig
from anogan.gan.networks import GAN
from anogan.views.base import Memory, View
from anogan.views.nearest import neighbour_distance

EPSILON = 1e-4  # keeps the root smooth where nothing changes; the range of x is 2
GRADIENTS_AT_ONCE = 128  # samples whose gradients are computed at once


@dataclass(frozen=True)
class Gradients(View):
    """Log distance to the nearest oriented gradients of training samples. All training samples are stored."""

    config: NeighbourConfig = NeighbourConfig()
    weight: float = 1.0

    name = "gradients"
    remembered = frozenset({"gradients"})

    def remember(self, x: Tensor, gan: GAN) -> Memory:
        return {"gradients": torch.cat([oriented_gradients(part, self.config) for part in x.split(GRADIENTS_AT_ONCE)])}

    def distance(self, x: Tensor, z: Tensor, x_hat: Tensor, gan: GAN, memory: Memory) -> Tensor:
        return neighbour_distance(oriented_gradients(x, self.config), memory["gradients"], self.config.neighbours)


def oriented_gradients(x: Tensor, config: NeighbourConfig = NeighbourConfig()) -> Tensor:
    """Compute a histogram of oriented gradients (Dalal & Triggs 2005) of x (n, channels, *size): unit vectors (n, d).

    Each value is the root of the mean gradient in one direction and one of the overlapping cells. Directions are
    signed, and each gradient is shared between the two nearest: rising and falling in a signal, `config.directions` in
    an image.
    """
    size, dims = x.shape[2:], x.dim() - 2
    padded = pad(x, [1, 1] * dims, mode="replicate")
    slopes = []
    for axis in range(dims):
        inner = padded
        for other in set(range(dims)) - {axis}:
            inner = inner.narrow(2 + other, 1, size[other])
        slopes.append((inner.narrow(2 + axis, 2, size[axis]) - inner.narrow(2 + axis, 0, size[axis])) / 2)
    if dims == 1:
        votes = torch.cat([relu(slopes[0]), relu(-slopes[0])], dim=1)
    else:
        votes = torch.cat(_directions(slopes[0], slopes[1], config.directions), dim=1)
    cells = [max(2, round(config.cell * side)) for side in size]
    pool = avg_pool1d if dims == 1 else avg_pool2d
    pooled = pool(votes, cells, [max(1, cell // 2) for cell in cells])
    return normalize((pooled + EPSILON).sqrt().flatten(1), dim=1)


def _directions(down: Tensor, right: Tensor, n: int) -> list[Tensor]:
    """Share the gradient's length between the two nearest of n directions."""
    length = (down.square() + right.square()).sqrt()
    angle = torch.atan2(down, right) * (n / (2 * math.pi)) % n
    away = [(angle - k).abs() for k in range(n)]
    return [length * relu(1 - torch.minimum(apart, n - apart)) for apart in away]
