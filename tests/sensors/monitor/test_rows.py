"""A row is read alike from a file, live and from a request, and no message can stop whoever reads it."""

from __future__ import annotations

import json
import re
import time
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from conftest import recording
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anogan.cli import main
from anogan.errors import SampleError
from anogan.sensors.alarms import AlarmRule
from anogan.sensors.model import SensorModel
from anogan.sensors.monitor.monitor import STATE, LiveMonitor, Message
from anogan.sensors.monitor.rows import LONGEST_MESSAGE, RowReader
from anogan.sensors.recordings import Recording, read_recording
from anogan.sensors.rows import Row, column_names, delimiter_of, is_blank
from anogan.sensors.scaling import Scaling
from anogan.sensors.scoring import Usual
from anogan.serve import tables

DIGITS = "9" * 401
HOSTILE = [
    f'{{"t": 1, "flow": 1{DIGITS}}}',
    f'{{"t": 1{DIGITS}, "flow": 1}}',
    f'{{"t": {"9" * 5000}, "flow": 1}}',
    "[" * 100_000,
    '{"t":' * 50_000,
    "[" + "[" * 900 + "]" * 900 + "]",
    '{"t": [1, 2], "flow": 1}',
    '{"t": {"a": 1}, "flow": 1}',
    '{"t": [], "flow": 1}',
    '{"t": true, "flow": 1}',
    '{"t": "\\ud800", "flow": "\\ud800"}',
    '{"t": "' + "1 jan " * 10_000 + '", "flow": 1}',
    '{"t": 1e308, "flow": -1e308}',
    '{"t": -1e308, "flow": 1e308}',
    '{"flow": {"flow": []}, "t": 0}',
    "x" * (LONGEST_MESSAGE + 1),
    "\0,\0,\0,\0,\0",
    '"' * 9,
    ",,,,",
    "1,2,3,4,5\n6,7,8,9,10",
]


def model_of(channels: tuple[str, ...], time_column: str = "", day_first: bool = False) -> SensorModel:
    """What reading needs of a model."""
    n = len(channels)
    scaling, usual = Scaling((0.0,) * n, (1.0,) * n), Usual(0.0, ())
    nothing = cast(Any, None)
    return SensorModel(nothing, channels, scaling, 1.0, 1, 1.0, usual, cast(AlarmRule, None), time_column, day_first)


def read_live(model: SensorModel, lines: list[str]) -> list[Row]:
    reader = RowReader(model)
    return [row for line in lines for row in reader.parse(line)]


def same(rows: list[Row], found: Recording) -> bool:
    values, times = np.array([row.values for row in rows]), [row.time for row in rows]
    return np.array_equal(values, found.values, equal_nan=True) and times == found.time.tolist()


@pytest.mark.parametrize(
    ("lines", "time_column", "day_first"),
    [
        (["zeit;durchfluss, l/min, mittel;druck, bar, abs", "0,5;1,5;2,25", "1,5;-1;2e3", "2,5;aus;"], "zeit", False),
        (["t\tflow, l\tp, bar", "0\t1,5\t2", "1\t1.5\t2,0"], "t", False),
        (['"t","flow, l/min","p"', '0,"1,500",2', "1,1.5,"], "t", False),
        (["t|flow|p|", "0|1|2|", "1|3|4|"], "t", False),
        (["t;flow;p", "0;1;2;", "1;3;4;"], "t", False),
        (["flow,p", "1,2", "nan,inf", "1_000,x"], "", False),
        (["flow,open", "1,True", "2,False"], "", False),
        (["t,flow", "2024-02-01,1", "2024-02-02,2", "2024-02-03,3"], "t", True),
        (["t,flow", "2024-02-01T10:00:00+02:00,1", "2024-02-02 10:00:00.250,2", "20240203T101112,3"], "t", True),
        (["t,flow", "01/02/2024 10:00,1", "02/02/2024 10:00,2", "03/02/2024 10:00,3"], "t", True),
        (["t,flow", "01/02/2024,1", "02/02/2024,2", "03/02/2024,3"], "t", False),
        (["t;flow", "01.02.2024 10:00:01;1,5", "2024-02-02;2", "03.02.2024;3"], "t", True),
        (["0,1", "1,0", "5,1", "0,1"], "", False),
        (["0;1,5;7", "1;0,1;8", "2;1;0"], "0", False),
        (["1,5;2,5", "0;1", "1;0"], "", False),
        (["2024-02-01 00:00:00\t1,5", "2024-02-01 00:00:01\t0"], "0", False),
    ],
)
def test_a_table_is_read_alike_from_a_file_and_line_by_line(
    tmp_path: Path, lines: list[str], time_column: str, day_first: bool
) -> None:
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    found = read_recording(tmp_path / "a.csv", time_column, (), day_first)
    model = model_of(found.channels, time_column, day_first)
    rows = read_live(model, lines)
    assert same(rows, found)
    content = "\n".join(lines).encode()
    assert same(rows, tables.read(model, tables.Table(content, is_json=False)))
    if not lines[0][0].isdigit() and '"' not in lines[0]:  # JSON names its columns
        delimiter = delimiter_of(lines)
        names, *cells = [[cell.strip() for cell in line.split(delimiter)] for line in lines]
        body = json.dumps({"columns": names, "rows": cells}).encode()
        assert same(rows, tables.read(model, tables.Table(body, is_json=True)))


