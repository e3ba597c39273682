"""What reports/serve shows is what its committed CSV files say."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from experiments import load, load_page
from experiments.load import OUT

ROOT = Path(__file__).parents[2]


def read(name: str) -> pd.DataFrame:
    return pd.read_csv(ROOT / OUT / f"{name}.csv", dtype={"clients": str, "what": str})


def test_the_tables_are_those_of_the_committed_figures(tmp_path: Path) -> None:
    for file in (ROOT / OUT).glob("*.csv"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "machine.json").write_bytes((ROOT / OUT / "machine.json").read_bytes())
    load_page.write(tmp_path)
    tables = {file.name: file.read_text() for file in (tmp_path / "tables").iterdir()}
    assert tables == {file.name: file.read_text() for file in (ROOT / OUT / "tables").iterdir()}
    assert len(tables) == len(load_page.TEXTS)


def test_no_answer_was_wrong_and_no_error_was_the_servers() -> None:
    assert not read("load")["wrong"].fillna(0).any()
    assert not read("soak")["wrong"].any()
    assert not read("separation")["not its own"].fillna(0).any()
    abuse = read("abuse").set_index("what")["count"]
    assert abuse["hand-made requests"] >= 10_000
    assert abuse["requests of schemathesis"] > 0
    fives = {what.split()[1][:3] for what in abuse.index if what.startswith("status 5")}
    fives |= {what.split()[3][:3] for what in abuse.index if what.startswith("of them answered 5")}
    assert fives <= {"503"}
    assert not abuse[[what for what in abuse.index if what.startswith("wrong or lost")]].any()
    assert abuse["tracebacks in the log"] == 0
    assert abuse["well within a second afterwards"] == 1
    kill = read("kill").set_index("what")["value"]
    assert kill["SIGTERM: exit status"] == 0
    assert kill["SIGTERM: photos scored"] == kill["SIGTERM: scores that clients got"]


def test_a_leak_would_be_seen() -> None:
    soaked = pd.DataFrame({"seconds": range(0, 600, 5)})
    rise, half = load.slope(soaked.assign(megabytes=500 + soaked["seconds"] / 36), 120)
    assert rise == pytest.approx(100)
    assert half == pytest.approx(0, abs=1e-6)
