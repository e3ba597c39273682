"""Framing: from a photo to samples of one shape, and from maps of the samples to a map of the photo."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anogan.errors import SampleError
from anogan.pictures.files import Pixels, resized
from anogan.windows import cut_windows

STRETCH = 1.25  # of a photo's proportions, before it counts as another kind of photo


@dataclass(frozen=True)
class Framing:
    """How a photo is cropped, and then taken as one sample or cut into tiles at full resolution."""

    shape: tuple[int, ...]  # (channels, height, width) of a sample
    crop: tuple[int, ...] = ()  # left, top, width, height of the part looked at, in pixels of the photo
    overlap: float | None = None  # of tiles, as a share of their side; None: the whole photo is one sample
    resize: bool = True  # a whole photo of another size; otherwise it is refused

    def cropped(self, photo: Pixels) -> Pixels:
        """Return the inspected part (channels, height, width). Raises `SampleError` if the crop does not fit."""
        if not self.crop:
            return photo
        left, top, width, height = self.crop
        _, rows, columns = photo.shape
        if top + height > rows or left + width > columns:
            raise SampleError(f"size {columns}x{rows} is too small for the crop {','.join(map(str, self.crop))}")
        return photo[:, top : top + height, left : left + width]

    def samples(self, photo: Pixels) -> NDArray[np.float32]:
        """Cut a photo (channels, *any size) into samples (n, *shape), n = 1 without tiles. Raises `SampleError`."""
        part = self.cropped(photo)
        _, height, width = self.shape
        rows, columns = part.shape[1:]
        if self.overlap is not None:
            return self._tiles(part)
        if (rows, columns) == (height, width):
            return part[None]
        if not self.resize:
            raise SampleError(f"size {columns}x{rows}, expected {width}x{height} (--resize allows it)")
        if not 1 / STRETCH <= (columns / rows) / (width / height) <= STRETCH:
            raise SampleError(f"size {columns}x{rows} has other proportions than {width}x{height}; crop it")
        return np.clip(resized(part, height, width), -1, 1)[None]

    def samples_or_error(self, photo: Pixels | SampleError) -> NDArray[np.float32] | SampleError:
        """Return the samples of a photo, or the reason why there are none."""
        try:
            return photo if isinstance(photo, SampleError) else self.samples(photo)
        except SampleError as error:
            return error

    def _tiles(self, part: Pixels) -> NDArray[np.float32]:
        side = self.shape[1:]
        if any(given < needed for given, needed in zip(part.shape[1:], side, strict=True)):
            raise SampleError(f"size {part.shape[2]}x{part.shape[1]} is smaller than a tile of {side[1]}x{side[0]}")
        grid = [self.grid(given, needed) for given, needed in zip(part.shape[1:], side, strict=True)]
        reach = [needed + stride * (n - 1) for needed, (n, stride) in zip(side, grid, strict=True)]
        missing = [(0, max(0, end - given)) for end, given in zip(reach, part.shape[1:], strict=True)]
        padded = np.pad(part, [(0, 0), *missing], "reflect")
        tiles: NDArray[np.float32] = cut_windows(padded, side, [stride for _, stride in grid])
        return tiles

    def grid(self, length: int, side: int) -> tuple[int, int]:
        """Return the number of tiles along an axis, and their stride.

        Tiles overlap by at least the configured share. They are spread evenly, so that only a few pixels are missing at
        the end.
        """
        assert self.overlap is not None
        n = math.ceil((length - side) / max(1, round(side * (1 - self.overlap)))) + 1
        return n, math.ceil((length - side) / (n - 1)) if n > 1 else 1

    def stitched(self, maps: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
        """Join the samples' maps (n, height, width) to one map of the inspected part, at the samples' resolution.

        `size` is the photo's (height, width). Overlapping tiles are averaged, each fading towards its edges.
        """
        if self.overlap is None:
            return np.asarray(maps[0])
        rows, columns = self._looked_at(size)
        height, width = self.shape[1:]
        (down, step_down), (across, step_across) = self.grid(rows, height), self.grid(columns, width)
        weight = np.outer(fade(height), fade(width))
        total = np.zeros((height + step_down * (down - 1), width + step_across * (across - 1)))
        weights = np.zeros_like(total)
        for i, tile in enumerate(maps):
            top, left = i // across * step_down, i % across * step_across
            total[top : top + height, left : left + width] += weight * tile
            weights[top : top + height, left : left + width] += weight
        return (total / weights)[:rows, :columns].astype(np.float32)

    def place(self, map_size: tuple[int, ...], size: tuple[int, ...]) -> tuple[int, int, float, float]:
        """Return where a map lies on a photo of `size` (height, width).

        Left and top are in pixels of the photo, followed by the width and height of one map pixel in pixels of the
        photo.
        """
        rows, columns = self._looked_at(size)
        left, top = self.crop[:2] if self.crop else (0, 0)
        return left, top, columns / map_size[1], rows / map_size[0]

    def _looked_at(self, size: tuple[int, ...]) -> tuple[int, int]:
        return (self.crop[3], self.crop[2]) if self.crop else (size[0], size[1])


def fade(side: int) -> NDArray[np.float64]:
    """Return weights (side,) that fall from the middle to the edges, but never to zero."""
    return np.minimum(np.arange(1, side + 1), np.arange(side, 0, -1)) / side


def common_shape(sizes: Iterable[tuple[int, int]], longest: int) -> tuple[int, int]:
    """Return height and width of samples whose longer side is `longest`.

    Their proportions are the commonest among photos of these sizes (height, width); of equally common ones, the larger.
    """
    counts = Counter(sizes)
    (height, width), _ = max(counts.items(), key=lambda item: (item[1], item[0]))
    scale = longest / max(height, width)
    return max(2, round(height * scale)), max(2, round(width * scale))