# What a cell may hold; "," only where it is no delimiter.
PARTS = st.text(st.sampled_from("0123456789.eE+-_ ,infatrue:"), max_size=6)
ODD = [
    "",
    "x",
    "nan",
    "NA",
    "-inf",
    "True",
    "FALSE",
    "1_000",
    " 2 ",
    "0x1F",
    "1,5",
    "1.5",
    "1.234,5",
    "9" * 401,
    "1e400",
]
STAMPS = [
    "2024-02-01 10:00",
    "2024-02-01T10:00:00.25+02:00",
    "01/02/2024 10:00",
    "1 Feb 2024",
    "2024-W05-4",
    "soon",
    "",
]


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    delimiter=st.sampled_from(";,\t|"),
    header=st.sampled_from([["t", "a", "b"], ["t", "a", "a"], ["t", "a", "", "b"], []]),
    stamps=st.lists(st.none() | st.sampled_from(STAMPS), min_size=1, max_size=5),
    cells=st.lists(st.lists(PARTS | st.sampled_from(ODD), max_size=4), min_size=5, max_size=5),
    day_first=st.booleans(),
)
def test_a_table_in_a_file_live_and_over_http_gives_the_same_time_and_values_or_the_same_complaint(
    delimiter: str, header: list[str], stamps: list[str | None], cells: list[list[str]], day_first: bool
) -> None:
    first = header or ["0", "1", "2"]
    rows = [
        [str(i) if stamp is None else stamp, *row] for i, (stamp, row) in enumerate(zip(stamps, cells, strict=False))
    ]
    rows = [[cell.replace(",", "") if delimiter == "," else cell for cell in row] for row in [first, *rows]]
    lines = [delimiter.join(row) for row in rows]
    names = column_names(first)
    model = model_of(tuple(names[1:]), "t" if header else "0", day_first)
    live = [one for one in map(partial(read_one, RowReader(model)), lines) if one]
    whole = [sent(model, "\n".join(lines).encode(), is_json=False)]
    if header:  # JSON names its columns
        given = [[cell.strip() for cell in row] for row in rows[1:] if not is_blank(delimiter.join(row), delimiter)]
        whole.append(sent(model, json.dumps({"columns": names, "rows": given}).encode(), is_json=True))
    for found in whole:
        if isinstance(found, str):
            assert found in [*live, "the table holds no row", "the time never goes forward; is it the right column?"]
        else:
            untimed = [i for i, one in enumerate(live) if isinstance(one, str) and "holds no readable time" in one]
            kept = [i for i in range(len(found)) if i not in untimed]
            assert same([one for one in live if isinstance(one, Row)], found.rows(kept))


def read_one(reader: RowReader, line: str) -> Row | str | None:
    """The row of a line or why there is none."""
    try:
        return next(iter(reader.parse(line)), None)
    except SampleError as error:
        return told(error)


def sent(model: SensorModel, content: bytes, is_json: bool) -> Recording | str:
    """What a request's table, which is read as a file is, gives, or why nothing."""
    try:
        return tables.read(model, tables.Table(content, is_json))
    except SampleError as error:
        return told(error).removeprefix("the table is not a readable table: ")


def told(error: SampleError) -> str:
    """A complaint without the missing time that it shows, which is one in many ways."""
    return re.sub(r"(?<=holds no readable time): .*", "", " ".join(str(error).split()))


