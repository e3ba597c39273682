"""The monitor scores what arrives as the batch command would, and loses and doubles nothing when it is stopped."""

from __future__ import annotations

import io
import json
import os
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
import pytest
from conftest import faulty, recording

from anogan.cli import main
from anogan.errors import SampleError
from anogan.runs.bundle import Bundle
from anogan.sensors.model import SensorModel
from anogan.sensors.monitor.monitor import ALARMS, STATE, Latencies, LiveMonitor, Message
from anogan.sensors.monitor.rows import LONGEST_MESSAGE, RowReader
from anogan.sensors.monitor.sources import LONGEST_BYTES, GrowingFile, Stdin, Waiting, drain


@pytest.fixture(scope="module")
def model(pump_run: Path) -> SensorModel:
    return SensorModel.load(Bundle.open(pump_run))


def days() -> pd.DataFrame:
    """Two faults with healthy rows around them."""
    table = pd.concat([faulty(5), faulty(6)], ignore_index=True)
    return table.assign(t=range(len(table)))


def expected(model: SensorModel, table: pd.DataFrame, folder: Path) -> list[tuple[int, int, object]]:
    """Number, start and end of the alarms that the batch command finds."""
    table.to_csv(folder / "batch.csv", index=False)
    alarms = model.score(model.read(folder / "batch.csv")).alarms
    assert len(alarms) >= 2
    return [(alarm.number, alarm.start, alarm.end) for alarm in alarms]


def written(folder: Path) -> list[tuple[int, int, object]]:
    """The same from alarms.jsonl; every change must stand there once."""
    changes = [json.loads(line) for line in (folder / ALARMS).read_text().splitlines()]
    assert len({change["id"] for change in changes}) == len(changes)
    ends = {change["number"]: change for change in changes}  # the later one of each
    return [(change["number"], change["start"], change["end"]) for change in ends.values()]


def lines(table: pd.DataFrame, form: str) -> list[str]:
    if form == "json":
        return [json.dumps(row) for row in json.loads(table.to_json(orient="records", double_precision=15))]
    separator = ";" if form == "decimal comma" else ","
    text = table.to_csv(index=False, sep=separator, decimal="," if form == "decimal comma" else ".")
    return text.splitlines()


def messages(texts: list[str], begin: int = 0) -> list[Message]:
    return [Message(text, time.monotonic(), begin + i + 1) for i, text in enumerate(texts)]


@pytest.mark.parametrize("form", ["csv", "decimal comma", "json"])
def test_the_monitor_finds_what_the_batch_finds(pump_run: Path, model: SensorModel, tmp_path: Path, form: str) -> None:
    monitor = LiveMonitor(pump_run, tmp_path / "state", "-")
    for batch in np.array_split(lines(days(), form), 37):
        monitor.handle(messages(list(batch)))
    assert written(tmp_path / "state") == expected(model, days(), tmp_path)


def test_a_row_is_read_by_the_names_of_its_header(model: SensorModel) -> None:
    reader = RowReader(model)
    assert reader.parse("x;still;noise;t;flow;pressure\n") == []
    (row,) = reader.parse("?;7;1,5;2024-01-01T00:00:10;99;\n")
    assert row.stamp == "2024-01-01T00:00:10"
    assert row.time == pd.Timestamp("2024-01-01T00:00:10", tz="UTC").timestamp()
    assert row.values[:1] + row.values[2:] == [99, 1.5, 7]
    assert np.isnan(row.values[1])
    assert reader.parse("") == []
    rows = reader.parse('[{"t": 1, "flow": 2}, {"t": 2.5, "flow": "off", "still": NaN}]')
    assert [row.stamp for row in rows] == [1, 2.5]
    assert rows[0].values[0] == 2
    assert np.isnan(rows[1].values).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3,4,5,6", "expected 5 values, got 6"),
        ("x,1,2,3,4", "no readable time: 'x'"),
        ("nan,1,2,3,4", "no readable time"),
        ('{"t": 1', "not JSON"),
        ("[1, 2]", "expected an object"),
        ('{"t": 1, "speed": 2}', "none of the channels"),
        ('{"flow": 1}', "no readable time: 'None'"),
    ],
)
def test_what_is_no_row_is_told_and_harms_no_other(model: SensorModel, text: str, message: str) -> None:
    reader = RowReader(model)
    reader.parse("t,flow,pressure,noise,still")
    with pytest.raises(SampleError, match=message):
        reader.parse(text)
    assert reader.parse("1,2,3,4,5")[0].values == [2, 3, 4, 5]


def test_without_a_header_nothing_can_be_read(model: SensorModel) -> None:
    with pytest.raises(SampleError, match="expected a header with flow, pressure, noise, still"):
        RowReader(model).parse("1,2,3,4,5")
    with pytest.raises(SampleError, match="the header has no column 't'; choose from time"):
        RowReader(model).parse("time,flow,pressure,noise,still")


