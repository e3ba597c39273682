"""One row from what arrives: a line of delimited text with a header before it, or a JSON object."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from anogan.errors import SampleError
from anogan.sensors.dialect import DELIMITERS, cells_of, delimiter_of, is_header, number, seconds, with_point
from anogan.sensors.model import SensorModel

LONGEST = 1 << 20  # characters of a message
SHOWN = 80  # characters of it in a complaint


class Row(NamedTuple):
    """The time as it was given and in seconds, and a value per channel of the model, NaN where missing."""

    stamp: Any
    time: float
    values: list[float]


class RowReader:
    """Reads rows for a model. `columns` is the header so far, `read` the number of rows; both survive a restart.

    A model that was trained on a table without a header knows its columns by their places alone; its rows need none.
    """

    def __init__(self, model: SensorModel) -> None:
        self.model, self.named = model, is_header(model.channels)
        self.columns: list[str] = []
        self.delimiter = ""
        self.read = 0
        self._places: tuple[int | None, list[int]] = None, []

    def parse(self, text: str) -> list[Row]:
        """The rows of a JSON object or list of objects, or of one line; none for a header or an empty line.

        Raises `SampleError` saying what is wrong with it, and nothing else whatever the text is; the rows before and
        after are not affected.
        """
        try:
            if len(text) > LONGEST:
                raise SampleError(f"more than {LONGEST:,} characters: {text[:SHOWN]}")
            text = text.strip()
            rows = self._from_json(text) if text[:1] in ("{", "[") else self._from_line(text) if text else []
        except SampleError:
            raise
        except Exception as error:  # whoever may send a message must not be able to stop the monitor
            raise SampleError(f"cannot be read ({str(error)[:SHOWN]}): {text[:SHOWN]}") from None
        self.read += len(rows)
        return rows

    def _from_json(self, text: str) -> list[Row]:
        try:
            content = json.loads(text)
        except ValueError as error:
            raise SampleError(f"no JSON ({error}): {text[:SHOWN]}") from None
        items = content if isinstance(content, list) else [content]
        return [self._from_mapping(item, self.read + i) for i, item in enumerate(items)]

    def _from_mapping(self, item: Any, count: int) -> Row:
        if not isinstance(item, Mapping):
            raise SampleError(f"expected an object with a value per channel, got {str(item)[:SHOWN]}")
        model = self.model
        if not any(name in item for name in model.channels):
            raise SampleError(f"none of the channels {', '.join(model.channels)} in {', '.join(item)[:SHOWN]}")
        values = [with_point(item.get(name)) for name in model.channels]
        return self._row(with_point(item.get(model.time_column)) if model.time_column else count, values)

    def _from_line(self, line: str) -> list[Row]:
        if "\n" in line or "\r" in line:
            raise SampleError(f"more than one line: {line[:SHOWN]}")
        if not self.columns or (self.named and self.model.channels[0] in line):
            columns, delimiter = self._header_in(line)
            if columns:
                self.header(columns, delimiter)
                if is_header(columns):
                    return []
        cells = self._cells(line, self.delimiter)
        if len(cells) < len(self.columns) or any(cells[len(self.columns) :]):  # a delimiter may end the line
            raise SampleError(f"expected {len(self.columns)} values, got {len(cells)}: {line[:SHOWN]}")
        if self.delimiter != ",":
            cells = list(map(with_point, cells))
        place, places = self._places
        return [self._row(self.read if place is None else cells[place], [cells[i] for i in places])]

    def _header_in(self, line: str) -> tuple[list[str], str]:
        """The names of the columns in this line, or their places where it holds numbers and is the first one; none
        where the header is known already. The delimiter is the one that shows the model's channels."""
        for delimiter in (delimiter_of([line]), *DELIMITERS):
            cells = self._cells(line, delimiter)
            columns = cells if is_header(cells) else [] if self.columns else list(map(str, range(len(cells))))
            if set(self.model.channels) <= set(columns):
                return columns, delimiter
        if not self.columns:
            raise SampleError(f"expected a header with {', '.join(self.model.channels)}, got: {line[:SHOWN]}")
        return [], ""

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
            return cells_of(line, delimiter)
        except csv.Error as error:
            raise SampleError(f"no delimited text ({error}): {line[:SHOWN]}") from None

    def _row(self, given: Any, values: Sequence[Any]) -> Row:
        """The stamp as it was given, a number where it is one."""
        time, stamp = seconds(given, self.model.day_first), number(given)
        if time - time != 0:
            raise SampleError(f"no time that can be read: {given!r}"[: 2 * SHOWN])
        if stamp - stamp == 0:
            given = int(stamp) if stamp.is_integer() else stamp
        return Row(given, time, [number(value) for value in values])
