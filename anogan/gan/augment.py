"""Changes that leave a good part good: which of them do, the user declares."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from anogan.config.gan import AugmentName

LIGHT = 0.1  # most that brightness changes; the range of x is 2


def augmented(x: Tensor, names: Sequence[AugmentName], stream: torch.Generator) -> Tensor:
    """Samples x (n, channels, height, width) in [-1, 1], each changed at random in these ways."""
    for name in names:
        x = AUGMENTS[name](x, stream)
    return x


def flip(x: Tensor, stream: torch.Generator) -> Tensor:
    """Half of them left to right, half of them upside down."""
    for axis in (2, 3):
        chosen = (torch.rand(len(x), 1, 1, 1, generator=stream) < 0.5).to(x.device)
        x = torch.where(chosen, x.flip(axis), x)
    return x


def rotate90(x: Tensor, stream: torch.Generator) -> Tensor:
    """By none to three quarter turns; raises `ValueError` unless samples are square."""
    if x.shape[2] != x.shape[3]:
        raise ValueError(f"rotate90 needs square samples, these are {x.shape[3]}x{x.shape[2]}")
    turns = torch.randint(4, (len(x), 1, 1, 1), generator=stream).to(x.device)
    for k in (1, 2, 3):
        x = torch.where(turns >= k, x.rot90(1, (2, 3)), x)
    return x


def brightness(x: Tensor, stream: torch.Generator) -> Tensor:
    """Brighter or darker as a whole, by up to LIGHT."""
    amount = (2 * torch.rand(len(x), 1, 1, 1, generator=stream) - 1) * LIGHT
    return (x + amount.to(x.device)).clamp(-1, 1)


Symmetry = tuple[int, tuple[int, ...]]  # quarter turns, axes then flipped


def symmetries(names: Sequence[AugmentName]) -> list[Symmetry]:
    """The flips and turns among these changes, the first one leaving everything as it is."""
    turns = range(4) if "rotate90" in names else range(1)
    flips: list[tuple[int, ...]] = [(), (-1,), (-2,), (-2, -1)] if "flip" in names else [()]
    return [(turn, axes) for turn in turns for axes in (flips[:2] if len(turns) > 1 else flips)]


def moved(x: Tensor, symmetry: Symmetry) -> Tensor:
    """x (..., height, width), turned and flipped."""
    turns, axes = symmetry
    return x.rot90(turns, (-2, -1)).flip(axes)


def moved_back(x: Tensor, symmetry: Symmetry) -> Tensor:
    turns, axes = symmetry
    return x.flip(axes).rot90(-turns, (-2, -1))


AUGMENTS: dict[AugmentName, Callable[[Tensor, torch.Generator], Tensor]] = {
    "flip": flip,
    "rotate90": rotate90,
    "brightness": brightness,
}
