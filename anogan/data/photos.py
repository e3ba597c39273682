"""Image files -> samples. What can be converted without guessing is converted; the rest is refused with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from anogan.data.splits import to_unit_range
from anogan.errors import SampleError

EXTENSIONS = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif", ".webp", ".pgm", ".ppm"}
MODES = {1: "L", 3: "RGB"}
SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I;16N")


def find_images(inputs: Iterable[Path]) -> list[tuple[Path, Path]]:
    """Files as given, and the image files of folders (by ending, sorted, subfolders too), each with its name inside
    the folder given. Raises `ValueError` when a path does not exist or a folder holds no image."""
    found: list[tuple[Path, Path]] = []
    for path in inputs:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in EXTENSIONS and p.is_file())
            if not inside:
                raise ValueError(f"{path} holds no image file ({', '.join(sorted(EXTENSIONS))})")
            found += [(p, p.relative_to(path)) for p in inside]
        elif path.exists():
            found.append((path, Path(path.name)))
        else:
            raise ValueError(f"{path} is neither a file, a folder nor a data set")
    return found


def read_image(path: Path, shape: tuple[int, ...], resize: bool = False) -> NDArray[np.float32]:
    """One file as sample (channels, height, width) in [-1, 1]; raises `SampleError` when that would take guessing.

    Colour becomes grey by luminance, grey becomes colour by repetition, 16 bits are scaled to 8, palettes are looked
    up, opaque alpha is dropped. Another size is refused unless `resize` allows it.
    """
    channels, height, width = shape
    try:
        with Image.open(path) as opened:
            opened.load()
            image = ImageOps.exif_transpose(opened)
    except UnidentifiedImageError as error:
        raise SampleError("no image that can be read") from error
    except Image.DecompressionBombError as error:
        raise SampleError("too many pixels") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise SampleError(f"damaged: {error}") from error
    image = _eight_bit(image, MODES[channels])
    if image.size != (width, height):
        if not resize:
            raise SampleError(f"size {image.width}x{image.height}, expected {width}x{height} (--resize allows it)")
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    pixels = np.asarray(image).reshape(height, width, channels)
    return to_unit_range(np.moveaxis(pixels, 2, 0))


def _eight_bit(image: Image.Image, mode: str) -> Image.Image:
    if image.mode in SIXTEEN_BIT or image.mode == "I":
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise SampleError("32-bit pixels have no fixed range")
        return Image.fromarray((values // 257).astype(np.uint8)).convert(mode)
    if image.mode == "F":
        raise SampleError("floating-point pixels have no fixed range")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            raise SampleError("transparent pixels have no defined brightness")
    return image.convert("RGB").convert(mode) if image.mode == "RGBA" else image.convert(mode)


def read_images(
    paths: Iterable[Path], shape: tuple[int, ...], resize: bool = False
) -> Iterator[NDArray[np.float32] | SampleError]:
    """Every file's sample, or the reason why it has none."""
    for path in paths:
        try:
            yield read_image(path, shape, resize)
        except SampleError as error:
            yield error
