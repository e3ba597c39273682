"""Writing files whole or not at all: temporary name, fsync, rename."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

from anogan import parallel


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
    Where system or drive have no locks nothing is kept from anyone."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Readable JSON; NaN is refused because JSON has none."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")
