"""Scores of held-out normal samples -> a threshold at a false-alarm rate, and conformal p-values."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from anogan.errors import CalibrationWarning

Floats = NDArray[np.float64]


def p_values(calibration: Floats, scores: Floats) -> Floats:
    """Compute conformal p-values: (1 + #{calibration >= score}) / (n + 1).

    They are valid for exchangeable samples (Vovk et al. 2005; Bates et al. 2023).

    Parameters
    ----------
    calibration
        Scores (n,) of held-out normal samples.
    scores
        Scores of new samples, of any shape.

    Examples
    --------
    >>> p_values(np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.35, 9.0]))  # one of four is as high; none
    array([0.4, 0.2])
    """
    ordered = np.sort(calibration)
    at_least = len(ordered) - np.searchsorted(ordered, scores, side="left")
    return np.asarray((1.0 + at_least) / (len(ordered) + 1.0), dtype=np.float64)


def threshold_at(calibration: Floats, false_alarm_rate: float) -> float:
    """Find the score above which p <= false_alarm_rate.

    Parameters
    ----------
    calibration
        Scores (n,) of held-out normal samples.
    false_alarm_rate
        Share of normal samples that may be flagged, in (0, 1).

    Warns
    -----
    CalibrationWarning
        If n is too small for this rate. The threshold is then the largest score.

    Examples
    --------
    >>> threshold_at(np.arange(100.0), 0.05)  # 96 to 99 may be as high as a flagged score
    95.0
    """
    if not 0 < false_alarm_rate < 1:
        raise ValueError(f"false_alarm_rate must be in (0, 1), got {false_alarm_rate!r}")
    n = len(calibration)
    possible = np.arange(1, n + 2) / (n + 1)  # in the arithmetic of p_values, so that the two agree exactly
    exceedances = int((possible <= false_alarm_rate).sum()) - 1  # #{calibration >= score} allowed
    if exceedances < 0:
        warnings.warn(
            f"{n} held-out normal samples cannot support a false-alarm rate of {false_alarm_rate:g}; "
            f"the threshold promises {1 / (n + 1):.2g} instead; "
            f"hold out at least {int(np.ceil(1 / false_alarm_rate)) - 1}",
            CalibrationWarning,
            stacklevel=2,
        )
        exceedances = 0
    return float(np.sort(calibration)[n - 1 - exceedances])


def hold_out(n: int, share: float, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Draw row numbers for training and for calibration, disjoint and by the seed."""
    order = np.random.default_rng([seed, n]).permutation(n)
    count = round(share * n)
    return np.sort(order[count:]), np.sort(order[:count])
