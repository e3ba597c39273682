"""From new rows to scores and alarms. Files, live monitoring, the server and trials all use the same steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anogan.detectors.calibration import Floats
from anogan.files import Json
from anogan.sensors.alarms import Alarm, AlarmTracker
from anogan.sensors.scoring import RowScorer


class Followed(NamedTuple):
    """Scores (n,), NaN where there is none, shares (n, channels), and alarms that began or ended with their rows."""

    score: Floats
    shares: NDArray[np.float64]
    changes: list[tuple[int, Alarm]]


class Follower:
    """Scores rows and follows the alarms. Its state is bounded and is saved as JSON."""

    def __init__(self, scorer: RowScorer, tracker: AlarmTracker) -> None:
        self.scorer, self.tracker = scorer, tracker

    def push(self, time: NDArray[np.float64], stamps: Sequence[Any], values: NDArray[np.float64]) -> Followed:
        """Take rows at time (n,), in seconds, with values (n, channels) in their own units, NaN where missing.

        Alarms give their begin and end as in `stamps` (n,).
        """
        found = self.scorer.push(time, values)
        return Followed(found.score, found.shares, self.tracker.push(stamps, found.score, found.shares))

    def state(self) -> Json:
        """Return the state as JSON."""
        return {"scorer": self.scorer.state(), "tracker": self.tracker.state()}

    def restore(self, state: Json) -> None:
        """Continue from a `state`."""
        self.scorer.restore(state["scorer"])
        self.tracker.restore(state["tracker"])
