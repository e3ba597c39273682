"""Files that are written whole or not at all: temporary name, fsync, rename."""

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

Json = dict[str, Any]  # an object as JSON has it
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # how a text begins that a spreadsheet takes for one


def write_bytes(path: Path, content: bytes) -> None:
    """Replace the file atomically. If the disk is full, the old file stays and no partial file remains.

    Of several processes only the first writes, because all of them have the same content.
    """
    if not parallel.rank():
        with replacing(path) as stream:
            stream.write(content)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a stream whose contents replace `path` atomically at the end. After an exception `path` stays as it was."""
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
    """Lock this file against other processes until it is closed.

    Returns False if another process has locked it and `wait` is False. On a drive without locks it returns True,
    although nothing is locked.
    """
    try:
        return lock_descriptor(stream.fileno(), blocking=wait, poll_interval=0.01)
    except OSError:
        return True


def no_formula(cell: Any) -> Any:
    """Put an apostrophe before a text that a spreadsheet would take for a formula. Numbers stay as they are."""
    if not isinstance(cell, str) or not cell.startswith(FORMULA):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def without_formulas(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with no text and no column name that a spreadsheet would take for a formula."""
    texts = [name for name in table.columns if table[name].dtype.kind == "O"]
    return table.assign(**{name: table[name].map(no_formula) for name in texts}).rename(columns=no_formula)


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON, atomically. Raises `ValueError` for NaN, because JSON has none."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")
