"""Comparing x with its reconstruction: per-sample residuals, feature distances, and the two papers' A(x)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import normalize, pad

from anogan.config.gan import EncoderConfig, ResidualName, SearchConfig


def l1(x: Tensor, x_hat: Tensor) -> Tensor:
    """sum |x - x_hat| (AnoGAN, eq. 4)."""
    return (x - x_hat).abs().flatten(1).sum(1)


def mse(x: Tensor, x_hat: Tensor) -> Tensor:
    """mean (x - x_hat)^2 (f-AnoGAN, eq. 6)."""
    return (x - x_hat).square().flatten(1).mean(1)


def relative(x: Tensor, x_hat: Tensor) -> Tensor:
    """sum (x - x_hat)^2 / sum ((x + 1) / 2)^2: the error per unit of ink, so that thin samples are not favoured."""
    return (x - x_hat).square().flatten(1).sum(1) / ((x + 1) / 2).square().flatten(1).sum(1).clamp_min(1.0)


def cosine(x: Tensor, x_hat: Tensor) -> Tensor:
    """1 - cos of the two as vectors of brightness, -1 being zero; 0 where both are black, 1 where one of them is.

    It is |u - v|^2 / (|u|^2 + |v|^2) of unit vectors, which does not cancel where the two are nearly alike.
    """
    u, v = (normalize((image + 1).flatten(1), dim=1) for image in (x, x_hat))
    return (u - v).square().sum(1) / (u.square().sum(1) + v.square().sum(1)).clamp_min(1.0)


def blurred_cosine(x: Tensor, x_hat: Tensor) -> Tensor:
    """`cosine` after two passes of [1 2 1] / 4 along each axis: forgives shifts by a fraction of a stroke."""
    return cosine(blur(x), blur(x_hat))


def blur(x: Tensor, passes: int = 2) -> Tensor:
    """Passes of [1 2 1] / 4 along each axis of x (n, channels, *size), edges repeated: nearly a Gaussian of variance
    passes / 2."""
    along = _blur_matrix(x.shape[-1], passes).to(x)
    x = x @ along.expand(*x.shape[:-2], -1, -1)  # sample by sample: one product of all would round by a row's place
    return x if x.dim() == 3 else _blur_matrix(x.shape[-2], passes).to(x).T @ x


def passes_of_blur(size: Sequence[int], pixels: float) -> int:
    """How many smooth photos of this size with a standard deviation of `pixels`, in pixels of a photo of 128."""
    return max(1, round(2 * (pixels * min(size) / 128) ** 2))


@cache
def _blur_matrix(length: int, passes: int) -> Tensor:
    """What a row of `length` is multiplied by: products with small matrices are faster than filtering one channel."""
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
    """A(x) = (1 - lambda) R + lambda D with D = sum |f(x) - f(x_hat)| (AnoGAN, eq. 7-8); f, f_hat (n, feature_dim)."""
    weight = config.discrimination_weight
    return (1 - weight) * RESIDUALS[config.residual](x, x_hat) + weight * l1(f, f_hat)


def fanogan_score(config: EncoderConfig, x: Tensor, x_hat: Tensor, f: Tensor, f_hat: Tensor) -> Tensor:
    """A(x) = R + kappa D with D = mean (f(x) - f(x_hat))^2 (f-AnoGAN, eq. 8); also the izi_f training loss."""
    return RESIDUALS[config.residual](x, x_hat) + config.feature_weight * mse(f, f_hat)
