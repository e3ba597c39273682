"""Public recordings are read from the layout they are published in, and from one packed table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from anogan.errors import DataUnavailableError
from experiments.public_recordings import load_nab_machine, load_skab, load_skab_healthy


def experiment(rows: int = 500, seed: int = 0) -> pd.DataFrame:
    table = pd.DataFrame({"datetime": pd.date_range("2020-03-09", periods=rows, freq="s").astype(str)})
    table["Pressure"] = np.random.default_rng(seed).standard_normal(rows)
    table["anomaly"] = (np.arange(rows) >= 450).astype(float)
    table["changepoint"] = 0.0
    return table


def test_skab_is_read_as_published_and_as_one_table(tmp_path: Path) -> None:
    for name in ("valve1/10", "valve1/2", "other/1"):
        file = tmp_path / "plain" / f"{name}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        experiment(seed=len(name)).to_csv(file, sep=";", index=False)
    plain = load_skab(tmp_path / "plain")
    assert [case.name for case in plain] == ["other/1", "valve1/2", "valve1/10"]
    assert (plain[0].n_train, plain[0].recording.channels, plain[0].recording.step) == (400, ("Pressure",), 1.0)
    assert len(plain[0].healthy) == 400
    assert plain[0].y_test.tolist() == [0] * 50 + [1] * 50
    packed = pd.concat([experiment(seed=len(case.name)).assign(experiment=case.name) for case in plain])
    packed.to_csv(tmp_path / "skab_faults.csv.gz", index=False)
    for one, other in zip(plain, load_skab(tmp_path), strict=True):
        assert one.name == other.name
        assert np.array_equal(one.recording.values, other.recording.values)


def test_skab_without_faults_ends_before_its_rows_come_again(tmp_path: Path) -> None:
    (tmp_path / "anomaly-free").mkdir()
    table = experiment(900).drop(columns=["anomaly", "changepoint"])
    table.to_csv(tmp_path / "anomaly-free" / "anomaly-free.csv", sep=";", index=False)
    recording = load_skab_healthy(tmp_path)
    assert len(recording) == 900 - 572
    assert recording.channels == ("Pressure",)


def test_nab_is_read_with_its_windows(tmp_path: Path) -> None:
    times = pd.date_range("2013-12-02", periods=100, freq="5min").astype(str)
    values = np.arange(100.0)
    table = pd.DataFrame({"timestamp": times, "value": values})
    table.to_csv(tmp_path / "machine_temperature_system_failure.csv", index=False)
    windows = {
        "realKnownCause/machine_temperature_system_failure.csv": [[times[30], times[39]], [times[80], times[84]]]
    }
    (tmp_path / "combined_windows.json").write_text(json.dumps(windows))
    case = load_nab_machine(tmp_path)
    assert case.n_train == 30
    assert np.flatnonzero(case.anomalous).tolist() == [*range(30, 40), *range(80, 85)]
    table.assign(in_window=case.anomalous).to_csv(tmp_path / "machine_temperature_system_failure.csv.gz", index=False)
    assert np.array_equal(load_nab_machine(tmp_path).anomalous, case.anomalous)


def test_where_there_are_no_files_it_is_said_how_to_get_them(tmp_path: Path) -> None:
    for load, where in (
        (load_skab, "waico/SKAB"),
        (load_skab_healthy, "waico/SKAB"),
        (load_nab_machine, "numenta/NAB"),
    ):
        with pytest.raises(DataUnavailableError, match=where):
            load(tmp_path)
