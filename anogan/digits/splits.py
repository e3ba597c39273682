"""Labelled images, and what an anomaly detector may see of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anogan.pictures.files import Images, to_unit_range

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class ImageSet:
    """Official training and test images (n, channels, height, width) as bytes, and their class numbers (n,)."""

    name: str
    x_train: Images
    label_train: Labels
    x_test: Images
    label_test: Labels
    classes: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class Split:
    """One protocol's view: normal training samples, and all test samples with y = 1 where anomalous; in [-1, 1]."""

    x_train: NDArray[np.float32]
    x_test: NDArray[np.float32]
    y_test: Labels
    label_test: Labels
    classes: tuple[str, ...]


def parse_classes(normal: str, classes: tuple[str, ...]) -> list[int]:
    """'3', '0,2' or 'all' -> class numbers; a number or a class's name. Raises `ValueError` naming the choices."""
    if normal == "all":
        return list(range(len(classes)))
    chosen = []
    for word in normal.split(","):
        if word.strip() in classes:
            chosen.append(classes.index(word.strip()))
        elif word.strip().isdecimal() and int(word) < len(classes):
            chosen.append(int(word))
        else:
            raise ValueError(f"unknown normal class {word.strip()!r}; choose from {', '.join(classes)}, or all")
    return sorted(set(chosen))


def one_vs_rest(images: ImageSet, normal: str) -> Split:
    """The chosen class is normal, all others are anomalous: train on its training images, test on every test image."""
    return _split(images, parse_classes(normal, images.classes))


def leave_one_out(images: ImageSet, anomalous: str) -> Split:
    """The chosen class is anomalous, all others are normal; else as `one_vs_rest`."""
    left_out = parse_classes(anomalous, images.classes)
    return _split(images, [c for c in range(len(images.classes)) if c not in left_out])


def _split(images: ImageSet, normal: list[int]) -> Split:
    return Split(
        x_train=to_unit_range(images.x_train[np.isin(images.label_train, normal)]),
        x_test=to_unit_range(images.x_test),
        y_test=(~np.isin(images.label_test, normal)).astype(np.int64),
        label_test=images.label_test,
        classes=images.classes,
    )


PROTOCOLS = {"one_vs_rest": one_vs_rest, "leave_one_out": leave_one_out}
