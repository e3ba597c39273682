"""Laws of the oriented gradients and of the distances to neighbours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import stripes
from sklearn.linear_model import Ridge

from anogan.neighbours import hyperplane_distance, nearest, oriented_gradients


def test_gradients_are_unit_vectors_that_contrast_does_not_change(shape: tuple[int, ...]) -> None:
    x = torch.from_numpy(stripes(6, shape))
    gradients = oriented_gradients(x)
    assert torch.allclose(gradients.norm(dim=1), torch.ones(6), atol=1e-5)
    assert (gradients * oriented_gradients(x / 2)).sum(1).min() > 0.99
    assert (gradients * oriented_gradients(x * 0)).sum(1).max() < 0.9


def test_gradients_tell_the_direction_of_an_edge() -> None:
    x = torch.full((1, 1, 28, 28), -1.0)
    x[..., 14:] = 1
    versions = torch.cat([torch.rot90(x, k, (2, 3)) for k in range(4)])
    similarity = oriented_gradients(versions) @ oriented_gradients(versions).T
    assert similarity.fill_diagonal_(0).max() < 0.5


def test_a_digit_has_eight_directions_in_eight_by_eight_cells() -> None:
    assert oriented_gradients(torch.zeros(2, 1, 28, 28)).shape == (2, 8 * 8 * 8)


def test_the_nearest_are_the_nearest() -> None:
    rng = torch.Generator().manual_seed(0)
    memory = torch.nn.functional.normalize(torch.randn(50, 7, generator=rng), dim=1)
    distance, rows = nearest(memory[:5], memory, 3)
    assert torch.equal(rows[:, 0], torch.arange(5))
    assert torch.allclose(distance[:, 0], torch.zeros(5), atol=1e-6)
    assert (distance.diff(dim=1) >= 0).all()
    assert nearest(memory[:2], memory[:1], 3)[0].shape == (2, 1), "a memory smaller than k is all there is"


def test_the_hyperplane_distance_is_ridge_regression_on_the_neighbours() -> None:
    rng = np.random.default_rng(0)
    query, neighbours = rng.standard_normal((4, 9)), rng.standard_normal((4, 3, 9))
    found = hyperplane_distance(torch.from_numpy(query), torch.from_numpy(neighbours), 0.5)
    for q, near, value in zip(query, neighbours, found.numpy(), strict=True):
        centred = near - near.mean(0)
        alpha = 0.5 * np.square(centred).sum(1).mean()
        fit = Ridge(alpha=alpha, fit_intercept=False).fit(centred.T, q - near.mean(0))
        assert np.square(q - near.mean(0) - fit.predict(centred.T)).sum() == pytest.approx(value)


def test_a_point_on_the_hyperplane_is_at_distance_zero_and_equal_neighbours_do_no_harm() -> None:
    neighbours = torch.randn(1, 4, 20, generator=torch.Generator().manual_seed(1)).double()
    inside = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).double() @ neighbours[0]
    assert hyperplane_distance(inside, neighbours, 1e-9).item() == pytest.approx(0, abs=1e-6)
    same = neighbours[:, :1].expand(-1, 4, -1)
    assert hyperplane_distance(inside, same, 1.0).item() == pytest.approx((inside - same[:, 0]).square().sum().item())
