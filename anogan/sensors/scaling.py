"""Measurements of any unit -> [-1, 1], by what the training rows of each channel say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from anogan.config.runs import SensorConfig
from anogan.detectors.calibration import Floats

FAR = 1e100  # spreads from the centre, where values end: beyond any measurement, and sums of them are finite


@dataclass(frozen=True)
class Scaling:
    """Centre and spread of each channel (channels,), in its own unit, and at how many spreads from the centre the curve
    bends."""

    centre: tuple[float, ...]
    spread: tuple[float, ...]
    reach: float = SensorConfig.reach

    @classmethod
    def fit(cls, rows: Floats, reach: float = SensorConfig.reach) -> Self:
        """Mean and standard deviation of training rows (n, channels), without the missing values.

        A channel that never changes has a spread of a thousandth of its value, or of 1 where it is zero: it counts for
        nothing while it stays where it is, and for a lot as soon as it moves.
        """
        centre, spread = np.nanmean(rows, axis=0), np.nanstd(rows, axis=0)
        still = spread <= 1e-9 * np.maximum(np.abs(centre), 1e-300)
        spread = np.where(still, np.where(centre == 0, 1.0, np.abs(centre) / 1000), spread)
        return cls(tuple(map(float, centre)), tuple(map(float, spread)), reach)

    def apply(self, rows: Floats) -> Floats:
        """Rows (n, channels) in units of spread from the centre."""
        with np.errstate(over="ignore"):
            scaled: Floats = (rows - np.array(self.centre)) / np.array(self.spread)
        return np.maximum(np.minimum(scaled, FAR), -FAR)

    def to_unit(self, rows: Floats) -> NDArray[np.float32]:
        """Rows in units of spread -> (-1, 1): tanh leaves what is usual nearly as it is and bounds the rest."""
        return np.tanh(rows / self.reach).astype(np.float32)

    def from_unit(self, x: Floats) -> Floats:
        """The inverse of `to_unit`."""
        return np.asarray(self.reach * np.arctanh(x), dtype=np.float64)
