"""Labelled images, and the part of them that an anomaly detector may see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anogan.pictures.files import Images, to_unit_range

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class ImageSet:
    """Training and test images (n, channels, height, width) as bytes, with their class numbers (n,)."""

    name: str
    x_train: Images
    label_train: Labels
    x_test: Images
    label_test: Labels
    classes: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class Split:
    """Normal training samples, and all test samples with y = 1 if anomalous, all in [-1, 1]."""

    x_train: NDArray[np.float32]
    x_test: NDArray[np.float32]
    y_test: Labels
    label_test: Labels
    classes: tuple[str, ...]


def parse_classes(normal: str, classes: tuple[str, ...]) -> list[int]:
    """Read '3', '0,2', 'all' or names as class numbers. Raises `ValueError` with the choices."""
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
    """Take the chosen classes as normal and all others as anomalous.

    Parameters
    ----------
    images : ImageSet
        A data set from `load_dataset`.
    normal : str
        Numbers or names of normal classes, such as "3" or "0,2"; "all" takes every class.

    Returns
    -------
    Split
        Training images of the normal classes, and every test image, in [-1, 1].

    Raises
    ------
    ValueError
        If there is no such class.
    """
    return _split(images, parse_classes(normal, images.classes))


def leave_one_out(images: ImageSet, anomalous: str) -> Split:
    """Take the chosen classes as anomalous and all others as normal; otherwise as `one_vs_rest`."""
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
