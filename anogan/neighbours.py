"""Distances to the nearest normal samples: in oriented gradients, to the hyperplane they span, and between codes."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import avg_pool1d, avg_pool2d, normalize, pad, relu

DIRECTIONS = 8  # in two dimensions
CELL = 3 / 14  # side of a cell over the side of the sample: 6 pixels of 28; cells overlap by half
EPSILON = 1e-4  # squared gradient of an edge too faint to have a direction; the range of x is 2


def oriented_gradients(x: Tensor) -> Tensor:
    """x (n, channels, *size) -> unit vectors (n, d): root of the mean gradient per direction and overlapping cell.

    A histogram of oriented gradients (Dalal & Triggs 2005) with signed directions and soft, squared-cosine voting.
    """
    size, dims = x.shape[2:], x.dim() - 2
    padded = pad(x, [1, 1] * dims, mode="replicate")
    slopes = [
        (padded.narrow(2 + axis, 2, side) - padded.narrow(2 + axis, 0, side)) / 2 for axis, side in enumerate(size)
    ]
    slopes = [_inner(slope, axis) for axis, slope in enumerate(slopes)]
    length = (sum((slope.square() for slope in slopes), torch.zeros_like(x)) + EPSILON).sqrt()
    votes = torch.cat([relu(along).square() / length for along in _directions(slopes)], dim=1)
    cells = [max(2, round(CELL * side)) for side in size]
    pool = avg_pool1d if dims == 1 else avg_pool2d
    pooled = pool(votes, cells, [max(1, cell // 2) for cell in cells])
    return normalize((pooled + EPSILON).sqrt().flatten(1), dim=1)


def _inner(slope: Tensor, axis: int) -> Tensor:
    """Drop the padding of the other axes."""
    for other in range(2, slope.dim()):
        if other != axis + 2:
            slope = slope.narrow(other, 1, slope.shape[other] - 2)
    return slope


def _directions(slopes: list[Tensor]) -> Iterator[Tensor]:
    """The gradient's component along each direction: rising and falling in a signal, eight in an image."""
    if len(slopes) == 1:
        yield from (slopes[0], -slopes[0])
        return
    for k in range(DIRECTIONS):
        angle = 2 * math.pi * k / DIRECTIONS
        yield slopes[1] * math.cos(angle) + slopes[0] * math.sin(angle)


def nearest(query: Tensor, memory: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Cosine distances to the k nearest rows of memory (m, d) and their numbers, (n, k); all rows are unit vectors."""
    similarity, rows = (query @ memory.T).topk(min(k, len(memory)), dim=1)
    return 1 - similarity, rows


def hyperplane_distance(query: Tensor, neighbours: Tensor, ridge: float) -> Tensor:
    """Squared distance (n,) of query (n, d) to the hyperplane through its neighbours (n, k, d).

    K-local hyperplane distance (Vincent & Bengio 2002): what no mixture of the neighbours explains; `ridge`, in units
    of their mean variance, keeps mixtures near the neighbours' mean.
    """
    mean = neighbours.mean(1, keepdim=True)
    span, offset = neighbours - mean, query[:, None] - mean
    gram = span @ span.mT
    spread = gram.diagonal(dim1=1, dim2=2).mean(1).clamp_min(1e-12)
    gram = gram + ridge * spread[:, None, None] * torch.eye(gram.shape[1], device=gram.device)
    weights = torch.linalg.solve(gram, span @ offset.mT)
    distance: Tensor = (offset - weights.mT @ span).square().sum((1, 2))
    return distance
