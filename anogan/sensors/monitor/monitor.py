"""The monitor: from messages to rows, scores and alarm changes. Each change is on disk before it is acknowledged."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anogan.errors import SampleError
from anogan.files import Json, write_text
from anogan.runs import bundle
from anogan.runs.bundle import Bundle
from anogan.sensors.model import SensorModel
from anogan.sensors.monitor.rows import RowReader
from anogan.sensors.rows import Row

STATE = "state.json"
ALARMS = "alarms.jsonl"
PER_DECADE = 20  # classes of the latencies' histogram


@dataclass(frozen=True)
class Message:
    """A message from a source: text, time of arrival (s, monotonic) and the source's position after it.

    `again` says that it may have been delivered before.
    """

    text: str
    arrived: float
    position: Any = None
    again: bool = False


class Latencies:
    """Histogram of the times from a row's arrival to its score, so that any number of rows takes the same memory."""

    def __init__(self) -> None:
        self.classes = np.zeros(12 * PER_DECADE, dtype=np.int64)  # from 1 microsecond on

    def add(self, seconds: NDArray[np.float64]) -> None:
        """Add times (n,) in seconds."""
        places = (PER_DECADE * np.log10(np.maximum(seconds, 1e-6) / 1e-6)).astype(int)
        np.add.at(self.classes, np.minimum(places, len(self.classes) - 1), 1)

    def quantile(self, q: float) -> float:
        """Return a quantile in seconds, accurate to a ninth of its value; NaN before the first row."""
        total = int(self.classes.sum())
        if not total:
            return math.nan
        place = int(np.searchsorted(np.cumsum(self.classes), q * total))
        return float(1e-6 * 10 ** ((place + 0.5) / PER_DECADE))


class LiveMonitor:
    """Follows one stream. Its folder holds state.json, from which it continues, and alarms.jsonl, a line per change.

    Each change is written exactly once, whenever the process is stopped: the source repeats what was not saved, and the
    file is cut back to what was. `outbox` holds the changes that the receiver has not yet confirmed.
    """

    def __init__(
        self, path: Path, folder: Path, source: str, detector: str | None = None, device: str = "auto"
    ) -> None:
        opened = Bundle.open(path)
        self.model, self.digest = SensorModel.load(opened, detector, device), opened.digest
        self.name, self.folder, self.source = bundle.run_name(path), folder, source
        self.follower, self.reader = self.model.follower(), RowReader(self.model)
        self.malformed, self.repeated, self.written = 0, 0, 0
        self.position: Any = None
        self.outbox: list[Json] = []
        self.latencies, self.score = Latencies(), math.nan
        self.saved, self.unsaved = -math.inf, False  # time (s, monotonic); whether rows have arrived since
        self.complaints: list[str] = []  # of the last messages
        folder.mkdir(parents=True, exist_ok=True)
        self.notice = self._restore()

    def handle(self, messages: Sequence[Message], patience: float = 0.0) -> list[Json]:
        """Score the rows of these messages and return the alarm changes.

        Saves if there are changes, or if the last save was `patience` seconds ago.
        """
        rows: list[Row] = []
        newest = self.follower.scorer.clock.last
        for message in messages:
            fresh = self._rows(message, newest)
            newest = max([newest, *(row.time for row in fresh)])
            rows += fresh
        changes = self._score(rows)
        self._append(changes)
        self.outbox += changes
        self.position, self.unsaved = messages[-1].position, True
        if changes or time.monotonic() - self.saved >= patience:
            self.save()
        self.latencies.add(time.monotonic() - np.array([message.arrived for message in messages]))
        return changes

    def _rows(self, message: Message, newest: float) -> list[Row]:
        """Return the rows of a message that have not been scored. The time shows whether a repeated row has been."""
        try:
            rows = self.reader.parse(message.text)
        except SampleError as error:
            self.malformed += 1
            self.complaints.append(str(error))
            return []
        fresh = [row for row in rows if not message.again or row.time > newest]
        self.repeated += len(rows) - len(fresh)
        return fresh

    def _score(self, rows: list[Row]) -> list[Json]:
        if not rows:
            return []
        times, values = np.array([row.time for row in rows]), np.array([row.values for row in rows])
        followed = self.follower.push(times, [row.stamp for row in rows], values)
        known = followed.score[np.isfinite(followed.score)]
        self.score = float(known[-1]) if len(known) else self.score
        return [alarm.change(self.name) for _, alarm in followed.changes]

    # What is on disk.

    def _append(self, changes: list[Json]) -> None:
        if changes:
            with (self.folder / ALARMS).open("a") as stream:
                stream.writelines(json.dumps(change) + "\n" for change in changes)
                stream.flush()
                os.fsync(stream.fileno())
                self.written = stream.tell()

    def confirm(self, identities: Sequence[str]) -> None:
        """Remove changes that have arrived, so that they are not sent again."""
        if identities:
            self.outbox = [change for change in self.outbox if change["id"] not in identities]
            self.save()

    def save(self) -> None:
        """Save the state, so that a later process can continue."""
        state = {
            "model": self.digest,
            "source": self.source,
            "position": self.position,
            "columns": self.reader.columns,
            "delimiter": self.reader.delimiter,
            "read": self.reader.read,
            "malformed": self.malformed,
            "repeated": self.repeated,
            "written": self.written,
            "outbox": self.outbox,
        } | self.follower.state()
        write_text(self.folder / STATE, json.dumps(state, allow_nan=False))
        self.saved, self.unsaved = time.monotonic(), False

    def _restore(self) -> str:
        """Continue from state.json. Returns a sentence on it, or nothing if there is no such file."""
        file = self.folder / STATE
        if not file.exists():
            return ""
        try:
            state = json.loads(file.read_text())
            self.position = state["position"] if state["source"] == self.source else None
            self.written, self.outbox = int(state["written"]), state["outbox"]
            self.follower.tracker.alarms = int(state["tracker"]["alarms"])
            if state["columns"] and set(self.model.channels) <= set(state["columns"]):
                self.reader.header(state["columns"], state["delimiter"])
            self.reader.read = int(state["read"])
            if state["model"] == self.digest:
                self.follower.restore(state)
                self.malformed, self.repeated = int(state["malformed"]), int(state["repeated"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SampleError(f"{file} cannot be read ({error!r}); delete it to start again") from None
        if (self.folder / ALARMS).exists():
            os.truncate(self.folder / ALARMS, self.written)
        if state["model"] != self.digest:
            return "the model has changed since the monitor last ran; its window fills again"
        return f"continuing after {self.follower.scorer.seen:,} rows"

    def status(self) -> str:
        """Return one line of counts."""
        clock, rule = self.follower.scorer.clock, self.model.rule
        alarm = f"ALARM {self.follower.tracker.current.number}" if self.follower.tracker.current else "healthy"
        p50, p99 = (1000 * self.latencies.quantile(q) for q in (0.5, 0.99))
        odd = {"malformed": self.malformed, "late": clock.late, "repeated": self.repeated, "gaps": clock.gaps}
        counts = "".join(f", {count} {name}" for name, count in odd.items() if count)
        return (
            f"{alarm}  score {self.score:.4g} of {rule.threshold:.4g}  {self.follower.scorer.seen:,} rows{counts}  "
            f"latency {p50:.3g} ms, 99 % {p99:.3g} ms"
        )
