"""Sensor recordings: tables with one row per moment, as plants export them."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anogan.errors import SampleError
from anogan.sensors.rows import (
    CHARACTERS_SHOWN,
    all_seconds,
    complaints,
    no_column,
    no_time,
    numbers,
    place_of,
    read_text,
)

GAP = 10  # steps without a row that end a segment


@dataclass(frozen=True)
class Recording:
    """Rows of one recording, in the order of the file.

    values (n, channels) are in the channels' units, NaN where missing; time (n,) in seconds, or the row number if there
    is no time column; stamps (n,), the time as it is in the file; step, the usual seconds between rows; notes, what is
    unusual, one sentence each.
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
        """Return the recording with these rows only."""
        return replace(self, values=self.values[rows], time=self.time[rows], stamps=self.stamps[rows])


def read_recording(
    path: Path, time_column: str = "", channels: Sequence[str] = (), day_first: bool = False
) -> Recording:
    """Read a table of numbers: delimited text (plain or .gz; any delimiter, decimal comma or point), Parquet or NumPy.

    `time_column` is a name, or a position counted from 0; its numbers are seconds, its text is a date. `channels` are
    the columns to take, by default all with numbers. Cells that hold no number are missing values. Raises `SampleError`
    with what cannot be read.
    """
    with complaints(str(path)):
        table = _read_table(path)
    return from_table(table, str(path), time_column, channels, day_first)


def from_table(
    table: pd.DataFrame, path: str, time_column: str = "", channels: Sequence[str] = (), day_first: bool = False
) -> Recording:
    """Convert a table as `read_recording` does a file. Error messages call it `path`."""
    if table.empty:
        raise SampleError(f"{path} holds no row")
    if not table.columns.is_unique:
        raise SampleError(f"{path} has two columns {table.columns[table.columns.duplicated()][0]!r}")
    table, notes = table.copy(deep=False), list[str]()
    if time_column:
        name = table.columns[place_of(time_column, list(table.columns), path)]
        time, stamps = _times(table.pop(name), name, day_first, notes)
    else:
        time, stamps = np.arange(len(table), dtype=np.float64), np.arange(len(table))
    taken = _numbers(table, channels, path, notes)
    step = _look_at(time, notes) if time_column else 1.0
    return Recording(np.stack(list(taken.values()), axis=1), time, stamps, tuple(taken), step, tuple(notes))


# Files.


def _read_table(path: Path) -> pd.DataFrame:
    name = path.name.lower()
    if name.endswith(".parquet"):
        table: pd.DataFrame = pd.read_parquet(path)
        return table if table.index.name is None else table.reset_index()
    if name.endswith((".npy", ".npz")):
        return _from_numpy(path)
    with (gzip.open if name.endswith(".gz") else open)(path, "rb") as stream:
        return read_text(cast(IO[bytes], stream))


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


# Columns.


def _times(column: pd.Series, name: str, day_first: bool, notes: list[str]) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Return seconds (n,), and the stamps as in the file. An unreadable one takes the time of the row before."""
    seconds = all_seconds(column, day_first)
    bad = np.isnan(seconds)
    if bad.all():
        raise no_time(name, column.iloc[0])
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        notes.append(
            f"{int(bad.sum())} rows without a readable time (the first is row {row}, "
            f"{str(column.iloc[row])[:CHARACTERS_SHOWN]!r}) took that of the row before"
        )
        seconds = pd.Series(seconds).ffill().bfill().to_numpy()
    return seconds, column.to_numpy()


def _numbers(
    table: pd.DataFrame, channels: Sequence[str], path: str, notes: list[str]
) -> dict[str, NDArray[np.float64]]:
    """Return the values (n,) of each channel."""
    for name in channels:
        if name not in table.columns:
            raise no_column(name, table.columns, path)
    taken: dict[str, NDArray[np.float64]] = {}
    for name in channels or table.columns:
        column = table[name]
        values = numbers(column)
        missing = np.isnan(values)
        if missing.all():
            notes.append(f"column {name!r} holds no number" + ("" if channels else " and is left out"))
            if not channels:
                continue
        elif missing.any():
            odd = column[missing & column.notna().to_numpy()]
            example = f", for example {odd.iloc[0]!r}"[:CHARACTERS_SHOWN] if len(odd) else ""
            notes.append(f"{int(missing.sum())} of {len(values)} values of {name!r} are missing{example}")
        taken[str(name)] = values
    if not taken:
        raise SampleError(f"{path} holds no column of numbers besides the time")
    return taken


# Time.


def _look_at(time: NDArray[np.float64], notes: list[str]) -> float:
    """Return the usual step in seconds. Repeated stamps, jumps back and gaps go into the notes."""
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
