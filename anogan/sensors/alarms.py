"""From scores to alarms: a threshold that keeps a budget of false alarms, a minimum duration, and hysteresis."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import betainc, betaincinv

from anogan.budgets import in_words, per_second
from anogan.config.runs import AlarmConfig
from anogan.detectors.calibration import Floats, p_values
from anogan.errors import CalibrationWarning
from anogan.files import Json

DRAWN = 1_000_000  # simulated values for a factor of Gumbel's law
FARTHEST = 1e4  # standard deviations above the mean of few peaks


def persistent(score: Floats, rows: int) -> Floats:
    """Compute the rolling minimum over `rows` scores: it is above a threshold only if the last `rows` scores all are.

    It is NaN in the first rows - 1 rows, and wherever one of the scores is NaN.
    """
    padded = np.concatenate([np.full(rows - 1, np.nan), score])
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, rows).min(axis=1), dtype=np.float64)


def peaks_borne(n: int, share: float, confidence: float) -> int | None:
    """Return how many of n independent peaks may lie above a threshold that a new one exceeds with probability `share`.

    With k of them above it, that probability follows the beta distribution of k + 1 and n - k. So it is at most `share`
    in a share `confidence` of all calibrations (tolerance limits: Wilks 1941). Returns None if n is too small for that.
    """
    k = np.arange(n)
    kept = int((betainc(k + 1, n - k, share) >= confidence).sum())
    return kept - 1 if kept else None


@cache
def _gumbel_factor(n: int, share: float) -> float:
    """Return the factor by which `gumbel_quantile` multiplies the standard deviation of n peaks, by simulation."""
    drawn = np.random.default_rng(0).gumbel(size=(max(DRAWN // n, 100), n))
    mean, spread = drawn.mean(1), drawn.std(1)

    def excess(far: float) -> float:
        return float(-np.expm1(-np.exp(-(mean + far * spread))).mean()) - share

    return brentq(excess, -10.0, FARTHEST) if n > 1 and excess(FARTHEST) < 0 else FARTHEST


def gumbel_quantile(peaks: Floats, share: float) -> float:
    """Return the value that the next peak exceeds with probability `share`, if peaks follow Gumbel's law (Gumbel 1958).

    It is the mean of the peaks plus a factor times their standard deviation. The factor makes the probability right on
    average over sets of so few peaks, so it includes what they leave uncertain (a predictive quantile: Geisser 1993).
    """
    return float(peaks.mean() + _gumbel_factor(len(peaks), share) * peaks.std())


@dataclass(frozen=True)
class AlarmRule:
    """When an alarm begins and ends.

    It begins when the score has been above `threshold` for `persist` rows, and ends when it has been below `release`
    for as many. Most healthy rows are below `usual`. `peaks` are the highest persistent scores of held-out healthy
    blocks of `block` rows each, sorted. `step` is the time between rows in seconds. The other attributes are settings
    of `AlarmConfig`.
    """

    threshold: float
    release: float
    usual: float
    persist: int
    block: int
    step: float
    budget: str
    confidence: float
    usual_quantile: float
    slow_rise: float
    peaks: tuple[float, ...]

    @classmethod
    def calibrate(cls, held_out: Sequence[Floats], block: int, step: float, config: AlarmConfig) -> AlarmRule:
        """Find the lowest threshold that keeps the budget, from scores of healthy stretches not trained on.

        Rows without a score are ignored, as in `AlarmTracker`. Neighbouring rows are alike, so blocks are counted: of n
        healthy blocks, k have a peak above the threshold. The next one has such a peak with probability (k + 1) / (n +
        1) on average (Vovk et al. 2005), and `peaks_borne` gives the k that keeps the budget with confidence. If n is
        too small for that, the highest peak alone would decide, which is luck; the threshold is then at least the one
        that keeps the budget on average if peaks follow Gumbel's law. Warns `CalibrationWarning` if n is too small for
        the budget even on average.
        """
        parts = [part[np.isfinite(part)] for part in held_out if np.isfinite(part).any()]
        lasting = [persistent(part, config.persist) for part in parts]
        blocks = [part[begin : begin + block] for part in lasting for begin in range(0, len(part) - block + 1, block)]
        if not blocks:
            raise ValueError(f"expected at least one healthy block of {block} rows to calibrate on, got none")
        peaks = np.sort([np.nanmax(part) for part in blocks])
        share = -math.expm1(-per_second(config.budget) * block * step)  # of blocks in which an alarm may begin
        borne = peaks_borne(len(peaks), share, config.confidence)
        highest = float(peaks[-1])
        threshold = max(highest, gumbel_quantile(peaks, share)) if borne is None else float(peaks[-1 - borne])
        usual = min(threshold, float(np.quantile(np.concatenate(parts), config.usual_quantile)))
        release = (threshold + usual) / 2
        rule = cls(
            threshold,
            release,
            usual,
            config.persist,
            block,
            step,
            config.budget,
            config.confidence,
            config.usual_quantile,
            config.slow_rise,
            tuple(peaks.tolist()),
        )
        if share * (len(peaks) + 1) < 1:
            warnings.warn(
                f"{in_words(len(peaks) * block * step)} of held-out healthy rows cannot support {config.budget} by "
                f"themselves: they promise one false alarm in {in_words(1 / rule.promised)}; the threshold is "
                "extrapolated beyond what they promise; "
                f"hold out at least {in_words(1 / per_second(config.budget))}",
                CalibrationWarning,
                stacklevel=2,
            )
        return rule

    @property
    def _above(self) -> int:
        return sum(peak > self.threshold for peak in self.peaks)

    def _per_second(self, share: float) -> float:
        """Convert the share of blocks with a false alarm to alarms per second, by Poisson's law within a block."""
        return -math.log1p(-share) / (self.block * self.step) if share < 1 else math.inf

    @property
    def promised(self) -> float:
        """False alarms per second, on average over time and over calibrations like this one."""
        return self._per_second((self._above + 1) / (len(self.peaks) + 1))

    @property
    def at_most(self) -> float:
        """False alarms per second, averaged over time, that a share `confidence` of such calibrations stays below."""
        above, n = self._above, len(self.peaks)
        return self._per_second(float(betaincinv(above + 1, n - above, self.confidence)) if above < n else 1.0)

    @property
    def promise(self) -> str:
        """Both rates of false alarms, as a sentence."""
        return (
            f"one false alarm in {in_words(1 / self.promised)} on average "
            f"({self.confidence:.0%} sure: in {in_words(1 / self.at_most)} or more)"
        )

    def p_value(self, peak: float) -> float:
        """Return how rare a block with such a persistent peak is while the machine is healthy."""
        return float(p_values(np.array(self.peaks), np.array([peak]))[0])

    @property
    def config(self) -> AlarmConfig:
        """The settings it was calibrated with, except the block, which depends on the recording."""
        return AlarmConfig(
            self.budget,
            self.persist,
            confidence=self.confidence,
            usual_quantile=self.usual_quantile,
            slow_rise=self.slow_rise,
        )


