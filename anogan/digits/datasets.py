"""Data sets by name. A new one is a function `load(root) -> ImageSet` and one entry here."""

from anogan.digits import idx, small
from anogan.digits.splits import PROTOCOLS, ImageSet, Split, leave_one_out, one_vs_rest

DATASETS = {"mnist": idx.load_mnist, "fashion-mnist": idx.load_fashion_mnist, "digits": small.load_digits}


def load_dataset(name: str, root: str | None = None) -> ImageSet:
    """Load a data set, fetching it if need be; `root` as in `idx.data_root`. Raises `ValueError` on an unknown name
    and `DataUnavailableError` when no source answers."""
    if name not in DATASETS:
        raise ValueError(f"unknown data set {name!r}; choose from {', '.join(DATASETS)}")
    return DATASETS[name](root)


__all__ = ["DATASETS", "PROTOCOLS", "ImageSet", "Split", "leave_one_out", "load_dataset", "one_vs_rest"]
