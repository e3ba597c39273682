"""Rows of a stream: lines of delimited text after a header, or JSON objects."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from anogan.errors import SampleError
from anogan.sensors.model import SensorModel
from anogan.sensors.rows import (
    CHARACTERS_SHOWN,
    DELIMITERS,
    Row,
    cells_of,
    column_names,
    delimiter_of,
    fitted,
    is_blank,
    is_header,
    place_of,
    row,
    with_point,
)

LONGEST_MESSAGE = 1 << 20  # characters of a message


class RowReader:
    """Reads rows for a model. `columns` is the header so far, `read` the number of rows; both survive a restart.

    A model trained on a table without a header knows its columns by position, so its rows need no header.
    """

    def __init__(self, model: SensorModel) -> None:
        self.model, self.named = model, is_header(model.channels)
        self.columns: list[str] = []
        self.delimiter = ""
        self.read = 0
        self._places: tuple[int | None, list[int]] = None, []

    def parse(self, text: str) -> list[Row]:
        """Return the rows of a JSON object, of a list of objects, or of one line; none for a header or an empty line.

        Raises `SampleError` with the reason if they cannot be read, and no other error whatever the text is. Other rows
        are not affected.
        """
        try:
            if len(text) > LONGEST_MESSAGE:
                raise SampleError(f"more than {LONGEST_MESSAGE:,} characters: {text[:CHARACTERS_SHOWN]}")
            if is_blank(text, self.delimiter):
                return []
            is_json = text.lstrip()[:1] in ("{", "[")
            rows = self._from_json(text) if is_json else self._from_line(text.rstrip("\r\n"))
        except SampleError:
            raise
        except Exception as error:  # no message may stop the monitor
            raise SampleError(f"cannot be read ({str(error)[:CHARACTERS_SHOWN]}): {text[:CHARACTERS_SHOWN]}") from None
        self.read += len(rows)
        return rows

    def _from_json(self, text: str) -> list[Row]:
        try:
            content = json.loads(text)
        except ValueError as error:
            raise SampleError(f"not JSON ({error}): {text[:CHARACTERS_SHOWN]}") from None
        items = content if isinstance(content, list) else [content]
        return [self._from_mapping(item, self.read + i) for i, item in enumerate(items)]

    def _from_mapping(self, item: object, count: int) -> Row:
        if not isinstance(item, Mapping):
            raise SampleError(f"expected an object with a value per channel, got {str(item)[:CHARACTERS_SHOWN]}")
        model = self.model
        if not any(name in item for name in model.channels):
            raise SampleError(
                f"none of the channels {', '.join(model.channels)} in {', '.join(item)[:CHARACTERS_SHOWN]}"
            )
        given = with_point(item.get(model.time_column)) if model.time_column else count
        return row(given, [with_point(item.get(name)) for name in model.channels], model.time_column, model.day_first)

    def _from_line(self, line: str) -> list[Row]:
        if "\n" in line or "\r" in line:
            raise SampleError(f"more than one line: {line[:CHARACTERS_SHOWN]}")
        if not self.columns or (self.named and self.model.channels[0] in line):
            columns, delimiter = self._header_in(line)
            if columns:
                self.header(columns, delimiter)
                if is_header(columns):
                    return []
        cells = fitted(cells_of(line, self.delimiter), len(self.columns))
        if self.delimiter != ",":
            cells = list(map(with_point, cells))
        model, (place, places) = self.model, self._places
        given = self.read if place is None else cells[place]
        return [row(given, [cells[i] for i in places], model.time_column, model.day_first)]

    def _header_in(self, line: str) -> tuple[list[str], str]:
        """Return the column names in this line and the delimiter; no names if the header is known already.

        A first line of numbers gives the columns' positions. The delimiter is the one that yields the model's channels.
        """
        for delimiter in (delimiter_of([line]), *DELIMITERS):
            cells = cells_of(line, delimiter)
            columns = cells if is_header(cells) else [] if self.columns else map(str, range(len(cells)))
            names = column_names(columns)
            if set(self.model.channels) <= set(names):
                return names, delimiter
        if not self.columns:
            raise SampleError(
                f"expected a header with {', '.join(self.model.channels)}, got: {line[:CHARACTERS_SHOWN]}"
            )
        return [], ""

    def header(self, columns: Sequence[str], delimiter: str) -> None:
        """Use these column names from now on. Raises `SampleError` if the time column is not among them."""
        wanted, names = self.model.time_column, list(columns)
        place = place_of(wanted, names, "the header") if wanted else None
        self.columns, self.delimiter = names, delimiter
        self._places = place, [names.index(name) for name in self.model.channels]
