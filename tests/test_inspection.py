"""From photos to verdicts and regions, with a detector whose map is known."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import quick, stripes

from anogan.data.framing import Framing
from anogan.detectors import Detector
from anogan.detectors.base import Explanation
from anogan.errors import SampleError
from anogan.inspection import TAIL, PhotoModel, tail_levels

SHAPE = (1, 16, 16)


class Dots:
    """Stands for a detector: the map is the sample itself, the score its highest value."""

    calibration_scores_ = np.linspace(0.1, 0.9, 99)
    threshold_ = 0.95

    def explain(self, X: np.ndarray) -> Explanation:
        score = X.reshape(len(X), -1).max(1).astype(np.float64)
        return Explanation(score, {"residual": score}, X, X)


def model(framing: Framing) -> PhotoModel:
    return PhotoModel(Dots(), framing, np.linspace(0, 0.9, len(TAIL)))  # type: ignore[arg-type]


def test_regions_are_boxes_in_pixels_of_the_photo_the_worst_first() -> None:
    photo = np.zeros((1, 40, 50), np.float32)
    photo[0, 10:13, 20:25] = 1.0
    photo[0, 30, 40] = 1.5
    photo[0, 5, 5] = 0.8  # high, but no worse than good parts are
    for crop, corner in (((), (0, 0)), ((4, 4, 46, 36), (4, 4))):
        framing = Framing(SHAPE, crop, overlap=0.25)
        (said,) = model(framing).inspect([photo])
        assert not isinstance(said, SampleError)
        assert said.anomaly
        assert said.score == said.map.max() == 1.5
        assert [region[:5] for region in said.regions] == [(40, 30, 1, 1, 1), (20, 10, 5, 3, 15)]
        assert said.map.shape == (40 - corner[1], 50 - corner[0])
        assert said.regions[0].p_value == pytest.approx(TAIL[-1])


def test_a_whole_photo_that_was_shrunk_has_regions_in_its_own_pixels() -> None:
    photo = np.full((1, 64, 64), -1.0, np.float32)
    photo[0, 16:32, 28:48] = 1
    (said,) = model(Framing(SHAPE)).inspect([photo])
    assert not isinstance(said, SampleError)
    (region,) = said.regions
    assert abs(region.left - 28) <= 4
    assert abs(region.top - 16) <= 4
    assert 16 <= region.width <= 28
    assert 12 <= region.height <= 24


def test_a_good_photo_has_no_region_and_a_bad_file_its_reason() -> None:
    good = np.full((1, 16, 16), 0.5, np.float32)
    said = model(Framing(SHAPE, resize=False)).inspect([SampleError("damaged"), good, np.zeros((1, 9, 16), np.float32)])
    assert str(said[0]) == "damaged"
    assert str(said[2]).startswith("size 16x9, expected 16x16")
    assert not isinstance(said[1], SampleError)
    assert (said[1].anomaly, said[1].regions) == (False, [])
    assert said[1].p_value == pytest.approx((1 + (Dots.calibration_scores_ >= 0.5).sum()) / 100)
    only_bad = model(Framing(SHAPE, resize=False)).inspect([SampleError("damaged")])
    assert [str(error) for error in only_bad] == ["damaged"]


def test_every_photo_has_the_verdict_it_has_alone() -> None:
    detector: Detector = quick("fanogan").fit(stripes(80, SHAPE))
    inspected = PhotoModel(detector, Framing(SHAPE, overlap=0.5), np.linspace(0, 2, len(TAIL)))
    photos = [np.tile(x, (1, 2, 2)) for x in stripes(5, SHAPE)]
    together = inspected.inspect(photos)
    for photo, said in zip(photos, together, strict=True):
        (alone,) = inspected.inspect([photo])
        assert not isinstance(alone, SampleError)
        assert not isinstance(said, SampleError)
        assert alone.score == said.score
        assert np.array_equal(alone.map, said.map)


def test_levels_are_the_values_that_these_shares_of_pixels_exceed() -> None:
    pixels = np.arange(1_000_000, dtype=np.float32).reshape(1, 1000, 1000) / 1e6
    levels = tail_levels(pixels)
    inspected = PhotoModel(Dots(), Framing(SHAPE), levels)  # type: ignore[arg-type]
    for p_value in (0.5, 0.01, 1e-4):
        found = inspected.pixel_p_values(np.array([1 - p_value], np.float32))
        assert found[0] == pytest.approx(p_value, rel=0.05)
