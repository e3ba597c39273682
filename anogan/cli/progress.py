"""Progress, shown on the error stream."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from anogan import parallel


@contextmanager
def bar(name: str, total: int) -> Iterator[Callable[[int, str], None]]:
    """A progress bar on a terminal; elsewhere one line at the end. Of several processes the first shows it.

    It is told how many units have been done since the last call, and what to show beside the bar."""
    start = time.monotonic()
    with tqdm(total=total, desc=name, disable=bool(parallel.rank()) or None, dynamic_ncols=True) as shown:

        def update(done: int, note: str) -> None:
            shown.update(done)
            if note:
                shown.set_postfix_str(note)

        yield update
    if not sys.stderr.isatty() and not parallel.rank():
        print(f"{name}: {total} in {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)


@contextmanager
def ticking(shown: tqdm) -> Iterator[tqdm]:
    """A bar whose clock goes on while the work cannot say how far it is."""
    done = threading.Event()

    def tick() -> None:
        while not done.wait(0.5):
            shown.refresh()

    thread = threading.Thread(target=tick, daemon=True)
    with shown:
        thread.start()
        try:
            yield shown
        finally:
            done.set()
            thread.join()


@contextmanager
def clock(name: str) -> Iterator[None]:
    """Shows on a terminal for how long something has been going on that cannot say how far it is."""
    with ticking(tqdm(desc=name, disable=None, bar_format="{desc}: {elapsed}", leave=False)):
        yield


@contextmanager
def stopped_politely() -> Iterator[threading.Event]:
    """Set by Ctrl-C or a service manager's SIGTERM, to be looked at between two batches; a second one does not wait."""
    asked = threading.Event()

    def stop(*_: Any) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
