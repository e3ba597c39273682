"""Sensor recordings: tables of one row per moment, read as they come out of a plant."""

from __future__ import annotations

import csv
import gzip
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anogan.errors import SampleError
from anogan.sensors.dialect import all_seconds, as_numbers, delimiter_of, is_header, with_point, with_points

SNIFFED = 64  # lines looked at
MOST_COLUMNS = 4096  # pandas takes seconds for tens of thousands, and nobody has so many channels
GAP = 10  # steps without a row that end a segment
UNREADABLE = (OSError, ValueError, EOFError, ImportError, csv.Error, pd.errors.ParserError)


@dataclass(frozen=True)
class Recording:
    """Rows of one recording, in the order of the file.

    values (n, channels), NaN where missing; time (n,) in seconds, or the row number where there is no time column;
    stamps (n,), the time as it stands in the file; notes, what was found odd, a sentence each.
    """

    values: NDArray[np.float64]
    time: NDArray[np.float64]
    stamps: NDArray[Any]
    channels: tuple[str, ...]
    step: float
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.time)

    def rows(self, rows: slice) -> Recording:
        """Some of its rows."""
        return replace(self, values=self.values[rows], time=self.time[rows], stamps=self.stamps[rows])


def read_recording(
    path: Path, time_column: str = "", channels: Sequence[str] = (), day_first: bool = False
) -> Recording:
    """A table of numbers: delimited text (plain or .gz; any delimiter, decimal comma or point), Parquet or NumPy.

    `time_column` is a name or a position counted from 0; its numbers are seconds, its text is a date. `channels` are
    the columns to take, all with numbers unless given. Cells that hold no number are missing values. Raises
    `SampleError` saying what cannot be read.
    """
    try:
        table = _read_table(path)
    except UNREADABLE as error:
        why = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise SampleError(f"{path} is no table that can be read: {why}") from error
    return from_table(table, str(path), time_column, channels, day_first)


def read_text(content: bytes, name: str) -> pd.DataFrame:
    """The same table from the contents of a file of delimited text that `name` is the name of in errors."""
    try:
        return _read_text(io.BytesIO(content))
    except UNREADABLE as error:
        raise SampleError(f"{name} is no table that can be read: {' '.join(str(error).split())}") from error


def from_table(
    table: pd.DataFrame, path: str, time_column: str = "", channels: Sequence[str] = (), day_first: bool = False
) -> Recording:
    """The same from a table that `path` is the name of in errors."""
    if table.empty:
        raise SampleError(f"{path} holds no row")
    if not table.columns.is_unique:
        raise SampleError(f"{path} has two columns {table.columns[table.columns.duplicated()][0]!r}")
    table, notes = table.copy(deep=False), list[str]()
    name = _column(table, time_column, path)
    time, stamps = _times(table.pop(name), name, day_first, notes) if name is not None else _row_numbers(len(table))
    values, names = _numbers(table, channels, path, notes)
    step = _look_at(time, notes) if name is not None else 1.0
    return Recording(values, time, stamps, names, step, tuple(notes))


# Files.


def _read_table(path: Path) -> pd.DataFrame:
    name = path.name.lower()
    if name.endswith(".parquet"):
        return pd.read_parquet(path).reset_index(drop=False) if _has_index(path) else pd.read_parquet(path)
    if name.endswith((".npy", ".npz")):
        return _from_numpy(path)
    with (gzip.open if name.endswith(".gz") else open)(path, "rb") as stream:
        return _read_text(stream)


def _read_text(stream: gzip.GzipFile | io.BufferedReader | io.BytesIO) -> pd.DataFrame:
    text = io.TextIOWrapper(stream, "utf-8-sig", newline="")
    head = [line for _, line in zip(range(SNIFFED), text, strict=False)]
    text.detach().seek(0)
    if not any(line.strip() for line in head):
        raise ValueError("it is empty")
    delimiter = delimiter_of(head)
    first = next(csv.reader(head, delimiter=delimiter))
    if len(first) > MOST_COLUMNS:
        raise ValueError(f"it has {len(first):,} columns, more than {MOST_COLUMNS:,}")
    header = 0 if is_header(first) else None
    read = {"sep": delimiter, "header": header, "encoding": "utf-8-sig", "skipinitialspace": True}
    decimal = "," if delimiter != "," and _decimal_commas(head, delimiter) else "."  # here for speed
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table: pd.DataFrame = pd.read_csv(stream, decimal=decimal, low_memory=False, index_col=False, **read)
    except pd.errors.ParserWarning:  # that cells would be left out
        raise ValueError("its rows have more cells than its header") from None
    table.columns = [str(column).strip() for column in table.columns]
    return table if delimiter == "," else with_points(table)


