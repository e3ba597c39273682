"""Tables of sensor rows from a client, and their scores as JSON."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import pandas as pd
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from anogan.detectors.calibration import Floats
from anogan.errors import SampleError
from anogan.files import Json
from anogan.pictures.verdicts import short
from anogan.sensors.model import SensorModel
from anogan.sensors.recordings import Recording
from anogan.sensors.rows import DELIMITERS, column_names, complaints, fitted, read_text, with_points
from anogan.serve.limits import Refusal

NAME = "the table"  # what a client sent, in errors
MOST_ROWS = 1_000_000  # rows of a request
MOST_CELLS = 1 << 24  # of a request, unless it has as many bytes: rows that lack their cells take memory nonetheless
PORTION = 1000  # rows made into JSON at once, so that other threads get their turn
Unanswered = SampleError | Refusal


class Table(NamedTuple):
    """The table of a request: delimited text, or JSON."""

    content: bytes
    is_json: bool


class SentTable(BaseModel):
    """A table as JSON."""

    model_config = ConfigDict(strict=True)

    columns: list[str]
    rows: list[list[JsonValue]]


def read(model: SensorModel, table: Table) -> Recording:
    """Read a table. Raises `SampleError` if it cannot be used, and `Refusal` if it is too long."""
    if not table.is_json:
        header, lines = table.content.lstrip().partition(b"\n")[0], table.content.count(b"\n")
        _refuse_long(lines - 1, max(header.count(mark.encode()) for mark in DELIMITERS) + 1, len(table.content))
    with complaints(NAME):
        content = _from_json(table.content) if table.is_json else read_text(io.BytesIO(table.content))
    return model.read_table(content, NAME)


def _from_json(content: bytes) -> pd.DataFrame:
    try:
        sent = SentTable.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise SampleError(f"{place + ': ' if place else ''}{first['msg']}") from None
    names = column_names(sent.columns)
    _refuse_long(len(sent.rows), len(names), len(content))
    return with_points(pd.DataFrame([fitted(row, len(names)) for row in sent.rows], columns=names))


def _refuse_long(rows: int, columns: int, size: int) -> None:
    if rows > MOST_ROWS:
        raise Refusal(413, f"more than {MOST_ROWS:,} rows")
    if rows * columns > max(MOST_CELLS, size):
        raise Refusal(413, f"more than {MOST_CELLS:,} cells")


class Scored(NamedTuple):
    """Numbers of rows and alarms of a table, and the answer as JSON."""

    rows: int
    alarms: int
    content: bytes

    @classmethod
    def of(cls, about: Json, table: pd.DataFrame) -> Scored:
        """Make the answer from a table with time, score, p_value and alarm, and other fields."""
        head = json.dumps(about, allow_nan=False)[:-1]
        text = ", ".join(json.dumps(part, allow_nan=False)[1:-1] for part in _parts(table))
        return cls(len(table), len(about["alarms"]), f'{head}, "rows": [{text}]}}'.encode())


def _parts(table: pd.DataFrame) -> Iterator[list[Json]]:
    for begin in range(0, len(table), PORTION):
        part = table.iloc[begin : begin + PORTION]
        found = rows(part["time"].tolist(), part["score"].to_numpy(), part["p_value"].to_numpy())
        yield [row | {"alarm": alarm} for row, alarm in zip(found, part["alarm"].tolist(), strict=True)]


def rows(stamps: list[Any], score: Floats, p_value: Floats) -> list[Json]:
    """Return rows as JSON, with null where there is no score yet."""
    return [
        {"time": finite(time), "score": known(s), "p_value": known(p)}
        for time, s, p in zip(stamps, score.tolist(), p_value.tolist(), strict=True)
    ]


def alarm_as_json(alarm: Json) -> Json:
    """Return an alarm with null for times that are no numbers."""
    return alarm | {name: finite(alarm[name]) for name in ("start", "end")}


def known(value: float) -> float | None:
    """Round as in the tables; None for NaN."""
    return short(value) if math.isfinite(value) else None


def finite(value: object) -> float | str | None:
    """Return a time, or None if it is NaN, infinite or nested: JSON has no such numbers."""
    return value if isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)) else None
