"""`anogan monitor`."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anogan.cli.options.scoring import Monitor
from anogan.cli.progress import stopped_politely
from anogan.sensors.monitor.monitor import LiveMonitor
from anogan.sensors.monitor.sources import GrowingFile, Source, Stdin

COMPLAINTS_SHOWN = 5  # complaints about rows, after which they are counted only
EVERY = 0.5  # seconds between two status lines


class Said(logging.Handler):
    """Shows what the library logs."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a log record."""
        _say(record.getMessage())


def run(options: Monitor) -> int:
    """Monitor a machine until the source ends. Returns the exit status."""
    folder = options.state or options.run / "monitor"
    monitor = LiveMonitor(options.run, folder, options.source, options.detector, options.device)
    source = _source(options, monitor)
    if monitor.notice:
        _say(monitor.notice)
    with _shown(), stopped_politely() as stopped:
        _watch(monitor, source, stopped)
    return 2 if monitor.malformed and not monitor.reader.read else 0  # nothing that came was a row


@contextmanager
def _shown() -> Iterator[None]:
    """Show what the sources log."""
    logger, handler = logging.getLogger("anogan.sensors.monitor"), Said()
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)


def _source(options: Monitor, monitor: LiveMonitor) -> Source:
    if options.source == "-":
        return Stdin()
    if "://" in options.source:
        try:
            from anogan.sensors.monitor.mqtt import Address, Topic
        except ImportError:
            raise ValueError("MQTT needs the extra 'mqtt': pip install 'anogan[mqtt]'") from None
        name = options.client_id or f"anogan-{monitor.name}"
        return Topic(Address.parse(options.source), options.publish, name, options.ca_file)
    position = monitor.position if isinstance(monitor.position, int) else 0
    return GrowingFile(Path(options.source), position, options.follow)


def _watch(monitor: LiveMonitor, source: Source, stopped: threading.Event) -> None:
    complaints, shown = 0, time.monotonic()
    for change in monitor.outbox:  # of an earlier process
        source.send(change)
    try:
        for messages in source.batches():
            if messages:
                for change in monitor.handle(messages, source.patience):
                    print(json.dumps(change), flush=True)
                    source.send(change)
                source.done(messages)
            elif monitor.unsaved:  # a quiet moment
                monitor.save()
            monitor.confirm(source.confirmed())
            for complaint in monitor.complaints[: max(0, COMPLAINTS_SHOWN - complaints)]:
                _say("left out: " + "".join(c if c.isprintable() else "?" for c in complaint))
            complaints += len(monitor.complaints)
            monitor.complaints.clear()
            if sys.stderr.isatty() and time.monotonic() - shown > EVERY:
                print(f"\r\x1b[K{monitor.status()}", end="", file=sys.stderr, flush=True)
                shown = time.monotonic()
            if stopped.is_set():
                break
        if monitor.unsaved:
            monitor.save()
    except BaseException:
        source.close()  # what was half done is not saved: the source repeats it
        raise
    monitor.confirm(source.close())
    _say(monitor.status())


def _say(line: str) -> None:
    clear = "\r\x1b[K" if sys.stderr.isatty() else ""
    print(f"{clear}anogan: {line}", file=sys.stderr, flush=True)
