"""Number of threads on a shared machine: as many as there are processors that other programs leave idle.

OpenMP threads wait for each other in a busy loop. If another program takes the processor of one thread, all others wait
for it, and everything is several times as slow as with one thread.
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
IDLE_SHARE = 0.75  # of a processor left idle, for a thread of its own


class Used(NamedTuple):
    """Seconds since some fixed moment: by the clock, busy on all allowed processors, and used by this program."""

    clock: float
    all: float
    own: float


def used() -> Used:
    """Measure the time that the processors this program may run on have been busy."""
    processors = psutil.cpu_times(percpu=True)
    if hasattr(os, "sched_getaffinity"):
        allowed = os.sched_getaffinity(0)
        processors = [times for number, times in enumerate(processors) if number in allowed]
    idle = ("idle", "iowait", "steal", "guest", "guest_nice")  # what guests use is counted as used by others already
    busy = sum(seconds for times in processors for name, seconds in times._asdict().items() if name not in idle)
    return Used(time.perf_counter(), busy, time.process_time())


class Threads:
    """Chooses a number of threads between one and `most`, one per idle processor, every INTERVAL seconds."""

    def __init__(self, most: int, look: Callable[[], Used] = used) -> None:
        self.most, self.now = most, most
        self._look, self._last = look, look()

    def count(self) -> int:
        """Return how many processors other programs left idle since the last measurement, from 1 to `most`."""
        if time.perf_counter() - self._last.clock >= INTERVAL:
            before, self._last = self._last, self._look()
            clock, total, own = (now - then for now, then in zip(self._last, before, strict=True))
            idle = self.most - max(total - own, 0) / clock
            self.now = min(max(int(idle + 1 - IDLE_SHARE), 1), self.most)
        return self.now


_allowed = False
_threads: Threads | None = None


@contextmanager
def adapting(allowed: bool) -> Iterator[None]:
    """Let computations inside choose their number of threads, unless the user has set OMP_NUM_THREADS.

    Results then differ by rounding from one run to the next.
    """
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
    """Take as many threads as the machine can spare now. Called before each step of a long computation."""
    global _threads
    if not _allowed or parallel.size() > 1:
        return
    import torch

    if _threads is None:
        _threads = Threads(torch.get_num_threads())
    if (count := _threads.count()) != torch.get_num_threads():
        torch.set_num_threads(count)
