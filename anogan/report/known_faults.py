"""Comparison of alarms with known faults: which were found, how late, and which alarms were false."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from anogan.budgets import in_words
from anogan.report.page import Section
from anogan.sensors.alarms import Alarm
from anogan.sensors.model import SensorModel
from anogan.sensors.recordings import Recording

LEAST = 120  # rows before a fault and after its alarm that are drawn from near


class Truth(NamedTuple):
    """A fault by name, with its begin and end in seconds after the recording's first row."""

    name: str
    start: float
    end: float


class Found(NamedTuple):
    """A fault, its rows, and the alarms that began in it, each with its first row."""

    name: str
    rows: slice
    alarms: list[tuple[int, Alarm]]

    @property
    def near(self) -> slice:
        """Rows around the time from the fault's begin to its first alarm."""
        alarm = self.alarms[0][0] if self.alarms else self.rows.stop
        margin = max(LEAST, 2 * (alarm - self.rows.start))
        return slice(max(0, self.rows.start - margin), alarm + margin)


def find(truth: Sequence[Truth], recording: Recording, table: pd.DataFrame, alarms: Sequence[Alarm]) -> list[Found]:
    """Return every fault in the recording with its alarms. An alarm that began before the fault does not count."""
    active = table["alarm"].to_numpy()
    began = [(int(np.argmax(active == alarm.number)), alarm) for alarm in alarms]
    time = recording.time - recording.time[0]
    found = []
    for fault in truth:
        first, last = map(int, np.searchsorted(time, (fault.start, fault.end)))
        if first == last:
            continue
        inside = [(row, alarm) for row, alarm in began if first <= row < last]
        found.append(Found(fault.name, slice(first, last), inside))
    return found


def names(found: Sequence[Found], alarms: Sequence[Alarm]) -> list[str]:
    """Return the fault that each alarm began in; a false alarm has none."""
    known = {alarm.number: fault.name for fault in found for _, alarm in fault.alarms}
    return [known.get(alarm.number, "none: a false alarm") for alarm in alarms]


def compare(
    found: Sequence[Found], recording: Recording, model: SensorModel, table: pd.DataFrame, alarms: Sequence[Alarm]
) -> Section:
    """Summarise the value of the alarms in words and as a table of faults."""
    healthy = np.ones(len(recording), bool)
    for fault in found:
        healthy[fault.rows] = False
    span = float(healthy.sum()) * model.step
    false = len(alarms) - sum(len(fault.alarms) for fault in found)
    share = (table["alarm"].to_numpy()[healthy] > 0).mean() if healthy.any() else 0.0
    text = (
        f"{sum(bool(fault.alarms) for fault in found)} of {len(found)} faults raised an alarm.",
        f"{false} false alarm{'s' * (false != 1)} in {in_words(span)} of healthy operation, {share:.1%} of whose rows "
        f"are under an alarm. The promise, one in {in_words(1 / model.rule.promised)} on average, allows "
        f"{span * model.rule.promised:.2g} in that time.",
    )
    rows = [_row(fault, recording, table) for fault in found]
    columns = ["fault", "begins", "ends", "alarm after", "under alarm", "alarms", "channels of the first"]
    return Section("Known faults", text, pd.DataFrame(rows, columns=columns))


def _row(fault: Found, recording: Recording, table: pd.DataFrame) -> tuple[object, ...]:
    first, last = fault.rows.start, fault.rows.stop - 1
    after = in_words(recording.time[fault.alarms[0][0]] - recording.time[first]) if fault.alarms else "never"
    under = (table["alarm"].to_numpy()[fault.rows] > 0).mean()
    channels = fault.alarms[0][1].named() if fault.alarms else ""
    stamps = recording.stamps
    return fault.name, stamps[first], stamps[last], after, f"{under:.0%}", len(fault.alarms), channels
