"""What reports/rare_faults shows is what its committed CSV files say, and the protocol keeps its word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from anogan.sensors.recordings import from_table
from experiments import rare_faults, rare_faults_page
from experiments.public_recordings import LabelledRecording
from experiments.rare_faults import DRAWS, OURS, OUT, SEEDS

ROOT = Path(__file__).parents[2]


def test_the_tables_are_those_of_the_committed_figures() -> None:
    results = pd.read_csv(ROOT / OUT / "results.csv")
    for case, name in (("SKAB valves", "skab-valves"), ("built-in machine", "built-in-machine")):
        table = rare_faults_page.table(results[results["case"] == case])
        assert (ROOT / OUT / "tables" / f"{name}.csv").read_text() == table.to_csv(index=False), name


def test_every_draw_of_every_seed_is_there() -> None:
    results = pd.read_csv(ROOT / OUT / "results.csv")
    for case, draws in DRAWS.items():
        part = results[(results["case"] == case) & (results["learned from"] == OURS)]
        assert sorted(zip(part["seed"], part["draw"], strict=True)) == [(s, d) for s in SEEDS for d in range(draws)]


def test_no_experiment_stands_on_both_sides() -> None:
    """Every row of this stand-in for SKAB holds its experiment's number."""
    cases = {}
    for number, name in enumerate([f"valve1/{i}" for i in range(16)] + [f"valve2/{i}" for i in range(4)]):
        table = pd.DataFrame({"a": np.full(200, float(number)), "b": np.arange(200.0)})
        anomalous = (np.arange(200) >= 100).astype(np.int64)
        cases[name] = LabelledRecording(name, from_table(table, name), anomalous, 50)
    teach, test = ["valve1/0", "valve1/1", "valve2/0"], ["valve1/2", "valve2/1"]
    case = rare_faults.skab_case(cases, teach, test)
    drawn = case.draw(np.random.default_rng(0))
    assert [rows.shape for rows in drawn] == [(50, 2), (50, 2)]
    taught = np.unique(np.concatenate([case.normal, *drawn, *case.every_fault])[:, 0])
    assert not set(taught) & set(np.unique(case.x_test[:, 0]))
    assert drawn[1][0, 0] == 16
    assert np.bincount(case.y_test).tolist() == [200, 100, 100]
    assert (case.normal[:, 1] < 100).all()


def test_a_forest_is_judged_by_every_class_alike() -> None:
    x = np.repeat(np.arange(3.0), 50)[:, None]
    case = rare_faults.Case(("a",), x[:50], lambda rng: [x[50:100], x[100:]], x, np.repeat(np.arange(3), 50), [], 50)
    assert rare_faults.macro_f1(case, x[:50], [x[50:100], x[100:]], 0) == 1
    assert rare_faults.macro_f1(case, x[:50], [x[50:100], x[:0]], 0) == pytest.approx((1 + 2 / 3 + 0) / 3)
