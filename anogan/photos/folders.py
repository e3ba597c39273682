"""Folders of photos: good parts alone, or the layout of MVTec AD with labelled test photos and masks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from anogan.errors import SampleError
from anogan.pictures.files import images_in, opened

GOOD = "good"


@dataclass(frozen=True)
class LabelledPhoto:
    """A test photo, the name of its folder ("good" or a kind of defect), and the file of its mask, if it has one."""

    path: Path
    kind: str
    mask: Path | None


@dataclass(frozen=True)
class PhotoFolder:
    """Photos of good parts to train on, and labelled ones to test with, if there are any."""

    good: tuple[Path, ...]
    test: tuple[LabelledPhoto, ...]


def find_photos(root: Path) -> PhotoFolder:
    """Find the photos below `root`. Raises `ValueError` if there are none.

    With a folder train/good the layout is that of MVTec AD (Bergmann et al. 2019): train/good, test/good, test/KIND and
    ground_truth/KIND/NAME_mask.png. Otherwise every photo shows a good part.
    """
    if not root.is_dir():
        raise ValueError(f"{root} is not a folder")
    training = root / "train" / GOOD
    good = images_in(training if training.is_dir() else root)
    if not good:
        raise ValueError(f"{training if training.is_dir() else root} holds no photo")
    return PhotoFolder(tuple(good), tuple(labelled_photos(root)) if training.is_dir() else ())


def labelled_photos(root: Path) -> list[LabelledPhoto]:
    """List the test photos of the layout of MVTec AD; none if there is no folder test/."""
    photos = []
    for folder in sorted(path for path in (root / "test").glob("*") if path.is_dir()):
        for path in images_in(folder):
            mask = root / "ground_truth" / folder.name / f"{path.stem}_mask.png"
            photos.append(LabelledPhoto(path, folder.name, mask if mask.is_file() else None))
    return photos


def read_mask(path: Path, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Read a mask as (height, width), True where defective, resized to `size` by majority."""
    try:
        with opened(path) as image:
            grey = image.convert("L")
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise SampleError(f"{path}: damaged: {error}") from error
    if grey.size != size[::-1]:
        grey = grey.point(lambda value: 255 if value else 0).resize(size[::-1], Image.Resampling.BOX)
    return np.asarray(grey) > 127
