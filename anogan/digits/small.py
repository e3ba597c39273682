"""The 1,797 digits that come with scikit-learn (8x8, resized to 28x28). They need no network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from anogan.digits.splits import ImageSet


def _resize(image: NDArray[np.float64]) -> NDArray[np.uint8]:
    scaled = Image.fromarray(np.rint(image * 255 / 16).astype(np.uint8))
    return np.asarray(scaled.resize((28, 28), Image.Resampling.BICUBIC))


def load_digits(root: str | None = None) -> ImageSet:
    """Load the digits: two thirds to train, one third to test, by a fixed stratified split. `root` is not used."""
    from sklearn.datasets import load_digits as embedded
    from sklearn.model_selection import train_test_split

    bunch = embedded()
    x = np.stack([_resize(image) for image in bunch.images])[:, None]
    label = bunch.target.astype(np.int64)
    train, test = train_test_split(np.arange(len(x)), test_size=1 / 3, random_state=0, stratify=label)
    classes = tuple(str(digit) for digit in range(10))
    return ImageSet("digits", x[train], label[train], x[test], label[test], classes, "scikit-learn")
