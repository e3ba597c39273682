"""Alarms beside known faults: each alarm is counted once, and what is false is said to be."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from anogan.report.known_faults import LEAST, Found, Truth, compare, find, names
from anogan.sensors.alarms import Alarm
from anogan.sensors.recordings import Recording

ROWS, STEP = 1000, 10.0
TRUTH = [Truth("wear", 2000, 4000), Truth("stuck", 6000, 8000), Truth("never seen", 9000, 9500)]


def given(*spans: tuple[int, int]) -> tuple[Recording, pd.DataFrame, list[Alarm]]:
    """A recording with alarms in these rows; its clock does not begin at zero."""
    time = 500 + STEP * np.arange(ROWS)
    active = np.zeros(ROWS, int)
    alarms = []
    for number, (begin, end) in enumerate(spans, 1):
        active[begin:end] = number
        alarms.append(Alarm(number, time[begin], time[end], 2.0, 0.01, "sudden", 10.0, {"flow": 1.0}))
    return Recording(np.zeros((ROWS, 1)), time, time, ("flow",), STEP, ()), pd.DataFrame({"alarm": active}), alarms


def test_an_alarm_belongs_to_the_fault_that_it_began_in() -> None:
    recording, table, alarms = given((50, 60), (210, 450), (590, 610), (620, 640), (700, 720))
    found = find(TRUTH, recording, table, alarms)
    assert [fault.rows for fault in found] == [slice(200, 400), slice(600, 800), slice(900, 950)]
    assert [[alarm.number for _, alarm in fault.alarms] for fault in found] == [[2], [4, 5], []]
    false = "none: a false alarm"
    assert names(found, alarms) == [false, "wear", false, "stuck", "stuck"]


def test_delay_and_false_alarms_are_counted_against_the_promise() -> None:
    recording, table, alarms = given((50, 60), (210, 450), (620, 640))
    model = SimpleNamespace(step=STEP, rule=SimpleNamespace(promised=1 / 3600))
    section = compare(find(TRUTH, recording, table, alarms), recording, model, table, alarms)
    assert section.table["alarm after"].tolist() == ["1.67 minutes", "3.33 minutes", "never"]
    assert section.table["under alarm"].tolist() == ["95%", "10%", "0%"]
    assert section.text[0] == "2 of 3 faults raised an alarm."
    assert section.text[1].startswith("1 false alarm in 1.53 hours of healthy operation, 10.9% of whose rows")
    assert section.text[1].endswith("The promise, one in 1 hour on average, allows 1.5 in that time.")


def test_a_fault_outside_the_recording_is_left_out() -> None:
    recording, table, alarms = given()
    assert find([Truth("later", 1e6, 2e6)], recording, table, alarms) == []


@pytest.mark.parametrize("alarm", [205, 390])
def test_the_view_from_near_holds_the_onset_and_the_alarm(alarm: int) -> None:
    near = Found("wear", slice(200, 400), [(alarm, None)]).near  # type: ignore[list-item]
    assert near.start <= 200 - LEAST or near.start == 0
    assert near.stop >= alarm + LEAST
