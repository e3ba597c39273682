"""Sources of rows: standard input or a growing file, read by a thread into a queue of bounded size."""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Protocol

from anogan.files import Json
from anogan.sensors.monitor.monitor import Message
from anogan.sensors.monitor.rows import LONGEST_MESSAGE

MESSAGES_AT_ONCE = 1024  # messages handled at once
WAITING = 1 << 25  # characters in the queue; a faster source waits
READ = 1 << 16  # bytes at once
LONGEST_BYTES = (
    4 * LONGEST_MESSAGE + 4
)  # bytes of a message: more than LONGEST_MESSAGE characters, so that one too long is seen to be
POLL = 0.2  # seconds between two looks at a file that has ended
SAVE_SECONDS = 1.0  # seconds; saving costs more than scoring a row


class Source(Protocol):
    """Messages, batch by batch. A batch is empty if none arrived for a while.

    `patience` is the time in seconds that handled messages may wait to be saved; 0 if `done` acknowledges them.
    """

    patience: float

    def batches(self) -> Iterator[list[Message]]:
        """Yield batches of messages until the source ends."""

    def done(self, messages: Sequence[Message]) -> None:
        """Take note that these messages have been handled and, up to `patience`, saved."""

    def send(self, change: Json) -> None:
        """Send an alarm change to the receiver."""

    def confirmed(self) -> list[str]:
        """Return the ids of the changes that the receiver has accepted since the last call."""

    def close(self) -> list[str]:
        """Stop, and return the ids confirmed since the last call."""


class Waiting(queue.Queue[Message | None]):
    """A queue whose size is the sum of its messages' sizes, in characters."""

    def _init(self, maxsize: int) -> None:
        super()._init(maxsize)
        self.size = 0

    def _qsize(self) -> int:
        return self.size

    def _put(self, item: Message | None) -> None:
        super()._put(item)
        self.size += _size(item)

    def _get(self) -> Message | None:
        item = super()._get()
        self.size -= _size(item)
        return item


def _size(item: Message | None) -> int:
    return 200 + (len(item.text) if item else 0)


class Line:
    """A line read in parts. Of a line that is too long only the beginning is kept."""

    def __init__(self) -> None:
        self.kept, self.size = b"", 0  # bytes, and how many the line has

    def add(self, part: bytes) -> bool:
        """Append a part. Returns whether the line is complete."""
        self.kept += part[: LONGEST_BYTES - len(self.kept)]
        self.size += len(part)
        return part.endswith(b"\n")


class Lines:
    """Lines of a stream that a thread reads. `None` in the queue marks the end. Alarm changes are not sent anywhere."""

    patience = SAVE_SECONDS

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.queue = Waiting(WAITING)
        self.stop = threading.Event()
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def batches(self) -> Iterator[list[Message]]:
        """Yield batches of lines until the stream ends."""
        self.thread.start()
        while True:
            batch, ended = drain(self.queue)
            yield batch
            if ended:
                if self.failure:
                    raise self.failure
                return

    def done(self, messages: Sequence[Message]) -> None:
        """Do nothing: a stream cannot repeat its lines."""

    def send(self, change: Json) -> None:
        """Count the change as sent."""
        self.sent.append(change["id"])

    def confirmed(self) -> list[str]:
        """Return the ids of the changes since the last call."""
        sent, self.sent = self.sent, []
        return sent

    def close(self) -> list[str]:
        """Stop reading. Returns the ids of the last changes."""
        self.stop.set()
        return self.confirmed()

    def _run(self) -> None:
        try:
            self._read()
        except BaseException as error:  # raised in the thread that waits for lines
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
        line = Line()
        while part := self.stream.readline(READ):
            if line.add(part):
                self._put(line)
                line = Line()
        if line.size:
            self._put(line)

    def _put(self, line: Line) -> None:
        self.queue.put(Message(_text(line.kept), time.monotonic()))


class GrowingFile(Lines):
    """Lines of a file from `position` (bytes) on, and those written to it later unless `follow` is false.

    A line counts when its end has been written. A file that has become shorter or has been replaced is read from the
    start.
    """

    def __init__(self, path: Path, position: int = 0, follow: bool = True) -> None:
        super().__init__()
        self.path, self.follow = path, follow
        with path.open("rb") as stream:  # raises at once if there is no file
            size = stream.seek(0, os.SEEK_END)
        self.position = position if position <= size else 0

    def _read(self) -> None:
        while not self.stop.is_set():
            with self.path.open("rb") as stream:
                if not self._read_opened(stream):
                    return
            self.position = 0

    def _read_opened(self, stream: IO[bytes]) -> bool:
        """Read until the file ends or is replaced. Returns whether it was replaced and must be opened again."""
        stream.seek(self.position)
        line = Line()
        while not self.stop.is_set():
            if part := stream.readline(READ):
                if line.add(part):
                    self._put(line)
                    line = Line()
                continue
            if not self.follow:
                if line.size:
                    self._put(line)
                return False
            if self._replaced(stream):
                return True
            self.stop.wait(POLL)
        return False

    def _put(self, line: Line) -> None:
        self.position += line.size
        self.queue.put(Message(_text(line.kept), time.monotonic(), self.position))

    def _replaced(self, stream: IO[bytes]) -> bool:
        try:
            now, opened = self.path.stat(), os.fstat(stream.fileno())
        except FileNotFoundError:
            return False  # between two files of a rotation
        return (now.st_ino, now.st_dev) != (opened.st_ino, opened.st_dev) or now.st_size < stream.tell()


def _text(line: bytes) -> str:
    return line.decode("utf-8-sig", "replace")


def drain(waiting: Waiting, patience: float = 0.5) -> tuple[list[Message], bool]:
    """Wait for a message, and return at most MESSAGES_AT_ONCE of the queue, and whether the source has ended."""
    batch: list[Message] = []
    try:
        item = waiting.get(timeout=patience)
        while item is not None:
            batch.append(item)
            if len(batch) == MESSAGES_AT_ONCE:
                return batch, False
            item = waiting.get_nowait()
    except queue.Empty:
        return batch, False
    return batch, True
