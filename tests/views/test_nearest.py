"""Laws of the distances to nearest rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from anogan.views.nearest import nearest, neighbour_distance, spacing


def test_the_nearest_are_the_nearest() -> None:
    rng = torch.Generator().manual_seed(0)
    memory = torch.nn.functional.normalize(torch.randn(50, 7, generator=rng), dim=1)
    distance, rows = nearest(memory[:5], memory, 3)
    assert torch.equal(rows[:, 0], torch.arange(5))
    assert torch.allclose(distance[:, 0], torch.zeros(5), atol=1e-6)
    assert (distance.diff(dim=1) >= 0).all()
    assert nearest(memory[:2], memory[:1], 3)[0].shape == (2, 1), "a memory smaller than k is all there is"


def test_a_distance_is_to_the_nearest_and_to_the_mean_of_the_near() -> None:
    memory = torch.nn.functional.normalize(torch.randn(40, 9, generator=torch.Generator().manual_seed(0)), dim=1)
    query = torch.nn.functional.normalize(torch.randn(4, 9, generator=torch.Generator().manual_seed(1)), dim=1)
    near = NearestNeighbors(n_neighbors=3, metric="cosine").fit(memory.numpy())
    distances, rows = near.kneighbors(query.numpy())
    for q, found, distance, row in zip(query, neighbour_distance(query, memory, 3), distances, rows, strict=True):
        to_mean = np.square(q.numpy() - memory.numpy()[row].mean(0)).sum()
        assert found.item() == pytest.approx(np.log(np.sqrt(distance[0] * to_mean)), abs=1e-4)
    assert neighbour_distance(memory, memory, 3).isfinite().all(), "a training sample is at distance 0 of itself"


def test_spacing_leaves_the_row_itself_out() -> None:
    memory = torch.nn.functional.normalize(torch.randn(700, 6, generator=torch.Generator().manual_seed(0)), dim=1)
    distances, _ = NearestNeighbors(n_neighbors=2, metric="cosine").fit(memory.numpy()).kneighbors()
    assert np.allclose(spacing(memory, 2).exp().numpy(), distances.mean(1), atol=1e-5)