def _has_index(path: Path) -> bool:
    return pd.read_parquet(path, columns=[]).index.name is not None


def _from_numpy(path: Path) -> pd.DataFrame:
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        array = loaded[:, None] if loaded.ndim == 1 else loaded
        if array.ndim != 2:
            raise ValueError(f"shape {array.shape}, expected (rows, channels)")
        return pd.DataFrame(array, columns=[str(i) for i in range(array.shape[1])])
    with loaded:
        columns = {name: loaded[name] for name in loaded.files}
    if any(column.ndim != 1 for column in columns.values()) or len({len(c) for c in columns.values()}) != 1:
        raise ValueError("expected one array (rows,) for every channel, all of one length")
    return pd.DataFrame(columns)


def _decimal_commas(head: list[str], delimiter: str) -> bool:
    cells = [cell for row in csv.reader(head[1:], delimiter=delimiter) for cell in row]
    return any(with_point(cell) is not cell for cell in cells)


# Columns.


def _column(table: pd.DataFrame, wanted: str, path: str) -> str | None:
    if not wanted:
        return None
    if wanted in table.columns:
        return wanted
    if wanted.isdecimal() and int(wanted) < table.shape[1]:
        return str(table.columns[int(wanted)])
    raise SampleError(f"{path} has no column {wanted!r}; choose from {', '.join(map(str, table.columns))}")


def _row_numbers(n: int) -> tuple[NDArray[np.float64], NDArray[Any]]:
    return np.arange(n, dtype=np.float64), np.arange(n)


def _times(column: pd.Series, name: str, day_first: bool, notes: list[str]) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Seconds (n,), and the stamps as they stand in the file; an unreadable one takes the time of the row before."""
    try:
        seconds = all_seconds(column, day_first)
    except OverflowError as error:
        raise SampleError(f"the times of column {name!r} are too large to calculate with") from error
    bad = ~np.isfinite(seconds)
    if bad.all():
        raise SampleError(f"column {name!r} holds no time, but for example {str(column.iloc[0])!r}")
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        notes.append(
            f"{int(bad.sum())} rows without a readable time (the first is row {row}, {str(column.iloc[row])!r}) "
            "took that of the row before"
        )
        seconds = pd.Series(seconds).ffill().bfill().to_numpy()
    return seconds, column.to_numpy()


def _numbers(
    table: pd.DataFrame, channels: Sequence[str], path: str, notes: list[str]
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    unknown = [name for name in channels if name not in table.columns]
    if unknown:
        raise SampleError(f"{path} has no column {unknown[0]!r}; choose from {', '.join(map(str, table.columns))}")
    taken: dict[str, NDArray[np.float64]] = {}
    for name in channels or table.columns:
        column = table[name]
        try:
            numbers = as_numbers(column)
        except OverflowError as error:
            raise SampleError(f"{path}: the numbers of column {name!r} are too large to calculate with") from error
        missing = np.isnan(numbers)
        if missing.all():
            notes.append(f"column {name!r} holds no number" + ("" if channels else " and is left out"))
            if not channels:
                continue
        elif missing.any():
            odd = column[missing & column.notna().to_numpy()]
            example = f", for example {odd.iloc[0]!r}" if len(odd) else ""
            notes.append(f"{int(missing.sum())} of {len(numbers)} values of {name!r} are missing{example}")
        taken[str(name)] = numbers
    if not taken:
        raise SampleError(f"{path} holds no column of numbers beside the time")
    return np.stack(list(taken.values()), axis=1), tuple(taken)


# Time.


def _look_at(time: NDArray[np.float64], notes: list[str]) -> float:
    """The usual step in seconds; repeated stamps, jumps back and gaps go into the notes."""
    steps = np.diff(time)
    forward = steps[steps > 0]
    if len(time) < 2:
        return 1.0
    if not len(forward):
        raise SampleError("the time never goes forward; is it the right column?")
    step = float(np.median(forward))
    for rows, what in ((steps == 0, "repeat the time before"), (steps < 0, "go back in time")):
        if rows.any():
            notes.append(f"{int(rows.sum())} rows {what}, the first is row {int(np.argmax(rows)) + 1}")
    gaps = steps > GAP * step
    if gaps.any():
        notes.append(
            f"{int(gaps.sum())} gaps of more than {GAP} steps of {step:g} s, the longest {steps.max():g} s; "
            "no window spans a gap"
        )
    return step
