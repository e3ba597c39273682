"""Distances to the nearest rows of a memory of unit vectors."""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST_DISTANCE = 1e-6  # of a distance, before its logarithm
SPARE = 4  # neighbours that are compared beyond the k asked for
QUERIES_AT_ONCE = 500  # rows compared with the memory at once


def nearest(query: Tensor, memory: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Find the k nearest rows of memory (m, d) by cosine distance. Returns distances and row numbers, (n, k).

    All rows are unit vectors. A matrix product finds SPARE more than k, whose distances are then computed without it: 1
    - cos loses digits where two rows are nearly equal, and some CPUs round a product differently at different rows.
    """
    k = min(k, len(memory))
    rows = (query @ memory.T).topk(min(k + SPARE, len(memory)), dim=1).indices
    distance, order = ((query[:, None] - memory[rows]).square().sum(2) / 2).topk(k, dim=1, largest=False)
    return distance.clamp_min(SMALLEST_DISTANCE), rows.gather(1, order)


def neighbour_distance(query: Tensor, memory: Tensor, k: int) -> Tensor:
    """Return the log (n,) of the geometric mean of two distances.

    One is to the nearest row of memory, the other to the mean of the k nearest rows, which averages out what is special
    about each of them.
    """
    distance, rows = nearest(query, memory, k)
    to_mean = (query - memory[rows].mean(1)).square().sum(1).clamp_min(SMALLEST_DISTANCE)
    return (distance[:, 0].log() + to_mean.log()) / 2


def spacing(memory: Tensor, k: int) -> Tensor:
    """Return the log (m,) of the mean cosine distance of every row of memory to its k nearest other rows."""
    parts = [nearest(part, memory, k + 1)[0][:, 1:].mean(1) for part in memory.split(QUERIES_AT_ONCE)]
    return torch.cat(parts).log()
