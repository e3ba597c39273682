"""Image files of every kind, written to disk and read back."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from anogan.errors import SampleError, TooManyPixelsError
from anogan.pictures.files import count_pixels, find_images, header, read_photo, read_photos

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
EXPECTED = GREY.astype(np.float32) / 127.5 - 1


def save(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def test_grey_is_read_exactly(tmp_path: Path) -> None:
    for ending in ("png", "bmp", "tif", "pgm"):
        x = read_photo(save(tmp_path / f"a.{ending}", Image.fromarray(GREY)), 1)
        assert np.allclose(x[0], EXPECTED)


def test_what_can_be_converted_without_guessing_is_converted(tmp_path: Path) -> None:
    grey = Image.fromarray(GREY)
    opaque = grey.convert("RGBA")
    sixteen = Image.fromarray(GREY.astype(np.uint16) * 257)
    for name, image in {"rgb": grey.convert("RGB"), "rgba": opaque, "palette": grey.convert("P")}.items():
        assert np.allclose(read_photo(save(tmp_path / f"{name}.png", image), 1)[0], EXPECTED), name
    assert np.allclose(read_photo(save(tmp_path / "16.png", sixteen), 1)[0], EXPECTED)
    assert np.allclose(read_photo(save(tmp_path / "16.tif", sixteen), 1)[0], EXPECTED)
    bilevel = read_photo(save(tmp_path / "1.png", grey.convert("1")), 1)
    assert set(np.unique(bilevel)) == {-1, 1}


def test_colour_becomes_grey_by_luminance_and_grey_becomes_colour_by_repetition(tmp_path: Path) -> None:
    red = Image.new("RGB", (8, 6), (255, 0, 0))
    assert read_photo(save(tmp_path / "red.png", red), 1).max() == pytest.approx(76 / 127.5 - 1)
    colour = read_photo(save(tmp_path / "grey.png", Image.fromarray(GREY)), 3)
    assert np.allclose(colour, EXPECTED[None])


def test_the_orientation_that_a_camera_wrote_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees to view
    turned = Image.fromarray(GREY).rotate(90, expand=True)
    x = read_photo(save(tmp_path / "photo.png", turned, exif=exif), 1)
    assert np.allclose(x[0], EXPECTED)


def refused(tmp_path: Path, name: str) -> Path:
    path = tmp_path / name
    if name == "transparent.png":
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
    elif name == "script.png":
        path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 6\n%%EndComments\nshowpage\n")
    elif name == "32bit.tif":
        Image.fromarray(np.full((6, 8), 1 << 20, np.int32)).save(path)
    return path


REASONS = {
    "transparent.png": "transparent pixels",
    "nan.tif": "floating-point pixels",
    "text.png": "not a readable image",
    "empty.png": "not a readable image",
    "truncated.png": "damaged",
    "script.png": "not a readable image",  # Pillow would run a program to draw it
    "32bit.tif": "32-bit pixels",
}


@pytest.mark.parametrize("name", sorted(REASONS))
def test_what_would_take_guessing_is_refused_with_the_reason(tmp_path: Path, name: str) -> None:
    with pytest.raises(SampleError, match=REASONS[name]):
        read_photo(refused(tmp_path, name), 1)


def test_the_contents_of_a_file_are_read_as_the_file_is(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", Image.fromarray(np.random.default_rng(0).integers(0, 255, (6, 8), np.uint8)))
    assert np.array_equal(read_photo(io.BytesIO(path.read_bytes()), 1), read_photo(path, 1))
    assert header(io.BytesIO(path.read_bytes())) == header(path)


def test_sixteen_bits_keep_their_precision(tmp_path: Path) -> None:
    values = np.arange(48, dtype=np.uint16).reshape(6, 8) + 30_000
    x = read_photo(save(tmp_path / "16.png", Image.fromarray(values)), 1)
    assert len(np.unique(x)) == 48
    assert np.allclose(x[0], values / 32767.5 - 1)


def test_the_header_says_how_large_it_is_and_whether_there_is_colour(tmp_path: Path) -> None:
    grey = Image.fromarray(GREY)
    assert header(save(tmp_path / "grey.png", grey)) == ((6, 8), True)
    assert header(save(tmp_path / "16.png", Image.fromarray(GREY.astype(np.uint16)))) == ((6, 8), True)
    exif = Image.Exif()
    exif[0x0112] = 6
    assert header(save(tmp_path / "turned.png", grey.convert("RGB"), exif=exif)) == ((8, 6), False)
    with pytest.raises(SampleError, match="not a readable image"):
        header(refused(tmp_path, "text.png"))


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_of_a_header_is_that_of_the_pixels_however_the_camera_was_held(
    tmp_path: Path, ending: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / f"a.{ending}", Image.fromarray(GREY).convert("RGB"), exif=exif)
    assert header(path)[0] == read_photo(path, 1).shape[1:]


def late_exif(content: bytes) -> bytes:
    """A PNG whose EXIF stands behind its pixels, where it is allowed to."""
    begin = content.index(b"eXIf") - 4
    end = begin + 12 + int.from_bytes(content[begin : begin + 4], "big")
    return content[:begin] + content[end:-12] + content[begin:end] + content[-12:]


def test_a_header_is_read_without_decoding_a_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    plain, turned = io.BytesIO(), io.BytesIO()
    Image.fromarray(GREY).save(plain, "PNG")
    Image.fromarray(GREY).save(turned, "PNG", exif=exif)
    late = io.BytesIO(late_exif(turned.getvalue()))
    assert read_photo(late, 1).shape == (1, 8, 6)
    decoded = []
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: decoded.append(image))
    assert [header(file)[0] for file in (plain, turned, late)] == [(6, 8), (8, 6), (8, 6)]
    assert [count_pixels(file, 48) for file in (plain, turned, late)] == [48, 48, 48]
    with pytest.raises(TooManyPixelsError, match="size 8x6, more than"):
        count_pixels(plain, 47)
    assert not decoded


@pytest.mark.parametrize(("mode", "channels"), [("I;16", 1), ("I;16", 3), ("RGB", 3)])
def test_reading_a_photo_takes_little_more_memory_than_its_pixels(mode: str, channels: int) -> None:
    file = io.BytesIO()
    side, kind = 1000, np.uint16 if mode == "I;16" else np.uint8
    Image.fromarray(np.zeros((side, side, 3)[: 3 if mode == "RGB" else 2], kind)).save(file, "PNG")
    read_photo(file, channels)  # what is imported on the way is not counted
    tracemalloc.start()
    try:
        pixels = read_photo(file, channels)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    raw = side * side * (2 if mode == "I;16" else 3)  # Pillow's own memory is not traced
    assert peak < pixels.nbytes + 2.2 * raw


def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "bomb.png", Image.new("L", (300, 300)))
    for limit in (1000, 60_000):  # Pillow raises above twice its limit, and only warns above it
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(SampleError, match="too many pixels"):
            read_photo(path, 1)


def test_a_bad_file_does_not_spoil_the_rest(tmp_path: Path) -> None:
    good = save(tmp_path / "good.png", Image.fromarray(GREY))
    samples = list(read_photos([refused(tmp_path, "text.png"), good], 1))
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
