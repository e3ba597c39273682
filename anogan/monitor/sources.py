"""Where rows come from: standard input or a growing file, read by a thread into a queue of bounded length."""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from anogan.monitor.watch import Message

BATCH = 1024  # messages handled at once
WAITING = 8 * BATCH  # messages in the queue; a faster source waits
POLL = 0.2  # seconds between two looks at a file that has ended
PATIENCE = 1.0  # seconds; saving costs more than scoring a row


class Source(Protocol):
    """Messages, batch after batch; an empty batch when none came for a while.

    `patience` is for how long what has been handled may wait to be saved: not at all where `done` acknowledges it.
    """

    patience: float

    def batches(self) -> Iterator[list[Message]]: ...

    def done(self, messages: Sequence[Message]) -> None:
        """These messages have been handled and, but for `patience`, saved."""

    def send(self, change: dict[str, Any]) -> None:
        """Send an alarm change to whoever listens."""

    def confirmed(self) -> list[str]:
        """Ids of the changes that have been taken over since the last call."""

    def close(self) -> list[str]:
        """Stop, and tell for the last time what has been taken over."""


class Lines:
    """Lines of a stream that a thread reads; `None` in the queue is its end. Nobody listens for alarms."""

    patience = PATIENCE

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.queue: queue.Queue[Message | None] = queue.Queue(WAITING)
        self.stop = threading.Event()
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def batches(self) -> Iterator[list[Message]]:
        self.thread.start()
        while True:
            batch, ended = drain(self.queue)
            yield batch
            if ended:
                if self.failure:
                    raise self.failure
                return

    def done(self, messages: Sequence[Message]) -> None: ...

    def send(self, change: dict[str, Any]) -> None:
        self.sent.append(change["id"])

    def confirmed(self) -> list[str]:
        sent, self.sent = self.sent, []
        return sent

    def close(self) -> list[str]:
        self.stop.set()
        return self.confirmed()

    def _run(self) -> None:
        try:
            self._read()
        except BaseException as error:  # told by the thread that waits for lines
            self.failure = error
        self.queue.put(None)

    def _read(self) -> None:
        raise NotImplementedError


class Stdin(Lines):
    """Standard input until it ends."""

    def __init__(self, stream: IO[bytes] | None = None) -> None:
        super().__init__()
        self.stream = stream or sys.stdin.buffer

    def _read(self) -> None:
        for line in self.stream:
            self.queue.put(Message(_text(line), time.monotonic()))


class GrowingFile(Lines):
    """Lines of a file from `position` (bytes) on, and those written to it later unless `follow` is false.

    A line counts when its end has been written. A file that has become shorter or has been replaced is read anew.
    """

    def __init__(self, path: Path, position: int = 0, follow: bool = True) -> None:
        super().__init__()
        self.path, self.follow = path, follow
        size = path.stat().st_size  # raises before anything starts where there is no file
        self.position = position if position <= size else 0

    def _read(self) -> None:
        while not self.stop.is_set():
            with self.path.open("rb") as stream:
                if not self._read_opened(stream):
                    return
            self.position = 0

    def _read_opened(self, stream: IO[bytes]) -> bool:
        """Whether the file has been replaced and is to be opened again."""
        stream.seek(self.position)
        while not self.stop.is_set():
            line = stream.readline()
            if line.endswith(b"\n"):
                self._put(line)
                continue
            if not self.follow:
                if line:
                    self._put(line)
                return False
            stream.seek(self.position)
            if self._replaced(stream):
                return True
            self.stop.wait(POLL)
        return False

    def _put(self, line: bytes) -> None:
        self.position += len(line)
        self.queue.put(Message(_text(line), time.monotonic(), self.position))

    def _replaced(self, stream: IO[bytes]) -> bool:
        try:
            now, opened = self.path.stat(), os.fstat(stream.fileno())
        except FileNotFoundError:
            return False  # between two files of a rotation
        return (now.st_ino, now.st_dev) != (opened.st_ino, opened.st_dev) or now.st_size < self.position


def _text(line: bytes) -> str:
    return line.decode("utf-8-sig", "replace")


def drain(waiting: queue.Queue[Message | None], patience: float = 0.5) -> tuple[list[Message], bool]:
    """What is in the queue, BATCH at most, after waiting for the first one; and whether the source has ended."""
    batch: list[Message] = []
    try:
        item = waiting.get(timeout=patience)
        while item is not None:
            batch.append(item)
            if len(batch) == BATCH:
                return batch, False
            item = waiting.get_nowait()
    except queue.Empty:
        return batch, False
    return batch, True
