"""Pseudo-defects drawn into good photos, so that a network can learn to find defects without seeing a real one.

Strokes and blotches are made brighter or darker, or replaced by parts of other photos (CutPaste: Li et al. 2021; DRAEM:
Zavrtanik et al. 2021). They are coarse on purpose, and differ from the defects in `photos.faults`, which are for
testing.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from anogan.config.gan import LocatorConfig

VISIBLE = 0.04  # least change of a pixel that counts as a defect; the range of x is 2
KNOTS = 8  # pieces of a stroke
GRIDS = (4, 8, 16, 32)  # cells along a side of the noise that blotches are cut from


def spoil(
    x: Tensor, foreign: Tensor, stream: torch.Generator, config: LocatorConfig = LocatorConfig()
) -> tuple[Tensor, Tensor]:
    """Draw pseudo-defects into photos x (n, channels, height, width) in [-1, 1].

    Pasted places show `foreign` (n, channels, height, width). Returns the changed photos and the mask (n, height,
    width) of the pixels that were changed, 0 or 1.
    """
    y = x
    for spoiled in config.spoiled:
        n, (height, width) = len(x), x.shape[2:]
        drawn = torch.where(
            _chance(n, 0.5, stream), _strokes(n, height, width, stream), _blotches(n, height, width, stream)
        )
        opacity = (drawn * _chance(n, spoiled, stream)).to(x)
        other = torch.where(
            _chance(n, config.foreign, stream).to(x.device), _elsewhere(foreign, stream), _toned(y, stream)
        )
        y = torch.lerp(y, other, opacity).clamp(-1, 1)
    return y, ((y - x).abs().amax(1) > VISIBLE).to(x)


def _uniform(n: int, low: float, high: float, stream: torch.Generator) -> Tensor:
    """Draw one number per sample, (n, 1, 1, 1)."""
    return low + (high - low) * torch.rand(n, 1, 1, 1, generator=stream)


def _chance(n: int, share: float, stream: torch.Generator) -> Tensor:
    return torch.rand(n, 1, 1, 1, generator=stream) < share


def _toned(x: Tensor, stream: torch.Generator) -> Tensor:
    """Make photos brighter or darker, each channel by a slightly different amount."""
    amount = (0.08 + 0.92 * _uniform(len(x), 0, 1, stream).square()) * (_chance(len(x), 0.5, stream) * 2.0 - 1)
    tint = torch.rand(len(x), x.shape[1], 1, 1, generator=stream) * 0.4 + 0.6 if x.shape[1] > 1 else 1.0
    return x + (amount * tint).to(x)


def _elsewhere(foreign: Tensor, stream: torch.Generator) -> Tensor:
    """Return other photos, shifted, flipped, and with more or less contrast."""
    n, size = len(foreign), foreign.shape[2:]
    shifts = [int(torch.randint(side, (1,), generator=stream)) for side in size]
    x = foreign[torch.randperm(n, generator=stream)].roll(shifts, (2, 3))
    flips = [axis for axis in (2, 3) if torch.rand(1, generator=stream) < 0.5]
    x, mean = x.flip(flips), x.mean((2, 3), keepdim=True)
    return (
        mean + (x - mean) * _uniform(n, 0.7, 1.4, stream).to(x) + 0.1 * torch.randn(n, 1, 1, 1, generator=stream).to(x)
    )


def _strokes(n: int, height: int, width: int, stream: torch.Generator) -> Tensor:
    """Return the opacity (n, 1, height, width) of wavering lines, from hairlines to thick ones."""
    side = min(height, width)
    turns = torch.randn(n, KNOTS, generator=stream) * _uniform(n, 0, 0.6, stream).view(n, 1)
    heading = turns.cumsum(1) + 2 * math.pi * torch.rand(n, 1, generator=stream)
    steps = torch.stack([heading.sin(), heading.cos()], 2) * (
        side * _uniform(n, 0.08, 0.7, stream).view(n, 1, 1) / KNOTS
    )
    begin = torch.rand(n, 1, 2, generator=stream) * torch.tensor([height, width])
    knots = torch.cat([begin, begin + steps.cumsum(1)], 1)
    rows, columns = torch.arange(height).view(1, -1, 1), torch.arange(width).view(1, 1, -1)
    nearest = torch.full((n, height, width), math.inf)
    for k in range(KNOTS):
        (y0, x0), (dy, dx) = knots[:, k].T[:, :, None, None], steps[:, k].T[:, :, None, None]
        along = (((rows - y0) * dy + (columns - x0) * dx) / (dy.square() + dx.square())).clamp(0, 1)
        nearest = torch.minimum(nearest, (rows - y0 - along * dy).square() + (columns - x0 - along * dx).square())
    half = _uniform(n, 0.003, 0.018, stream).view(n, 1, 1) * side
    return (half + 0.5 - nearest.sqrt()).clamp(0, 1)[:, None]


def _blotches(n: int, height: int, width: int, stream: torch.Generator) -> Tensor:
    """Return the opacity (n, 1, height, width) of uneven patches, fine or coarse, inside a disc."""
    which = torch.randint(len(GRIDS), (n,), generator=stream)
    noise = torch.empty(n, 1, height, width)
    for i, cells in enumerate(GRIDS):
        coarse = torch.randn(int((which == i).sum()), 1, cells, cells, generator=stream)
        if len(coarse):
            noise[which == i] = interpolate(coarse, size=(height, width), mode="bicubic")
    level, steep = _uniform(n, 0.6, 1.6, stream), _uniform(n, 4, 15, stream)
    opacity = ((noise - level) * steep).sigmoid()
    rows = torch.arange(height).view(1, 1, -1, 1) / height - torch.rand(n, 1, 1, 1, generator=stream)
    columns = torch.arange(width).view(1, 1, 1, -1) / width - torch.rand(n, 1, 1, 1, generator=stream)
    return opacity * (rows.square() + columns.square() < _uniform(n, 0.08, 0.4, stream).square())
