"""Progress on the error stream, and stopping between two batches."""

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
    """Show a progress bar on a terminal, elsewhere one line at the end. Of several processes only the first shows it.

    Yields a function that takes the units done since the last call, and a note to show next to the bar.
    """
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
    """Keep a bar's clock running while the work cannot report its progress."""
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
    """Show on a terminal how long something has taken that cannot report its progress."""
    with ticking(tqdm(desc=name, disable=None, bar_format="{desc}: {elapsed}", leave=False)):
        yield


@contextmanager
def stopped_politely() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C or SIGTERM sets, to check between two batches. A second signal interrupts at once."""
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
