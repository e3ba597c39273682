"""From image files to pixels. A file that cannot be converted without guessing is refused with the reason."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError

from anogan.errors import SampleError, TooManyPixelsError

EXTENSIONS = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif", ".webp", ".pgm", ".ppm"}
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "GIF", "WEBP", "PPM")  # others may run programs to be read, as EPS does
MODES = {1: "L", 3: "RGB"}
SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I;16N")
GREY_MODES = ("1", "L", "LA", "I", "F", *SIXTEEN_BIT)
ORIENTATION = 0x0112  # of EXIF
SIDEWAYS = (5, 6, 7, 8)
TIFF_SIZE = (256, 257)  # tags of width and height
SIGNATURE = 8  # bytes before the chunks of a PNG

PHOTOS = 16  # in memory at once
BYTES = 1 << 28  # decoded photos in memory at once, unless a single one has more
LARGEST = 1 << 62

Pixels = NDArray[np.float32]  # (channels, height, width) in [-1, 1]
File = Path | BinaryIO  # or the contents of one, from the beginning
T = TypeVar("T")


def find_images(inputs: Iterable[Path]) -> list[tuple[Path, Path]]:
    """List the given files, and the image files inside given folders, each with its name relative to the folder.

    Folders are searched with their subfolders, by file ending, and sorted. Raises `ValueError` if a path does not exist
    or a folder holds no image.
    """
    files: list[tuple[Path, Path]] = []
    for path in inputs:
        if path.is_dir():
            inside = images_in(path)
            if not inside:
                raise ValueError(f"{path} holds no image file ({', '.join(sorted(EXTENSIONS))})")
            files += [(p, p.relative_to(path)) for p in inside]
        elif path.exists():
            files.append((path, Path(path.name)))
        else:
            raise ValueError(f"{path} is neither a file, a folder nor a data set")
    return files


def images_in(folder: Path) -> list[Path]:
    """List the image files of a folder and its subfolders, by file ending, sorted."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in EXTENSIONS and p.is_file())


def header(path: File) -> tuple[tuple[int, int], bool]:
    """Read size (height, width), rotated as EXIF says, and whether the image is grey. No pixel is decoded.

    Raises `SampleError` if the file has no readable header.
    """
    with opened(path) as image:
        try:
            if isinstance(image, PngImagePlugin.PngImageFile) and "exif" not in image.info:
                image.info["exif"] = _late_exif(image.fp)
            # Not the method of PNG's own class, which decodes the pixels to see what stands behind them.
            turned = Image.Image.getexif(image).get(ORIENTATION, 1) in SIDEWAYS
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            raise SampleError(f"damaged: {error}") from error
        width, height = _stored_size(image)
        return (width, height) if turned else (height, width), image.mode in GREY_MODES


