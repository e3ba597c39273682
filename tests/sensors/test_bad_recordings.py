"""Whatever is given as a recording: one clear line and exit status 2, or a word and on; nothing lost, no traceback."""

from __future__ import annotations

import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import quick, recording, stripes

from anogan.cli import main
from anogan.errors import CalibrationWarning, SampleError
from anogan.runs import bundle
from anogan.sensors.recordings import read_recording

Change = Callable[[pd.DataFrame], pd.DataFrame]
WORDS = ["--time-column", "t", "--window", "12", "--budget", "1/hour", "--threads", "1"]
WORDS += ["--gan.steps", "5", "--encoder.steps", "5"]

TABLES: dict[str, Change] = {
    "dead": lambda table: table.assign(flow=np.nan),
    "text": lambda table: table.assign(flow="off"),
    "one": lambda table: table.head(1),
    "few": lambda table: table.head(60),
    "none": lambda table: table.head(0),
    "unsorted": lambda table: table.sample(frac=1, random_state=0),
    "backwards": lambda table: table.assign(t=table["t"].to_numpy()[::-1]),
    "timeless": lambda table: table.assign(t=np.nan),
    "no time": lambda table: table.drop(columns="t"),
    "a channel less": lambda table: table.drop(columns="pressure"),
    "other step": lambda table: table[::10],
    "huge": lambda table: table.assign(flow=table["flow"] * 1e300),
}
FILES = {
    "empty": b"",
    "binary": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20,
    "zeros": bytes(5000),
    "quotes": b'"\x00\r"a\n' * 50,
}


def written(name: str, folder: Path, n: int = 900) -> Path:
    file = folder / "bad.csv"
    if name == "directory":
        file.mkdir()
    elif name in FILES:
        file.write_bytes(FILES[name])
    else:
        TABLES[name](recording(n)).to_csv(file, index=False)
    return file


