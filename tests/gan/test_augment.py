"""Augmentations change what they say and nothing else."""

from __future__ import annotations

import pytest
import torch

from anogan.gan.augment import AUGMENTS, augmented, moved, moved_back, symmetries

X = torch.rand(16, 3, 12, 12, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", sorted(AUGMENTS))
def test_each_changes_rows_on_their_own_and_the_stream_decides_how(name: str) -> None:
    changed = augmented(X, [name], stream())
    assert changed.shape == X.shape
    assert changed.abs().max() <= 1
    same = (changed == X).flatten(1).all(1)
    assert not same.all()
    assert torch.equal(changed, augmented(X, [name], stream()))
    assert not torch.equal(changed, augmented(X, [name], stream(1)))


@pytest.mark.parametrize("name", ["flip", "rotate90"])
def test_turning_keeps_every_pixel(name: str) -> None:
    changed = augmented(X, [name], stream())
    assert torch.equal(changed.flatten(2).sort().values, X.flatten(2).sort().values)


def test_brightness_moves_all_pixels_of_a_row_alike() -> None:
    change = (augmented(X, ["brightness"], stream()) - X).flatten(1)
    assert change.abs().max() <= 0.1 + 1e-6
    assert (change.max(1).values - change.min(1).values).max() < 1e-6


def test_rotation_needs_square_samples() -> None:
    with pytest.raises(ValueError, match="rotate90 needs square samples, these are 12x8"):
        augmented(X[:, :, :8], ["rotate90"], stream())


def test_nothing_declared_changes_nothing() -> None:
    assert augmented(X, [], stream()) is X


@pytest.mark.parametrize(("names", "count"), [([], 1), (["brightness"], 1), (["flip"], 4), (["flip", "rotate90"], 8)])
def test_symmetries_are_all_different_and_can_be_undone(names: list[str], count: int) -> None:
    found = symmetries(names)
    views = [moved(X, symmetry) for symmetry in found]
    assert len(found) == count
    assert torch.equal(views[0], X)
    assert not any(torch.equal(a, b) for i, a in enumerate(views) for b in views[:i])
    assert all(torch.equal(moved_back(view, symmetry), X) for view, symmetry in zip(views, found, strict=True))