@dataclass
class Alarm:
    """One alarm.

    Attributes
    ----------
    number : int
        1 for the first alarm.
    start, end : object
        Times as they are in the recording. `end` is None while the alarm lasts.
    peak : float
        The highest score.
    p_value : float
        How rare a healthy block is whose score stays as high for `persist` rows as in the alarm's first block.
    kind : str
        "slow" if the score took `slow_rise` blocks or more to rise from the usual level, as with wear, fouling or a
        drift of the healthy state; "sudden" otherwise.
    rise : float
        Seconds from the usual level to the alarm.
    shares : dict
        Each channel's share in the score, the highest first.
    """

    number: int
    start: Any
    end: Any
    peak: float
    p_value: float
    kind: str
    rise: float  # seconds from the usual level to the alarm
    shares: dict[str, float]

    def to_dict(self) -> Json:
        """Return the attributes as a dict."""
        return asdict(self)

    def change(self, model: str) -> Json:
        """Return the message that the alarm has begun or, with an `end`, ended, as JSON."""
        change = "begin" if self.end is None else "end"
        return {"id": f"{model}-{self.number}-{change}", "model": model, "change": change} | self.to_dict()

    def named(self, most: int = 3) -> str:
        """Name the channels with the largest shares: 'pressure 71 %, flow 18 %'."""
        shares = list(self.shares.items())[:most]
        return ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares if share >= 0.05)


