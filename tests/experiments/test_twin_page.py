"""What reports/twin shows is what its committed CSV files say, and the closed loop measures what it says it does."""

from __future__ import annotations

import math
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from conftest import without_figures

from anogan.cli.commands import demo_sensors
from anogan.simulators.pump import Fault, FaultName, simulate
from experiments import twin_page, twin_settings
from experiments.digital_twin import ONSETS, SEEDS, Trial, cells, consequences, reaction
from experiments.twin_figure import poisson_interval
from experiments.twin_settings import NONE, OUT, RAMPS, SEVERITIES

ROOT = Path(__file__).parents[2]
RESULTS = pd.read_csv(ROOT / OUT / "results.csv")
HEALTHY = pd.read_csv(ROOT / OUT / "false_trips.csv")


def test_the_page_is_that_of_the_committed_figures(tmp_path: Path) -> None:
    page = twin_page.write_twin_page(ROOT / OUT, tmp_path)
    assert without_figures(page) == without_figures(ROOT / OUT / "index.html")
    tables = sorted(file.name for file in (tmp_path / "tables").iterdir())
    assert tables == sorted(file.name for file in (ROOT / OUT / "tables").iterdir())
    for name in tables:
        assert (tmp_path / "tables" / name).read_text() == (ROOT / OUT / "tables" / name).read_text(), name
    assert (tmp_path / "figures" / "closed-loop.svg").exists()


def test_every_trial_stands_there_once_for_each_training_seed() -> None:
    expected = {tuple(t.key(seed).values()) for trials in cells().values() for t in trials for seed in SEEDS}
    found = list(RESULTS[["seed", "fault", "severity", "onset", "day"]].itertuples(index=False, name=None))
    assert len(found) == len(expected)
    assert set(found) == expected
    assert set(RESULTS["fault"]) == {*get_args(FaultName), NONE}


def test_a_thousand_healthy_hours_were_watched_for_each_training_seed() -> None:
    assert (HEALTHY.groupby("seed")["hours"].sum() >= 1000).all()
    assert set(HEALTHY["seed"]) == set(SEEDS)


def test_what_was_not_detected_went_on_as_without_a_trip() -> None:
    names = [name.removesuffix("_without") for name in RESULTS if name.endswith("_without")]
    missed = RESULTS[RESULTS["detect"].isna()]
    for name in names:
        assert missed[name].equals(missed[f"{name}_without"].rename(name)), name
    caught = RESULTS[RESULTS["detect"].notna()]
    assert caught["react"].between(1, 60).all()
    assert (caught["energy"] <= caught["energy_without"]).all()


def test_the_time_to_react_counts_from_the_trip_to_the_first_safe_minute() -> None:
    table = pd.DataFrame({"time": range(200), "speed": 2900.0, "current": 1.5, "flow": 100.0})
    assert math.isnan(reaction(table, 3))
    table.loc[5:, "speed"] = 0.0
    table.loc[6:, "current"] = 0.0
    table.loc[7:, "flow"] = 0.0
    assert reaction(table, 3) == 4  # in the row of second 7
    table.loc[100, "flow"] = 50.0
    assert reaction(table, 3) == 4
    table.loc[30, "flow"] = 50.0
    assert reaction(table, 3) == 28
    assert math.isnan(reaction(table.iloc[:80], 3))


@pytest.mark.parametrize("name", get_args(FaultName))
def test_a_committed_trial_can_be_measured_again(name: str) -> None:
    """But for the alarm's moment, which needs a trained model."""
    part = RESULTS[(RESULTS["fault"] == name) & RESULTS["detect"].notna()]
    for row in part.iloc[:1].itertuples():
        trial = Trial(row.fault, row.severity, row.onset, row.day)
        alarm = trial.onset + row.detect
        assert reaction(trial.simulate(every=1, trip=alarm), alarm) == row.react
        found = consequences(trial.simulate(trip=alarm), trial)
        assert found == pytest.approx({key: getattr(row, key) for key in found}, rel=1e-4)


def test_a_machine_that_trips_is_safe_within_its_coasting() -> None:
    table = simulate(1200, trip=600)
    assert reaction(table, 600) == math.ceil(3 * math.log(1 / 0.05))  # speed below 5 %


def test_consequences_are_in_their_units() -> None:
    trial = Trial("leak", 1.0, "sudden", 0)
    table = pd.DataFrame({"time": np.arange(0, trial.seconds, 10), "current": math.hypot(1.2, 1.0), "flow": 70.0})
    table = table.assign(temperature=40.0, level=50.0)
    found = consequences(table, trial)
    assert found["energy"] == pytest.approx(0.568 * 24)  # kWh: a day at 568 W
    assert found["leaked"] == pytest.approx(30 * 1440 / 1000)  # m3: 30 of 100 l/min, of which 70 are metered


def test_trials_of_a_day_differ_in_their_fault_alone() -> None:
    trial, healthy = Trial("leak", 0.5, "ramped", 1), Trial(None, 0.0, "sudden", 1)
    a, b = trial.simulate(), healthy.simulate()
    before = a["time"] < ONSETS[1] * 3600
    pd.testing.assert_frame_equal(a[before], b[before])
    assert trial.faults == [Fault("leak", trial.onset, trial.seconds, 0.5, RAMPS["ramped"])]


@pytest.mark.parametrize(("count", "low", "high"), [(0, 0, 3.689), (1, 0.025, 5.572), (10, 4.795, 18.390)])
def test_the_interval_of_a_count_is_garwoods(count: int, low: float, high: float) -> None:
    assert poisson_interval(count) == pytest.approx((low, high), abs=1e-3)


def test_an_undetected_fault_counts_as_longer_than_all_others() -> None:
    detect = pd.Series([10.0, math.nan, 20.0, 30.0])
    assert twin_page.quantile(detect, 0.5) == 20
    assert twin_page.quantile(detect, 0.9) == math.inf
    assert twin_page.in_short(math.inf) == "not in 24 h"


def test_a_promise_is_broken_only_where_the_interval_says_so() -> None:
    assert twin_page.verdict(1, 3, 0.5) == "broken"
    assert twin_page.verdict(1, 3, 2) == "not contradicted"
    assert twin_page.verdict(1, 3, 4) == "kept"


def test_faults_that_are_mostly_missed_are_named() -> None:
    rows = [
        {"fault": name, "severity": severity, "early": 0, "detect": detect}
        for name in get_args(FaultName)
        for severity in SEVERITIES
        for detect in ([60.0, math.nan, math.nan] if name == "leak" and severity < 1 else [60.0])
    ]
    assert twin_page.weak(pd.DataFrame(rows)) == ["leak (severity 0.25, 0.5)"]


def test_the_twin_is_trained_as_the_demo_is() -> None:
    ours = (twin_settings.EVERY, twin_settings.HEALTHY, twin_settings.BUDGET)
    assert ours == (demo_sensors.EVERY, demo_sensors.HEALTHY, demo_sensors.BUDGET)
