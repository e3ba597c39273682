"""The graph of a model of photos: crop, grey, resizing or tiles, and maps of the inspected part."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from anogan.errors import SampleError
from anogan.export.graph import Found, Graph, Input, disturbed, to_bytes
from anogan.files import Json
from anogan.photos.folders import find_photos
from anogan.photos.model import PhotoModel
from anogan.pictures.files import header, pixels_of, resized
from anogan.pictures.framing import fade
from anogan.runs.bundle import Bundle

LUMINANCE = (19595, 38470, 7471)  # of red, green, blue, in parts of 65536: Pillow's; float32 holds the sums exactly
COMPARED_PIXELS = 2**25  # of a batch to compare
TINT = 20  # most that a colour of some drawn photos differs from grey


class PhotoGraph(Graph):
    """Photos (n, height, width, 3) of one size as bytes 0 to 255: red, green, blue. A grey camera repeats its value."""

    kind, inputs = "photos", ("photo",)

    def __init__(self, model: PhotoModel, size: tuple[int, int]) -> None:
        """Build the graph for photos of `size` (height, width). Raises `SampleError` if the model cannot use them."""
        super().__init__(model.detector, model.detector.threshold_)
        self.model, self.size, framing = model, size, model.framing
        channels, height, width = self.gan.shape
        blank = np.zeros((channels, *size), np.float32)
        self.parts, (_, rows, columns) = len(framing.samples(blank)), framing.cropped(blank).shape
        self.rows, self.columns = rows, columns
        self.left, self.top = framing.crop[:2] if framing.crop else (0, 0)
        most = max(2, COMPARED_PIXELS // max(math.prod(size), self.parts * height * width))
        self.batches = tuple(min(n, most) for n in Graph.batches)
        self.luminance = torch.tensor(LUMINANCE, dtype=torch.float32)
        if framing.overlap is None:
            self.across = _resizing(columns, width)
            self.down = _resizing(rows, height).T.contiguous()
        else:
            (down, step_down), (across, step_across) = framing.grid(rows, height), framing.grid(columns, width)
            self.step = (step_down, step_across)
            self.reach = (height + step_down * (down - 1), width + step_across * (across - 1))
            self.weight = torch.from_numpy(np.outer(fade(height), fade(width))).float()

    def forward(self, photo: Tensor) -> tuple[Tensor, ...]:
        x = photo[:, self.top : self.top + self.rows, self.left : self.left + self.columns].float()
        if self.gan.shape[0] == 1:
            x = (((x * self.luminance).sum(3, keepdim=True) + 32768) / 65536).floor()
        x = x.movedim(3, 1) / 127.5 - 1
        tiled = self.model.framing.overlap is not None
        score, x_hat, anomaly_map = self.detector.one_pass(self._tiles(x) if tiled else self._resized(x))
        anomaly_map = anomaly_map.amax(1, keepdim=True)
        if tiled:
            score = score.unflatten(0, (-1, self.parts)).amax(1)
            x_hat, anomaly_map = self._stitched(x_hat), self._stitched(anomaly_map)
        return self.judged(score.double(), x_hat, anomaly_map[:, 0])

    def _resized(self, x: Tensor) -> Tensor:
        if (self.rows, self.columns) == self.gan.shape[1:]:
            return x
        return (self.down @ (x @ self.across)).clamp(-1, 1)

    def _tiles(self, x: Tensor) -> Tensor:
        """Cut (n, channels, rows, columns) into tiles (n parts, *shape)."""
        missing = (0, max(0, self.reach[1] - self.columns), 0, max(0, self.reach[0] - self.rows))
        columns = F.unfold(F.pad(x, missing, "reflect"), self.gan.shape[1:], stride=self.step)
        return columns.transpose(1, 2).reshape(-1, *self.gan.shape)

    def _stitched(self, maps: Tensor) -> Tensor:
        """Join maps of the tiles (n parts, channels, height, width) to (n, channels, rows, columns)."""

        def folded(tiles: Tensor) -> Tensor:
            columns = tiles.unflatten(0, (-1, self.parts)).flatten(2).transpose(1, 2)
            return F.fold(columns, self.reach, self.gan.shape[1:], stride=self.step)

        weights = folded(self.weight.expand(self.parts, 1, -1, -1))
        return (folded(maps * self.weight) / weights)[:, :, : self.rows, : self.columns]

    def about(self) -> Json:
        framing, (height, width) = self.model.framing, self.size
        return {
            "input": f"photo: uint8 0-255, red green blue, (n, {height}, {width}, 3)",
            "false_alarm_rate": self.detector.false_alarm_rate,
            "crop": ",".join(map(str, framing.crop)),
            "tiles": self.parts if framing.overlap is not None else 0,
            "sample": ",".join(map(str, self.gan.shape)),
        }

    def draw(self, n: int, stream: np.random.Generator) -> tuple[Input, ...]:
        x = to_bytes(disturbed(self._drawn(n, stream), stream))
        tint = stream.integers(-TINT, TINT + 1, (n, 3, 1, 1)) * (np.arange(n) % 3 > 0)[:, None, None, None]
        photo = np.zeros((n, *self.size, 3), np.uint8)
        part = photo[:, self.top : self.top + self.rows, self.left : self.left + self.columns]
        part[...] = np.moveaxis(np.clip(x + tint, 0, 255), 1, 3)
        return (photo,)

    def _drawn(self, n: int, stream: np.random.Generator) -> NDArray[np.float32]:
        """Generate pictures as large as the inspected part (n, channels, rows, columns)."""
        channels, height, width = self.gan.shape
        if self.model.framing.overlap is None:
            x = self.generated(n, stream)
            return np.clip(np.stack([resized(one, self.rows, self.columns) for one in x]), -1, 1)
        down, across = math.ceil(self.rows / height), math.ceil(self.columns / width)
        x = self.generated(n * down * across, stream).reshape(n, down, across, channels, height, width)
        mosaic = x.transpose(0, 3, 1, 4, 2, 5).reshape(n, channels, down * height, across * width)
        return mosaic[:, :, : self.rows, : self.columns]

    def python(self, *inputs: Input) -> Found:
        (photos,) = inputs
        inspections = self.model.inspect([pixels_of(Image.fromarray(photo), self.gan.shape[0]) for photo in photos])
        # None is an error: the constructor has tried the size.
        good = [one for one in inspections if not isinstance(one, SampleError)]
        score = np.array([one.score for one in good])
        return self.told(score, np.stack([one.reconstruction for one in good]), np.stack([one.map for one in good]))


def _resizing(length: int, to: int) -> Tensor:
    """Return the matrix that resizes rows of a photo (..., length) to (..., to).

    Resizing is linear along each axis, so resized unit vectors are its coefficients.
    """
    return torch.from_numpy(resized(np.eye(length, dtype=np.float32)[None], length, to)[0])


def usual_size(bundle: Bundle) -> tuple[int, int]:
    """Return height and width of most photos that a run was trained on. Raises `ValueError` if they no longer exist."""
    folder = Path(bundle.about["data"])
    sizes: Counter[tuple[int, int]] = Counter()
    try:
        for file in find_photos(folder).good:
            try:
                sizes[header(file)[0]] += 1
            except SampleError:
                continue
    except ValueError as error:
        raise ValueError(
            f"the photos that {bundle.folder} was trained on no longer exist ({error}): give --photo-size"
        ) from None
    if not sizes:
        raise ValueError(f"{folder} holds no readable photo: give --photo-size")
    return max(sizes, key=lambda size: (sizes[size], size))
