"""Rendered parts are decided by their seed, differ as good parts do, and their masks hold exactly the defect."""

from __future__ import annotations

import time
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from anogan.simulators.boards import LEAST, NOISE, VISIBLE, PartDefect, render, write_folder

KINDS = get_args(PartDefect)


def read(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image)


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_same_seed_gives_the_same_photo_and_another_one_another() -> None:
    photo, mask = render(3)
    assert photo.shape == (128, 128, 3)
    assert photo.dtype == np.uint8
    assert not mask.any()
    np.testing.assert_array_equal(render(3)[0], photo)
    assert not np.array_equal(render(4)[0], photo)
    assert not np.array_equal(render((3, 1))[0], render((3, 2))[0])


def test_good_parts_differ_by_more_than_noise_and_none_is_overexposed() -> None:
    photos = np.stack([render(seed)[0] for seed in range(40)]).astype(float)
    assert photos.mean(axis=(1, 2, 3)).std() / photos.mean() == pytest.approx(0.03, abs=0.015)  # brightness
    middle = np.median(photos, axis=0)
    apart = np.abs(photos - middle).mean(axis=(1, 2, 3))
    assert apart.min() > 2 * NOISE
    assert apart.max() < 25
    assert photos.min() >= 0
    assert (photos == 255).mean() < 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_the_mask_holds_exactly_what_differs_from_the_good_part(kind: PartDefect) -> None:
    for seed in range(15):
        (photo, mask), good = render(seed, 96, kind), render(seed, 96)[0]
        apart = np.abs(photo.astype(int) - good).max(axis=2)
        np.testing.assert_array_equal(mask, apart > 0)
        assert apart[mask].min() > VISIBLE
        assert 0.0005 < mask.mean() < 0.2


@pytest.mark.parametrize("kind", KINDS)
def test_the_mildest_defect_that_is_written_can_be_seen(kind: PartDefect) -> None:
    assert min(render(seed, 128, kind, LEAST)[1].sum() for seed in range(30)) >= 5


@pytest.mark.parametrize("kind", KINDS)
def test_a_defect_grows_with_its_severity_from_nothing(kind: PartDefect) -> None:
    good = render(5)[0].astype(int)
    effects = [np.abs(render(5, 128, kind, severity)[0] - good).sum() for severity in (0.0, 0.3, 0.6, 1.0)]
    assert effects[0] == 0
    assert (np.diff(effects) > 0).all()


def test_missing_and_shifted_concern_one_pad() -> None:
    for seed in range(10):
        for kind, share in (("missing", 0.12), ("shifted", 0.2)):
            rows, columns = np.nonzero(render(seed, 128, kind)[1])
            assert max(np.ptp(rows), np.ptp(columns)) < share * 128


@pytest.mark.parametrize("size", [32, 100, 256])
def test_a_part_is_the_same_at_any_size(size: int) -> None:
    photo = render(1, size)[0]
    assert photo.shape == (size, size, 3)
    small, usual = (
        np.asarray(Image.fromarray(p).resize((32, 32), Image.Resampling.BOX), dtype=float)
        for p in (photo, render(1)[0])
    )
    assert np.abs(small - usual).mean() < 10


def test_a_folder_has_the_layout_its_masks_and_no_partial_file(tmp_path: Path) -> None:
    written: list[int] = []
    write_folder(tmp_path, good=3, test_good=2, each=2, size=64, seed=1, on_photos=written.append)
    expected = {f"train/good/00{i}.png" for i in range(3)} | {f"test/good/00{i}.png" for i in range(2)}
    for kind in KINDS:
        expected |= {f"test/{kind}/00{i}.png" for i in range(2)}
        expected |= {f"ground_truth/{kind}/00{i}_mask.png" for i in range(2)}
    assert set(files(tmp_path)) == expected
    assert sum(written) == 3 + 2 + 2 * len(KINDS)
    for mask in tmp_path.glob("ground_truth/*/*"):
        pixels = read(mask)
        assert pixels.shape == (64, 64)
        assert set(np.unique(pixels)) == {0, 255}
    photos = [content for name, content in files(tmp_path).items() if "mask" not in name]
    assert len(set(photos)) == len(photos)  # no part is in training and in test
    assert read(tmp_path / "train/good/000.png").shape == (64, 64, 3)


def test_a_folder_is_decided_by_its_seed_and_more_photos_change_none(tmp_path: Path) -> None:
    for name, seed, good in (("a", 1, 2), ("b", 1, 2), ("more", 1, 4), ("other", 2, 2)):
        write_folder(tmp_path / name, good=good, test_good=1, each=1, size=48, seed=seed)
    a, b, more, other = (files(tmp_path / name) for name in ("a", "b", "more", "other"))
    assert a == b
    assert a.items() < more.items()
    assert all(other[name] != content for name, content in a.items())


def test_photos_are_rendered_in_no_time() -> None:
    start = time.process_time()
    for seed in range(20):
        render(seed)
    assert time.process_time() - start < 20 / 300 * 20  # 300 in 20 s


def test_arguments_that_are_wrong_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown defect 'dent'; choose from scratch, stain, missing, shifted"):
        render(0, defect="dent")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"got severity -1, expected 0 to 1"):
        render(0, defect="stain", severity=-1)
    with pytest.raises(ValueError, match="got size 16, expected at least 32 pixels"):
        render(0, 16)
