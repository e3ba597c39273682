"""Imitated defects: what the generator cannot draw of a recorded photo stands on good ones, otherwise as they were."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import quick, stripes
from photo_model import save_model, write
from PIL import Image

from anogan.cli import main
from anogan.config.presets import PHOTOS
from anogan.config.runs import PhotoRunConfig
from anogan.config.serialise import from_dict
from anogan.config.synthesis import ImitationConfig
from anogan.detectors.base import Explanation
from anogan.errors import AnoganError
from anogan.photos.imitation import SyntheticImages, imitate_defect
from anogan.photos.model import TAIL, PhotoModel
from anogan.photos.training import good_photos
from anogan.pictures.framing import Framing
from anogan.runs import bundle
from anogan.runs.directory import Run

SIDE = 40
CONFIG = ImitationConfig()
STEP = 0.3  # by how much the defect is brighter than its photo


class Plain:
    """Stands for a detector of plain surfaces: draws the median, and the map is what differs from it."""

    def __init__(self, augment: tuple[str, ...] = ()) -> None:
        self.augment = augment

    def reconstruct(self, X: np.ndarray) -> np.ndarray:
        return np.broadcast_to(np.median(X, axis=(1, 2, 3), keepdims=True), X.shape).astype(np.float32)

    def explain(self, X: np.ndarray) -> Explanation:
        x_hat = self.reconstruct(X)
        return Explanation(np.zeros(len(X)), {}, x_hat, np.abs(X - x_hat))


def recorded() -> np.ndarray:
    """Two photos of other brightness with a bright block at rows 4 to 13, columns 24 to 33."""
    x = np.stack([np.full((1, SIDE, SIDE), level, dtype=np.float32) for level in (-0.5, 0.1)])
    x[:, :, 4:14, 24:34] += STEP
    return x


def good() -> np.ndarray:
    levels = np.linspace(-0.4, 0.2, 7, dtype=np.float32)
    return np.broadcast_to(levels[:, None, None, None], (7, 1, SIDE, SIDE)).copy()


def imitated(
    n: int = 60, seed: int = 0, augment: tuple[str, ...] = (), config: ImitationConfig = CONFIG
) -> SyntheticImages:
    levels = np.linspace(0, 0.9, len(TAIL))
    model = PhotoModel(Plain(augment), Framing((1, SIDE, SIDE), (), None), levels, np.ones(1))  # type: ignore[arg-type]
    return imitate_defect(model, recorded(), good(), n, seed, config)


def centres(photos: SyntheticImages) -> np.ndarray:
    """Row and column of the middle of each defect (n, 2)."""
    return np.array([np.argwhere(mask).mean(0) for mask in photos.mask])


def test_the_mask_is_exact_and_the_rest_is_a_good_sample_bit_for_bit() -> None:
    photos = imitated()
    for x, mask in zip(photos.x, photos.mask, strict=True):
        level = np.unique(x[0][~mask])
        assert len(level) == 1
        assert level[0] in good()[:, 0, 0, 0]
        assert (x[0][mask] != level[0]).all()
        assert 100 <= mask.sum() <= 500  # the block and its soft edge


def test_the_defect_is_as_strong_as_recorded_times_the_severity() -> None:
    photos = imitated()
    change = (photos.x - np.median(photos.x, axis=(1, 2, 3), keepdims=True)).max((1, 2, 3))
    assert np.allclose(change, STEP * photos.severity, rtol=0.05)  # the soft edge takes a little off the middle
    low, high = CONFIG.severities
    assert low <= photos.severity.min() < 0.6 * high
    assert 0.8 * high < photos.severity.max() <= high


def test_without_a_harmless_change_a_defect_stays_near_its_place() -> None:
    away = centres(imitated()) - [8.5, 28.5]
    assert (np.abs(away) <= CONFIG.max_shift * SIDE + 0.5).all()
    assert (away.std(0) > 1).all(), "all stand in one place"


def test_the_settings_of_a_call_decide_place_and_severity() -> None:
    photos = imitated(config=ImitationConfig(severities=(1.0, 1.0), max_shift=0.0))
    assert (photos.severity == 1).all()
    assert (photos.mask == photos.mask[0]).all()


def test_a_harmless_flip_puts_defects_on_the_other_side_too() -> None:
    photos = centres(imitated(augment=("flip",)))
    sides = {(row > SIDE / 2, column > SIDE / 2) for row, column in photos}
    assert len(sides) == 4


def test_the_seed_decides_what_is_imitated() -> None:
    first, same, other = imitated(), imitated(), imitated(seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not np.array_equal(first.x, other.x)


# The command.


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Of a folder of good photos, and 20 photos of a defect in tmp_path/hole."""
    for i in range(100):
        write(tmp_path / "good" / f"{i:03}.png", i)
    for i in range(20):
        write(tmp_path / "hole" / f"{i:02}.png", i, bad=True)
    folder = tmp_path / "run"
    Run.create(folder, replace(PHOTOS, data=str(tmp_path / "good"), detectors=("neighbourgan",)))
    return save_model(folder)


