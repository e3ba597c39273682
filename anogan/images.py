"""Samples and anomaly maps -> pictures."""

from __future__ import annotations

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]  # (height, width, 3)
BRIGHTEST = 2.0  # map value shown in the brightest colour; 1 = the worst place of a normal sample


def picture(x: NDArray[np.float32]) -> Picture:
    """A sample (1 or 3, height, width) in [-1, 1] as RGB."""
    pixels = np.rint((np.clip(x, -1, 1) + 1) * 127.5).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(np.moveaxis(pixels, 0, 2), (*x.shape[1:], 3)))


def heatmap(anomaly_map: NDArray[np.float32]) -> Picture:
    """An anomaly map (channels, height, width) as RGB on one fixed scale: black at 0, brightest at BRIGHTEST."""
    from matplotlib import colormaps

    scaled = np.clip(anomaly_map.max(0) / BRIGHTEST, 0, 1)
    colours: Picture = np.rint(colormaps["inferno"](scaled)[..., :3] * 255).astype(np.uint8)
    return colours


def tile(x: NDArray[np.float32], columns: int = 0) -> Picture:
    """Samples (n, channels, height, width) in rows on one sheet, two pixels apart; square unless `columns` is given."""
    columns = columns or math.ceil(len(x) ** 0.5)
    _, _, height, width = x.shape
    rows = math.ceil(len(x) / columns)
    sheet = np.zeros((rows * (height + 2) - 2, columns * (width + 2) - 2, 3), np.uint8)
    for i, sample in enumerate(x):
        top, left = i // columns * (height + 2), i % columns * (width + 2)
        sheet[top : top + height, left : left + width] = picture(sample)
    return sheet


def png(image: Picture, zoom: int = 1) -> bytes:
    """PNG file contents, every pixel repeated `zoom` times each way."""
    stream = io.BytesIO()
    Image.fromarray(image.repeat(zoom, 0).repeat(zoom, 1)).save(stream, "PNG", optimize=True)
    return stream.getvalue()