def _stored_size(image: Image.Image) -> tuple[int, int]:
    """Return width and height before rotation. Newer versions of Pillow give those of a TIFF after it."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return int(image.tag_v2[TIFF_SIZE[0]]), int(image.tag_v2[TIFF_SIZE[1]])
    return image.size


def _late_exif(png: IO[bytes] | None) -> bytes | None:
    """Find the EXIF chunk of a PNG anywhere in the file, and skip the other chunks."""
    assert png is not None
    png.seek(SIGNATURE)
    while len(start := png.read(8)) == 8:
        length, kind = int.from_bytes(start[:4], "big"), start[4:]
        if kind == b"eXIf":
            return png.read(length)
        png.seek(length + 4, os.SEEK_CUR)  # the checksum is behind it
    return None


def count_pixels(path: File, most: int) -> int:
    """Return the number of pixels from the file's header. No pixel is decoded.

    Raises `TooManyPixelsError` if there are more than `most`, and `SampleError` if there is no readable header.
    """
    with opened(path) as image:
        pixels = image.width * image.height
        if pixels > most:
            raise TooManyPixelsError(f"size {image.width}x{image.height}, more than {most / 1e6:g} megapixels")
        return pixels


def read_photo(path: File, channels: int) -> Pixels:
    """Read the pixels (channels, height, width) of one file, in [-1, 1].

    The photo is rotated as the camera's EXIF says. Colour becomes grey by luminance, grey becomes colour by repetition,
    16 bits keep their precision, palettes are looked up, opaque alpha is dropped. Raises `SampleError` if a conversion
    would need a guess.
    """
    try:
        with opened(path) as image:
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise SampleError(f"damaged: {error}") from error
    return pixels_of(image, channels)


def pixels_of(image: Image.Image, channels: int) -> Pixels:
    """Return the pixels (channels, height, width) in [-1, 1] of a decoded image, converted as in `read_photo`."""
    if image.mode in SIXTEEN_BIT or image.mode == "I":
        return _sixteen_bit(image, channels)
    pixels = np.asarray(_eight_bit(image, MODES[channels])).reshape(image.height, image.width, channels)
    return to_unit_range(np.moveaxis(pixels, 2, 0))


def opened(path: File) -> Image.Image:
    """Open an image file without decoding its pixels. Raises `SampleError` if it is no image or has too many pixels."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return Image.open(path, formats=FORMATS)
    except UnidentifiedImageError as error:
        raise SampleError("not a readable image") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooManyPixelsError(
            f"too many pixels: files with more than {Image.MAX_IMAGE_PIXELS} are not opened"
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise SampleError(f"damaged: {error}") from error


def _sixteen_bit(image: Image.Image, channels: int) -> Pixels:
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise SampleError("32-bit pixels have no fixed range")
    pixels = np.empty((channels, *values.shape), np.float32)
    pixels[:] = values
    pixels /= np.float32(32767.5)  # in place: a large photo has hundreds of megabytes
    pixels -= np.float32(1)
    return pixels


def _eight_bit(image: Image.Image, mode: str) -> Image.Image:
    if image.mode == "F":
        raise SampleError("floating-point pixels have no fixed range")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            raise SampleError("transparent pixels have no defined brightness")
    if image.mode == "RGBA":
        image = image.convert("RGB")
    return image if image.mode == mode else image.convert(mode)


def resized(photo: Pixels, height: int, width: int) -> Pixels:
    """Resize by bicubic interpolation, low-passed when it shrinks. Values may overshoot [-1, 1]."""
    if photo.shape[1:] == (height, width):
        return photo
    size = (width, height)
    channels = [Image.fromarray(channel).resize(size, Image.Resampling.BICUBIC) for channel in photo]
    return np.stack([np.asarray(channel, dtype=np.float32) for channel in channels])


def batches(items: Sequence[T], size: Callable[[T], int], most: int = PHOTOS) -> Iterator[Sequence[T]]:
    """Split items into batches of at most `most` items and BYTES bytes; `size` gives the bytes of an item."""
    begin = 0
    while begin < len(items):
        end, taken = begin + 1, size(items[begin])
        while end < min(begin + most, len(items)) and (taken := taken + size(items[end])) <= BYTES:
            end += 1
        yield items[begin:end]
        begin = end


def decoded_bytes(path: File, channels: int) -> int:
    """Return how many bytes the file's pixels will take, from its header; 0 if it will not be decoded."""
    try:
        return 4 * channels * count_pixels(path, LARGEST)
    except SampleError:
        return 0


def read_photos(paths: Iterable[File], channels: int) -> Iterator[Pixels | SampleError]:
    """Yield the pixels of each file, or the reason why it has none."""
    for path in paths:
        try:
            yield read_photo(path, channels)
        except SampleError as error:
            yield error


Images = NDArray[np.uint8]


def to_unit_range(images: Images) -> NDArray[np.float32]:
    """Scale bytes 0 to 255 to [-1, 1]."""
    scaled: NDArray[np.float32] = images.astype(np.float32)
    scaled /= np.float32(127.5)  # in place: a large photo has hundreds of megabytes
    scaled -= np.float32(1)
    return scaled
