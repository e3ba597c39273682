"""Image files as a source of photos. The next photos are read while others are scored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from anogan.pictures.files import PHOTOS, batches, decoded_bytes, read_photos
from anogan.runs.scoring import Samples, _identity


class PhotoFiles:
    """Image files as photos (channels, *any size), at most `block` of them at once, and fewer if they are large.

    `known_as` identifies the source if its paths change while it is read. By default the files identify it.
    """

    column = "file"

    def __init__(self, paths: Sequence[Path], channels: int, block: int = PHOTOS, known_as: Any = None) -> None:
        self.paths, self.channels, self.block, self.known_as = paths, channels, block, known_as

    def __len__(self) -> int:
        return len(self.paths)

    def identity(self) -> Any:
        return list(map(_identity, self.paths)) if self.known_as is None else self.known_as

    def fitting(self, begin: int, end: int) -> int:
        first = next(batches(self.paths[begin:end], lambda path: decoded_bytes(path, self.channels), self.block))
        return begin + len(first)

    def read(self, begin: int, end: int) -> tuple[list[str], Samples]:
        paths = self.paths[begin:end]
        return list(map(str, paths)), list(read_photos(paths, self.channels))
