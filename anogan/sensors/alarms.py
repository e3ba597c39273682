"""Scores in time -> alarms: a threshold that keeps a budget of false alarms, a minimum duration, and hysteresis."""

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

DRAWN = 1_000_000  # values that a factor of Gumbel's law is made from
FARTHEST = 1e4  # standard deviations above the mean of few peaks


def persistent(score: Floats, rows: int) -> Floats:
    """Rolling minimum over `rows` scores: it is above a threshold only if the last `rows` scores all are. NaN in the
    first rows - 1 rows, and wherever one of the scores is NaN."""
    padded = np.concatenate([np.full(rows - 1, np.nan), score])
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, rows).min(axis=1), dtype=np.float64)


def peaks_borne(n: int, share: float, confidence: float) -> int | None:
    """How many of n independent peaks may lie above a threshold that a new one exceeds with a chance of `share`.

    With k of them above it, that chance follows the beta distribution of k + 1 and n - k. So it is at most `share` in
    a share `confidence` of all calibrations (tolerance limits: Wilks 1941). None where n is too small for that.
    """
    k = np.arange(n)
    kept = int((betainc(k + 1, n - k, share) >= confidence).sum())
    return kept - 1 if kept else None


@cache
def _gumbel_factor(n: int, share: float) -> float:
    """Standard deviations from the mean of n peaks of Gumbel's law up to what the next one exceeds with a chance of
    `share`, from sets drawn from the law."""
    drawn = np.random.default_rng(0).gumbel(size=(max(DRAWN // n, 100), n))
    mean, spread = drawn.mean(1), drawn.std(1)

    def excess(far: float) -> float:
        return float(-np.expm1(-np.exp(-(mean + far * spread))).mean()) - share

    return brentq(excess, -10.0, FARTHEST) if n > 1 and excess(FARTHEST) < 0 else FARTHEST


def gumbel_quantile(peaks: Floats, share: float) -> float:
    """Above which the next peak is with a chance of `share`, where peaks follow Gumbel's law of maxima (Gumbel 1958).

    It lies so many standard deviations above their mean that the chance is right on average over such sets of peaks:
    what few peaks leave open about both figures counts (a predictive quantile: Geisser 1993).
    """
    return float(peaks.mean() + _gumbel_factor(len(peaks), share) * peaks.std())


@dataclass(frozen=True)
class AlarmRule:
    """When an alarm begins and ends.

    It begins when the score has been above `threshold` for `persist` rows, and ends when it has been below `release`
    for as many; below `usual` most healthy rows are. `peaks` are the highest persistent scores of held-out healthy
    blocks of `block` rows each, in order; `step` is the seconds between rows. The rest are settings of `AlarmConfig`.
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
        """The lowest threshold that keeps the budget, from scores of healthy stretches that nothing was trained on. A
        row without a score counts for nothing, as in `AlarmTracker`.

        Rows next to each other are alike, so what counts is blocks: of n healthy blocks, k have a peak above the
        threshold. On average the next one has with a chance of (k + 1) / (n + 1) (Vovk et al. 2005), and `peaks_borne`
        says which k keeps the budget with confidence. Where n is too small for that, the highest peak alone would
        decide, which is a matter of luck: the threshold is at least where all peaks together let the budget be
        expected. Warns `CalibrationWarning` where n is too small for the budget even on average.
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
        """False alarms, from the share of blocks in which one begins; in a block they come as by Poisson's law."""
        return -math.log1p(-share) / (self.block * self.step) if share < 1 else math.inf

    @property
    def promised(self) -> float:
        """False alarms per second on average: over time, and over calibrations like this one."""
        return self._per_second((self._above + 1) / (len(self.peaks) + 1))

    @property
    def at_most(self) -> float:
        """False alarms per second that a share `confidence` of such calibrations stays below on average over time."""
        above, n = self._above, len(self.peaks)
        return self._per_second(float(betaincinv(above + 1, n - above, self.confidence)) if above < n else 1.0)

    @property
    def promise(self) -> str:
        """Both in words."""
        return (
            f"one false alarm in {in_words(1 / self.promised)} on average "
            f"({self.confidence:.0%} sure: in {in_words(1 / self.at_most)} or more)"
        )

    def p_value(self, peak: float) -> float:
        """How rare a block with such a persistent peak is while the machine is healthy."""
        return float(p_values(np.array(self.peaks), np.array([peak]))[0])

    @property
    def config(self) -> AlarmConfig:
        """The settings that it was calibrated with, but for the block, which depends on the recording."""
        return AlarmConfig(
            self.budget,
            self.persist,
            confidence=self.confidence,
            usual_quantile=self.usual_quantile,
            slow_rise=self.slow_rise,
        )


@dataclass
class Alarm:
    """One alarm; times as they stand in the recording, `end` None while it lasts.

    `peak` is the highest score. `p_value` says how rare a healthy block is whose score lasts as high for `persist` rows
    as in the alarm's first block. `kind` is 'slow' where the score took `slow_rise` blocks or more to rise from the
    usual level (wear, fouling, or a drift of the healthy state) and 'sudden' otherwise, `shares` is each channel's
    share in the score, the highest first.
    """

    number: int
    start: Any
    end: Any
    peak: float
    p_value: float
    kind: str
    rise: float  # seconds from the usual level to the alarm
    shares: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def change(self, model: str) -> dict[str, Any]:
        """What is told, as JSON, when it has begun or, with an `end`, ended."""
        change = "begin" if self.end is None else "end"
        return {"id": f"{model}-{self.number}-{change}", "model": model, "change": change} | self.to_dict()

    def named(self, most: int = 3) -> str:
        """The channels that matter most: 'pressure 71 %, flow 18 %'."""
        shares = list(self.shares.items())[:most]
        return ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares if share >= 0.05)


@dataclass
class AlarmTracker:
    """Follows the score row after row; what it remembers is bounded and is saved as JSON."""

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
        """Rows with their time as it was given, score (n,), NaN where none, and shares (n, channels) -> changes: the
        row and the alarm as it stood then. A row without a score changes nothing."""
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
        """The current alarm as it stands now."""
        return self._copy() if self.current else None

    def _copy(self) -> Alarm:
        assert self.current is not None
        share = self.weights / max(float(self.weights.sum()), 1e-12)
        order = np.argsort(-share, kind="stable")
        self.current.shares = {self.channels[c]: round(float(share[c]), 4) for c in order}
        return Alarm(**self.current.to_dict())

    # State, as JSON.

    def state(self) -> dict[str, Any]:
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

    def restore(self, state: dict[str, Any]) -> None:
        self.alarms, self.run = state["alarms"], state["run"]
        self.calm, self.since_calm = state["calm"], state["since_calm"]
        self.recent, self.lasted = list(state["recent"]), state["lasted"]
        self.current = Alarm(**state["current"]) if state["current"] else None
        self.weights = np.array(state["weights"], dtype=np.float64)
