"""A trained model of sensors, and the recordings it scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anogan.budgets import in_words
from anogan.config.serialise import from_dict, to_dict
from anogan.detectors import Detector
from anogan.errors import BundleError
from anogan.runs.bundle import Bundle
from anogan.sensors.alarms import Alarm, AlarmRule, AlarmTracker
from anogan.sensors.follower import Follower
from anogan.sensors.recordings import Recording, from_table, read_recording
from anogan.sensors.scaling import Scaling
from anogan.sensors.scoring import RowScorer, Usual

OTHER_STEP = 1.5  # times the training's step
BATCH = 8192  # rows between two looks at the progress bar


@dataclass(frozen=True)
class ScoredRecording:
    """A recording scored: its alarms, and a table with time, score, p_value, the number of the alarm that is on (0 =
    none), and the share of each channel in the score, a row per row."""

    table: pd.DataFrame
    alarms: list[Alarm]
    scorer: RowScorer


@dataclass(frozen=True)
class SensorModel:
    """A calibrated detector of windows, and what a row must go through before and after it."""

    detector: Detector
    channels: tuple[str, ...]
    scaling: Scaling
    step: float  # seconds between rows
    slow: int  # rows of a block of the slow scale; 1 = none
    smoothing: float  # rows
    usual: Usual
    rule: AlarmRule
    time_column: str
    day_first: bool

    @classmethod
    def load(cls, bundle: Bundle, detector: str | None = None, device: str = "auto") -> SensorModel:
        """Raises `BundleError` where it cannot be trusted or was not trained on a recording."""
        name = bundle.of("sensors", "a recording of sensors").name(detector)
        fitted = bundle.detector(name, device)
        try:
            about = bundle.about["sensors"]
            own = about["detectors"][name]
            return cls(
                fitted,
                tuple(about["channels"]),
                Scaling(tuple(about["centre"]), tuple(about["spread"]), float(about["reach"])),
                float(about["step"]),
                int(about["slow"]),
                float(about["smoothing"]),
                Usual(float(own["usual_score"]), tuple(own["usual_residual"])),
                from_dict(AlarmRule, own["rule"], "rule"),
                about["time_column"],
                about["day_first"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"{bundle.folder}: what it says of its sensors cannot be used ({error!r})") from error

    @property
    def promise(self) -> str:
        rule = self.rule
        return (
            f"alarm above {rule.threshold:.4g}, {rule.promise}, "
            f"from {len(rule.peaks)} held-out blocks of {in_words(rule.block * rule.step)}"
        )

    def follower(self) -> Follower:
        """What scores rows as they come and follows the alarms, from a fresh state."""
        return Follower(self.scorer(), AlarmTracker(self.rule, self.channels))

    def scorer(self) -> RowScorer:
        return RowScorer(self.detector, self.scaling, self.step, self.slow, self.smoothing, self.usual)

    def score(
        self, source: Recording | pd.DataFrame | Path | str, on_rows: Callable[[int], None] = lambda n: None
    ) -> ScoredRecording:
        """Score every row of a recording, a table or a file, and follow the alarms, exactly as live monitoring would.
        Raises `SampleError` where a channel is missing or a row cannot be read."""
        if isinstance(source, pd.DataFrame):
            recording = self.read_table(source, "the table")
        else:
            recording = source if isinstance(source, Recording) else self.read(Path(source))
        follower = self.follower()
        stamps = recording.stamps.tolist()
        scores, shares, active, alarms = [], [], [], []
        for begin in range(0, len(recording), BATCH):
            rows = slice(begin, begin + BATCH)
            current = follower.tracker.current
            found = follower.push(recording.time[rows], stamps[rows], recording.values[rows])
            active.append(_active(len(found.score), current.number if current else 0, found.changes))
            alarms += [alarm for _, alarm in found.changes if alarm.end is not None]
            scores.append(found.score)
            shares.append(found.shares)
            on_rows(len(found.score))
        if ongoing := follower.tracker.ongoing():
            alarms.append(ongoing)
        score = np.concatenate(scores)
        table = pd.DataFrame({"time": stamps, "score": score})
        known = np.isfinite(score)
        table["p_value"] = np.nan
        table.loc[known, "p_value"] = self.detector.judge(score[known]).p_value
        table["alarm"] = np.concatenate(active)
        return ScoredRecording(
            table.join(pd.DataFrame(np.concatenate(shares), columns=list(self.channels))), alarms, follower.scorer
        )

    def read(self, path: Path) -> Recording:
        """A recording with the channels of training; raises `SampleError` where one is missing."""
        return self._compared(read_recording(path, self.time_column, self.channels, self.day_first))

    def read_table(self, table: pd.DataFrame, name: str) -> Recording:
        """The same from a table that `name` is the name of in errors."""
        return self._compared(from_table(table, name, self.time_column, self.channels, self.day_first))

    def _compared(self, found: Recording) -> Recording:
        if len(found) > 1 and not 1 / OTHER_STEP < found.step / self.step < OTHER_STEP:
            note = (
                f"its rows are {found.step:g} s apart, those of training were {self.step:g} s; scores may mean nothing"
            )
            found = replace(found, notes=(*found.notes, note))
        return found


def about_sensors(models: Mapping[str, SensorModel]) -> dict[str, Any]:
    """What the bundle's manifest says of its sensors; the inverse of `SensorModel.load`."""
    first = next(iter(models.values()))
    return {
        "channels": list(first.channels),
        "centre": list(first.scaling.centre),
        "spread": list(first.scaling.spread),
        "reach": first.scaling.reach,
        "step": first.step,
        "slow": first.slow,
        "smoothing": first.smoothing,
        "time_column": first.time_column,
        "day_first": first.day_first,
        "detectors": {
            name: {
                "usual_score": model.usual.score,
                "usual_residual": list(model.usual.residual),
                "rule": to_dict(model.rule),
            }
            for name, model in models.items()
        },
    }


# Alarms.


def _active(n: int, before: int, changes: list[tuple[int, Alarm]]) -> NDArray[np.int64]:
    """The number of the alarm that each row belongs to (n,), 0 = none; `before` is that of the row before them."""
    active = np.full(n, before)
    for row, alarm in changes:
        active[row:] = alarm.number if alarm.end is None else 0
    return active


def alarm_table(alarms: list[Alarm]) -> pd.DataFrame:
    """A row per alarm, its channels in words."""
    rows = [alarm.to_dict() | {"shares": alarm.named()} for alarm in alarms]
    return pd.DataFrame(rows, columns=[f.name for f in fields(Alarm)]).rename(columns={"shares": "channels"})
