"""Recordings are read as they come out of a plant, and what is odd about them is said."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from anogan.errors import SampleError
from anogan.sensors.recordings import from_table, read_recording
from anogan.sensors.rows import column_names, complaints, read_text
from anogan.sensors.scaling import FAR, Scaling
from anogan.sensors.windows import cut_scales, lead_in, slow_scale
from anogan.windows import cut_windows

ROWS = [("2024-03-01 10:00:00", 1.5, -2.0), ("2024-03-01 10:00:01", 2.5, 3.25), ("2024-03-01 10:00:03", 4.0, 0.5)]


def written(
    path: Path, delimiter: str = ",", comma: bool = False, rows: list[tuple[object, ...]] | None = None
) -> Path:
    def cell(value: object) -> str:
        text = "" if value is None else str(value)
        return text.replace(".", ",") if comma and isinstance(value, float) else text

    lines = [delimiter.join(["when", "a", "b"])]
    lines += [delimiter.join(map(cell, row)) for row in (ROWS if rows is None else rows)]
    content = "\n".join(lines) + "\n"
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(content.encode()))
    else:
        path.write_text(content)
    return path


@pytest.mark.parametrize(
    ("name", "delimiter", "comma"),
    [
        ("a.csv", ",", False),
        ("a.csv", ";", True),
        ("a.csv", "\t", True),
        ("a.csv.gz", "|", False),
        ("a.tsv", "\t", False),
    ],
)
def test_delimiter_and_decimal_mark_do_not_matter(tmp_path: Path, name: str, delimiter: str, comma: bool) -> None:
    signals = read_recording(written(tmp_path / name, delimiter, comma), "when")
    assert signals.channels == ("a", "b")
    assert signals.values.tolist() == [[1.5, -2.0], [2.5, 3.25], [4.0, 0.5]]
    assert np.diff(signals.time).tolist() == [1.0, 2.0]
    assert signals.notes == ()


def test_the_contents_of_a_file_are_read_as_the_file_is(tmp_path: Path) -> None:
    for delimiter, comma in ((",", False), (";", True)):
        path = written(tmp_path / "a.csv", delimiter, comma)
        table = read_text(io.BytesIO(path.read_bytes()))
        read, expected = from_table(table, "what came", "when"), read_recording(path, "when")
        assert read.values.tolist() == expected.values.tolist()
        assert read.time.tolist() == expected.time.tolist()
    with (
        pytest.raises(SampleError, match="what came is not a readable table: it is empty"),
        complaints("what came"),
    ):
        read_text(io.BytesIO())


def test_a_year_before_pandas_has_nanoseconds_is_a_time(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", rows=[("0224-01-01 00:00:00", 1.0, 2.0), ("0224-01-01 00:00:10", 1.0, 2.0)])
    assert read_recording(path, "when").step == 10


def test_a_number_beyond_any_is_a_missing_value() -> None:
    read = from_table(pd.DataFrame({"when": [0, 1], "a": [10**400, 1]}), "what came", "when")
    assert np.array_equal(read.values, [[np.nan], [1]], equal_nan=True)
    assert read.notes[0].startswith("1 of 2 values of 'a' are missing, for example 1000")


@pytest.mark.parametrize("header", ["a,a,a.1", "a.1,a,a", ",a,,Unnamed: 0", "a,b,c"])
def test_columns_are_named_as_pandas_names_them(header: str) -> None:
    table = pd.read_csv(io.StringIO(header + "\n"), index_col=False)
    assert column_names(header.split(",")) == list(table.columns)


def test_durations_are_seconds() -> None:
    table = pd.DataFrame({"when": pd.to_timedelta([0, 90], unit="s"), "a": [1, 2]})
    assert from_table(table, "what came", "when").step == 90


def test_two_columns_of_one_name_are_told() -> None:
    with pytest.raises(SampleError, match="two columns 'a'"):
        from_table(pd.DataFrame([[0, 1.0, 2.0]], columns=["when", "a", "a"]), "what came", "when")


def test_time_is_a_name_or_a_position_and_seconds_or_a_date(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", rows=[(0, 1.0, 2.0), (10, 1.0, 2.0)])
    assert read_recording(path, "0").time.tolist() == read_recording(path, "when").time.tolist() == [0.0, 10.0]
    by_day = written(tmp_path / "b.csv", rows=[("02/01/2024 00:00", 1.0, 2.0), ("03/01/2024 00:00", 1.0, 2.0)])
    assert read_recording(by_day, "when", day_first=True).step == 86_400


def test_one_date_that_is_written_otherwise_than_the_others_is_read() -> None:
    dates = [f"13/02/2024 10:00:{second:02d}" for second in range(40)]
    dates[20] = "13 Feb 2024 10:00:20"
    read = from_table(pd.DataFrame({"when": dates, "a": 1}), "what came", "when", day_first=True)
    assert (np.diff(read.time) == 1).all()


def test_without_a_time_column_a_row_is_a_step(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(12.0).reshape(6, 2))
    signals = read_recording(path)
    assert signals.step == 1
    assert signals.time.tolist() == [0, 1, 2, 3, 4, 5]
    assert signals.channels == ("0", "1")


def test_a_table_without_a_header_is_read_by_position(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("0;1,5\n1;2,5\n2;3,5\n")
    signals = read_recording(path, "0")
    assert signals.channels == ("1",)
    assert signals.values.ravel().tolist() == [1.5, 2.5, 3.5]


def test_parquet_and_npz_keep_their_names(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    pd.DataFrame({"t": [0.0, 1.0], "a": [1.0, 2.0]}).to_parquet(tmp_path / "a.parquet")
    np.savez(tmp_path / "a.npz", t=np.array([0.0, 1.0]), a=np.array([1.0, 2.0]))
    for name in ("a.parquet", "a.npz"):
        signals = read_recording(tmp_path / name, "t")
        assert (signals.channels, signals.values.ravel().tolist()) == (("a",), [1.0, 2.0])


def test_what_is_odd_is_said(tmp_path: Path) -> None:
    rows: list[tuple[object, ...]] = [(t, float(t), 1.0) for t in [0, 1, 2, 2, 3, 1, 4, 5, 6, 7, 90, 91]]
    rows[3] = (2, "I/O Timeout", 1.0)
    rows[8] = (None, 6.0, 1.0)
    notes = " / ".join(read_recording(written(tmp_path / "a.csv", rows=rows), "when").notes)
    assert "1 of 12 values of 'a' are missing, for example 'I/O Timeout'" in notes
    assert "1 rows without a readable time" in notes
    assert "rows repeat the time before, the first is row 3" in notes
    assert "1 rows go back in time, the first is row 5" in notes
    assert "1 gaps of more than 10 steps of 1 s, the longest 83 s" in notes


def test_what_cannot_be_read_is_told_in_one_line(tmp_path: Path) -> None:
    good = written(tmp_path / "a.csv")
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    torn = tmp_path / "torn.csv.gz"
    torn.write_bytes(gzip.compress(b"a,b\n1,2\n" * 1000)[:40])
    flat = written(tmp_path / "flat.csv", rows=[(1, 1.0, 2.0), (1, 1.0, 2.0)])
    words = written(tmp_path / "words.csv", rows=[("x", "y", "z"), ("u", "v", "w")])
    pickled = tmp_path / "p.npy"
    np.save(pickled, np.array([{}, {}]), allow_pickle=True)
    for path, time, channels, expected in [
        (good, "t", (), "no column 't'; choose from when, a, b"),
        (good, "when", ("c",), "no column 'c'"),
        (empty, "", (), "empty"),
        (torn, "", (), "not a readable table"),
        (flat, "when", (), "never goes forward"),
        (words, "when", (), "holds no readable time"),
        (words, "", (), "no column of numbers"),
        (pickled, "", (), "not a readable table"),
        (tmp_path / "missing.csv", "", (), "not a readable table"),
    ]:
        with pytest.raises(SampleError, match=expected) as caught:
            read_recording(path, time, channels)
        assert "\n" not in str(caught.value)


def test_windows_hold_the_rows_they_say_in_one_and_two_dimensions() -> None:
    x = np.arange(2 * 10).reshape(2, 10)
    windows = cut_windows(x, 4, 3)
    assert windows.shape == (3, 2, 4)
    assert all((windows[i] == x[:, 3 * i : 3 * i + 4]).all() for i in range(3))
    photo = np.arange(2 * 6 * 7).reshape(2, 6, 7)
    tiles = cut_windows(photo, (3, 2), (2, 5))
    assert tiles.shape == (4, 2, 3, 2)
    assert (tiles[3] == photo[:, 2:5, 5:7]).all()
    with pytest.raises(ValueError, match="does not fit"):
        cut_windows(x, 11)


def test_scaling_is_that_of_the_training_rows_and_a_still_channel_waits() -> None:
    rows = np.stack([np.arange(100.0), np.full(100, 50.0), np.zeros(100)], axis=1)
    scaling = Scaling.fit(rows)
    scaled = scaling.apply(rows)
    assert abs(scaled[:, 0].std() - 1) < 1e-9
    assert (scaled[:, 1:] == 0).all()
    assert scaling.apply(np.array([[0.0, 51.0, 2.0]]))[0, 1:].tolist() == pytest.approx([20, 2])
    missing = np.array([[-50.0, np.nan], [-50.0, 1.0], [-50.0, 3.0]])
    assert Scaling.fit(missing) == Scaling((-50.0, 2.0), (0.05, 1.0))
    barely = 50 + 1e-5 * np.arange(100.0)[:, None]  # a channel that moves by very little is not still
    assert Scaling.fit(barely).spread[0] == pytest.approx(barely.std())


def test_a_value_far_away_stays_finite_and_keeps_its_sign() -> None:
    scaling = Scaling((0.0,), (1e-300,))
    far = scaling.apply(np.array([[1e300], [-1e300], [1e-300]]))
    assert far[:, 0].tolist() == [FAR, -FAR, 1]
    assert scaling.to_unit(far)[:, 0] == pytest.approx([1, -1, np.tanh(1 / scaling.reach)])


def test_a_sample_shows_the_last_rows_and_beside_them_the_means_of_the_last_blocks() -> None:
    x = np.random.default_rng(0).standard_normal((2, 100)).astype(np.float32)
    samples = cut_scales(x, 5, 4)
    assert samples.shape == (100 - 5 * 4 + 1, 4, 5)
    for first in (0, 13, 80):
        rows = x[:, first : first + 20]
        assert np.array_equal(samples[first, :2], rows[:, -5:])
        assert samples[first, 2:] == pytest.approx(rows.reshape(2, 5, 4).mean(2), abs=1e-6)
    assert np.array_equal(cut_scales(x, 5, 4, 3), samples[::3])
    assert np.array_equal(cut_scales(x, 5, 1), cut_windows(x, 5))


def test_the_slow_scale_is_there_where_the_healthy_rows_show_it_often_enough() -> None:
    assert [slow_scale(n, 20, 12) for n in (400, 1919, 1920, 240_000)] == [1, 1, 12, 12]
    assert slow_scale(240_000, 20, 1) == 1


def test_before_a_segment_stands_the_mean_of_its_first_window() -> None:
    rows = np.array([[1.0, 0.0], [3.0, 2.0], [99.0, 99.0]])
    assert lead_in(rows, 2, 3).tolist() == [[2, 1]] * 4
    assert lead_in(rows, 2, 1).shape == (0, 2)
