"""The live feed of a model of sensors: takes rows and sends scores and alarms to all listeners."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np

from anogan.errors import SampleError
from anogan.files import Json
from anogan.sensors.model import SensorModel
from anogan.sensors.scoring import RowScorer
from anogan.serve.limits import Refusal
from anogan.serve.loaded import LoadedSensors
from anogan.serve.tables import Table, Unanswered, alarm_as_json, known, read, rows

HISTORY = 1000  # rows that a new listener gets
BEHIND = 256  # events that a listener may be behind before its stream ends
HEARTBEAT = 15.0  # seconds
ENDED = ""
NOTHING: Json = {"rows": [], "shares": {}, "alarm": None}


def event(name: str, data: Any) -> str:
    """Format a server-sent event."""
    return f"event: {name}\ndata: {json.dumps(data, allow_nan=False)}\n\n"


class Feed:
    """Scores rows in the worker's thread and sends events in the event loop's thread."""

    def __init__(self, loaded: LoadedSensors) -> None:
        self.loaded, self.lock = loaded, threading.Lock()
        self.follower = loaded.model.follower()
        self.history: deque[Json] = deque(maxlen=HISTORY)
        self.last = NOTHING  # the last event: rows, shares of the last row, and the alarm after it
        self.begun: Json | None = None  # the message that the current alarm has begun
        self.listeners: set[asyncio.Queue[str]] = set()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.closed = False

    # In the worker's thread.

    def push(self, asked: Sequence[Table]) -> list[Json | Unanswered]:
        """Score the tables of several requests. Returns for each its number of rows, and the alarm after them."""
        with self.lock:
            return [self._push(table) for table in asked]

    def _push(self, table: Table) -> Json | Unanswered:
        model = self.loaded.model
        try:
            recording = read(model, table)
        except (SampleError, Refusal) as error:
            return error
        time, stamps = recording.time, recording.stamps.tolist()
        if not model.time_column:  # rows are counted from the first request on
            time = time + self.follower.scorer.seen
            stamps = time.astype(int).tolist()
        found = self.follower.push(time, stamps, recording.values)
        changes = [alarm_as_json(alarm.change(self.loaded.name)) for _, alarm in found.changes]
        p_value = np.full(len(time), np.nan)
        scored = np.isfinite(found.score)
        p_value[scored] = model.detector.judge(found.score[scored]).p_value
        last = slice(-HISTORY, None)
        shares = dict(zip(model.channels, map(known, found.shares[-1].tolist()), strict=True)) if scored[-1] else {}
        current = self.follower.tracker.ongoing()
        alarm = alarm_as_json(current.to_dict()) if current else None
        new = {"rows": rows(stamps[last], found.score[last], p_value[last]), "shares": shares, "alarm": alarm}
        self._tell(self._spread, new, changes)
        return {"rows": len(time), "alarm": alarm, "changes": changes}

    def renew(self, loaded: LoadedSensors) -> None:
        """Replace the model. The state is kept if the new model uses the same rows."""
        with self.lock:
            follower, before = loaded.model.follower(), self.follower
            kept = _same_rows(self.loaded.model, loaded.model)
            if kept:
                carried = _carried(before.scorer, self.loaded.model, loaded.model)
                follower.restore({"scorer": carried, "tracker": before.tracker.state()})
            follower.tracker.alarms = before.tracker.alarms
            self.loaded, self.follower = loaded, follower
        self._tell(self._spread_model, loaded.describe(), kept)

    def _tell(self, action: Any, *arguments: Any) -> None:
        if self.loop is not None and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(action, *arguments)

    # In the event loop's thread.

    def _spread(self, new: Json, changes: list[Json]) -> None:
        self.history.extend(new["rows"])
        self.last = new
        self._send(event("rows", new))
        for change in changes:
            self.begun = change if change["change"] == "begin" else None
            self._send(event("alarm", change))

    def _spread_model(self, described: Json, kept: bool) -> None:
        if not kept:
            self.history.clear()
            self.last, self.begun = NOTHING, None
        self._send(event("model", described | {"kept": kept}))

    def _send(self, text: str) -> None:
        for listener in list(self.listeners):
            if listener.full():  # it does not read, and its chart would miss the rows
                self.listeners.discard(listener)
                _end(listener)
            else:
                listener.put_nowait(text)

    async def events(self) -> AsyncIterator[str]:
        """Yield past events, then new ones, until the server ends or the listener leaves."""
        listener: asyncio.Queue[str] = asyncio.Queue(BEHIND)
        past = event("rows", self.last | {"rows": list(self.history)})
        past += event("alarm", self.begun) if self.begun else ""
        self.listeners.add(listener)
        if self.closed:
            _end(listener)
        try:
            yield past
            while True:
                try:
                    text = await asyncio.wait_for(listener.get(), HEARTBEAT)
                except TimeoutError:
                    text = ": still here\n\n"
                if text == ENDED:
                    return
                yield text
        finally:
            self.listeners.discard(listener)

    def close(self) -> None:
        """End all streams of events."""
        self.closed = True
        for listener in list(self.listeners):
            _end(listener)


def _end(listener: asyncio.Queue[str]) -> None:
    if listener.full():
        listener.get_nowait()
    listener.put_nowait(ENDED)


def _same_rows(old: SensorModel, new: SensorModel) -> bool:
    def looks_at(model: SensorModel) -> tuple[Any, ...]:
        return model.channels, model.step, model.detector.gan_.shape, model.slow, model.time_column

    return looks_at(old) == looks_at(new)


def _carried(scorer: RowScorer, old: SensorModel, new: SensorModel) -> Json:
    """Convert the old scorer's state to the new model's units."""
    state = scorer.state()
    values = scorer.rows * np.array(old.scaling.spread) + np.array(old.scaling.centre)
    if old.scaling != new.scaling:
        state["rows"] = new.scaling.apply(values).tolist()
    if old.usual != new.usual:
        state["average"] = new.usual.score
    return state
