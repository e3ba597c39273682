"""From measurements in any unit to [-1, 1], by the training rows of each channel."""

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
    """Centre and spread of each channel (channels,); the curve bends at `reach` spreads from the centre."""

    centre: tuple[float, ...]
    spread: tuple[float, ...]
    reach: float = SensorConfig.reach

    @classmethod
    def fit(cls, rows: Floats, reach: float = SensorConfig.reach) -> Self:
        """Compute mean and standard deviation of training rows (n, channels), ignoring missing values.

        A constant channel has a spread of a thousandth of its value, or of 1 if it is zero. It has no effect while it
        stays constant, and a large one as soon as it moves.
        """
        centre, spread = np.nanmean(rows, axis=0), np.nanstd(rows, axis=0)
        still = spread <= 1e-9 * np.maximum(np.abs(centre), 1e-300)
        spread = np.where(still, np.where(centre == 0, 1.0, np.abs(centre) / 1000), spread)
        return cls(tuple(map(float, centre)), tuple(map(float, spread)), reach)

    def apply(self, rows: Floats) -> Floats:
        """Express rows (n, channels) in spreads from the centre."""
        with np.errstate(over="ignore"):
            scaled: Floats = (rows - np.array(self.centre)) / np.array(self.spread)
        return np.maximum(np.minimum(scaled, FAR), -FAR)

    def to_unit(self, rows: Floats) -> NDArray[np.float32]:
        """Map rows in spreads to (-1, 1) by tanh, which hardly changes usual values and bounds all others."""
        return np.tanh(rows / self.reach).astype(np.float32)

    def from_unit(self, x: Floats) -> Floats:
        """Undo `to_unit`."""
        return np.asarray(self.reach * np.arctanh(x), dtype=np.float64)
