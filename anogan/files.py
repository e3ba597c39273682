"""Writing files whole or not at all: temporary name, fsync, rename."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from filelock import lock_descriptor

from anogan import parallel

if TYPE_CHECKING:
    import pandas as pd

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # how a text begins that a spreadsheet takes for one


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` atomically; when the disk is full the old file stays and no partial one remains.

    Of several processes only the first writes: all of them hold the same.
    """
    if not parallel.rank():
        with replacing(path) as stream:
            stream.write(content)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A stream whose contents replace `path` atomically at the end; nothing happens to it after an exception."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with partial.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def lock(stream: IO[Any], wait: bool) -> bool:
    """Keep other processes from locking this file until it is closed; False where one has done so and we do not `wait`.
    Where the drive has no locks nothing is kept from anyone."""
    try:
        return lock_descriptor(stream.fileno(), blocking=wait, poll_interval=0.01)
    except OSError:
        return True


def no_formula(cell: Any) -> Any:
    """With an apostrophe before it where it is a text that a spreadsheet would take for a formula; numbers stay."""
    if not isinstance(cell, str) or not cell.startswith(FORMULA):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def without_formulas(table: pd.DataFrame) -> pd.DataFrame:
    """The table for a CSV file: no name of a column and no text in it is a formula to a spreadsheet."""
    texts = [name for name in table.columns if table[name].dtype.kind == "O"]
    return table.assign(**{name: table[name].map(no_formula) for name in texts}).rename(columns=no_formula)


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Readable JSON; NaN is refused because JSON has none."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")
