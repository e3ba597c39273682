"""Threads on a machine that does other work too: as many as there are processors left idle by other programs.

OpenMP's threads wait for each other by keeping their processor busy. Where another program wants that processor, all of
them wait for the one that is not there, and everything takes several times as long as with one thread.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import psutil

from anogan import parallel

INTERVAL = 0.25  # seconds between two looks at the machine, some slices of a scheduler
ENOUGH = 0.75  # of a processor left idle, for a thread of its own


class Used(NamedTuple):
    """Seconds since some beginning: by the clock, of all processors that may be used, and those of this program."""

    clock: float
    all: float
    own: float


def used() -> Used:
    """What the processors that this program may run on have done so far."""
    processors = psutil.cpu_times(percpu=True)
    if hasattr(os, "sched_getaffinity"):
        allowed = os.sched_getaffinity(0)
        processors = [times for number, times in enumerate(processors) if number in allowed]
    idle = ("idle", "iowait", "steal", "guest", "guest_nice")  # what guests use is counted as used by others already
    busy = sum(seconds for times in processors for name, seconds in times._asdict().items() if name not in idle)
    return Used(time.perf_counter(), busy, time.process_time())


class Threads:
    """How many threads to take, between one and `most`, one per processor, looked at anew every INTERVAL."""

    def __init__(self, most: int, look: Callable[[], Used] = used) -> None:
        self.most, self.now = most, most
        self._look, self._last = look, look()

    def count(self) -> int:
        """As many as there are processors that other programs have left idle since the last look."""
        if time.perf_counter() - self._last.clock >= INTERVAL:
            before, self._last = self._last, self._look()
            clock, total, own = (now - then for now, then in zip(self._last, before, strict=True))
            idle = self.most - max(total - own, 0) / clock
            self.now = min(max(int(idle + 1 - ENOUGH), 1), self.most)
        return self.now


_allowed = False
_threads: Threads | None = None


@contextmanager
def adapting(allowed: bool) -> Iterator[None]:
    """Let what is computed inside choose its number of threads, unless the user has. Results then differ by rounding
    from one run to the next."""
    global _allowed, _threads
    _allowed = allowed and "OMP_NUM_THREADS" not in os.environ
    try:
        yield
    finally:
        if _threads is not None:
            import torch

            torch.set_num_threads(_threads.most)
        _allowed, _threads = False, None


def adapt() -> None:
    """Before each step of a long computation: take as many threads as the machine has to spare now."""
    global _threads
    if not _allowed or parallel.size() > 1:
        return
    import torch

    if _threads is None:
        _threads = Threads(torch.get_num_threads())
    if (count := _threads.count()) != torch.get_num_threads():
        torch.set_num_threads(count)
