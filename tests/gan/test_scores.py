from __future__ import annotations

import numpy as np
import pytest
import torch

from anogan.config.gan import EncoderConfig, SearchConfig
from anogan.gan.scores import RESIDUALS, anogan_score, blur, fanogan_score


@pytest.mark.parametrize("name", sorted(RESIDUALS))
def test_a_residual_is_zero_for_a_perfect_reconstruction_and_belongs_to_its_row(name: str, shape: tuple) -> None:
    x, x_hat = torch.rand(4, *shape) * 2 - 1, torch.rand(4, *shape) * 2 - 1
    residual = RESIDUALS[name]
    assert torch.allclose(residual(x, x), torch.zeros(4), atol=1e-6)
    assert residual(x, x_hat).shape == (4,)
    assert (residual(x, x_hat) > 0).all()
    assert torch.allclose(residual(x, x_hat)[2:3], residual(x[2:3], x_hat[2:3]), rtol=1e-5)


def test_residuals_of_known_samples() -> None:
    x, x_hat = torch.tensor([[[1.0, 1.0, -1.0, -1.0]]]), torch.tensor([[[1.0, -1.0, -1.0, -1.0]]])
    assert RESIDUALS["l1"](x, x_hat).item() == pytest.approx(2)
    assert RESIDUALS["mse"](x, x_hat).item() == pytest.approx(1)
    assert RESIDUALS["relative"](x, x_hat).item() == pytest.approx(4 / 2)
    assert RESIDUALS["cosine"](x, x_hat).item() == pytest.approx(1 - 2**-0.5)


@pytest.mark.parametrize("name", ["cosine", "blurred_cosine"])
def test_a_black_image_is_like_another_and_unlike_any_that_is_not(name: str) -> None:
    black, drawn = torch.full((3, 1, 6, 6), -1.0), torch.rand(3, 1, 6, 6) * 2 - 1
    assert RESIDUALS[name](black, black).abs().max() == 0
    assert torch.allclose(RESIDUALS[name](black, drawn), torch.ones(3))
    assert torch.allclose(RESIDUALS[name](drawn, black), torch.ones(3))


def test_cosine_does_not_see_brightness() -> None:
    x = torch.rand(3, 1, 6, 6) * 2 - 1
    dimmer = (x + 1) / 2 - 1
    assert torch.allclose(RESIDUALS["cosine"](x, dimmer), torch.zeros(3), atol=1e-6)
    assert torch.allclose(RESIDUALS["blurred_cosine"](x, dimmer), torch.zeros(3), atol=1e-6)


def test_blur_of_a_point_is_the_binomial_kernel_and_keeps_constants() -> None:
    point = torch.zeros(1, 1, 5, 5)
    point[0, 0, 2, 2] = 1
    row = torch.tensor([1.0, 4, 6, 4, 1]) / 16
    assert torch.allclose(blur(point)[0, 0], row[:, None] * row[None, :])
    assert torch.allclose(blur(torch.full((1, 2, 7), 0.3)), torch.full((1, 2, 7), 0.3))


def test_anogan_score_is_the_papers() -> None:
    """A = (1 - lambda) sum |x - x_hat| + lambda sum |f - f_hat|."""
    x, x_hat, f, f_hat = torch.ones(1, 1, 3), torch.zeros(1, 1, 3), torch.ones(1, 4), -torch.ones(1, 4)
    score = anogan_score(SearchConfig(), x, x_hat, f, f_hat)
    assert score.item() == pytest.approx(0.9 * 3 + 0.1 * 8)


def test_fanogan_score_is_the_papers() -> None:
    """A = mean (x - x_hat)^2 + kappa mean (f - f_hat)^2."""
    x, x_hat, f, f_hat = torch.ones(1, 1, 3), torch.zeros(1, 1, 3), torch.ones(1, 4), -torch.ones(1, 4)
    score = fanogan_score(EncoderConfig(feature_weight=0.5), x, x_hat, f, f_hat)
    assert score.item() == pytest.approx(1 + 0.5 * 4)


@pytest.mark.parametrize("size", [(9,), (6, 8)])
def test_blur_is_a_convolution_with_repeated_edges(size: tuple[int, ...]) -> None:
    x = torch.randn(2, 3, *size)
    expected, kernel = x.double().numpy(), np.array([1, 4, 6, 4, 1]) / 16
    for axis in range(2, x.dim()):
        expected = np.apply_along_axis(lambda row: np.convolve(np.pad(row, 2, "edge"), kernel, "valid"), axis, expected)
    assert np.allclose(blur(x).numpy(), expected, atol=1e-6)