def test_the_first_of_february_is_no_second_of_january(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("t,a\n" + "".join(f"2024-02-{day:02d},1\n" for day in range(1, 8)))
    assert read_recording(tmp_path / "a.csv", "t", day_first=True).step == 86_400


def test_a_row_that_begins_or_ends_with_empty_cells_keeps_its_columns() -> None:
    model = model_of(("a", "b"))
    lines = ["a\tb", "\t1", "2\t", "\t", "3"]
    table = tables.read(model, tables.Table("\n".join(lines).encode(), is_json=False))
    assert same(read_live(model, lines), table)
    assert np.array_equal(table.values, [[np.nan, 1], [2, np.nan], [np.nan, np.nan], [3, np.nan]], equal_nan=True)


def test_a_delimiter_that_ends_rows_shifts_no_column(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("t;a;b\n0;1;2;\n1;3;4;\n")
    assert read_recording(tmp_path / "a.csv", "t").values.tolist() == [[1, 2], [3, 4]]
    (tmp_path / "b.csv").write_text("t;a\n0;1;2\n1;3;4\n")
    with pytest.raises(SampleError, match="expected 2 values, got 3: 0, 1, 2"):
        read_recording(tmp_path / "b.csv", "t")


def test_one_word_among_numeric_times_costs_one_row(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("t,a\n0,1\nx,2\n2,3\n3,4\n")
    found = read_recording(tmp_path / "a.csv", "t")
    assert found.time.tolist() == [0, 0, 2, 3]
    assert "1 rows without a readable time" in found.notes[0]


def test_rows_that_look_like_the_names_of_columns_by_place_are_rows() -> None:
    reader = RowReader(model_of(("0", "1")))
    rows = [row for line in ("1,0", "0,1", "0,1,x", "1,0") for row in reader.parse(line[:3])]
    assert [row.values for row in rows] == [[1, 0], [0, 1], [0, 1], [1, 0]]
    with pytest.raises(SampleError, match="expected 2 values, got 3"):
        reader.parse("0,1,2")
    with pytest.raises(SampleError, match="expected a header with 0, 1"):
        RowReader(model_of(("0", "1"))).parse("5")


def test_a_header_may_come_again_with_other_places_and_another_delimiter() -> None:
    reader = RowReader(model_of(("a", "b"), "t"))
    for header, line in (("t,a,b", "0,1,2"), ("b;t;a", "2;0;1"), ("a\tb\tt", "1\t2\t0")):
        assert reader.parse(header) == []
        assert reader.parse(line) == [Row(0, 0.0, [1.0, 2.0])]


def test_rows_of_a_message_that_is_refused_are_not_counted() -> None:
    reader = RowReader(model_of(("a",)))
    with pytest.raises(SampleError):
        reader.parse('[{"a": 1}, 2]')
    assert [row.time for row in reader.parse('[{"a": 1}, {"a": 2}]')] == [0, 1]
    assert reader.read == 2


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.integers(-(10**400), 10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["t", "flow", "a"]), inner, max_size=3),
    max_leaves=8,
)
CELLS = st.lists(st.text(max_size=12) | st.sampled_from(["flow", "t", "1", "0", "1,5", "nan", '"']), max_size=6)
MESSAGES = st.one_of(
    st.sampled_from(HOSTILE),
    st.binary().map(lambda content: content.decode("utf-8", "replace")),
    st.text(),
    VALUES.map(json.dumps),
    st.builds(lambda t, flow: json.dumps({"t": t, "flow": flow}), VALUES, VALUES),
    st.builds(lambda mark, cells: mark.join(cells), st.sampled_from(",;\t|"), CELLS),
)


@pytest.mark.parametrize("time_column", ["t", "0", ""])
@pytest.mark.parametrize("channels", [("flow",), ("0", "1")])
@pytest.mark.parametrize("header", ["", "t,flow", "flow;t"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(texts=st.lists(MESSAGES, max_size=3))
def test_whatever_a_message_holds_it_is_rows_or_a_complaint(
    channels: tuple[str, ...], time_column: str, header: str, texts: list[str]
) -> None:
    reader = RowReader(model_of(channels, time_column))
    for text in [header, *texts]:
        try:
            rows = reader.parse(text)
        except SampleError:
            continue
        assert all(np.isfinite(row.time) and not np.isinf(row.values).any() for row in rows)
        assert len(json.dumps([row.stamp for row in rows], allow_nan=False)) < 400 * (1 + len(rows))


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_hostile_is_counted_and_leaves_the_monitor_as_it_was(pump_run: Path, tmp_path: Path, text: str) -> None:
    """One message among good ones: those after it are scored, and the state can be saved and read."""
    good = recording(60).to_csv(index=False).splitlines()
    monitor = LiveMonitor(pump_run, tmp_path, "-")
    monitor.handle([Message(line, time.monotonic(), i) for i, line in enumerate([*good[:31], text, *good[31:]])])
    assert monitor.malformed + monitor.follower.scorer.seen == 61
    assert np.isfinite(monitor.score)
    assert json.loads((tmp_path / STATE).read_text())["malformed"] == monitor.malformed
    assert LiveMonitor(pump_run, tmp_path, "-").follower.scorer.seen == monitor.follower.scorer.seen


@pytest.mark.parametrize("text", [HOSTILE[1], HOSTILE[3], HOSTILE[6], HOSTILE[7], HOSTILE[8], HOSTILE[16]])
def test_the_command_goes_on_after_a_hostile_line_and_so_it_does_when_started_again(
    pump_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    rows = [json.dumps(row) for row in recording(50).to_dict(orient="records")]
    live = tmp_path / "live.jsonl"
    live.write_text("\n".join([*rows[:20], text, *rows[20:40]]) + "\n")
    words = ["monitor", str(pump_run), str(live), "--no-follow", "--state", str(tmp_path / "state")]
    assert main.run_command(words) == 0
    told = capsys.readouterr().err
    assert told.count("left out: ") == 1
    assert "40 rows, 1 malformed" in told
    with live.open("a") as stream:
        stream.write("\n".join(rows[40:]) + "\n")
    assert main.run_command(words) == 0
    assert "50 rows, 1 malformed" in capsys.readouterr().err