def test_malformed_and_late_rows_are_counted_and_nothing_else_changes(
    pump_run: Path, model: SensorModel, tmp_path: Path
) -> None:
    texts = lines(days(), "csv")
    for place in (1900, 700, 30):
        texts.insert(place, "garbage")
        texts.insert(place, f"{place - 29},1,2,3,4")  # late
    monitor = LiveMonitor(pump_run, tmp_path / "state", "-")
    for batch in np.array_split(texts, 9):
        monitor.handle(messages(list(batch)))
    assert written(tmp_path / "state") == expected(model, days(), tmp_path)
    assert "3 malformed, 3 late" in monitor.status()
    assert monitor.follower.scorer.seen == 2003


@pytest.mark.parametrize("seed", range(3))
def test_a_monitor_that_is_killed_anywhere_writes_every_change_once(
    pump_run: Path, model: SensorModel, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each process dies with rows unsaved, or after it has written its changes and before it has saved them; the source
    repeats what was not saved."""
    texts, folder, stream = lines(days(), "csv"), tmp_path / "state", np.random.default_rng(seed)
    saved = died = 0
    while saved < len(texts):
        monitor = LiveMonitor(pump_run, folder, "file")
        done = monitor.position or 0
        for _ in range(3):
            batch = messages(texts[done : done + int(stream.integers(1, 120))], done)
            if not batch:
                break
            monitor.handle(batch, patience=0.002)
            done = monitor.position
        with monkeypatch.context() as dying:
            dying.setattr(monitor, "save", lambda: (_ for _ in ()).throw(SystemError))
            if batch := messages(texts[done : done + 200], done):
                try:
                    monitor.handle(batch, patience=0.002)
                except SystemError:
                    died += 1
        saved = json.loads((folder / STATE).read_text())["position"]
    assert died
    assert written(folder) == expected(model, days(), tmp_path)


def test_another_source_begins_at_its_beginning_and_another_model_with_an_empty_window(
    pump_run: Path, tmp_path: Path
) -> None:
    monitor = LiveMonitor(pump_run, tmp_path, "one.csv")
    monitor.handle(messages(lines(recording(100), "csv")))
    assert "continuing after 100 rows" in LiveMonitor(pump_run, tmp_path, "one.csv").notice
    assert LiveMonitor(pump_run, tmp_path, "two.csv").position is None
    state = json.loads((tmp_path / STATE).read_text())
    (tmp_path / STATE).write_text(json.dumps(state | {"model": "another"}))
    changed = LiveMonitor(pump_run, tmp_path, "one.csv")
    assert "has changed" in changed.notice
    assert (changed.follower.scorer.seen, changed.position) == (0, 101)
    (tmp_path / STATE).write_text("{")
    with pytest.raises(SampleError, match="delete it to start again"):
        LiveMonitor(pump_run, tmp_path, "one.csv")


def test_a_change_stays_in_the_outbox_until_it_is_confirmed(pump_run: Path, tmp_path: Path) -> None:
    monitor = LiveMonitor(pump_run, tmp_path, "-")
    changes = monitor.handle(messages(lines(days(), "csv")))
    again = LiveMonitor(pump_run, tmp_path, "-")
    assert again.outbox == changes
    again.confirm([changes[0]["id"]])
    assert LiveMonitor(pump_run, tmp_path, "-").outbox == changes[1:]


def test_what_a_broker_delivers_again_is_not_scored_again(pump_run: Path, tmp_path: Path) -> None:
    texts = lines(recording(60), "json")
    monitor = LiveMonitor(pump_run, tmp_path, "-")
    monitor.handle(messages(texts[:40]))
    monitor.handle([Message(text, 0.0, None, again=True) for text in texts[30:50]])
    assert (monitor.follower.scorer.seen, monitor.repeated) == (50, 10)
    restarted = LiveMonitor(pump_run, tmp_path, "-")
    restarted.handle([Message(text, 0.0, None, again=True) for text in texts[45:]])
    assert (restarted.follower.scorer.seen, restarted.repeated) == (60, 15)


def test_a_row_of_a_wrong_clock_does_not_make_all_later_ones_repeated(pump_run: Path, tmp_path: Path) -> None:
    texts = lines(recording(60), "json")
    monitor = LiveMonitor(pump_run, tmp_path, "-")
    monitor.handle(messages([*texts[:20], texts[20].replace('"t":20', '"t":1e300'), *texts[21:40]]))
    monitor.handle([Message(text, 0.0, None, again=True) for text in texts[40:]])
    assert (monitor.follower.scorer.seen, monitor.repeated) == (60, 0)


def test_a_model_with_other_channels_waits_for_its_own_header(pump_run: Path, tmp_path: Path) -> None:
    monitor = LiveMonitor(pump_run, tmp_path, "-")
    monitor.handle(messages(lines(recording(10), "csv")))
    state = json.loads((tmp_path / STATE).read_text())
    (tmp_path / STATE).write_text(json.dumps(state | {"model": "another", "columns": ["t", "speed"]}))
    changed = LiveMonitor(pump_run, tmp_path, "-")
    changed.handle(messages(["1,2"]))
    assert (changed.malformed, changed.reader.columns) == (1, [])


# Sources.


def gathered(source: Stdin | GrowingFile, into: list[str]) -> threading.Thread:
    def run() -> None:
        for batch in source.batches():
            into.extend(message.text.rstrip("\n") for message in batch)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def wait_for(condition: object, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_standard_input_is_read_to_its_end() -> None:
    found: list[str] = []
    gathered(Stdin(io.BytesIO(b"a\n\xff\nc")), found).join(10)
    assert found == ["a", "\ufffd", "c"]


class Looking(GrowingFile):
    """Counts how often it has come to the end of the file."""

    looks = 0

    def _replaced(self, stream: IO[bytes]) -> bool:
        self.looks += 1
        return super()._replaced(stream)


def test_a_growing_file_is_followed_through_half_lines_and_rotation(tmp_path: Path) -> None:
    path, found = tmp_path / "log.csv", []
    path.write_text("a\nb\n")
    source = Looking(path)
    gathered(source, found)
    wait_for(lambda: found == ["a", "b"])
    with path.open("a") as stream:
        stream.write("c")
        stream.flush()
        looks = source.looks
        wait_for(lambda: source.looks > looks + 1)  # it has seen the half line
        assert found == ["a", "b"]
        stream.write("d\n")
    wait_for(lambda: found == ["a", "b", "cd"])
    path.rename(tmp_path / "log.1")
    path.write_text("x\n")
    wait_for(lambda: found[3:] == ["x"])
    source.close()


def test_a_file_is_read_from_where_it_was_left(tmp_path: Path) -> None:
    path, found = tmp_path / "log.csv", []
    path.write_text("a\nb\nc\n")
    gathered(GrowingFile(path, 2, follow=False), found).join(10)
    assert found == ["b", "c"]
    shorter: list[str] = []
    gathered(GrowingFile(path, 2000, follow=False), shorter).join(10)
    assert shorter == ["a", "b", "c"]


@pytest.mark.parametrize("size", [LONGEST_MESSAGE + 1, 5 * LONGEST_MESSAGE])
def test_of_a_line_without_end_no_more_is_kept_than_shows_that_it_is_too_long(tmp_path: Path, size: int) -> None:
    path, found = tmp_path / "log.csv", list[str]()
    content = b"a\n" + b"x" * size + b"\nb\n"
    path.write_bytes(content)
    source = GrowingFile(path, follow=False)
    gathered(source, found).join(20)
    piped: list[str] = []
    gathered(Stdin(io.BytesIO(content)), piped).join(20)
    assert found == piped
    assert [found[0], found[2]] == ["a", "b"]
    assert LONGEST_MESSAGE < len(found[1]) <= LONGEST_BYTES
    assert source.position == len(content)


def test_a_queue_of_long_messages_is_full_sooner() -> None:
    waiting = Waiting(10_000)
    for _ in range(2):
        waiting.put_nowait(Message("x" * 5000, 0.0))
    with pytest.raises(queue.Full):
        waiting.put_nowait(Message("", 0.0))
    assert [len(message.text) for message in drain(waiting)[0]] == [5000, 5000]
    waiting.put_nowait(None)
    assert drain(waiting) == ([], True)


def test_latencies_are_counted_in_constant_memory() -> None:
    latencies = Latencies()
    for seconds in np.split(np.linspace(0.001, 0.1, 1000), 10):
        latencies.add(seconds)
    assert latencies.quantile(0.5) == pytest.approx(0.05, rel=0.12)
    assert latencies.quantile(0.99) == pytest.approx(0.099, rel=0.12)
    assert np.isnan(Latencies().quantile(0.5))


def test_the_command_reads_a_file_and_prints_a_line_per_change(
    pump_run: Path, model: SensorModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = days()
    (tmp_path / "live.csv").write_text(table.to_csv(index=False))
    words = ["monitor", str(pump_run), str(tmp_path / "live.csv"), "--no-follow", "--state", str(tmp_path / "state")]
    assert main.run_command(words) == 0
    found = capsys.readouterr()
    assert written(tmp_path / "state") == expected(model, table, tmp_path)
    assert [json.loads(line) for line in found.out.splitlines()] == [
        json.loads(line) for line in (tmp_path / "state" / ALARMS).read_text().splitlines()
    ]
    assert "2,000 rows" in found.err
    assert main.run_command(words) == 0  # nothing new
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere.csv", "nowhere.csv"),
        ("http://host/topic", "such as mqtt://user@host:1883"),
        ("mqtt://host", "such as mqtt://"),
        ("mqtt://host/plant/#", "--publish TOPIC"),
    ],
)
def test_a_source_that_cannot_be_is_told(pump_run: Path, tmp_path: Path, source: str, message: str) -> None:
    with pytest.raises((ValueError, OSError), match=message):
        main.run_command(["monitor", str(pump_run), source, "--state", str(tmp_path)])


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(tmp_path)
    yield
    os.chdir(before)
