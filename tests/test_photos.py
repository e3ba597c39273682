"""Image files of every kind, written to disk and read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anogan.data.photos import find_images, read_image, read_images
from anogan.errors import SampleError

SHAPE = (1, 6, 8)
GREY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
EXPECTED = GREY.astype(np.float32) / 127.5 - 1


def save(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def test_grey_is_read_exactly(tmp_path: Path) -> None:
    for ending in ("png", "bmp", "tif", "pgm"):
        x = read_image(save(tmp_path / f"a.{ending}", Image.fromarray(GREY)), SHAPE)
        assert np.allclose(x[0], EXPECTED)


def test_what_can_be_converted_without_guessing_is_converted(tmp_path: Path) -> None:
    grey = Image.fromarray(GREY)
    opaque = grey.convert("RGBA")
    sixteen = Image.fromarray(GREY.astype(np.uint16) * 257)
    for name, image in {"rgb": grey.convert("RGB"), "rgba": opaque, "palette": grey.convert("P")}.items():
        assert np.allclose(read_image(save(tmp_path / f"{name}.png", image), SHAPE)[0], EXPECTED), name
    assert np.allclose(read_image(save(tmp_path / "16.png", sixteen), SHAPE)[0], EXPECTED)
    assert np.allclose(read_image(save(tmp_path / "16.tif", sixteen), SHAPE)[0], EXPECTED)
    bilevel = read_image(save(tmp_path / "1.png", grey.convert("1")), SHAPE)
    assert set(np.unique(bilevel)) == {-1, 1}


def test_colour_becomes_grey_by_luminance_and_grey_becomes_colour_by_repetition(tmp_path: Path) -> None:
    red = Image.new("RGB", (8, 6), (255, 0, 0))
    assert read_image(save(tmp_path / "red.png", red), SHAPE).max() == pytest.approx(76 / 127.5 - 1)
    colour = read_image(save(tmp_path / "grey.png", Image.fromarray(GREY)), (3, 6, 8))
    assert np.allclose(colour, EXPECTED[None])


def test_the_orientation_that_a_camera_wrote_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees to view
    turned = Image.fromarray(GREY).rotate(90, expand=True)
    x = read_image(save(tmp_path / "photo.png", turned, exif=exif), SHAPE)
    assert np.allclose(x[0], EXPECTED)


def refused(tmp_path: Path, name: str) -> Path:
    path = tmp_path / name
    if name == "size.png":
        Image.new("L", (9, 6)).save(path)
    elif name == "transparent.png":
        Image.new("RGBA", (8, 6), (9, 9, 9, 100)).save(path)
    elif name == "nan.tif":
        Image.fromarray(np.full((6, 8), np.nan, np.float32)).save(path)
    elif name == "text.png":
        path.write_text("no image")
    elif name == "empty.png":
        path.touch()
    elif name == "truncated.png":
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 80), np.uint8)).save(path)
        path.write_bytes(path.read_bytes()[:900])
    elif name == "32bit.tif":
        Image.fromarray(np.full((6, 8), 1 << 20, np.int32)).save(path)
    return path


REASONS = {
    "size.png": "size 9x6, expected 8x6",
    "transparent.png": "transparent pixels",
    "nan.tif": "floating-point pixels",
    "text.png": "no image that can be read",
    "empty.png": "no image that can be read",
    "truncated.png": "damaged",
    "32bit.tif": "32-bit pixels",
}


@pytest.mark.parametrize("name", sorted(REASONS))
def test_what_would_take_guessing_is_refused_with_the_reason(tmp_path: Path, name: str) -> None:
    with pytest.raises(SampleError, match=REASONS[name]):
        read_image(refused(tmp_path, name), SHAPE)


def test_another_size_is_resized_only_when_allowed(tmp_path: Path) -> None:
    assert read_image(refused(tmp_path, "size.png"), SHAPE, resize=True).shape == SHAPE


def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "bomb.png", Image.new("L", (300, 300)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(SampleError, match="too many pixels"):
        read_image(path, SHAPE)


def test_a_bad_file_does_not_spoil_the_rest(tmp_path: Path) -> None:
    good = save(tmp_path / "good.png", Image.fromarray(GREY))
    samples = list(read_images([refused(tmp_path, "text.png"), good], SHAPE))
    assert isinstance(samples[0], SampleError)
    assert np.allclose(samples[1][0], EXPECTED)


def test_folders_are_searched_and_empty_ones_refused(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    save(tmp_path / "a" / "b" / "x.PNG", Image.fromarray(GREY))
    (tmp_path / "a" / "notes.txt").write_text("not an image")
    assert find_images([tmp_path / "a"]) == [(tmp_path / "a" / "b" / "x.PNG", Path("b/x.PNG"))]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no image file"):
        find_images([tmp_path / "empty"])
    with pytest.raises(ValueError, match="neither a file, a folder nor a data set"):
        find_images([tmp_path / "missing"])
