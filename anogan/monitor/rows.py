"""One row from what arrives: a line of delimited text with a header before it, or a JSON object."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pandas as pd

from anogan.data.recordings import DELIMITERS
from anogan.errors import SampleError
from anogan.signals import SignalModel

MISSING = float("nan")


class Row(NamedTuple):
    """The time as it was given and in seconds, and a value per channel of the model, NaN where missing."""

    stamp: Any
    time: float
    values: list[float]


class RowReader:
    """Reads rows for a model. `columns` is the header so far, `read` the number of rows; both survive a restart."""

    def __init__(self, model: SignalModel) -> None:
        self.model = model
        self.columns: list[str] = []
        self.read = 0
        self._places: tuple[int | None, list[int]] = None, []

    def parse(self, text: str) -> list[Row]:
        """The rows of a JSON object or list of objects, or of one line; none for a header or an empty line.

        Raises `SampleError` saying what is wrong with it; the rows before and after are not affected.
        """
        text = text.strip()
        if text[:1] in ("{", "["):
            try:
                content = json.loads(text)
            except ValueError as error:
                raise SampleError(f"no JSON ({error}): {text[:80]}") from None
            return [self._from_mapping(item) for item in (content if isinstance(content, list) else [content])]
        return self._from_line(text) if text else []

    def _from_mapping(self, item: Any) -> Row:
        if not isinstance(item, Mapping):
            raise SampleError(f"expected an object with a value per channel, got {str(item)[:80]}")
        model = self.model
        if not any(name in item for name in model.channels):
            raise SampleError(f"none of the channels {', '.join(model.channels)} in {', '.join(map(str, item))[:80]}")
        stamp = self._stamp(item.get(model.time_column) if model.time_column else self.read)
        return self._row(*stamp, [item.get(name) for name in model.channels])

    def _from_line(self, line: str) -> list[Row]:
        if not self.columns or self.model.channels[0] in line:
            cells = self._cells(line, max(DELIMITERS, key=line.count))
            if set(self.model.channels) <= set(cells):
                self.header(cells, max(DELIMITERS, key=line.count))
                return []
            if not self.columns:
                raise SampleError(f"expected a header with {', '.join(self.model.channels)}, got: {line[:80]}")
        cells = self._cells(line, self.delimiter)
        if len(cells) != len(self.columns):
            raise SampleError(f"expected {len(self.columns)} values, got {len(cells)}: {line[:80]}")
        place, places = self._places
        return [self._row(*self._stamp(self.read if place is None else cells[place]), [cells[i] for i in places])]

    def header(self, columns: Sequence[str], delimiter: str) -> None:
        """Take the names of the columns from here on. Raises `SampleError` where the time is not among them."""
        wanted, names = self.model.time_column, list(columns)
        if wanted and wanted not in names and not (wanted.isdecimal() and int(wanted) < len(names)):
            raise SampleError(f"no column {wanted!r}; the header has {', '.join(names)}")
        place = None if not wanted else names.index(wanted) if wanted in names else int(wanted)
        self.columns, self.delimiter = names, delimiter
        self._places = place, [names.index(name) for name in self.model.channels]

    def _cells(self, line: str, delimiter: str) -> list[str]:
        try:
            cells = next(csv.reader([line], delimiter=delimiter)) if '"' in line else line.split(delimiter)
        except csv.Error as error:
            raise SampleError(f"no delimited text ({error}): {line[:80]}") from None
        return [cell.strip() for cell in cells]

    def _stamp(self, given: Any) -> tuple[Any, float]:
        """As given, a number where it is one, and in seconds."""
        try:
            seconds = float(given)
        except (TypeError, ValueError):
            return given, _seconds(given, self.model.day_first)
        if seconds - seconds != 0:
            raise SampleError(f"no time that can be read: {given!r}")
        return (int(seconds) if seconds.is_integer() else seconds), seconds

    def _row(self, stamp: Any, time: float, values: Sequence[Any]) -> Row:
        self.read += 1
        return Row(stamp, time, [_number(value) for value in values])


def _number(value: Any) -> float:
    """NaN where there is no finite number."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        try:
            number = float(value.replace(",", "."))  # a decimal comma
        except (AttributeError, ValueError):
            return MISSING
    return number if number - number == 0 else MISSING


def _seconds(text: Any, day_first: bool) -> float:
    """A date as seconds since 1970, UTC where no zone is given."""
    try:
        date = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        found = pd.to_datetime(text, errors="coerce", utc=True, dayfirst=day_first)
        if text is None or pd.isna(found):
            raise SampleError(f"no time that can be read: {text!r}") from None
        return float(found.timestamp())
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
