"""Moving of rejected photos into a folder. At every moment a photo is in at least one of the two places."""

from __future__ import annotations

import contextlib
import csv
import filecmp
import io
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pandas as pd

from anogan import parallel
from anogan.errors import SampleError
from anogan.files import lock, no_formula, write_text
from anogan.pictures.files import find_images
from anogan.runs.scoring import OnError, OnSaved

LOG = "rejects.csv"
COLUMNS = ("file", "moved_to", "score", "p_value", "time")
TAIL_BYTES = 1 << 16  # bytes of rejects.csv in which the row of an interrupted move is looked for


class Stamp(NamedTuple):
    """Size in bytes and time of writing (ns), which distinguish a file from a later one of the same name."""

    size: int
    modified: int


class Photo(NamedTuple):
    """A file, its name relative to the folder that was given, and its stamp when it was found."""

    path: Path
    name: Path
    stamp: Stamp


def stamp_of(path: Path) -> Stamp:
    """Return the stamp of a file. Raises `OSError`."""
    stat = path.stat()
    return Stamp(stat.st_size, stat.st_mtime_ns)


def check_apart(option: str, folder: Path, inputs: Iterable[Path]) -> None:
    """Raise `ValueError` if the folder to write into and an input overlap: photos would be scored again."""
    mine = folder.resolve()
    for path in inputs:
        other = path.resolve()
        if mine.is_relative_to(other) or other.is_relative_to(mine):
            raise ValueError(f"{option} {folder} and {path} overlap; choose a folder that is not inside the other")


class Rejects:
    """A folder of rejected photos, and rejects.csv, which lists where each came from."""

    def __init__(self, folder: Path) -> None:
        """Create the folder. Raises `OSError` if it cannot be written."""
        self.folder = folder
        with self._log():
            pass

    @contextmanager
    def _log(self) -> Iterator[BinaryIO]:
        """Open rejects.csv at its end and lock it, because another process may be moving the same photo."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / LOG).open("a+b") as stream:
            lock(stream, wait=True)
            last = _tail(stream)[-1:]
            if last != b"\n":  # new, or the power went
                stream.write(b"\n" if last else f"{','.join(COLUMNS)}\n".encode())
            yield stream

    def move(self, photo: Photo, score: float, p_value: float) -> Path:
        """Move the photo to its name inside the folder, or to that with -1, -2, ... if the name is taken.

        Returns where it is now. Raises `OSError`, or `SampleError` if it is no longer the photo that was scored; then
        it stays.
        """
        with self._log() as log:
            if stamp_of(photo.path) != photo.stamp:
                raise SampleError("changed since it was scored, so it is not moved")
            moved, known = _placed(photo.path, self.folder / photo.name)
            _sync_folder(moved.parent)
            end = log.seek(0, os.SEEK_END)
            if not (known and _names(log, moved)):
                time = datetime.now(UTC).isoformat(timespec="seconds")
                log.write(_line(str(photo.path), str(moved), f"{score:.6g}", f"{p_value:.6g}", time))
                log.flush()
                os.fsync(log.fileno())
            try:
                photo.path.unlink()
            except OSError:
                if photo.path.exists():  # it may not be removed, so it was not moved; a network may say so wrongly
                    moved.unlink()
                    log.truncate(end)
                    raise
            return moved


def _line(*row: str) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(map(no_formula, row))
    return text.getvalue().encode("utf-8", "surrogateescape")


def _names(log: BinaryIO, moved: Path) -> bool:
    """Tell whether one of the last rows names this photo, because an interrupted move has written it."""
    rows = csv.reader(io.StringIO(_tail(log).decode("utf-8", "surrogateescape")))
    return any(len(row) == len(COLUMNS) and row[1] == no_formula(str(moved)) for row in rows)


def _tail(log: BinaryIO) -> bytes:
    log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
    return log.read()


def _placed(photo: Path, target: Path) -> tuple[Path, bool]:
    """Link or copy the photo to the target's name, or to the first free one after it.

    Returns the new path, and whether an earlier move had already put it there.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if not photo.is_symlink():  # of which a link would be a link to a link
        with contextlib.suppress(OSError):  # another file system, or one without links
            return _first_free(photo, target, lambda free: os.link(photo, free))
    copy = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        shutil.copyfile(photo, copy)
        with contextlib.suppress(OSError):
            shutil.copystat(photo, copy)
        with copy.open("rb+") as stream:
            os.fsync(stream.fileno())
        with contextlib.suppress(OSError):
            return _first_free(photo, target, lambda free: os.link(copy, free))
        return _first_free(photo, target, lambda free: _reserve(copy, free))
    finally:
        copy.unlink(missing_ok=True)


