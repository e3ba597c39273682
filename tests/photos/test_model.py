"""From photos to verdicts and regions, with a detector whose map is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import quick, stripes

from anogan.detectors import Detector
from anogan.detectors.base import Explanation
from anogan.detectors.calibration import p_values
from anogan.detectors.estimator import Judged
from anogan.errors import BundleError, SampleError
from anogan.photos.model import TAIL, PhotoModel, about_photos, tail_levels
from anogan.pictures.framing import Framing
from anogan.runs import bundle
from anogan.runs.bundle import Bundle

SHAPE = (1, 16, 16)
PEAKS = np.array([0.3, 0.7, 1.2, 0.9])


class Dots:
    """Stands for a detector: the map is the sample itself, the score its highest value."""

    calibration_scores_ = np.linspace(0.1, 0.9, 99)

    def __init__(self, threshold: float = 0.95) -> None:
        self.threshold_ = threshold

    def explain(self, X: np.ndarray) -> Explanation:
        score = X.reshape(len(X), -1).max(1).astype(np.float64)
        return Explanation(score, {"residual": score}, X, X)

    def judge(self, score: np.ndarray) -> Judged:
        return Judged(p_values(self.calibration_scores_, score), score > self.threshold_)


def model(framing: Framing) -> PhotoModel:
    return PhotoModel(Dots(), framing, np.linspace(0, 0.9, len(TAIL)), PEAKS)  # type: ignore[arg-type]


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
        assert [region.p_value for region in said.regions] == [1 / 5, 2 / 5], "none and one of four are as high"


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
    inspected = PhotoModel(detector, Framing(SHAPE, overlap=0.5), np.linspace(0, 2, len(TAIL)), PEAKS)
    photos = [np.tile(x, (1, 2, 2)) for x in stripes(5, SHAPE)]
    together = inspected.inspect(photos)
    for photo, said in zip(photos, together, strict=True):
        (alone,) = inspected.inspect([photo])
        assert not isinstance(alone, SampleError)
        assert not isinstance(said, SampleError)
        assert alone.score == said.score
        assert np.array_equal(alone.map, said.map)


def test_a_photo_is_flagged_only_above_the_threshold() -> None:
    photo = np.zeros(SHAPE, np.float32)
    photo[0, 3, 3] = 0.5
    calibrated = replace(model(Framing(SHAPE)), detector=Dots(threshold=0.5))  # type: ignore[arg-type]
    for value, flagged in ((0.5, False), (np.nextafter(np.float32(0.5), np.float32(1)), True)):
        photo[0, 3, 3] = value
        (said,) = calibrated.inspect([photo])
        assert not isinstance(said, SampleError)
        assert said.anomaly == flagged


def test_of_good_photos_no_more_than_promised_have_a_region_as_rare_as_that() -> None:
    """However few are held out, and whatever the pixels of one photo have in common."""
    rng, n = np.random.default_rng(0), 9
    found = []
    for _ in range(300):
        good = (rng.gamma(2, size=(n + 1, 1, 1, 1)) * rng.random((n + 1, *SHAPE))).astype(np.float32)
        new, held_out = good[0], good[1:]
        peaks = held_out.max((1, 2, 3)).astype(np.float64)
        calibrated = PhotoModel(Dots(threshold=-1), Framing(SHAPE), tail_levels(held_out), peaks)  # type: ignore[arg-type]
        (said,) = calibrated.inspect([new])
        assert not isinstance(said, SampleError)
        found.append(min(region.p_value for region in said.regions))
    assert min(found) >= 1 / (n + 1)
    for p_value in (0.1, 0.3):
        assert np.mean(np.array(found) <= p_value) < p_value + 5 * np.sqrt(p_value * (1 - p_value) / len(found))


def test_levels_are_the_values_that_these_shares_of_pixels_exceed() -> None:
    pixels = np.arange(1_000_000, dtype=np.float32).reshape(1, 1000, 1000) / 1e6
    inspected = PhotoModel(Dots(), Framing(SHAPE), tail_levels(pixels), PEAKS)  # type: ignore[arg-type]
    for share in (0.5, 0.01, 1e-4):
        found = inspected.pixel_shares(np.array([1 - share], np.float32))
        assert found[0] == pytest.approx(share, rel=0.05)


def test_between_levels_the_share_falls_as_the_tail_of_an_exponential() -> None:
    levels = -np.log(TAIL)
    inspected = PhotoModel(Dots(), Framing(SHAPE), levels, PEAKS)  # type: ignore[arg-type]
    between = (levels[1:] + levels[:-1]) / 2
    assert inspected.pixel_shares(between) == pytest.approx(np.exp(-between), rel=1e-9)


def test_a_bundle_that_does_not_tell_the_peaks_of_good_photos_is_refused_in_one_line(tmp_path: Path) -> None:
    detector = quick("neighbourgan").fit(stripes(80, SHAPE))
    about = about_photos({"neighbourgan": PhotoModel(detector, Framing(SHAPE), np.linspace(0, 1, len(TAIL)), PEAKS)})
    told = about["detectors"]["neighbourgan"]
    for peaks in (None, [], [[1.0]]):
        told["peaks"] = peaks
        if peaks is None:
            told.pop("peaks")
        bundle.save(
            tmp_path / "bundle",
            detector.gan_,
            {"neighbourgan": detector},
            "photos",
            {"data": "photos", "photos": about},
        )
        with pytest.raises(BundleError, match="train it again") as refused:
            PhotoModel.load(Bundle.open(tmp_path), device="cpu")
        assert "\n" not in str(refused.value)
