"""How far a sample is from the nearest normal ones: in oriented gradients, and between codes."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import avg_pool1d, avg_pool2d, normalize, pad, relu

from anogan.config.detectors import NeighbourConfig

EPSILON = 1e-4  # keeps the root smooth where nothing changes; the range of x is 2
FLOOR = 1e-6  # of a distance, before its logarithm
SPARE = 4  # neighbours beyond those asked for, among which the last one is chosen
CHUNK = 500  # rows compared with the memory at once


def oriented_gradients(x: Tensor, config: NeighbourConfig = NeighbourConfig()) -> Tensor:
    """x (n, channels, *size) -> unit vectors (n, d): root of the mean gradient per direction and overlapping cell.

    A histogram of oriented gradients (Dalal & Triggs 2005) with signed directions, each gradient shared between the
    two nearest: rising and falling in a signal, `config.directions` in an image.
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
    """The gradient's length, shared between the two nearest of n directions."""
    length = (down.square() + right.square()).sqrt()
    angle = torch.atan2(down, right) * (n / (2 * math.pi)) % n
    away = [(angle - k).abs() for k in range(n)]
    return [length * relu(1 - torch.minimum(apart, n - apart)) for apart in away]


def nearest(query: Tensor, memory: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Cosine distances to the k nearest rows of memory (m, d) and their numbers, (n, k); all rows are unit vectors.

    The product finds SPARE more, and their distances are then computed without it: 1 - cos cancels where two are alike,
    and some CPUs round a product by a row's place.
    """
    k = min(k, len(memory))
    rows = (query @ memory.T).topk(min(k + SPARE, len(memory)), dim=1).indices
    distance, order = ((query[:, None] - memory[rows]).square().sum(2) / 2).topk(k, dim=1, largest=False)
    return distance.clamp_min(FLOOR), rows.gather(1, order)


def neighbour_distance(query: Tensor, memory: Tensor, k: int) -> Tensor:
    """Logarithm (n,) of the geometric mean of two distances: to the nearest row of memory, and to the mean of the k
    nearest, which sees past the oddities of each."""
    distance, rows = nearest(query, memory, k)
    to_mean = (query - memory[rows].mean(1)).square().sum(1).clamp_min(FLOOR)
    return (distance[:, 0].log() + to_mean.log()) / 2


def spacing(memory: Tensor, k: int) -> Tensor:
    """Logarithm (m,) of the mean cosine distance of every row of memory to its k nearest others."""
    parts = [nearest(part, memory, k + 1)[0][:, 1:].mean(1) for part in memory.split(CHUNK)]
    return torch.cat(parts).log()
