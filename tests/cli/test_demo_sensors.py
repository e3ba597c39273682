"""The demo on the simulated machine, a short one: from nothing to a report, and again without training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from anogan.budgets import in_words, per_second
from anogan.cli import main
from anogan.cli.commands import demo_sensors
from anogan.config.presets import SENSORS
from anogan.runs.directory import Run
from anogan.simulators.pump import CHANNELS, Fault

HOUR = 3600


def test_the_healthy_share_held_out_supports_the_budget() -> None:
    held_out = SENSORS.holdout * demo_sensors.HEALTHY
    assert held_out >= 1.1 / per_second(demo_sensors.BUDGET), in_words(held_out)


def test_there_is_healthy_operation_before_between_and_after_the_faults() -> None:
    edges = [
        0,
        *(edge for fault in demo_sensors.DEMO_FAULTS for edge in (fault.start, fault.end)),
        demo_sensors.WATCHED,
    ]
    assert all(healthy >= 12 * HOUR for healthy in pd.Series(edges).diff()[1::2])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::anogan.errors.TrainingWarning", "ignore::anogan.errors.CalibrationWarning")
def test_the_demo_trains_scores_reports_and_does_not_train_twice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gan, encoder = replace(SENSORS.gan, steps=60, width=8), replace(SENSORS.encoder, steps=60)
    monkeypatch.setattr(demo_sensors, "SENSORS", replace(SENSORS, gan=gan, encoder=encoder))
    monkeypatch.setattr(demo_sensors, "HEALTHY", 72 * HOUR)
    monkeypatch.setattr(demo_sensors, "WATCHED", 8 * HOUR)
    monkeypatch.setattr(demo_sensors, "BUDGET", "1/day")
    faults = (Fault("bearing wear", 2 * HOUR, 4 * HOUR, ramp=HOUR), Fault("stuck valve", 5 * HOUR, 6 * HOUR))
    monkeypatch.setattr(demo_sensors, "DEMO_FAULTS", faults)
    monkeypatch.chdir(tmp_path)
    assert main.run_command(["demo", "sensors", "--threads", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "reports/demo-sensors/index.html"
    report = tmp_path / "reports/demo-sensors"
    known = pd.read_csv(report / "tables/known-faults.csv")
    assert known["fault"].tolist() == ["bearing wear", "stuck valve"]
    assert known["begins"].tolist() == ["2025-03-03 02:00:00", "2025-03-03 05:00:00"]
    assert known["alarm after"][0] != "never"
    page = (report / "index.html").read_text()
    assert all(word in page for word in ("healthy operation", " of 2 faults", "threshold", *CHANNELS))
    assert page.count("<svg") == 3
    config = Run(tmp_path / "runs/demo-sensors/run").config
    assert config.data == "runs/demo-sensors/healthy.csv"
    assert len(pd.read_csv(tmp_path / config.data)) == 72 * HOUR / demo_sensors.EVERY

    # Again: nothing is trained. With another seed: the demo's own folder is replaced.
    with monkeypatch.context() as patch:
        patch.setattr("anogan.runs.kind.train_networks", lambda *_, **__: pytest.fail("trained again"))
        assert main.run_command(["demo", "sensors"]) == 0
    assert (report / "index.html").read_text() == page
    assert main.run_command(["demo", "sensors", "--seed", "1"]) == 0
    assert Run(tmp_path / "runs/demo-sensors/run").config.seed == 1
    assert (report / "index.html").read_text() != page
