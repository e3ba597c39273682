"""What reports/sensors shows is what its committed CSV files say."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from experiments import sensors, sensors_page
from experiments.sensors import OUT, measure
from experiments.sensors_development import FILE as DEVELOPMENT

ROOT = Path(__file__).parents[2]


def test_the_tables_are_those_of_the_committed_figures() -> None:
    results = pd.read_csv(ROOT / OUT / "results.csv")
    quiet = pd.read_csv(ROOT / OUT / "false_alarms.csv")
    tables = {
        "skab": sensors_page.skab(results[results["data"] == "skab"]),
        "nab-machine-temperature": sensors_page.nab(results[results["data"] == "nab"]),
        "false-alarms": sensors_page.kept(quiet),
        "development": sensors_page.development(pd.read_csv(ROOT / DEVELOPMENT)),
    }
    for name, table in tables.items():
        assert (ROOT / OUT / "tables" / f"{name}.csv").read_text() == table.to_csv(index=False), name


def test_an_average_says_over_which_experiments_it_is() -> None:
    names = [f"valve1/{i}" for i in range(31)] + ["other/2", "other/4", "other/13"]
    areas = [0.9] * 31 + [0.1, 0.5, 0.7]
    table = pd.DataFrame({"detector": "ours", "experiment": names, "seed": 0, "auroc": areas, "train_seconds": 1.0})
    row = sensors_page.skab(table.assign(tp=1, fp=1, fn=1, tn=1)).iloc[0]
    assert row["AUROC, all 34"] == f"{(31 * 0.9 + 1.3) / 34:.3f}"
    assert row["33 clean by their own labels"] == f"{(31 * 0.9 + 1.2) / 33:.3f}"
    assert row["31 clean by all labels"] == "0.900"


def test_seconds_of_training_are_those_of_what_a_score_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def train(*_: object) -> None:
        now[0] += 1000

    table = pd.DataFrame({"score": [0.0], "alarm": [0]})
    monkeypatch.setattr(sensors, "prepare", lambda *_: None)
    monkeypatch.setattr(sensors, "networks", train)
    model = SimpleNamespace(usual=SimpleNamespace(score=0.0), score=lambda _: SimpleNamespace(table=table))
    monkeypatch.setattr(sensors, "fit", lambda *_: model)
    monkeypatch.setattr(sensors.time, "monotonic", lambda: now[0])
    case = SimpleNamespace(healthy=None, recording=None)
    seconds = {name: spent for name, _, _, spent in sensors.ours(case, 0)}  # type: ignore[arg-type]
    assert {name for name, spent in seconds.items() if spent < 1000} == sensors.NO_NETWORK < set(seconds)


def test_every_experiment_stands_there_with_three_seeds() -> None:
    results = pd.read_csv(ROOT / OUT / "results.csv")
    counts = results.groupby(["data", "experiment", "detector"])["seed"].nunique()
    assert (counts == 3).all()
    assert results[results["data"] == "skab"]["experiment"].nunique() == 34
    rows = results[results["data"] == "skab"].groupby(["detector", "seed"])[["tp", "fp", "fn", "tn"]].sum()
    assert (rows.sum(axis=1) == 23_801).all()  # test rows, of which
    assert (rows["tp"] + rows["fn"] == 12_771).all()  # anomalous


def test_alarms_are_counted_point_by_point() -> None:
    class Case:
        n_train, y_test = 2, pd.Series([0, 0, 1, 1, 1]).to_numpy()

    score, alarm = pd.Series([9, 9, 0, 3, 2, 4, 5.0]).to_numpy(), pd.Series([1, 1, 0, 1, 0, 1, 1]).to_numpy() > 0
    found = measure(Case(), score, alarm)  # type: ignore[arg-type]
    assert (found["tp"], found["fp"], found["fn"], found["tn"]) == (2, 1, 1, 1)
    assert found["auroc"] == pytest.approx(5 / 6)