def _reserve(copy: Path, free: Path) -> None:
    """Rename on a file system without links: whoever creates the name owns it."""
    free.open("xb").close()
    copy.replace(free)


def _first_free(photo: Path, target: Path, take: Callable[[Path], None]) -> tuple[Path, bool]:
    free, taken = target, 0
    while True:
        try:
            take(free)
            return free, False
        except FileExistsError:
            if _is_copy(free, photo):
                return free, True
        taken += 1
        free = target.with_name(f"{target.stem}-{taken}{target.suffix}")


def _is_copy(there: Path, photo: Path) -> bool:
    """Tell whether an interrupted move has already put the photo there: another name or a copy of it."""
    mine, other = photo.stat(), there.stat()
    if photo.parent.samefile(there.parent):
        return False
    if photo.samefile(there):
        return mine.st_nlink > 1
    same = (mine.st_size, mine.st_mtime_ns) == (other.st_size, other.st_mtime_ns)
    return same and filecmp.cmp(photo, there, shallow=False)


def _sync_folder(folder: Path) -> None:
    """Write the folder to disk, so that a new name survives a power cut. Not every system can do so."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def listed(inputs: Sequence[Path], memory: Path, going_on: bool) -> list[Photo]:
    """List the photos of files and folders. `memory` is the file that keeps the list.

    When an interrupted scoring continues (`going_on`), its photos come first, in their order: those that it moved are
    no longer found, but have their rows. Raises `ValueError` if one of them was replaced by another photo, because its
    row may be written already.
    """
    known = {row[0]: row for row in json.loads(memory.read_text())} if going_on and memory.exists() else {}
    try:
        found = find_images(inputs)
    except ValueError:
        if not known:
            raise
        found = []
    rows = {str(path): [str(path), str(name), *stamp_of(path)] for path, name in found}
    replaced = [file for file in rows if file in known and rows[file] != known[file]]
    if replaced:
        raise ValueError(
            f"{replaced[0]} has been replaced since its scoring was interrupted; move it away until that is finished, "
            f"or remove {memory.name} and the .part files next to it to start again"
        )
    parallel.wait_for_all()  # every process has looked before the first one moves anything
    rows = known | {file: row for file, row in rows.items() if file not in known}
    write_text(memory, json.dumps(list(rows.values())))
    parallel.wait_for_all()
    return [Photo(Path(path), Path(name), Stamp(*stamp)) for path, name, *stamp in json.loads(memory.read_text())]


def mover(rejects: Rejects, photos: Iterable[Photo], on_error: OnError) -> OnSaved:
    """Return a function that moves the anomalies of `score_stream`; `on_error` gets those that cannot be moved."""
    by_file = {str(photo.path): photo for photo in photos}

    def move(rows: pd.DataFrame) -> None:
        anomalies = rows[rows["verdict"] == "anomaly"]
        for file, score, p_value in zip(anomalies["file"], anomalies["score"], anomalies["p_value"], strict=True):
            try:
                rejects.move(by_file[file], score, p_value)
            except (OSError, SampleError) as error:
                if by_file[file].path.exists():  # otherwise it was moved before an interruption
                    on_error(file, SampleError(f"cannot be moved: {error}"))

    return move
