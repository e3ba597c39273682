"""`anogan data`."""

from __future__ import annotations

import numpy as np
import pandas as pd

from anogan.cli.options.others import Data
from anogan.cli.progress import clock
from anogan.digits.datasets import load_dataset


def run(options: Data) -> int:
    """Download a data set and print its classes. Returns the exit status."""
    with clock(f"get {options.name}"):
        images = load_dataset(options.name, options.data_root)
    print(f"{images.name}: {'x'.join(map(str, images.x_train.shape[1:]))} from {images.source}")
    table = pd.DataFrame(
        {
            "train": np.bincount(images.label_train, minlength=len(images.classes)),
            "test": np.bincount(images.label_test, minlength=len(images.classes)),
        },
        index=list(images.classes),
    )
    table.loc["all"] = table.sum()
    print(table.to_string())
    return 0
