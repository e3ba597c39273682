"""Random changes that leave a good sample good. The user declares which of them apply."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from anogan.config.gan import AugmentName

LIGHT = 0.1  # most that brightness changes; the range of x is 2


def augmented(x: Tensor, names: Sequence[AugmentName], stream: torch.Generator) -> Tensor:
    """Apply the named changes, in order, to samples x (n, channels, height, width) in [-1, 1], each drawn at random."""
    for name in names:
        x = AUGMENTS[name](x, stream)
    return x


def flip(x: Tensor, stream: torch.Generator) -> Tensor:
    """Flip half of the samples left to right and, drawn separately, half of them upside down."""
    for axis in (2, 3):
        chosen = (torch.rand(len(x), 1, 1, 1, generator=stream) < 0.5).to(x.device)
        x = torch.where(chosen, x.flip(axis), x)
    return x


def rotate90(x: Tensor, stream: torch.Generator) -> Tensor:
    """Rotate each sample by zero to three quarter turns. Raises `ValueError` unless samples are square."""
    if x.shape[2] != x.shape[3]:
        raise ValueError(f"rotate90 needs square samples, these are {x.shape[3]}x{x.shape[2]}")
    turns = torch.randint(4, (len(x), 1, 1, 1), generator=stream).to(x.device)
    for k in (1, 2, 3):
        x = torch.where(turns >= k, x.rot90(1, (2, 3)), x)
    return x


def brightness(x: Tensor, stream: torch.Generator) -> Tensor:
    """Add one random constant of at most LIGHT to all pixels of a sample."""
    amount = (2 * torch.rand(len(x), 1, 1, 1, generator=stream) - 1) * LIGHT
    return (x + amount.to(x.device)).clamp(-1, 1)


Symmetry = tuple[int, tuple[int, ...]]  # quarter turns, axes then flipped


def symmetries(names: Sequence[AugmentName]) -> list[Symmetry]:
    """List all combinations of the flips and turns that `names` allows. The first one is the identity."""
    turns = range(4) if "rotate90" in names else range(1)
    flips: list[tuple[int, ...]] = [(), (-1,), (-2,), (-2, -1)] if "flip" in names else [()]
    return [(turn, axes) for turn in turns for axes in (flips[:2] if len(turns) > 1 else flips)]


def moved(x: Tensor, symmetry: Symmetry) -> Tensor:
    """Turn and flip x (..., height, width)."""
    turns, axes = symmetry
    return x.rot90(turns, (-2, -1)).flip(axes)


def moved_back(x: Tensor, symmetry: Symmetry) -> Tensor:
    """Undo `moved`."""
    turns, axes = symmetry
    return x.flip(axes).rot90(-turns, (-2, -1))


AUGMENTS: dict[AugmentName, Callable[[Tensor, torch.Generator], Tensor]] = {
    "flip": flip,
    "rotate90": rotate90,
    "brightness": brightness,
}
