"""A trained model of sensors, and its scores of a recording."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anogan.budgets import in_words
from anogan.config.serialise import from_dict, to_dict
from anogan.detectors import Detector
from anogan.errors import BundleError
from anogan.files import Json
from anogan.runs.bundle import Bundle
from anogan.sensors.alarms import Alarm, AlarmRule, AlarmTracker
from anogan.sensors.follower import Follower
from anogan.sensors.recordings import Recording, from_table, read_recording
from anogan.sensors.scaling import Scaling
from anogan.sensors.scoring import RowScorer, Usual

OTHER_STEP = 1.5  # times the training's step
ROWS_AT_ONCE = 8192  # rows between two looks at the progress bar


@dataclass(frozen=True)
class ScoredRecording:
    """The scores of a recording.

    Attributes
    ----------
    table : DataFrame
        A row per row: time, score, p_value, the number of the current alarm (0 = none), and each channel's share in the
        score.
    alarms : list of Alarm
        In order; the last one may not have ended.
    scorer : RowScorer
        It counts late rows, gaps and missing values.
    """

    table: pd.DataFrame
    alarms: list[Alarm]
    scorer: RowScorer


@dataclass(frozen=True)
class SensorModel:
    """A trained model of a machine's sensors, usually from `anogan.load`.

    Attributes
    ----------
    detector : Detector
        The scikit-learn estimator of windows inside.
    channels : tuple of str
        Columns that it reads.
    rule : AlarmRule
        When alarms begin and end.
    time_column : str
        Column of the time; empty if the row number counts.
    """

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
        """Load a model from its bundle. Raises `BundleError` if the bundle is damaged or of another kind."""
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
            raise BundleError(f"{bundle.folder}: its description of the sensors cannot be used ({error!r})") from error

    @property
    def promise(self) -> str:
        """The threshold and the rate of false alarms it keeps, as a sentence."""
        rule = self.rule
        return (
            f"alarm above {rule.threshold:.4g}, {rule.promise}, "
            f"from {len(rule.peaks)} held-out blocks of {in_words(rule.block * rule.step)}"
        )

    def follower(self) -> Follower:
        """Return a new `Follower`, which scores rows as they arrive and follows the alarms."""
        return Follower(self.scorer(), AlarmTracker(self.rule, self.channels))

    def scorer(self) -> RowScorer:
        """Return a new scorer without alarms, which takes rows as they arrive."""
        return RowScorer(self.detector, self.scaling, self.step, self.slow, self.smoothing, self.usual)

    def score(
        self, source: Recording | pd.DataFrame | Path | str, on_rows: Callable[[int], None] = lambda n: None
    ) -> ScoredRecording:
        """Score every row and follow the alarms, exactly as live monitoring would.

        Parameters
        ----------
        source : Recording, DataFrame, Path or str
            A recording, a table with a column per channel, or a file.
        on_rows : callable, optional
            Called with the number of rows that have just been scored.

        Returns
        -------
        ScoredRecording

        Raises
        ------
        SampleError
            If a channel is missing or the file cannot be read.
        """
        if isinstance(source, pd.DataFrame):
            recording = self.read_table(source, "the table")
        else:
            recording = source if isinstance(source, Recording) else self.read(Path(source))
        follower = self.follower()
        stamps = recording.stamps.tolist()
        scores, shares, active, alarms = [], [], [], []
        for begin in range(0, len(recording), ROWS_AT_ONCE):
            rows = slice(begin, begin + ROWS_AT_ONCE)
            current = follower.tracker.current
            followed = follower.push(recording.time[rows], stamps[rows], recording.values[rows])
            active.append(_active(len(followed.score), current.number if current else 0, followed.changes))
            alarms += [alarm for _, alarm in followed.changes if alarm.end is not None]
            scores.append(followed.score)
            shares.append(followed.shares)
            on_rows(len(followed.score))
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
        """Read a recording with the channels of training.

        Parameters
        ----------
        path : Path
            Delimited text (plain or .gz), Parquet or NumPy.

        Returns
        -------
        Recording
            Its `notes` say what is unusual in the file.

        Raises
        ------
        SampleError
            If a channel is missing or the file cannot be read.
        """
        return self._compared(read_recording(path, self.time_column, self.channels, self.day_first))

    def read_table(self, table: pd.DataFrame, name: str) -> Recording:
        """Convert a table as `read` does a file. Error messages call it `name`."""
        return self._compared(from_table(table, name, self.time_column, self.channels, self.day_first))

    def _compared(self, found: Recording) -> Recording:
        if len(found) > 1 and not 1 / OTHER_STEP < found.step / self.step < OTHER_STEP:
            note = (
                f"its rows are {found.step:g} s apart, those of training were {self.step:g} s; scores may mean nothing"
            )
            found = replace(found, notes=(*found.notes, note))
        return found


def about_sensors(models: Mapping[str, SensorModel]) -> Json:
    """Return what the bundle's manifest stores of the sensors. `SensorModel.load` reads it."""
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
    """Return the number of the alarm of each row (n,), 0 = none. `before` is the number of the row before them."""
    active = np.full(n, before)
    for row, alarm in changes:
        active[row:] = alarm.number if alarm.end is None else 0
    return active


def alarm_table(alarms: list[Alarm]) -> pd.DataFrame:
    """Return a table with a row per alarm, its channels in words."""
    rows = [alarm.to_dict() | {"shares": alarm.named()} for alarm in alarms]
    return pd.DataFrame(rows, columns=[f.name for f in fields(Alarm)]).rename(columns={"shares": "channels"})
