"""Scores in time -> alarms: a threshold that keeps a budget of false alarms, a minimum duration, and hysteresis."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anogan.calibration import Floats, p_values, threshold_at
from anogan.config import AlarmConfig
from anogan.errors import CalibrationWarning

UNITS = {
    "second": 1.0,
    "minute": 60.0,
    "hour": 3600.0,
    "day": 86_400.0,
    "week": 604_800.0,
    "month": 2_629_800.0,
    "year": 31_557_600.0,
}
BUDGET = re.compile(r"(\d+(?:\.\d+)?)\s*(?:/|\bper\b)\s*(\d+(?:\.\d+)?)?\s*([a-z]+?)s?")
USUAL = 0.95  # quantile of healthy rows; halfway from the threshold to it, an alarm may end
SLOW = 0.5  # blocks that a rise must take to be called slow; a sudden fault fills the window in a tenth of one


def per_second(budget: str) -> float:
    """'1/week', '2 per day', '1 per 30 days' -> alarms per second. Raises `ValueError` with examples."""
    match = BUDGET.fullmatch(budget.strip().lower())
    if not match or match[3] not in UNITS or float(match[1]) <= 0 or float(match[2] or 1) <= 0:
        raise ValueError(f"expected a budget such as 1/week or '2 per 30 days' ({', '.join(UNITS)}), got {budget!r}")
    return float(match[1]) / (float(match[2] or 1) * UNITS[match[3]])


def in_words(seconds: float) -> str:
    """A time span in its largest fitting unit: 5400 -> '1.5 hours'."""
    name, unit = max(
        ((n, u) for n, u in UNITS.items() if u <= seconds), key=lambda pair: pair[1], default=("second", 1)
    )
    return f"{seconds / unit:.3g} {name}{'s' * (f'{seconds / unit:.3g}' != '1')}"


def persistent(score: Floats, rows: int) -> Floats:
    """The lowest of the last `rows` scores, at every row: it exceeds what all of them exceed. NaN until there are as
    many, and wherever one of them is NaN."""
    padded = np.concatenate([np.full(rows - 1, np.nan), score])
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, rows).min(axis=1), dtype=np.float64)


def gumbel_quantile(peaks: Floats, share: float) -> float:
    """Below which this share of the peaks of blocks stays, where they follow Gumbel's law of maxima, whose two figures
    are found by moments (Gumbel 1958)."""
    scale = float(peaks.std()) * math.sqrt(6) / math.pi
    return float(peaks.mean()) - scale * (np.euler_gamma + math.log(-math.log(share)))


@dataclass(frozen=True)
class AlarmRule:
    """When an alarm begins and ends.

    It begins when the score has been above `threshold` for `persist` rows, and ends when it has been below `release`
    for as many; below `usual` most healthy rows are. `peaks` are the highest persistent scores of held-out healthy
    blocks of `block` rows each, in order; `step` is the seconds between rows, `budget` what was asked for.
    """

    threshold: float
    release: float
    usual: float
    persist: int
    block: int
    step: float
    budget: str
    peaks: tuple[float, ...]

    @classmethod
    def calibrate(cls, held_out: Sequence[Floats], block: int, step: float, config: AlarmConfig) -> AlarmRule:
        """The lowest threshold that keeps the budget, from scores of healthy stretches that nothing was trained on.

        Rows next to each other are alike, so what counts is blocks: of n healthy blocks, k have a peak above the
        threshold; (k + 1) / (n + 1) bounds the chance of an alarm in the next one (Vovk et al. 2005). Where there are
        too few blocks for the budget, warns `CalibrationWarning` and extrapolates from their peaks.
        """
        parts = [part[begin : begin + block] for part in held_out for begin in range(0, len(part) - block + 1, block)]
        usable = [part for part in parts if _usable(part, config.persist)]
        if not usable:
            raise ValueError(f"expected at least one healthy block of {block} rows to calibrate on, got none")
        peaks = np.array([np.nanmax(persistent(part, config.persist)) for part in usable])
        share = per_second(config.budget) * block * step  # alarms allowed per block
        if share * (len(peaks) + 1) >= 1:
            threshold = threshold_at(peaks, min(share, 0.5))
        else:
            threshold = max(float(peaks.max()), gumbel_quantile(peaks, 1 - share))
            warnings.warn(
                f"{in_words(len(peaks) * block * step)} of held-out healthy rows cannot support {config.budget} by "
                f"themselves: they promise one false alarm in {in_words((len(peaks) + 1) * block * step)}; the "
                "threshold is extrapolated beyond what they promise; "
                f"hold out at least {in_words(1 / per_second(config.budget))}",
                CalibrationWarning,
                stacklevel=2,
            )
        usual = min(threshold, float(np.nanquantile(np.concatenate(held_out), USUAL)))
        release = (threshold + usual) / 2
        return cls(
            threshold, release, usual, config.persist, block, step, config.budget, tuple(map(float, np.sort(peaks)))
        )

    @property
    def promised(self) -> float:
        """False alarms per second at most."""
        above = sum(peak > self.threshold for peak in self.peaks)
        return (above + 1) / (len(self.peaks) + 1) / (self.block * self.step)

    def p_value(self, peak: float) -> float:
        """How rare a block with such a peak is while the machine is healthy."""
        return float(p_values(np.array(self.peaks), np.array([peak]))[0])

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> AlarmRule:
        return cls(**values | {"peaks": tuple(values["peaks"])})


def _usable(part: Floats, persist: int) -> bool:
    """Whether at least half of a block's rows have a score, and some as many in a row as an alarm needs."""
    return bool(np.isfinite(part).mean() >= 0.5 and np.isfinite(persistent(part, persist)).any())


@dataclass
class Alarm:
    """One alarm; times as they stand in the recording, `end` None while it lasts.

    `peak` is the highest score, `p_value` how rare such a peak is in a healthy block, `kind` 'slow' where the score
    took SLOW blocks or more to rise from the usual level (wear, fouling, or a drift of the healthy state) and 'sudden'
    otherwise, `shares` each channel's share in the score, the highest first.
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
    weights: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))  # (channels,), scores times shares

    def push(self, stamps: Sequence[Any], score: Floats, shares: NDArray[np.float64]) -> list[tuple[int, Alarm]]:
        """Rows with their time as it was given, score (n,), NaN where none, and shares (n, channels) -> changes: the
        row and the alarm as it stood then. A row without a score changes nothing."""
        changes = []
        for i in np.flatnonzero(np.isfinite(score)).tolist():
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
        kind = "slow" if self.since_calm >= SLOW * self.rule.block else "sudden"
        rise = self.since_calm * self.rule.step
        self.alarms, self.run, self.calm, self.weights = self.alarms + 1, 0, 0, np.zeros(len(self.channels))
        self.current = Alarm(self.alarms, stamp, None, -np.inf, 1.0, kind, rise, {})

    def _add(self, score: float, shares: NDArray[np.float64]) -> None:
        assert self.current is not None
        self.weights = self.weights + max(score, 0.0) * shares
        if score > self.current.peak:
            self.current.peak, self.current.p_value = score, self.rule.p_value(score)

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
            "weights": self.weights.tolist(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.alarms, self.run = state["alarms"], state["run"]
        self.calm, self.since_calm = state["calm"], state["since_calm"]
        self.current = Alarm(**state["current"]) if state["current"] else None
        self.weights = np.array(state["weights"], dtype=np.float64)
