"""Comparison of x with its reconstruction: residuals per sample, and A(x) of the two papers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import normalize, pad

from anogan.config.gan import EncoderConfig, ResidualName, SearchConfig


def l1(x: Tensor, x_hat: Tensor) -> Tensor:
    """Compute sum |x - x_hat| (AnoGAN, eq. 4)."""
    return (x - x_hat).abs().flatten(1).sum(1)


def mse(x: Tensor, x_hat: Tensor) -> Tensor:
    """Compute mean (x - x_hat)^2 (f-AnoGAN, eq. 6)."""
    return (x - x_hat).square().flatten(1).mean(1)


def relative(x: Tensor, x_hat: Tensor) -> Tensor:
    """Compute sum (x - x_hat)^2 / sum ((x + 1) / 2)^2: the error per unit of ink, so that thin strokes gain nothing."""
    return (x - x_hat).square().flatten(1).sum(1) / ((x + 1) / 2).square().flatten(1).sum(1).clamp_min(1.0)


def cosine(x: Tensor, x_hat: Tensor) -> Tensor:
    """Compute 1 - cos of x and x_hat as vectors of brightness, where -1 is zero.

    The result is 0 if both are black and 1 if only one is. It is computed as |u - v|^2 / (|u|^2 + |v|^2) of unit
    vectors u and v, which stays accurate when the two are nearly equal.
    """
    u, v = (normalize((image + 1).flatten(1), dim=1) for image in (x, x_hat))
    return (u - v).square().sum(1) / (u.square().sum(1) + v.square().sum(1)).clamp_min(1.0)


def blurred_cosine(x: Tensor, x_hat: Tensor) -> Tensor:
    """Compute `cosine` after two passes of [1 2 1] / 4 along each axis, to forgive shifts by a fraction of a stroke."""
    return cosine(blur(x), blur(x_hat))


def blur(x: Tensor, passes: int = 2) -> Tensor:
    """Filter x (n, channels, *size) with [1 2 1] / 4 along each axis, `passes` times, with edges repeated.

    This is nearly a Gaussian of variance passes / 2.
    """
    along = _blur_matrix(x.shape[-1], passes).to(x)
    x = x @ along.expand(*x.shape[:-2], -1, -1)  # sample by sample: one product of all would round by a row's place
    return x if x.dim() == 3 else _blur_matrix(x.shape[-2], passes).to(x).T @ x


def passes_of_blur(size: Sequence[int], pixels: float) -> int:
    """Return how many passes blur a photo of this size by `pixels`, a standard deviation at a side of 128 pixels."""
    return max(1, round(2 * (pixels * min(size) / 128) ** 2))


@cache
def _blur_matrix(length: int, passes: int) -> Tensor:
    """Return the matrix that blurs a row of `length`; a product with it is faster than filtering one channel."""
    x = pad(torch.eye(length)[None], (passes, passes), "replicate")[0]
    for _ in range(2 * passes):  # sums of neighbours
        x = (x[:, 1:] + x[:, :-1]) / 2
    return x


RESIDUALS: dict[ResidualName, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": l1,
    "mse": mse,
    "relative": relative,
    "cosine": cosine,
    "blurred_cosine": blurred_cosine,
}


def anogan_score(config: SearchConfig, x: Tensor, x_hat: Tensor, f: Tensor, f_hat: Tensor) -> Tensor:
    """Compute A(x) = (1 - lambda) R + lambda D, D = sum |f - f_hat| of features (n, feature_dim) (AnoGAN, eq. 7-8)."""
    weight = config.discrimination_weight
    return (1 - weight) * RESIDUALS[config.residual](x, x_hat) + weight * l1(f, f_hat)


def fanogan_score(config: EncoderConfig, x: Tensor, x_hat: Tensor, f: Tensor, f_hat: Tensor) -> Tensor:
    """Compute A(x) = R + kappa D with D = mean (f(x) - f(x_hat))^2 (f-AnoGAN, eq. 8), also the izi_f training loss."""
    return RESIDUALS[config.residual](x, x_hat) + config.feature_weight * mse(f, f_hat)
