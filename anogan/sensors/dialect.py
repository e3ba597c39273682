"""How tables are written as text: delimiter, header, numbers, times. Files, live rows and requests are read alike."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

DELIMITERS = ";\t,|"
LONGEST_TIME = 100  # characters; beyond it guessing a date takes long
EPOCH = pd.Timestamp(0, tz="UTC").as_unit("s")  # in nanoseconds no year before 1677 could be told from it
SWITCH = {"true": 1.0, "false": 0.0}
MISSING = float("nan")


def delimiter_of(lines: Sequence[str]) -> str:
    """The mark that stands equally often, and oftest, in every line. A comma, which may be a decimal one, only where
    there is no other, and where there is one column only."""
    counts = {mark: {line.count(mark) for line in lines if line.strip()} for mark in DELIMITERS}
    steady = [mark for mark in DELIMITERS if len(counts[mark]) == 1 and counts[mark] != {0}]
    likely = steady or [mark for mark in DELIMITERS if min(counts[mark], default=0) > 0]
    return max((mark for mark in likely if mark != ","), key=lambda mark: min(counts[mark]), default=",")


def cells_of(line: str, delimiter: str) -> list[str]:
    """The cells of one line. Raises `csv.Error` where its quotes cannot be read."""
    cells = next(csv.reader([line], delimiter=delimiter)) if '"' in line else line.split(delimiter)
    return [cell.strip() for cell in cells]


def is_header(cells: Iterable[str]) -> bool:
    """Whether the first line of a table names its columns: no cell is a number."""
    return all(np.isnan(number(with_point(cell))) for cell in cells)


def number(value: Any) -> float:
    """NaN where there is no finite number. Text may say true or false. Raises `OverflowError` on an integer that is too
    large."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return SWITCH.get(value.strip().lower(), MISSING) if isinstance(value, str) else MISSING
    if isinstance(value, str) and "_" in value:
        return MISSING  # Python reads 1_000
    return found if found - found == 0 else MISSING


def with_point(text: Any) -> Any:
    """1,5 -> 1.5; what is no number with a decimal comma stays as it is."""
    if not isinstance(text, str) or "," not in text:
        return text
    try:
        float(text.replace(",", "."))
    except ValueError:
        return text
    return text.replace(",", ".")


def with_points(table: pd.DataFrame) -> pd.DataFrame:
    """The same in all cells."""
    text = [i for i, kind in enumerate(table.dtypes) if not (pd.api.types.is_numeric_dtype(kind) or kind.kind in "mM")]
    columns = {i: table.iloc[:, i].map(with_point) if i in text else table.iloc[:, i] for i in range(table.shape[1])}
    return pd.DataFrame(columns).set_axis(table.columns, axis=1) if text else table


def seconds(value: Any, day_first: bool) -> float:
    """A number, or a date as seconds since 1970, UTC where it names no zone; NaN where it is neither."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return MISSING
    found = number(value)
    if found - found == 0 or not isinstance(value, str):
        return found
    try:
        date = datetime.fromisoformat(value)
    except ValueError:
        return float(all_seconds(pd.Series([value]), day_first)[0])
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def all_seconds(column: pd.Series, day_first: bool) -> NDArray[np.float64]:
    """The same of a column (n,)."""
    if not pd.api.types.is_datetime64_any_dtype(column):
        found = as_numbers(column)
        dates = np.isnan(found) & column.notna().to_numpy()
        if dates.any():
            found[dates] = _date_seconds(column[dates].map(_bounded), day_first)
        return found
    return _since_epoch(pd.to_datetime(column, utc=True))


def as_numbers(column: pd.Series) -> NDArray[np.float64]:
    """Numbers (n,), NaN where there is no finite one. Raises `OverflowError` on one that is too large."""
    numbers = np.array(pd.to_numeric(column, errors="coerce"), dtype=np.float64)  # a copy
    numbers[~np.isfinite(numbers)] = np.nan
    return numbers


def _bounded(value: Any) -> Any:
    return None if isinstance(value, str) and len(value) > LONGEST_TIME else value


def _date_seconds(column: pd.Series, day_first: bool) -> NDArray[np.float64]:
    """Year, month, day in this order are read so, whatever `day_first` says of other dates."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that the format is guessed
        found = _since_epoch(pd.to_datetime(column, errors="coerce", utc=True, format="ISO8601"))
        others = column[np.isnan(found)]
        dates = pd.to_datetime(others, errors="coerce", utc=True, dayfirst=day_first)
        if dates.isna().mean() > 0.1:  # more than one way to write a date
            dates = pd.to_datetime(others, errors="coerce", utc=True, dayfirst=day_first, format="mixed")
    found[np.isnan(found)] = _since_epoch(dates)
    return found


def _since_epoch(dates: pd.Series) -> NDArray[np.float64]:
    found: pd.Series = (dates - EPOCH) / pd.Timedelta(seconds=1)
    return np.array(found, dtype=np.float64)
