"""Drawing of samples and anomaly maps as pictures."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from anogan.files import write_bytes

Picture = NDArray[np.uint8]  # (height, width, 3), or 4 with transparency
Box = tuple[int, int, int, int]  # left, top, width, height
BRIGHTEST = 2.0  # map value shown in the brightest colour; 1 = the worst place of a normal sample
FAINTEST = 0.5  # map value up to which nothing is drawn over a photo
OPAQUE = 0.7  # how much of the photo the brightest colour hides
LONGEST_SIDE = 1600  # pixels of the longer side of an overlay
OUTLINE, RIM = (0, 255, 255), (0, 0, 0)  # no colours of the heat


def picture(x: NDArray[np.float32]) -> Picture:
    """Convert a sample (1 or 3, height, width) in [-1, 1] to RGB."""
    scaled = np.clip(x, -1, 1)
    scaled += 1  # in place: a large photo has hundreds of megabytes
    scaled *= 127.5
    pixels = np.rint(scaled, out=scaled).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(np.moveaxis(pixels, 0, 2), (*x.shape[1:], 3)))


def heatmap(anomaly_map: NDArray[np.float32]) -> Picture:
    """Draw an anomaly map (channels, height, width) as RGB on one fixed scale: black at 0, brightest at BRIGHTEST."""
    from matplotlib import colormaps

    scaled = np.clip(anomaly_map.max(0) / BRIGHTEST, 0, 1)
    colours: Picture = np.rint(colormaps["inferno"](scaled)[..., :3] * 255).astype(np.uint8)
    return colours


def heat_layer(anomaly_map: NDArray[np.float32]) -> Picture:
    """Draw an anomaly map (height, width) as an RGBA layer on one fixed scale, transparent up to FAINTEST."""
    colours, heat = _heat(anomaly_map)
    layer: Picture = np.rint(np.dstack([colours, 255 * heat])).astype(np.uint8)
    return layer


def _heat(anomaly_map: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return colours (height, width, 3) from 0 to 255 and opacity (height, width) in [0, 1]."""
    from matplotlib import colormaps

    heat = np.clip((anomaly_map - FAINTEST) / (BRIGHTEST - FAINTEST), 0, 1)
    return colormaps["autumn_r"](heat)[..., :3] * 255, heat


def shrunk(x: NDArray[np.float32], longest: int) -> Picture:
    """Convert a sample (1 or 3, height, width) in [-1, 1] to RGB whose longer side is at most `longest`."""
    height, width = x.shape[1:]
    scale = min(1.0, longest / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(picture(x)).resize(size, Image.Resampling.BOX))


def overlay(photo: NDArray[np.float32], anomaly_map: NDArray[np.float32], boxes: Iterable[Box] = ()) -> Picture:
    """Draw an anomaly map as translucent heat over a photo (1 or 3, height, width) in [-1, 1], and outline boxes.

    The map may have any height and width. Its scale is fixed, and nothing is drawn up to FAINTEST. Boxes are in pixels
    of the photo. The longer side of the result is at most LONGEST_SIDE.
    """
    base = shrunk(photo, LONGEST_SIDE)
    size, scale = (base.shape[1], base.shape[0]), min(1.0, LONGEST_SIDE / max(photo.shape[1:]))
    values = Image.fromarray(anomaly_map.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    colours, heat = _heat(np.asarray(values))
    alpha = OPAQUE * heat[..., None]
    mixed = Image.fromarray(np.rint(base.astype(np.float32) * (1 - alpha) + colours * alpha).astype(np.uint8))
    for box in boxes:
        _outline(ImageDraw.Draw(mixed), [scale * value for value in box], thickness=1 + max(size) // 500)
    return np.asarray(mixed)


def _outline(canvas: ImageDraw.ImageDraw, box: list[float], thickness: int) -> None:
    """Draw around the box, not over it, with a dark rim that shows on bright photos."""
    left, top, width, height = box
    for reach, line, colour in ((thickness + 3, thickness + 2, RIM), (thickness + 2, thickness, OUTLINE)):
        corners = (left - reach, top - reach, left + width - 1 + reach, top + height - 1 + reach)
        canvas.rectangle(tuple(map(round, corners)), outline=colour, width=line)


def tile(x: NDArray[np.float32], columns: int = 0) -> Picture:
    """Put samples (n, channels, height, width) on one sheet, two pixels apart; as a square without `columns`."""
    columns = columns or math.ceil(len(x) ** 0.5)
    _, _, height, width = x.shape
    rows = math.ceil(len(x) / columns)
    sheet = np.zeros((rows * (height + 2) - 2, columns * (width + 2) - 2, 3), np.uint8)
    for i, sample in enumerate(x):
        top, left = i // columns * (height + 2), i % columns * (width + 2)
        sheet[top : top + height, left : left + width] = picture(sample)
    return sheet


def png(image: Picture, zoom: int = 1, level: int | None = None) -> bytes:
    """Return the contents of a PNG file, with every pixel repeated `zoom` times in both directions.

    The file is as small as possible, or compressed at zlib's `level`; level 3 takes a fifth of the time.
    """
    stream = io.BytesIO()
    how = {"optimize": True} if level is None else {"compress_level": level}
    Image.fromarray(image.repeat(zoom, 0).repeat(zoom, 1)).save(stream, "PNG", **how)
    return stream.getvalue()


def sheets(folder: Path) -> Callable[[int, NDArray[np.float32]], None]:
    """Return a function that writes the samples (n, channels, height, width) of a training step as one picture."""

    def write(step: int, x: NDArray[np.float32]) -> None:
        write_bytes(folder / f"step-{step:06d}.png", png(tile(x)))

    return write
