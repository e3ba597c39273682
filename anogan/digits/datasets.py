"""Data sets by name. A new one is a function `load(root) -> ImageSet` and one entry here."""

from anogan.digits import idx, small
from anogan.digits.splits import PROTOCOLS, ImageSet, Split, leave_one_out, one_vs_rest

DATASETS = {"mnist": idx.load_mnist, "fashion-mnist": idx.load_fashion_mnist, "digits": small.load_digits}


def load_dataset(name: str, root: str | None = None) -> ImageSet:
    """Load a data set of images, and download it first if it is missing.

    Parameters
    ----------
    name : str
        "mnist", "fashion-mnist" or "digits", which comes with scikit-learn and needs no network.
    root : str, optional
        Folder of the files; by default the environment variable ANOGAN_DATA, or else a cache folder of this user.

    Returns
    -------
    ImageSet
        Training and test images as bytes, with their classes.

    Raises
    ------
    ValueError
        If the name is unknown.
    DataUnavailableError
        If no source answers.

    Examples
    --------
    >>> load_dataset("digits").x_train.shape
    (1198, 1, 28, 28)
    """
    if name not in DATASETS:
        raise ValueError(f"unknown data set {name!r}; choose from {', '.join(DATASETS)}")
    return DATASETS[name](root)


__all__ = ["DATASETS", "PROTOCOLS", "ImageSet", "Split", "leave_one_out", "load_dataset", "one_vs_rest"]
