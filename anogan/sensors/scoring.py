"""From rows to scores, causally. A file and a live stream take the same steps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from anogan.detectors import Detector
from anogan.detectors.calibration import Floats
from anogan.files import Json
from anogan.sensors.recordings import GAP
from anogan.sensors.scaling import Scaling
from anogan.sensors.windows import cut_scales, lead_in

WINDOWS_AT_ONCE = 1024  # windows in memory at once


class Usual(NamedTuple):
    """Mean score of a healthy sample, and mean squared residual of each of its channels.

    The channels of the rows come first, then those of the slow scale.
    """

    score: float
    residual: tuple[float, ...]


class ScoredRows(NamedTuple):
    """Scores (n,), NaN where there is none yet, and each channel's share in them (n, channels); shares add up to 1."""

    score: Floats
    shares: NDArray[np.float64]


class Clock:
    """Finds the rows that begin a segment and the rows that are late, from their times alone."""

    def __init__(self, step: float) -> None:
        self.longest = GAP * step
        self.last, self.late_run = -np.inf, 0
        self.late, self.gaps = 0, 0  # so far

    def push(self, time: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which of the next rows begin a segment, and which are older than the row before and are left out.

        GAP late rows in a row mean that the clock was set back: a segment begins.
        """
        starts, late = np.zeros(len(time), bool), np.zeros(len(time), bool)
        steps = np.diff(time, prepend=self.last)
        if not self.late_run and (steps >= 0).all() and (steps <= self.longest).all():
            self.last = float(time[-1])
            return starts, late
        for i, now in enumerate(time.tolist()):
            back = now < self.last
            if back and self.late_run < GAP:
                self.late_run += 1
                late[i] = True
                continue
            starts[i] = back or now - self.last > self.longest
            self.gaps += int(starts[i] and np.isfinite(self.last))
            self.last, self.late_run = now, 0
        self.late += int(late.sum())
        return starts, late


def fill(rows: NDArray[np.float64], before: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace each missing value of rows (n, channels) by the channel's last one, or by `before` (channels,)."""
    missing = np.isnan(rows)
    if not missing.any():
        return rows
    filled = np.concatenate([before[None], rows])
    known = np.concatenate([np.ones((1, rows.shape[1]), bool), ~missing])
    last = np.maximum.accumulate(np.where(known, np.arange(len(filled))[:, None], 0), axis=0)
    filled_up: NDArray[np.float64] = np.take_along_axis(filled, last, axis=0)[1:]
    return filled_up


class RowScorer:
    """Scores rows as they arrive. The score of row t uses rows <= t alone. Its state is bounded and can be saved.

    A missing value becomes the channel's last one, or its training mean if there is none. A late row has no score.
    After a gap of more than GAP steps the window fills again and the moving average begins at the usual score. The
    first `warm_up` rows of a segment are padded with the mean of its first window. Padding looks unusual, so until then
    the score's distance from the usual one is multiplied by the segment's age / warm_up.
    """

    def __init__(
        self, detector: Detector, scaling: Scaling, step: float, slow: int, smoothing: float, usual: Usual
    ) -> None:
        self.detector, self.scaling, self.usual = detector, scaling, usual
        self.window, self.slow = detector.gan_.shape[1], slow
        self.warm_up = self.window * slow if slow > 1 else 0
        self.weight = 1 / smoothing  # of the newest score in the moving average
        self.clock = Clock(step)
        self.seen, self.missing = 0, 0  # rows and values so far
        self._forget()

    def _forget(self) -> None:
        self.average = self.usual.score
        self.age = 0  # rows of this segment, counted up to `warm_up`
        self.rows = np.empty((0, len(self.scaling.centre)))  # the last ones of this segment, in units of spread

    def push(self, time: NDArray[np.float64], values: NDArray[np.float64]) -> ScoredRows:
        """Score rows at time (n,), in seconds, with values (n, channels) in their own units, NaN where missing."""
        score, shares = np.full(len(time), np.nan), np.full(values.shape, np.nan)
        if not len(time):
            return ScoredRows(score, shares)
        starts, late = self.clock.push(time)
        self.seen += len(time)
        self.missing += int(np.isnan(values).sum())
        kept = np.flatnonzero(~late)
        for part in np.split(kept, np.flatnonzero(starts[kept])):
            if len(part) and starts[part[0]]:
                self._forget()
            for begin in range(0, len(part), WINDOWS_AT_ONCE):
                block = part[begin : begin + WINDOWS_AT_ONCE]
                score[block], shares[block] = self._score(values[block])
        return ScoredRows(score, shares)

    def _score(self, values: NDArray[np.float64]) -> ScoredRows:
        """Score up to WINDOWS_AT_ONCE rows that follow the stored ones without a gap."""
        mean = np.zeros(len(self.scaling.centre))  # of the training rows, in units of spread
        new = fill(self.scaling.apply(values), self.rows[-1] if len(self.rows) else mean)
        rows = np.concatenate([self.rows, new])
        score, shares = np.full(len(values), np.nan), np.full(values.shape, np.nan)
        if len(rows) >= self.window:
            if len(self.rows) < self.window:
                rows = np.concatenate([lead_in(rows, self.window, self.slow), rows])
            samples = cut_scales(self.scaling.to_unit(rows).T, self.window, self.slow)
            found = self.detector.explain(samples)
            age = self.age + np.arange(1, len(values) + 1)[-len(samples) :]
            score[-len(samples) :] = self._smoothed(self._warmed_up(found.score, age))
            shares[-len(samples) :] = channel_shares(found.anomaly_map, self.usual, values.shape[1])
            rows = rows[len(samples) :]
        self.rows = rows
        self.age = min(self.age + len(values), self.warm_up)
        return ScoredRows(score, shares)

    def _warmed_up(self, score: Floats, age: NDArray[np.int64]) -> Floats:
        usual = self.usual.score
        return np.where(age < self.warm_up, usual + (score - usual) * age / max(self.warm_up, 1), score)

    def _smoothed(self, score: Floats) -> Floats:
        """Compute the exponential moving average."""
        keep = 1 - self.weight
        smooth, _ = lfilter([self.weight], [1, -keep], score, zi=[keep * self.average])
        self.average = float(smooth[-1])
        return np.asarray(smooth, dtype=np.float64)

    # State, as JSON.

    def state(self) -> Json:
        """Return the state as JSON."""
        clock = self.clock
        return {
            "last": clock.last if np.isfinite(clock.last) else None,
            "late_run": clock.late_run,
            "late": clock.late,
            "gaps": clock.gaps,
            "seen": self.seen,
            "missing": self.missing,
            "average": self.average,
            "age": self.age,
            "rows": self.rows.tolist(),
        }

    def restore(self, state: Json) -> None:
        """Continue from a `state`."""
        clock = self.clock
        clock.last = -np.inf if state["last"] is None else float(state["last"])
        clock.late_run, clock.late, clock.gaps = state["late_run"], state["late"], state["gaps"]
        self.seen, self.missing = state["seen"], state["missing"]
        self.average, self.age = float(state["average"]), int(state["age"])
        self.rows = np.array(state["rows"], dtype=np.float64).reshape(-1, len(self.scaling.centre))


def channel_residuals(anomaly_map: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compute the mean squared residual of each channel (n, channels) from maps (n, channels, window)."""
    return np.asarray(np.square(anomaly_map, dtype=np.float64).mean(2), dtype=np.float64)


def channel_shares(anomaly_map: NDArray[np.float32], usual: Usual, channels: int) -> NDArray[np.float64]:
    """Compute each channel's share (n, channels) in the residual, in units of the usual one, over both scales."""
    found = channel_residuals(anomaly_map) / np.array(usual.residual)
    found = found.reshape(len(found), -1, channels).sum(1)
    return np.asarray(found / np.maximum(found.sum(1, keepdims=True), 1e-12), dtype=np.float64)
