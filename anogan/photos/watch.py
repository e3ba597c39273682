"""Scoring of photos as a camera writes them.

The folder is searched again and again, because network drives do not notify of changes. results.jsonl is both the
output and the memory: a file with a line in it, of the same size and time of writing, is done. So no line is written
twice, and a killed process loses only the work on one batch. Every file ever seen takes about 300 bytes of memory.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from anogan.errors import SampleError
from anogan.files import lock
from anogan.photos.model import PhotoModel
from anogan.photos.rejects import Photo, Rejects, Stamp, stamp_of
from anogan.pictures.files import EXTENSIONS, PHOTOS, Pixels, batches, decoded_bytes, read_photos
from anogan.pictures.verdicts import Inspection, Record, record

RESULTS = "results.jsonl"
DAMAGED_SECONDS = 10.0  # seconds for which a file that cannot be decoded may stay as it is before it counts as damaged
UNFINISHED = {".part", ".tmp"}  # endings of files that are still being written, wherever they stand in the name
SCORING_SHARE = (
    4  # how many times longer scoring takes than looking, when many files wait in a folder that holds many more
)

OnMap = Callable[[str, Pixels, Inspection], None]  # name, photo, verdict on it


@dataclass
class Waiting:
    """A file that is not done: its stamp, since when (s, monotonic) it has had it, and whether it could not be read."""

    stamp: Stamp
    since: float
    unreadable: bool = False


def photos_in(folder: Path) -> dict[str, Stamp]:
    """Find the files in the folder and its subfolders that may be photos, by relative name.

    Raises `OSError` if the folder itself cannot be read. Files that disappear in the meantime are left out.
    """
    stamps, inside = {}, [PurePosixPath()]
    while inside:
        part = inside.pop()
        try:
            entries = _entries(folder / part)
        except OSError:
            if not part.parts:
                raise
            continue
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    inside.append(part / entry.name)
                elif _may_be_photo(entry.name) and entry.is_file():
                    stamps[str(part / entry.name)] = stamp_of(Path(entry.path))
    return stamps


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return list(entries)


def _may_be_photo(name: str) -> bool:
    endings = {ending.lower() for ending in PurePosixPath(name).suffixes}
    return PurePosixPath(name).suffix.lower() in EXTENSIONS and not endings & UNFINISHED


class Results:
    """The file results.jsonl, and the photos that are done according to it."""

    def __init__(self, folder: Path) -> None:
        """Open the file. Raises `SampleError` if another process writes it, or if it is damaged."""
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / RESULTS
        self.done: dict[str, Stamp] = {}
        self.anomalies: dict[str, Record] = {}  # by name, perhaps not yet moved when the process ended
        self.stream = self.path.open("a+b")
        self.lock = self.path.with_suffix(".lock").open("ab")  # on Windows nobody else can read a file that is locked
        try:
            if not lock(self.lock, wait=False):  # two processes would score everything twice
                raise SampleError(
                    f"{self.path} is being written by another anogan watch; give this one its own --state"
                )
            self._restore()
        except SampleError:
            self.close()
            raise

    def _restore(self) -> None:
        self.stream.seek(0)
        whole = 0
        for number, line in enumerate(self.stream, start=1):
            if not line.endswith(b"\n"):
                break  # the power went
            whole += len(line)
            try:
                entry = json.loads(line)
                self.done[entry["file"]] = Stamp(int(entry["size"]), int(entry["modified"]))
                self.anomalies.pop(entry["file"], None)
                if entry["verdict"] == "anomaly":
                    self.anomalies[entry["file"]] = {key: entry[key] for key in ("score", "p_value")}
            except (ValueError, KeyError, TypeError) as error:
                raise SampleError(f"{self.path} cannot be read, line {number} ({error!r}); move it away") from None
        self.stream.truncate(whole)

    def append(self, records: list[Record]) -> None:
        """Append records. They are on disk when this returns."""
        self.stream.write(b"".join(json.dumps(entry, allow_nan=False).encode() + b"\n" for entry in records))
        self.stream.flush()
        os.fsync(self.stream.fileno())
        self.done |= {entry["file"]: Stamp(entry["size"], entry["modified"]) for entry in records}

    def close(self) -> None:
        """Close the file and release its lock."""
        self.stream.close()
        self.lock.close()


class Watcher:
    """Watches one folder.

    `counts` counts the verdicts, `complaints` lists what went wrong, and `away` says why the folder cannot be read now,
    if it cannot.
    """

    def __init__(
        self,
        model: PhotoModel,
        folder: Path,
        results: Results,
        *,
        rejects: Rejects | None = None,
        on_map: OnMap | None = None,
        interval: float = 0.5,
        patience: float = DAMAGED_SECONDS,
    ) -> None:
        self.model, self.folder, self.results = model, folder, results
        self.rejects, self.on_map, self.interval, self.patience = rejects, on_map, interval, patience
        self.waiting: dict[str, Waiting] = {}
        self.looked = 0.0  # when (s, monotonic) what waits was last seen
        self.away = ""
        self.counts = {"normal": 0, "anomaly": 0, "error": 0}
        self.complaints: list[str] = []

    def batches(self, wait: Callable[[float], bool], once: bool = False) -> Iterator[list[Record]]:
        """Yield the records of one batch after another, and an empty list when there is nothing new.

        Ends when `wait`, which gets seconds to wait, returns True or, with `once`, when the files that were there at
        first are done.
        """
        first: set[str] | None = None
        while True:
            begun = time.monotonic()
            readable = self.look()
            took = time.monotonic() - begun
            if readable and first is None:
                first = set(self.waiting)
            ready = self.ready()
            while ready and time.monotonic() - begun < max(self.interval, SCORING_SHARE * took):
                yield self.score(ready)
                ready = self.ready()
                if wait(0):
                    return
            yield []
            if once and first is not None and not first & self.waiting.keys():
                return
            if wait(0 if ready else max(self.interval, took)):
                return

    def look(self) -> bool:
        """Search the folder. Returns whether it could be read."""
        now = time.monotonic()
        try:
            there = photos_in(self.folder)
        except OSError as error:
            self.away = error.strerror or str(error)
            return False
        self.away, self.looked = "", now
        before, done = self.waiting, self.results.done
        self.waiting = {
            name: before[name] if name in before and before[name].stamp == stamp else Waiting(stamp, now)
            for name, stamp in there.items()
            if done.get(name) != stamp
        }
        self._move_left_behind(there)
        return True

    def _move_left_behind(self, there: dict[str, Stamp]) -> None:
        """Move the anomalies that an earlier process recorded but did not move."""
        left, self.results.anomalies = self.results.anomalies, {}
        for name, entry in left.items():
            if there.get(name) == self.results.done[name]:
                self._move(name, entry)

    def ready(self) -> list[str]:
        """Return the files that have not changed for long enough, oldest first, as many as are scored at once."""
        rested = (
            (waiting.stamp.modified, name)
            for name, waiting in self.waiting.items()
            if self.looked - waiting.since >= (self.patience if waiting.unreadable else self.interval)
        )
        return [name for _, name in heapq.nsmallest(PHOTOS, rested)]

    def score(self, names: list[str]) -> list[Record]:
        """Score the first of these files, as many as memory allows. Writes the records and moves the anomalies."""
        begun = time.monotonic()
        photos = self._read(names)
        inspections = dict(zip(photos, self.model.inspect(list(photos.values())), strict=True))
        now, seconds = datetime.now(UTC), (time.monotonic() - begun) / max(1, len(photos))
        records = []
        for name, inspection in inspections.items():
            photo, stamp = photos[name], self.waiting.pop(name).stamp
            if self.on_map and not isinstance(inspection, SampleError) and not isinstance(photo, SampleError):
                self._draw(self.on_map, name, photo, inspection)
            known = {"time": now.isoformat(timespec="milliseconds"), "seconds": round(seconds, 4), **stamp._asdict()}
            records.append(record(name, inspection) | known)
        if records:
            self.results.append(records)
        for one in records:
            self.counts[one["verdict"]] += 1
            if one["verdict"] == "anomaly":
                self._move(one["file"], one)
        return records

    def _read(self, names: Sequence[str]) -> dict[str, Pixels | SampleError]:
        channels = self.model.framing.shape[0]
        names = next(batches(names, lambda name: decoded_bytes(self.folder / name, channels)))
        photos: dict[str, Pixels | SampleError] = {}
        for name, photo in zip(names, read_photos([self.folder / name for name in names], channels), strict=True):
            waiting = self.waiting[name]
            try:
                changed = stamp_of(self.folder / name) != waiting.stamp
            except OSError:
                changed = True
            if changed:
                waiting.stamp, waiting.since = Stamp(-1, -1), math.inf  # so that the next look treats it as new
            elif isinstance(photo, SampleError) and self.looked - waiting.since < self.patience:
                waiting.unreadable = True  # perhaps not complete
            else:
                photos[name] = photo
        return photos

    def _draw(self, on_map: OnMap, name: str, photo: Pixels, inspection: Inspection) -> None:
        try:
            on_map(name, photo, inspection)
        except OSError as error:
            self.complaints.append(f"{name}: its picture could not be written: {error}")

    def _move(self, name: str, entry: Record) -> None:
        if self.rejects:
            photo = Photo(self.folder / name, Path(name), self.results.done[name])
            try:
                self.rejects.move(photo, entry["score"], entry["p_value"])
            except (OSError, SampleError) as error:
                self.complaints.append(f"{name} cannot be moved: {error}")

    def status(self) -> str:
        """Return one line of counts."""
        counts = ", ".join(f"{count} {verdict}" for verdict, count in self.counts.items())
        waiting = f", {len(self.waiting)} waiting" if self.waiting else ""
        return f"{counts}{waiting}{', folder away' if self.away else ''}"
