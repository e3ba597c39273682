"""Windows cut out of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)


def cut_windows(x: NDArray[T], size: int | Sequence[int], stride: int | Sequence[int] = 1) -> NDArray[T]:
    """Cut all whole windows out of an array.

    Parameters
    ----------
    x : array (channels, *length)
        One or two axes after the channels.
    size : int or sequence of int
        Length of a window along each axis, in values. One number stands for all axes.
    stride : int or sequence of int
        Distance between neighbouring windows along each axis, in values. 1, the default, cuts all windows there are.

    Returns
    -------
    array (n, channels, *size)
        The last axis moves fastest. In one dimension it is a read-only view, so that long recordings take no memory.

    Raises
    ------
    ValueError
        If x is smaller than a window, or size or stride do not fit the axes.

    Examples
    --------
    >>> cut_windows(np.arange(5)[None], 3, stride=2).tolist()
    [[[0, 1, 2]], [[2, 3, 4]]]
    """
    dims = x.ndim - 1
    sizes, strides = (tuple(given) if isinstance(given, Sequence) else (given,) * dims for given in (size, stride))
    if dims not in (1, 2) or len(sizes) != dims or len(strides) != dims:
        raise ValueError(f"expected one or two axes after the channels, a size and a stride for each, got {x.shape}")
    if min(sizes) < 1 or min(strides) < 1:
        raise ValueError(f"size and stride must be at least 1, got {sizes} and {strides}")
    if any(window > side for window, side in zip(sizes, x.shape[1:], strict=True)):
        raise ValueError(f"a window of {sizes} does not fit into {x.shape[1:]}")
    windows = sliding_window_view(x, sizes, axis=tuple(range(1, dims + 1)))
    windows = windows[(slice(None), *(slice(None, None, step) for step in strides))]
    moved = np.moveaxis(windows, 0, dims)  # (*places, channels, *size)
    return moved.reshape(-1, x.shape[0], *sizes) if dims == 2 else moved