@dataclass
class AlarmTracker:
    """Follows the score row by row. Its state is bounded and is saved as JSON."""

    rule: AlarmRule
    channels: tuple[str, ...]
    alarms: int = 0  # so far
    current: Alarm | None = None
    run: int = 0  # rows in a row above the threshold or, during an alarm, below the release level
    calm: int = 0  # rows in a row below the usual level
    since_calm: int = 0  # rows since there were enough of them
    recent: list[float] = field(default_factory=list)  # the last `persist` scores
    lasted: int = 0  # rows of the alarm, counted up to a block
    weights: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))  # (channels,), scores times shares

    def push(self, stamps: Sequence[Any], score: Floats, shares: NDArray[np.float64]) -> list[tuple[int, Alarm]]:
        """Take rows with time `stamps`, score (n,), NaN if there is none, and shares (n, channels).

        Returns the changes: the row, and the alarm as it was then. A row without a score changes nothing.
        """
        changes = []
        for i in np.flatnonzero(np.isfinite(score)).tolist():
            self.recent = [*self.recent, float(score[i])][-self.rule.persist :]
            if self.current is None:
                self._watch(float(score[i]))
                if self.run == self.rule.persist:
                    self._begin(stamps[i])
                    self._add(float(score[i]), shares[i])
                    changes.append((i, self._copy()))
            else:
                self._add(float(score[i]), shares[i])
                self.run = self.run + 1 if score[i] < self.rule.release else 0
                if self.run == self.rule.persist:
                    self.current.end = stamps[i]
                    changes.append((i, self._copy()))
                    self.current, self.run, self.since_calm = None, 0, 0
        return changes

    def _watch(self, score: float) -> None:
        self.run = self.run + 1 if score > self.rule.threshold else 0
        self.calm = self.calm + 1 if score < self.rule.usual else 0
        self.since_calm = 0 if self.calm >= self.rule.persist else self.since_calm + 1

    def _begin(self, stamp: Any) -> None:
        kind = "slow" if self.since_calm >= self.rule.slow_rise * self.rule.block else "sudden"
        rise = self.since_calm * self.rule.step
        self.alarms, self.run, self.calm, self.weights = self.alarms + 1, 0, 0, np.zeros(len(self.channels))
        self.current, self.lasted = Alarm(self.alarms, stamp, None, -np.inf, 1.0, kind, rise, {}), 0

    def _add(self, score: float, shares: NDArray[np.float64]) -> None:
        assert self.current is not None
        self.weights = self.weights + max(score, 0.0) * shares
        self.current.peak = max(self.current.peak, score)
        if self.lasted < self.rule.block:
            self.lasted += 1
            self.current.p_value = min(self.current.p_value, self.rule.p_value(min(self.recent)))

    def ongoing(self) -> Alarm | None:
        """Return the current alarm as it is now, or None."""
        return self._copy() if self.current else None

    def _copy(self) -> Alarm:
        assert self.current is not None
        share = self.weights / max(float(self.weights.sum()), 1e-12)
        order = np.argsort(-share, kind="stable")
        self.current.shares = {self.channels[c]: round(float(share[c]), 4) for c in order}
        return Alarm(**self.current.to_dict())

    # State, as JSON.

    def state(self) -> Json:
        """Return the state as JSON."""
        current = self.current.to_dict() if self.current else None
        return {
            "alarms": self.alarms,
            "current": current,
            "run": self.run,
            "calm": self.calm,
            "since_calm": self.since_calm,
            "recent": self.recent,
            "lasted": self.lasted,
            "weights": self.weights.tolist(),
        }

    def restore(self, state: Json) -> None:
        """Continue from a `state`."""
        self.alarms, self.run = state["alarms"], state["run"]
        self.calm, self.since_calm = state["calm"], state["since_calm"]
        self.recent, self.lasted = list(state["recent"]), state["lasted"]
        self.current = Alarm(**state["current"]) if state["current"] else None
        self.weights = np.array(state["weights"], dtype=np.float64)
