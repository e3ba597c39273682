"""Rows as they come -> scores and alarms: how files, live monitoring, the server and trials all follow a machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anogan.detectors.calibration import Floats
from anogan.sensors.alarms import Alarm, AlarmTracker
from anogan.sensors.scoring import RowScorer


class Followed(NamedTuple):
    """Scores of rows (n,), NaN where there is none, each channel's share in them (n, channels), and the alarms that
    began or ended, each with its row."""

    score: Floats
    shares: NDArray[np.float64]
    changes: list[tuple[int, Alarm]]


class Follower:
    """Scores rows and follows the alarms. What it remembers is bounded and is saved as JSON."""

    def __init__(self, scorer: RowScorer, tracker: AlarmTracker) -> None:
        self.scorer, self.tracker = scorer, tracker

    def push(self, time: NDArray[np.float64], stamps: Sequence[Any], values: NDArray[np.float64]) -> Followed:
        """Rows at time (n,), in seconds, with values (n, channels) in their own units, NaN where missing; alarms tell
        their begin and end by `stamps` (n,)."""
        found = self.scorer.push(time, values)
        return Followed(found.score, found.shares, self.tracker.push(stamps, found.score, found.shares))

    def state(self) -> dict[str, Any]:
        return {"scorer": self.scorer.state(), "tracker": self.tracker.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `state`."""
        self.scorer.restore(state["scorer"])
        self.tracker.restore(state["tracker"])
