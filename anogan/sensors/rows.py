"""From cells to time, stamps and values: delimiter, header, numbers, dates. Shared by files, live rows and HTTP."""

from __future__ import annotations

import csv
import io
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from itertools import islice
from typing import IO, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anogan.errors import SampleError

DELIMITERS = ";\t,|"
SNIFFED = 64  # lines looked at
CHARACTERS_SHOWN = 80  # characters of what is wrong in a complaint
MOST_COLUMNS = 4096  # pandas takes seconds for tens of thousands, and nobody has so many channels
LONGEST_TIME = 100  # characters; beyond it guessing a date takes long
EPOCH = pd.Timestamp(0, tz="UTC").as_unit("s")  # in nanoseconds no year before 1677 could be told from it
MISSING_WORDS = [
    "",
    "nan",
    "NaN",
    "-nan",
    "-NaN",
    "NA",
    "N/A",
    "n/a",
    "NULL",
    "null",
    "None",
    "<NA>",
]  # as pandas has them
MISSING_WORDS += ["#N/A", "#N/A N/A", "#NA", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"]
SWITCH = {"true": 1.0, "false": 0.0}
MISSING = float("nan")
UNREADABLE = (OSError, ValueError, EOFError, ImportError, csv.Error, SampleError)


class Row(NamedTuple):
    """The time as given and in seconds, and a value per channel, NaN where missing."""

    stamp: float | str
    time: float
    values: list[float]


def row(given: Any, values: Iterable[Any], time_column: str, day_first: bool) -> Row:
    """Make a row from its cells. A stamp that is a number becomes one. Raises `SampleError` if the row has no time."""
    time, stamp = seconds(given, day_first), number(given)
    if time - time != 0:
        raise no_time(time_column, given)
    if stamp - stamp == 0:
        given = int(stamp) if stamp.is_integer() else stamp
    return Row(given, time, [number(value) for value in values])


# Complaints.


@contextmanager
def complaints(name: str) -> Iterator[None]:
    """Turn errors inside into a `SampleError` that says why `name` cannot be read."""
    try:
        yield
    except UNREADABLE as error:
        why = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise SampleError(f"{name} is not a readable table: {why}") from error


def no_column(wanted: str, names: Iterable[str], where: str) -> SampleError:
    """Return the error for a missing column."""
    return SampleError(f"{where} has no column {wanted!r}; choose from {', '.join(map(str, names))}")


def no_time(column: str, given: object) -> SampleError:
    """Return the error for a time that cannot be read."""
    return SampleError(f"column {column!r} holds no readable time: {str(given)[:CHARACTERS_SHOWN]!r}")


# Tables.


def read_text(stream: IO[bytes]) -> pd.DataFrame:
    """Read a table of delimited text. Raises `SampleError` or `ValueError` with the reason if there is none."""
    head = _lines(stream, SNIFFED)
    if not head:
        raise SampleError("it is empty")
    delimiter = delimiter_of(head)
    rows = [[cell.strip() for cell in cells] for cells in csv.reader(head, delimiter=delimiter, skipinitialspace=True)]
    header = is_header(rows[0])
    names = column_names(rows[0] if header else map(str, range(len(rows[0]))))
    commas = delimiter != ","
    decimal = "," if commas and any(with_point(cell) is not cell for cells in rows[1:] for cell in cells) else "."
    form = {"sep": delimiter, "decimal": decimal, "names": names, "index_col": False, "skipinitialspace": True}
    form |= {"encoding": "utf-8-sig", "low_memory": False, "keep_default_na": False, "na_values": MISSING_WORDS}
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # that cells would be left out
        try:
            table: pd.DataFrame = pd.read_csv(stream, header=0 if header else None, **form)
        except (pd.errors.ParserError, pd.errors.ParserWarning):  # not all rows have the same number of cells
            lines, whole = _lines(stream, delimiter=delimiter)[header:], io.StringIO()
            cells = (fitted(cells_of(line, delimiter), len(names)) for line in lines)
            csv.writer(whole, delimiter=delimiter).writerows(cells)
            whole.seek(0)
            table = pd.read_csv(whole, header=None, **form)
    return with_points(table) if commas else table


def _lines(stream: IO[bytes], most: int | None = None, delimiter: str = "") -> list[str]:
    """Return the first lines that are not blank, and go back to the beginning of the stream."""
    stream.seek(0)
    text = io.TextIOWrapper(stream, "utf-8-sig", newline="")
    lines = list(islice(text, most))
    text.detach().seek(0)
    return [line for line in lines if not is_blank(line, delimiter)]


def is_blank(line: str, delimiter: str = "") -> bool:
    """Tell whether a line is no row. A line of delimiters is a row of empty cells, also if they are tabs."""
    return not line.strip(" \r\n" if delimiter == "\t" else None)


def delimiter_of(lines: Sequence[str]) -> str:
    """Return the mark that occurs equally often, and most often, in every line.

    A comma may be a decimal one, so it is taken only if there is no other mark, or if there is one column only. If rows
    lack their last cells, the first line decides.
    """
    counts = {mark: [line.count(mark) for line in lines if line.strip()] or [0] for mark in f",{DELIMITERS}"}
    steady = [mark for mark in DELIMITERS if len(set(counts[mark])) == 1 and counts[mark][0]]
    likely = steady or [mark for mark in DELIMITERS if min(counts[mark])]
    if not likely:
        return max(counts, key=lambda mark: counts[mark][0])
    return max((mark for mark in likely if mark != ","), key=lambda mark: min(counts[mark]), default=",")


def cells_of(line: str, delimiter: str) -> list[str]:
    """Split one line into cells. Raises `SampleError` if its quotes cannot be read."""
    try:
        quoted = csv.reader([line], delimiter=delimiter, skipinitialspace=True)
        cells = next(quoted) if '"' in line else line.split(delimiter)
    except csv.Error as error:
        raise SampleError(f"not delimited text ({error}): {line[:CHARACTERS_SHOWN]}") from None
    return [cell.strip() for cell in cells]


def fitted(cells: Sequence[Any], n: int) -> Sequence[Any]:
    """Return one cell per column. Missing cells at the end become None, and superfluous empty cells are dropped.

    Raises `SampleError` if superfluous cells hold something.
    """
    if any(cell is not None and cell not in MISSING_WORDS for cell in cells[n:]):
        raise SampleError(f"expected {n} values, got {len(cells)}: {', '.join(map(str, cells))[:CHARACTERS_SHOWN]}")
    return [*cells[:n], *[None] * (n - len(cells))]


# Columns.


def is_header(cells: Iterable[str]) -> bool:
    """Tell whether the first line of a table names its columns, that is, has no number."""
    return all(np.isnan(number(with_point(cell))) for cell in cells)


def column_names(cells: Iterable[str]) -> list[str]:
    """Return a unique name for each column, like pandas. Raises `SampleError` if there are too many columns."""
    cells = list(cells)
    if len(cells) > MOST_COLUMNS:
        raise SampleError(f"it has {len(cells):,} columns, more than {MOST_COLUMNS:,}")
    given, names, again = set(cells), dict[str, int](), Counter[str]()
    for place, cell in enumerate(cells):
        name = stem = cell or f"Unnamed: {place}"
        while name in names or (name != cell and name in given):
            again[stem] += 1
            name = f"{stem}.{again[stem]}"
        names[name] = place
    return list(names)


def place_of(wanted: str, names: Sequence[str], where: str) -> int:
    """Return the position of a column given by name or position. Raises `SampleError` if there is none."""
    if wanted in names:
        return names.index(wanted)
    if wanted.isdecimal() and int(wanted) < len(names):
        return int(wanted)
    raise no_column(wanted, names, where)


# Cells.


def number(value: Any) -> float:
    """Convert a cell to a number; NaN if it holds no finite one. Text may be true or false."""
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return SWITCH.get(value.strip().lower(), MISSING) if isinstance(value, str) else MISSING
    if isinstance(value, str) and "_" in value:
        return MISSING  # Python reads 1_000
    return found if found - found == 0 else MISSING


def numbers(column: pd.Series) -> NDArray[np.float64]:
    """Convert a column (n,) as `number` does a cell. Durations become seconds."""
    if column.dtype.kind == "m":
        column = column / pd.Timedelta(seconds=1)
    if pd.api.types.is_numeric_dtype(column):
        found = column.to_numpy(np.float64, na_value=np.nan)
        return np.where(np.isfinite(found), found, np.nan)
    return np.fromiter(map(number, column.tolist()), np.float64, len(column))


def with_point(text: Any) -> Any:
    """Replace a decimal comma, 1,5 -> 1.5. Anything else stays as it is."""
    if not isinstance(text, str) or "," not in text:
        return text
    try:
        float(text.replace(",", "."))
    except ValueError:
        return text
    return text.replace(",", ".")


def with_points(table: pd.DataFrame) -> pd.DataFrame:
    """Replace decimal commas in all cells."""
    text = [i for i, kind in enumerate(table.dtypes) if not (pd.api.types.is_numeric_dtype(kind) or kind.kind in "mM")]
    columns = {i: table.iloc[:, i].map(with_point) if i in text else table.iloc[:, i] for i in range(table.shape[1])}
    return pd.DataFrame(columns).set_axis(table.columns, axis=1) if text else table


def seconds(value: Any, day_first: bool) -> float:
    """Convert a number, or a date as seconds since 1970, in UTC if it names no zone; NaN if it is neither."""
    found = _plain_seconds(value)
    return found if found == found else float(all_seconds(pd.Series([value], dtype=object), day_first)[0])


def all_seconds(column: pd.Series, day_first: bool) -> NDArray[np.float64]:
    """Convert a column (n,) as `seconds` does a cell. Dates that are not ISO are read like the first, else singly."""
    if pd.api.types.is_datetime64_any_dtype(column):
        return _since_epoch(pd.to_datetime(column, utc=True))
    if column.dtype.kind == "m" or pd.api.types.is_numeric_dtype(column):
        return numbers(column)
    cells = column.tolist()
    found = np.fromiter(map(_plain_seconds, cells), np.float64, len(cells))
    date_like = np.fromiter(map(_is_date_like, cells), bool, len(cells))
    ways = {"format": "ISO8601"}, {"dayfirst": day_first}, {"dayfirst": day_first, "format": "mixed"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that the format is guessed
        for way in ways:
            left = date_like & np.isnan(found)
            if left.any():
                found[left] = _since_epoch(pd.to_datetime(column[left], errors="coerce", utc=True, **way))
    return found


def _plain_seconds(value: Any) -> float:
    """Convert a number, or a date that Python can read."""
    found = number(value)
    if found == found or not isinstance(value, str):
        return found
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        return MISSING
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _is_date_like(value: Any) -> bool:
    return len(value) <= LONGEST_TIME if isinstance(value, str) else isinstance(value, date | np.datetime64)


def _since_epoch(dates: pd.Series) -> NDArray[np.float64]:
    found: pd.Series = (dates - EPOCH) / pd.Timedelta(seconds=1)
    return np.array(found, dtype=np.float64)
