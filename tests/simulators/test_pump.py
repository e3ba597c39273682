"""The simulated machine is sane while healthy, decided by its seed, and its faults act as their names say."""

from __future__ import annotations

import hashlib
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from anogan.simulators.pump import CHANNELS, NOISE, SET_POINT, Fault, FaultName, simulate

SECONDS, ONSET = 7200, 3600
NAMES = get_args(FaultName)


@pytest.fixture(scope="module")
def healthy() -> pd.DataFrame:
    return simulate(SECONDS)


def with_fault(name: FaultName, severity: float = 1.0, ramp: float = 0.0) -> pd.DataFrame:
    return simulate(SECONDS, faults=[Fault(name, ONSET, SECONDS, severity, ramp)])


def distance(a: pd.DataFrame, b: pd.DataFrame) -> float:
    """Between the rows after the onset, in units of the sensors' noise."""
    return float((np.abs((a - b)[list(CHANNELS)].iloc[ONSET:]) / NOISE).mean().mean())


def late(table: pd.DataFrame, channel: str) -> float:
    """Mean over the last half hour."""
    return float(table[channel].iloc[-1800:].mean())


def test_the_same_seed_gives_the_same_rows_and_another_one_others(healthy: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(simulate(SECONDS), healthy)
    assert not simulate(SECONDS, seed=1)["flow"].equals(healthy["flow"])
    assert list(healthy.columns) == ["time", *CHANNELS]
    assert healthy["time"].tolist() == list(range(SECONDS))


@pytest.mark.parametrize(
    ("names", "digest"),
    [((), "cfabb8ece5145224"), (NAMES[:5], "850af6d4ca7c18a1")],
    ids=["healthy", "the first five faults"],
)
def test_a_recording_that_reports_were_made_from_can_be_made_again(names: tuple[FaultName, ...], digest: str) -> None:
    table = simulate(SECONDS, 3, [Fault(name, ONSET, 7000, 0.6, 600) for name in names])
    thousandths = (table * 1000).round().to_numpy(np.int64)
    assert hashlib.sha256(thousandths.tobytes()).hexdigest()[:16] == digest


def test_rows_can_be_farther_apart_without_another_machine(healthy: pd.DataFrame) -> None:
    sparse = simulate(SECONDS, every=10)
    assert sparse["time"].tolist() == list(range(0, SECONDS, 10))
    difference = sparse[list(CHANNELS)] - healthy[list(CHANNELS)].iloc[::10].reset_index(drop=True)
    assert (difference.std()[:-1] < 2 * NOISE[:-1]).all()  # nothing but the sensors' noise; vibration is rough


@pytest.mark.parametrize("seed", range(3))
def test_a_healthy_week_stays_where_an_engineer_wants_it(seed: int) -> None:
    table = simulate(7 * 86_400, seed, every=30)
    ranges = {
        "speed": (2890, 2980),
        "current": (1.3, 2.3),
        "pressure": (1.6, 2.4),
        "flow": (40, 160),
        "level": (44, 56),
        "valve": (10, 70),
        "temperature": (38, 60),
        "vibration": (0.7, 1.8),  # ISO 10816-1: satisfactory in class I
    }
    assert np.isfinite(table).all(axis=None)
    for name, (low, high) in ranges.items():
        assert table[name].between(low, high).all(), name
    assert table["level"].mean() == pytest.approx(100 * SET_POINT, abs=0.1)
    assert table["level"].std() < 1.5
    assert table["flow"].std() > 10  # the load varies


def test_the_pump_obeys_its_curve(healthy: pd.DataFrame) -> None:
    head = 24 - 3e-4 * healthy["flow"] ** 2
    assert np.abs(healthy["pressure"] - head / 10.2).mean() < 0.02


@pytest.mark.parametrize("name", NAMES)
def test_severity_zero_changes_nothing(healthy: pd.DataFrame, name: FaultName) -> None:
    pd.testing.assert_frame_equal(with_fault(name, 0.0), healthy)


@pytest.mark.parametrize("name", NAMES)
def test_rows_before_the_onset_know_nothing_of_the_fault(healthy: pd.DataFrame, name: FaultName) -> None:
    table = with_fault(name)
    pd.testing.assert_frame_equal(table.iloc[:ONSET], healthy.iloc[:ONSET])
    assert distance(table, healthy) > 0.3


@pytest.mark.parametrize("name", NAMES)
def test_the_effect_grows_with_the_severity(healthy: pd.DataFrame, name: FaultName) -> None:
    effects = [distance(with_fault(name, severity), healthy) for severity in (0.1, 0.5, 1.0)]
    assert effects == sorted(effects)
    assert effects[0] > 0


@pytest.mark.parametrize("name", NAMES)
def test_a_severe_fault_leaves_numbers(name: FaultName) -> None:
    assert np.isfinite(with_fault(name)).all(axis=None)


def test_faults_of_the_machine_act_together(healthy: pd.DataFrame) -> None:
    table = simulate(SECONDS, faults=[Fault(name, ONSET, SECONDS) for name in NAMES])
    assert np.isfinite(table).all(axis=None)
    pd.testing.assert_frame_equal(table.iloc[:ONSET], healthy.iloc[:ONSET])


@pytest.mark.parametrize("name", NAMES)
def test_the_machine_recovers_when_a_fault_ends(healthy: pd.DataFrame, name: FaultName) -> None:
    table = simulate(SECONDS, faults=[Fault(name, 600, 1200)])
    channels = ["valve", "level", "flow", "current"]
    assert (np.abs((table - healthy)[channels].iloc[-600:]).mean() < 0.2).all()


def test_severity_ramps_up_and_ends() -> None:
    fault = Fault("leak", 100, 300, severity=0.8, ramp=100)
    at = fault.at(np.array([99.0, 100, 150, 200, 299, 300]))
    assert at == pytest.approx([0, 0, 0.4, 0.8, 0.8, 0])


def test_a_worn_bearing_shakes_draws_more_and_runs_hot(healthy: pd.DataFrame) -> None:
    worn = with_fault("bearing wear")
    assert late(worn, "vibration") > 2 * late(healthy, "vibration")
    assert late(worn, "current") > late(healthy, "current") + 0.1
    assert 8 < late(worn, "temperature") - late(healthy, "temperature") < 25
    assert late(worn, "flow") == pytest.approx(late(healthy, "flow"))  # the controller sees to it


def test_a_stuck_valve_stands_still_while_the_level_wanders(healthy: pd.DataFrame) -> None:
    stuck = with_fault("stuck valve").iloc[ONSET:]
    assert stuck["valve"].std() < 0.3 < healthy["valve"].iloc[ONSET:].std()
    assert stuck["level"].std() > 4 * healthy["level"].iloc[ONSET:].std()


def test_a_sticking_valve_goes_in_jumps_and_the_level_saws(healthy: pd.DataFrame) -> None:
    sticking = with_fault("sticking valve")
    moved = np.abs(sticking["valve"].iloc[ONSET:].diff(20))
    assert (moved < 1).mean() > 0.75  # it stands, but for noise
    assert moved[moved > 1.5].median() > 5  # when it goes, it goes most of the way
    assert late(sticking, "level") == pytest.approx(50, abs=1.5)
    assert sticking["level"].iloc[ONSET:].std() > 1.2 * healthy["level"].iloc[ONSET:].std()


def test_a_slow_valve_makes_the_level_swing(healthy: pd.DataFrame) -> None:
    slow = with_fault("slow valve").iloc[ONSET:]
    lags = [np.corrcoef(slow["valve"].shift(-lag)[:-300], healthy["valve"].iloc[ONSET:-300])[0, 1] for lag in (0, 60)]
    assert lags[1] > lags[0]
    assert slow["level"].std() > 1.3 * healthy["level"].iloc[ONSET:].std()


def test_the_controller_closes_a_leaking_valve_until_it_cannot(healthy: pd.DataFrame) -> None:
    leaking = with_fault("leaking valve", 0.5)
    assert late(leaking, "valve") == pytest.approx(late(healthy, "valve") - 10, abs=0.1)
    assert late(leaking, "flow") == pytest.approx(late(healthy, "flow"), abs=0.1)
    by_night = simulate(86_400, faults=[Fault("leaking valve", 0, 86_400)], every=60)
    assert by_night["valve"].min() == pytest.approx(5, abs=1)  # nearly shut, and it still fills the tank
    assert by_night["level"].max() > 60


def test_a_worn_pump_lifts_less_draws_more_and_is_throttled_less(healthy: pd.DataFrame) -> None:
    lost = with_fault("efficiency loss")
    assert late(lost, "pressure") < late(healthy, "pressure") - 0.3
    assert late(lost, "current") > late(healthy, "current") + 0.1
    assert late(lost, "valve") > late(healthy, "valve") + 3
    assert late(lost, "flow") == pytest.approx(late(healthy, "flow"), rel=0.01)


def test_the_controller_makes_up_for_a_leak(healthy: pd.DataFrame) -> None:
    leaking = with_fault("leak")
    assert late(leaking, "valve") > late(healthy, "valve") + 5
    assert late(leaking, "level") == pytest.approx(late(healthy, "level"), abs=1.5)
    assert late(leaking, "current") > late(healthy, "current")


def test_a_blocked_inlet_costs_pressure(healthy: pd.DataFrame) -> None:
    blocked = with_fault("blocked inlet")
    assert late(blocked, "pressure") < late(healthy, "pressure") - 0.1
    assert late(blocked, "vibration") > 1.5 * late(healthy, "vibration")


def test_a_drifting_flow_meter_misleads_nobody_but_its_reader(healthy: pd.DataFrame) -> None:
    drifted = with_fault("flow sensor drift")
    assert late(drifted, "flow") == pytest.approx(late(healthy, "flow") - 15, abs=0.01)
    pd.testing.assert_frame_equal(drifted.drop(columns="flow"), healthy.drop(columns="flow"))


def test_a_fault_that_cannot_be_meant_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown fault 'rust'; choose from bearing wear, leak"):
        Fault("rust", 0, 10)  # type: ignore[arg-type]
    for severity in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match=f"got severity {severity}, expected 0 to 1"):
            Fault("leak", 0, 10, severity)
    with pytest.raises(ValueError, match="got a ramp of -1 s"):
        Fault("leak", 0, 10, ramp=-1)


