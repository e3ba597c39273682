"""Every defect keeps to its mask, its severity and its seed, whatever the photo."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_erosion, gaussian_filter

from anogan.photos.faults import DEFECTS, apply

SHAPES = {"small": (1, 32, 32), "colour": (3, 64, 64), "wide": (3, 48, 96), "tall": (1, 96, 40), "large": (3, 256, 256)}


def photo(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Bright and dark patches with some grain."""
    rng = np.random.default_rng(seed)
    patches = np.sign(gaussian_filter(rng.standard_normal(shape), (0, 3, 3)))
    return np.clip(0.6 * patches + 0.05 * rng.standard_normal(shape), -1, 1).astype(np.float32)


def damaged(kind: str, x: np.ndarray, severity: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return apply(kind, x, severity, np.random.default_rng(seed))


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("kind", DEFECTS)
def test_a_defect_keeps_the_laws(kind: str, name: str) -> None:
    x = photo(SHAPES[name])
    before = x.copy()
    effects = []
    for severity in (0.0, 0.05, 0.3, 0.7, 1.0):
        changed, mask = damaged(kind, x, severity, seed=3)
        assert changed.dtype == np.float32
        assert changed.shape == x.shape
        assert np.abs(changed).max() <= 1
        assert mask.dtype == bool
        np.testing.assert_array_equal(mask, (changed != x).any(axis=0))
        effects.append(float(np.abs(changed - x).mean()))
        if not severity:
            assert changed.tobytes() == x.tobytes()
            assert not mask.any()
    assert x.tobytes() == before.tobytes()
    assert (np.diff(effects) > 0).all()
    np.testing.assert_allclose(effects, effects[-1] * np.array([0, 0.05, 0.3, 0.7, 1]), rtol=1e-3)


@pytest.mark.parametrize("kind", DEFECTS)
def test_the_seed_alone_decides_where(kind: str) -> None:
    x = photo((3, 64, 64))
    once, mask = damaged(kind, x, 0.8)
    np.testing.assert_array_equal(damaged(kind, x, 0.8)[0], once)
    assert (damaged(kind, x, 0.2)[1] == mask).mean() > 0.999  # rounding may hide a change at the softest edge
    assert not np.array_equal(damaged(kind, x, 0.8, seed=1)[1], mask)


@pytest.mark.parametrize("kind", DEFECTS)
def test_full_severity_can_be_seen_and_stays_in_one_place(kind: str) -> None:
    strongest = []
    for seed in range(50):
        x = photo((1 + 2 * (seed % 2), 32 + seed, 64), seed)
        changed, mask = damaged(kind, x, 1.0, seed)
        strongest.append(np.abs(changed - x).max())
        assert 2 <= mask.sum() < 0.6 * mask.size
    assert np.quantile(strongest, 0.1) > 0.2  # four times the grain


@pytest.mark.parametrize("kind", ["missing", "shifted", "cut_paste", "blur", "misprint"])
def test_what_needs_texture_is_put_where_there_is_some(kind: str) -> None:
    x = np.full((1, 64, 128), -0.5, np.float32)
    x[:, 20:44, 80:110] = photo((1, 24, 30))
    found = [damaged(kind, x, 1.0, seed)[1] for seed in range(20)]
    assert sum(mask.any() for mask in found) >= 19
    assert np.mean([mask[:, :50].any() for mask in found]) < 0.2


@pytest.mark.parametrize("level", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("kind", DEFECTS)
def test_a_plain_photo_is_no_error_and_what_has_a_colour_is_seen_on_it(kind: str, level: float) -> None:
    x = np.full((1, 32, 32), level, np.float32)
    _, mask = damaged(kind, x, 1.0)
    assert mask.any() == (kind in ("scratch", "stain", "blob"))


def test_what_is_missing_looks_like_its_surroundings() -> None:
    rng = np.random.default_rng(0)
    x = (0.3 + 0.05 * rng.standard_normal((1, 64, 64))).astype(np.float32)
    x[:, 30:34, 30:34] = -0.8
    x[:, 40:] += 0.5  # an edge nearby does not count
    found = (damaged("missing", x, 1.0, seed) for seed in range(200))
    inner = ((changed, binary_erosion(mask, iterations=2)) for changed, mask in found)  # without the soft edge
    changed, mask = next((changed, mask) for changed, mask in inner if mask[30:34, 30:34].all() and not mask[38:].any())
    assert changed[:, mask].mean() == pytest.approx(0.3, abs=0.05)
    assert changed[:, mask].std() == pytest.approx(0.05, rel=0.4)


def test_minus_zero_stays_minus_zero() -> None:
    x = -np.zeros((1, 32, 32), np.float32)
    assert damaged("stain", x, 0.0)[0].tobytes() == x.tobytes()


def test_names_and_arguments_that_are_wrong_are_refused() -> None:
    x, rng = photo((1, 32, 32)), np.random.default_rng()
    with pytest.raises(ValueError, match=r"unknown defect 'dent'; choose from scratch, stain"):
        apply("dent", x, 1.0, rng)
    with pytest.raises(ValueError, match=r"got severity 1\.5, expected 0 to 1"):
        apply("blob", x, 1.5, rng)
    with pytest.raises(ValueError, match=r"got \(32, 32\) of float32, expected \(channels"):
        apply("blob", x[0], 1.0, rng)
    with pytest.raises(ValueError, match="of float64, expected"):
        apply("blob", x.astype(float), 1.0, rng)
