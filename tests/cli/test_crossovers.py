"""What is given to a model of another use is told in one line, by every command, and nothing is written."""

from __future__ import annotations

import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from conftest import quick, recording, stripes
from photo_model import save_model, write

from anogan.cli import main
from anogan.runs import bundle


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, pump_run: Path) -> Path:
    """Models of digits, sensors and photos; photos, a recording and arrays."""
    folder = tmp_path_factory.mktemp("uses")
    detector = quick("fanogan").fit(stripes(80, (1, 28, 28)))
    bundle.save(folder / "digits" / "bundle", detector.gan_, {"fanogan": detector}, "digits", {"data": "digits"})
    (folder / "sensors").symlink_to(pump_run)
    save_model(folder / "photos")
    for i in range(3):
        write(folder / "pictures" / f"{i}.png", i)
    (folder / "nothing").mkdir()
    recording(100).to_csv(folder / "rows.csv", index=False)
    (folder / "recordings").mkdir()
    recording(100).to_csv(folder / "recordings" / "rows.csv", index=False)
    np.save(folder / "samples.npy", stripes(5, (1, 28, 28)))
    np.save(folder / "flat.npy", np.zeros(10))
    return folder


# The uses are named by the models' folders.
WRONG = [
    "score digits rows.csv",
    "score digits flat.npy",
    "score digits recordings",
    "score digits nothing",
    "score digits mnist",
    "score digits missing.png",
    "score photos rows.csv",
    "score photos samples.npy",
    "score photos recordings",
    "score photos digits",
    "score sensors pictures/0.png",
    "score sensors pictures",
    "score sensors samples.npy",
    "score sensors recordings",
    "score sensors digits",
    "monitor digits rows.csv --no-follow",
    "monitor photos rows.csv --no-follow",
    "monitor sensors pictures --no-follow --state OUT",
    "watch digits pictures --once",
    "watch sensors pictures --once",
    "watch photos rows.csv --once",
    "sensitivity digits --data pictures",
    "sensitivity sensors --data pictures",
    "sensitivity sensors --data pictures/0.png",
    "sensitivity photos --data rows.csv",
    "sensitivity photos --data nothing",
    "recalibrate digits rows.csv",
    "recalibrate photos pictures",
    "recalibrate sensors pictures",
    "recalibrate sensors pictures/0.png",
    "recalibrate sensors samples.npy",
    "sensitivity sensors --data samples.npy",
    "sensitivity sensors --kinds scratch",
    "sensitivity photos --kinds drift --data pictures",
    "sensitivity photos --duration 5 --data pictures",
    "export sensors --onnx new.onnx --photo-size 64 64",
    "export digits --onnx new.onnx --photo-size 64 64",
    "serve nothing",
    "serve digits pictures",
    "sample sensors --grid 4 --out OUT",
    "sample sensors --interpolations 2 --out OUT",
    "sample sensors --format png --out OUT",
    "sample sensors --faults pictures --out OUT",
    "sample photos --format csv --out OUT",
    "sample photos --faults rows.csv --out OUT",
    "sample photos --rows 100 --out OUT",
    "sample digits --faults pictures --out OUT",
    "report digits",
]


@pytest.mark.parametrize("words", WRONG)
def test_one_line_says_what_does_not_fit(
    words: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(folder.rglob("*"))
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["anogan", *words.replace("OUT", str(tmp_path / "out")).split()])
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # the command line sets its own
    status = main.main()
    told = capsys.readouterr()
    assert status == 2
    assert told.err.startswith("anogan: ")
    assert told.err.count("\n") == 1
    assert set(folder.rglob("*")) == before


def test_a_photo_among_recordings_costs_its_own_line_alone(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = shutil.copytree(folder / "sensors", tmp_path / "run")
    monkeypatch.chdir(folder)
    assert main.run_command(["score", str(run), "rows.csv", "pictures/0.png"]) == 2
    told = capsys.readouterr()
    assert "rows.csv: 0 alarms in 100 rows" in told.out
    assert "pictures/0.png is not a readable table" in told.err


def test_a_photo_is_no_stream_of_rows(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert main.run_command(["monitor", "sensors", "pictures/0.png", "--no-follow", "--state", str(tmp_path)]) == 2
    assert "expected a header with flow, pressure, noise, still" in capsys.readouterr().err