def sample(run: Path, words: str) -> int:
    return main.run_command(f"sample {run} --threads 1 {words}".split())


def test_defects_are_written_with_masks_labels_and_what_they_came_from(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert sample(run, f"-n 5 --faults {tmp_path / 'hole'} --out {out}") == 0
    labels = pd.read_csv(out / "labels.csv")
    assert labels["label"].tolist() == ["normal"] * 5 + ["hole"] * 5
    assert (labels["severity"][:5] == 0).all()
    assert labels["severity"][5:].between(*CONFIG.severities).all()
    assert all((out / file).exists() for file in labels["file"])
    masks = [np.asarray(Image.open(out / "ground_truth" / "hole" / f"{i:06d}_mask.png")) for i in range(5)]
    assert all(set(np.unique(mask)) == {0, 255} for mask in masks)
    wanted = json.loads((out / "manifest.json").read_text())["wanted"]
    assert len(wanted["faults"][str(tmp_path / "hole")]) == 64
    assert from_dict(ImitationConfig, wanted["synthesis"]) == CONFIG
    assert sample(run, f"-n 5 --faults {tmp_path / 'hole'} --out {tmp_path / 'npz'} --format npz") == 0
    with np.load(tmp_path / "npz" / "images.npz", allow_pickle=False) as stored:
        assert stored["x"].shape == (10, 1, 16, 16)
        assert np.array_equal(stored["mask"][5:], [mask > 0 for mask in masks])


def test_another_photo_of_the_defect_is_another_wish(run: Path, tmp_path: Path) -> None:
    words = f"-n 2 --faults {tmp_path / 'hole'} --out {tmp_path / 'out'}"
    assert sample(run, words) == 0
    write(tmp_path / "hole" / "one-more.png", 99, bad=True)
    with pytest.raises(AnoganError, match=r"other settings \(faults"):
        sample(run, words)


@pytest.mark.slow
def test_the_report_shows_recorded_and_imitated_defects(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert sample(run, f"-n 30 --faults {tmp_path / 'hole'} --report --out {out}") == 0
    page = (out / "index.html").read_text()
    assert "Defects: hole" in page
    assert "30 imitated from 20 recorded" in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--faults {f}/few", "has 3 photos, expected at least 20 of the defect"),
        ("--faults {f}/broken", "nonsense.png"),
        ("--faults {f}/missing", "missing has 0 photos"),
        ("--faults {f}/hole {f}/b/hole", "different names"),
        ("--faults {f}/normal", "different names"),
        ("--rows 100", "--rows is for models of sensors"),
    ],
)
def test_what_cannot_be_imitated_is_told_in_one_line_and_nothing_is_written(
    run: Path, tmp_path: Path, words: str, message: str
) -> None:
    for folder, n in {"few": 3, "broken": 20, "b/hole": 20, "normal": 20}.items():
        for i in range(n):
            write(tmp_path / folder / f"{i}.png", i, bad=True)
    (tmp_path / "broken" / "nonsense.png").write_bytes(b"nonsense")
    with pytest.raises((AnoganError, ValueError), match=message):
        sample(run, f"-n 2 {words.format(f=tmp_path)} --out {tmp_path / 'out'}")
    assert not (tmp_path / "out").exists()


def test_good_photos_to_compare_with_are_those_that_the_run_held_out(run: Path, tmp_path: Path) -> None:
    """A photo that cannot be read is left out before photos are held out, as in training."""
    config = Run.of(run, PhotoRunConfig).config
    training, held_out = good_photos(config, tmp_path / "good")
    assert not set(training) & set(held_out)
    assert len(held_out) == round(config.holdout * 100)
    (tmp_path / "good" / "000-broken.png").write_bytes(b"nonsense")
    assert good_photos(config, tmp_path / "good") == (training, held_out)


def test_good_photos_that_are_gone_are_told(run: Path, tmp_path: Path) -> None:
    (tmp_path / "good").rename(tmp_path / "elsewhere")
    with pytest.raises(AnoganError, match="good, which the run was trained on, no longer exists"):
        sample(run, f"-n 2 --faults {tmp_path / 'hole'} --out {tmp_path / 'out'}")


def test_a_model_of_other_images_imitates_no_defect(tmp_path: Path) -> None:
    detector = quick("neighbourgan").fit(stripes(80, (1, 16, 16)))
    about = {"data": "digits", "normal": "3", "seed": 0, "value_range": [-1, 1]}
    bundle.save(tmp_path / "run" / "bundle", detector.gan_, {"neighbourgan": detector}, "digits", about)
    with pytest.raises(ValueError, match="for models of sensors and of photos"):
        sample(tmp_path / "run", f"-n 2 --faults {tmp_path}")
