"""Threads on a machine that does other work too: they wait for each other's core only briefly."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from anogan import parallel

Argument = TypeVar("Argument")
Result = TypeVar("Result")
SPINS = "1000"  # turns of the waiting loop of libgomp, whose own choice is 300,000: milliseconds
SET_BY_USER = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS")
ROUND = 0.05  # seconds; some slices of a scheduler
SHARE = 0.04  # of the time, at most, for trying the other number of threads


def wait_briefly() -> None:
    """Let OpenMP's threads sleep soon when others are not ready, instead of keeping a core busy; unless the user has
    said how they wait. It must be called before torch is imported."""
    if not any(name in os.environ for name in SET_BY_USER):
        os.environ["GOMP_SPINCOUNT"] = SPINS


class Pace:
    """Chooses between one thread and `most` of them by how long steps take, while other work comes and goes.

    Rounds of steps are timed. The count whose last round was faster goes on; the other is tried again when the time
    that its last try cost is a SHARE of the time since, so that tries never cost more than that, however slow they are.
    """

    def __init__(self, most: int) -> None:
        self.most, self.now = most, most
        self._last: dict[int, float] = {}  # seconds per step of the last round with so many threads
        self._wait = 0.0  # seconds until the other count is tried
        self._steps, self._spent = -1, 0.0  # of this round; the very first step, which prepares, is not counted

    def after_step(self, seconds: float) -> int:
        """How many threads the next step should have, after one that took so long."""
        self._wait -= seconds
        self._steps, self._spent = self._steps + 1, self._spent + seconds * (self._steps >= 0)
        if self._spent < ROUND:
            return self.now
        other = 1 if self.now == self.most else self.most
        here = self._last[self.now] = self._spent / self._steps
        there = self._last.get(other)
        if there is None:
            chosen = other
        elif here > there:
            self._wait, chosen = (here - there) * self._steps / SHARE, other
        else:
            chosen = other if self._wait <= 0 else self.now
        self._steps, self._spent = 0, 0.0
        self.now = chosen
        return chosen


_adapting = False


@contextmanager
def adapting(allowed: bool) -> Iterator[None]:
    """Let trainings inside choose their number of threads, unless the user has. Results then differ by rounding from
    one run to the next."""
    global _adapting
    _adapting = allowed and "OMP_NUM_THREADS" not in os.environ
    try:
        yield
    finally:
        _adapting = False


@contextmanager
def paced(step: Callable[[Argument], Result], device: str) -> Iterator[Callable[[Argument], Result]]:
    """The step of a loop on a device; on the CPU of a command alone it is timed, and chooses the next one's threads."""
    import torch

    most = torch.get_num_threads()
    if not _adapting or device != "cpu" or most == 1 or parallel.size() > 1:
        yield step
        return
    pace = Pace(most)

    def timed(argument: Argument) -> Result:
        begin = time.perf_counter()
        result = step(argument)
        torch.set_num_threads(pace.after_step(time.perf_counter() - begin))
        return result

    try:
        yield timed
    finally:
        torch.set_num_threads(most)
