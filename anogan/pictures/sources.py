"""Image files as a source of samples, read ahead while others are scored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anogan.errors import SampleError
from anogan.pictures.files import how_many_fit, read_photos
from anogan.pictures.framing import Framing
from anogan.runs.scoring import BLOCK, Samples, _identity

PHOTOS = 16  # photos in memory at once, fewer where they are large


class PhotoFiles:
    """Image files as photos (channels, *any size)."""

    column = "file"
    known_as: Any = None  # its identity, where the paths change while it is read

    def __init__(self, paths: Sequence[Path], channels: int) -> None:
        self.paths, self.channels = paths, channels

    @property
    def block(self) -> int:
        return PHOTOS

    def __len__(self) -> int:
        return len(self.paths)

    def identity(self) -> Any:
        return list(map(_identity, self.paths)) if self.known_as is None else self.known_as

    def fitting(self, begin: int, end: int) -> int:
        return begin + how_many_fit(self.paths[begin:end], self.channels)

    def read(self, begin: int, end: int) -> tuple[list[str], Samples]:
        paths = self.paths[begin:end]
        return list(map(str, paths)), list(read_photos(paths, self.channels))


class ImageFiles(PhotoFiles):
    """Image files as samples of `shape`."""

    def __init__(self, paths: Sequence[Path], shape: tuple[int, ...], resize: bool) -> None:
        super().__init__(paths, shape[0])
        self.framing = Framing(shape, resize=resize)

    @property
    def block(self) -> int:
        return BLOCK

    def identity(self) -> Any:
        return [self.framing.resize, *super().identity()] if self.known_as is None else self.known_as

    def read(self, begin: int, end: int) -> tuple[list[str], Samples]:
        names, photos = super().read(begin, end)
        return names, [self._sample(photo) for photo in photos]

    def _sample(self, photo: NDArray[np.float32] | SampleError) -> NDArray[np.float32] | SampleError:
        try:
            return photo if isinstance(photo, SampleError) else self.framing.samples(photo)[0]
        except SampleError as error:
            return error