def told(words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """Exit status and standard error of a command, as a user sees them."""
    monkeypatch.setattr(sys, "argv", ["anogan", *words])
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # the command line sets its own
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        status = main.main()
    return status, capsys.readouterr().err


def files(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def run(pump_run: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(pump_run, tmp_path / "run"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("one", "has 1 rows, which leave 0 windows"),
        ("few", "which leave"),
        ("none", "holds no row"),
        ("unsorted", "rows go back in time"),
        ("backwards", "the time never goes forward"),
        ("timeless", "column 't' holds no readable time: 'nan'"),
        ("no time", "no column 't'; choose from flow"),
        ("huge", "the numbers of channel 'flow' are too large"),
        ("empty", "it is empty"),
        ("binary", "is not a readable table"),
        ("zeros", "holds no row"),
        ("directory", "Is a directory"),
    ],
)
def test_what_cannot_be_trained_on_is_told_and_leaves_no_run_behind(
    name: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["train", "--data", str(written(name, tmp_path)), *WORDS, "--out", str(tmp_path / "new")]
    status, error = told(words, capsys, monkeypatch)
    assert status == 2
    assert message in error
    assert not (tmp_path / "new").exists()


def test_blocks_that_no_held_out_stretch_holds_are_told_before_anything_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recording(200).to_csv(tmp_path / "few.csv", index=False)
    words = ["train", "--data", str(tmp_path / "few.csv"), *WORDS, "--out", str(tmp_path / "new")]
    status, error = told([*words, "--block", "60"], capsys, monkeypatch)
    assert status == 2
    assert "--block 60 is longer than what can be held out" in error
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--budget", "one a week"], "expected a budget such as 1/week"),
        (["--budget", "0/day"], "expected a budget such as 1/week"),
        (["--persist", "0"], "persist must be >= 1 row"),
        (["--block", "2"], "block must be 0 or >= 3 rows"),
        (["--persist", "400"], "--persist 400 is longer than what can be held out"),
    ],
)
def test_alarms_that_cannot_be_meant_are_told_before_anything_is_trained(
    option: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recording(900).to_csv(tmp_path / "rows.csv", index=False)
    words = ["train", "--data", str(tmp_path / "rows.csv"), *WORDS, *option, "--out", str(tmp_path / "new")]
    status, error = told(words, capsys, monkeypatch)
    assert status == 2
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("name", "status", "message"),
    [
        ("dead", 0, "column 'flow' holds no number"),
        ("text", 0, "column 'flow' holds no number"),
        ("one", 0, ""),
        ("none", 2, "holds no row"),
        ("unsorted", 0, "rows go back in time"),
        ("timeless", 2, "holds no readable time"),
        ("no time", 2, "no column 't'"),
        ("a channel less", 2, "no column 'pressure'"),
        ("other step", 0, "its rows are 10 s apart, those of training were 1 s"),
        ("huge", 0, ""),
        ("empty", 2, "it is empty"),
        ("binary", 2, "is not a readable table"),
        ("directory", 2, "Is a directory"),
    ],
)
def test_what_cannot_be_scored_is_told(
    name: str,
    status: int,
    message: str,
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, error = told(["score", str(run), str(written(name, tmp_path, 200)), "--threads", "1"], capsys, monkeypatch)
    assert found == status
    assert message in error
    assert (run / "scored" / "bad" / "scores.csv").exists() == (status == 0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dead", "channel 'flow' holds no number"),
        ("one", "no healthy stretch is longer than a window"),
        ("none", "holds no row"),
        ("unsorted", "rows go back in time"),
        ("a channel less", "no column 'pressure'"),
        ("binary", "is not a readable table"),
        ("directory", "Is a directory"),
    ],
)
def test_what_cannot_be_recalibrated_on_is_told_and_changes_nothing(
    name: str,
    message: str,
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = files(run)
    status, error = told(["recalibrate", str(run), str(written(name, tmp_path))], capsys, monkeypatch)
    assert status == 2
    assert message in error
    assert files(run) == before


@pytest.mark.parametrize(
    ("name", "status", "message"),
    [
        ("dead", 0, "100 rows"),
        ("one", 0, "1 rows"),
        ("none", 0, "0 rows"),
        ("empty", 0, "0 rows"),
        ("unsorted", 0, "late"),
        ("timeless", 2, "no readable time"),
        ("no time", 2, "no column 't'"),
        ("a channel less", 2, "expected a header with flow, pressure, noise, still"),
        ("huge", 0, "100 rows"),
        ("binary", 2, "expected a header"),
        ("zeros", 2, "expected a header with flow, pressure, noise, still, got: ???"),
        ("quotes", 2, "left out"),
        ("directory", 2, "Is a directory"),
    ],
)
def test_what_cannot_be_monitored_is_told(
    name: str,
    status: int,
    message: str,
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ["monitor", str(run), str(written(name, tmp_path, 100)), "--no-follow"]
    found, error = told(words, capsys, monkeypatch)
    assert found == status
    assert message in error
    assert all(line.isprintable() for line in error.split("\n"))


@pytest.mark.parametrize("command", ["monitor", "recalibrate"])
def test_a_model_of_images_is_told(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = quick("fanogan").fit(stripes(80, (1, 28, 28)))
    bundle.save(tmp_path / "bundle", detector.gan_, {"fanogan": detector}, "digits", {"data": "stripes"})
    recording(100).to_csv(tmp_path / "rows.csv", index=False)
    status, error = told([command, str(tmp_path / "bundle"), str(tmp_path / "rows.csv")], capsys, monkeypatch)
    assert status == 2
    assert "was trained on stripes, not on a recording of sensors" in error


def test_a_table_of_too_many_columns_is_told_before_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "wide.csv"
    file.write_text(",".join(f"c{i}" for i in range(100_000)) + "\n")
    with pytest.raises(SampleError, match=r"it has 100,000 columns, more than 4,096"):
        read_recording(file)
