"""Tables that a spreadsheet opens, and files that one process keeps from others."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from anogan.files import lock, no_formula, without_formulas


def test_no_text_of_a_table_is_a_formula_and_numbers_stay_as_they_are() -> None:
    table = pd.DataFrame(
        {"=cmd": ["@a", "-1.5", "b"], "flow": [-1.0, float("nan"), 2.0], "+x": ["-a 90 %", None, "=1+1"]}
    )
    shown = without_formulas(table)
    assert shown.columns.tolist() == ["'=cmd", "flow", "'+x"]
    assert shown["'=cmd"].tolist() == ["'@a", "-1.5", "b"]
    assert shown["'+x"].dropna().tolist() == ["'-a 90 %", "'=1+1"]
    assert shown["flow"].equals(table["flow"])
    assert [no_formula(text) for text in ("\t=1", "a=1", "", "-1e3")] == ["'\t=1", "a=1", "", "-1e3"]


def test_a_lock_keeps_others_out_until_its_process_ends_however_it_ends(tmp_path: Path) -> None:
    code = "import sys; from anogan.files import lock; f = open(sys.argv[1], 'ab'); "
    code += "print(lock(f, wait=True), flush=True); input()"
    command = [sys.executable, "-c", code, str(tmp_path / "file")]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other,
        (tmp_path / "file").open("ab") as stream,
    ):
        other.stdout.readline()  # it has the lock
        assert not lock(stream, wait=False)
        other.kill()
        assert lock(stream, wait=True)


def test_a_drive_without_locks_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", flock)
    with (tmp_path / "file").open("ab") as stream:
        assert lock(stream, wait=True)
