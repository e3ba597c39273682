"""Samples of recordings on two time scales."""

from __future__ import annotations

from functools import reduce

import numpy as np
from numpy.typing import NDArray

from anogan.detectors.calibration import Floats
from anogan.windows import cut_windows

SLOW_WINDOWS = 8  # least number of separate slow windows to learn from


def slow_scale(n_rows: int, window: int, slow: int) -> int:
    """Return `slow`, the rows of a slow block, or 1 if `n_rows` hold fewer than SLOW_WINDOWS slow windows."""
    return slow if n_rows >= SLOW_WINDOWS * window * slow else 1


def lead_in(rows: Floats, window: int, slow: int) -> Floats:
    """Return the padding before the first rows (at least `window`, channels) of a segment.

    It repeats the mean of the first window until there are enough rows for the slow scale.
    """
    return np.repeat(rows[:window].mean(0, keepdims=True), window * (slow - 1), axis=0)


def cut_scales(x: NDArray[np.float32], window: int, slow: int, stride: int = 1) -> NDArray[np.float32]:
    """Cut every `stride`-th sample (n, channels or 2 channels, window) of window * slow rows from x (channels, length).

    Channels of a sample: its last `window` rows, then (if slow > 1) `window` means over blocks of `slow` rows.
    """
    fast = cut_windows(x[:, window * (slow - 1) :], window, stride)
    if slow == 1:
        return fast
    ends = x.shape[1] - slow + 1
    means = reduce(np.add, (x[:, i : ends + i] for i in range(slow))) / np.float32(slow)
    blocks = cut_windows(means, (window - 1) * slow + 1, stride)[:, :, ::slow]
    return np.concatenate([fast, blocks], axis=1)
