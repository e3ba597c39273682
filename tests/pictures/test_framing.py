"""Photos of any size become samples of one shape, and maps of samples a map of the photo."""

from __future__ import annotations

import numpy as np
import pytest

from anogan.errors import SampleError
from anogan.pictures.framing import Framing, common_shape

SHAPE = (1, 12, 16)


def photo(height: int, width: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(height * width).uniform(-1, 1, (channels, height, width)).astype(np.float32)


def test_a_photo_of_the_samples_size_is_left_as_it_is() -> None:
    x = photo(12, 16)
    assert np.array_equal(Framing(SHAPE, resize=False).samples(x), x[None])


def test_another_size_is_resized_only_when_allowed() -> None:
    x = photo(24, 32)
    with pytest.raises(SampleError, match=r"size 32x24, expected 16x12 \(--resize allows it\)"):
        Framing(SHAPE, resize=False).samples(x)
    small = Framing(SHAPE).samples(x)
    assert small.shape == (1, *SHAPE)
    assert np.allclose(small[0, 0, 3:9, 3:9].mean(), x[0, 6:18, 6:18].mean(), atol=0.1)
    assert np.abs(small).max() <= 1


def test_other_proportions_are_refused() -> None:
    with pytest.raises(SampleError, match="size 20x40 has other proportions than 16x12; crop it"):
        Framing(SHAPE).samples(photo(40, 20))


def test_a_crop_is_what_is_looked_at() -> None:
    x = photo(50, 60)
    framing = Framing(SHAPE, crop=(7, 5, 16, 12))
    assert np.array_equal(framing.samples(x)[0], x[:, 5:17, 7:23])
    assert framing.place((12, 16), (50, 60)) == (7, 5, 1.0, 1.0)
    with pytest.raises(SampleError, match="size 16x12 is too small for the crop 7,5,16,12"):
        framing.samples(photo(12, 16))


@pytest.mark.parametrize("size", [(12, 16), (13, 17), (40, 40), (47, 101), (12, 90)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.6])
def test_tiles_stitched_back_are_the_photo(size: tuple[int, int], overlap: float) -> None:
    x = photo(*size)
    framing = Framing(SHAPE, overlap=overlap)
    tiles = framing.samples(x)
    assert tiles.shape[1:] == SHAPE
    assert np.allclose(framing.stitched(tiles[:, 0], size), x[0], atol=1e-6), "without seams"
    assert framing.place(size, size) == (0, 0, 1.0, 1.0)


def test_tiles_overlap_as_asked_and_miss_nothing() -> None:
    x = np.zeros((1, 100, 100), np.float32)
    few, many = (len(Framing((1, 20, 20), overlap=overlap).samples(x)) for overlap in (0.0, 0.5))
    assert (few, many) == (25, 81)
    x[0, 99, 99] = 1
    assert Framing((1, 20, 20), overlap=0.25).samples(x).max() == 1


def test_a_photo_smaller_than_a_tile_is_refused() -> None:
    with pytest.raises(SampleError, match="size 15x12 is smaller than a tile of 16x12"):
        Framing(SHAPE, overlap=0.25).samples(photo(12, 15))


def test_samples_take_the_commonest_proportions() -> None:
    assert common_shape([(480, 640), (480, 640), (1000, 1000)], 128) == (96, 128)
    assert common_shape([(300, 300)], 64) == (64, 64)
