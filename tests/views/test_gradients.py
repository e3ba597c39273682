"""Laws of the oriented gradients."""

from __future__ import annotations

import torch
from conftest import stripes

from anogan.config.detectors import NeighbourConfig
from anogan.views.gradients import oriented_gradients


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


def test_cells_and_directions_are_as_many_as_the_settings_say() -> None:
    x = torch.rand(3, 1, 28, 28)
    assert oriented_gradients(x, NeighbourConfig(directions=4)).shape == (3, 4 * 8 * 8)
    assert oriented_gradients(x, NeighbourConfig(cell=0.5)).shape == (3, 8 * 3 * 3)