@pytest.mark.parametrize("seconds", [0, 1, 2])
def test_very_short_recordings_are_possible(seconds: int) -> None:
    assert len(simulate(seconds)) == seconds


# The safe state.

TRIP = 5000


def tripped(name: FaultName | None = None, severity: float = 1.0) -> pd.DataFrame:
    faults = [Fault(name, ONSET, SECONDS, severity)] if name else []
    return simulate(SECONDS, faults=faults, trip=TRIP)


@pytest.mark.parametrize("name", [None, *NAMES])
def test_rows_up_to_the_trip_know_nothing_of_it(healthy: pd.DataFrame, name: FaultName | None) -> None:
    without, table = with_fault(name) if name else healthy, tripped(name)
    pd.testing.assert_frame_equal(table.iloc[: TRIP + 1], without.iloc[: TRIP + 1])
    assert table["speed"].iloc[TRIP + 1] < 0.8 * without["speed"].iloc[TRIP + 1]


def test_a_trip_after_the_last_row_changes_nothing(healthy: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(simulate(SECONDS, trip=SECONDS), healthy)


@pytest.mark.parametrize("name", [None, *NAMES])
def test_a_tripped_machine_stands_still_whatever_its_fault(name: FaultName | None) -> None:
    table = tripped(name).iloc[TRIP + 20 :]
    still = NOISE * 6
    offset = -15 if name == "flow sensor drift" else 0
    at_rest = {"speed": 4.0, "current": 0.0, "pressure": 0.0, "flow": offset, "vibration": 0.0}
    for channel, value in at_rest.items():  # the last of the speed is 3000 exp(-20 / 3) = 4
        assert (np.abs(table[channel] - value) < still[list(CHANNELS).index(channel)]).all(), channel


def test_the_pump_coasts_down_with_its_lag_and_its_flow_ends_before_its_speed() -> None:
    table = tripped().iloc[TRIP + 1 : TRIP + 10]
    since = np.arange(1, 10)
    assert np.abs(table["speed"] - 3000 * np.exp(-since / 3)).max() < 6 * NOISE[0]
    gone = 3 * np.log(np.sqrt(24 / 4))  # s until the head is less than the tank's height: 2.7
    assert ((table["flow"] > 5) == (since < gone)).all()


@pytest.mark.parametrize("name", [None, *NAMES])
def test_a_tripped_tank_feeds_the_consumers_down_to_its_reserve(name: FaultName | None) -> None:
    level = tripped(name)["level"].iloc[TRIP + 5 :]
    assert level.rolling(60).mean().diff(60).max() < NOISE[4]  # it never rises
    assert late(tripped(name), "level") == pytest.approx(20, abs=0.2)
    assert level.min() > 20 - 6 * NOISE[4]


def test_water_is_neither_made_nor_lost_by_a_trip(healthy: pd.DataFrame) -> None:
    """Two healthy consumers draw the same from the same level: the tripped tank falls by what the pump did not give."""
    table = tripped()
    rows = slice(TRIP + 1, TRIP + 61)
    missing = (healthy["flow"] - table["flow"]).iloc[rows].sum() / 60  # l
    fallen = (healthy["level"] - table["level"]).iloc[TRIP + 61] / 100 * 1000
    assert fallen == pytest.approx(missing, rel=0.1)  # a lower tank gives a little less


def test_the_valve_shuts_but_for_one_that_is_stuck() -> None:
    assert late(tripped(), "valve") == pytest.approx(0, abs=0.05)
    stuck = tripped("stuck valve")
    assert late(stuck, "valve") == pytest.approx(stuck["valve"].iloc[TRIP - 60 : TRIP].mean(), abs=0.1)
    assert 1 < late(tripped("sticking valve"), "valve") < 3


def test_a_tripped_machine_cools_down() -> None:
    table = tripped("bearing wear")
    assert late(table, "temperature") < table["temperature"].iloc[TRIP] - 15
    assert table["temperature"].iloc[TRIP + 60 :].diff(120).dropna().max() < 0


def test_a_trip_that_cannot_be_meant_is_refused() -> None:
    for trip in (-1, np.nan):
        with pytest.raises(ValueError, match=f"got a trip at {trip} s, expected 0 or more"):
            simulate(10, trip=trip)
