"""The demo on rendered boards, a short one: from nothing to a report, and again without training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from anogan.cli import main
from anogan.cli.commands import demo_photos
from anogan.photos.training import Photos
from anogan.simulators.boards import PartDefect


def test_the_bar_knows_how_many_kinds_of_defect_there_are() -> None:
    assert len(get_args(PartDefect)) == demo_photos.KINDS


def test_the_photos_held_out_support_the_false_alarm_rate() -> None:
    assert demo_photos.GOOD * demo_photos.CONFIG.holdout >= 1 / demo_photos.CONFIG.false_alarm_rate - 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::anogan.errors.TrainingWarning", "ignore::anogan.errors.CalibrationWarning")
def test_the_demo_renders_trains_reports_and_does_not_train_twice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = demo_photos.CONFIG
    gan, locator = replace(config.gan, steps=20, width=8), replace(config.locator, steps=30)
    monkeypatch.setattr(demo_photos, "CONFIG", replace(config, gan=gan, locator=locator))
    for name, value in {"GOOD": 40, "TEST": 6, "EACH": 2, "SIZE": 64}.items():
        monkeypatch.setattr(demo_photos, name, value)
    monkeypatch.chdir(tmp_path)
    assert main.run_command(["demo", "photos", "--threads", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "reports/demo-photos/index.html"
    page = (tmp_path / "reports/demo-photos/index.html").read_text()
    assert "tells defective parts from good ones" in page
    monkeypatch.setattr(Photos, "train", None)
    assert main.run_command(["demo", "photos", "--threads", "1"]) == 0
