"""A command takes as many threads as other programs leave processors for; a library takes what its user says."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch

from anogan import threads
from anogan.threads import Threads, Used, used


class Machine:
    """`processors` of them, on which other programs keep `others` busy."""

    def __init__(self, processors: int) -> None:
        self.processors, self.others = processors, 0.0
        self.sums = Used(time.perf_counter(), 0.0, 0.0)

    def passes(self, seconds: float, own: float) -> None:
        """Of `own` wanted processors, this program gets what others leave, or else its fair share."""
        got = min(own, max(self.processors - self.others, self.processors * own / max(own + self.others, 1e-9)))
        busy = min(got + self.others, self.processors)
        clock, all_, mine = self.sums
        self.sums = Used(clock + seconds, all_ + busy * seconds, mine + got * seconds)


def chosen(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], list[int]]:
    monkeypatch.setattr(time, "perf_counter", lambda: machine.sums.clock)
    counting = Threads(machine.processors, lambda: machine.sums)

    def counts(others: float) -> list[int]:
        machine.others, found = others, []
        for _ in range(4):
            machine.passes(threads.INTERVAL, counting.now)
            found.append(counting.count())
        return found

    return counts


@pytest.mark.parametrize(
    ("processors", "others", "expected"), [(2, 0, 2), (2, 0.2, 2), (2, 1, 1), (2, 2, 1), (2, 5, 1), (16, 3.1, 13)]
)
def test_there_is_a_thread_for_each_processor_that_others_leave(
    processors: int, others: float, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert chosen(Machine(processors), monkeypatch)(others)[-1] == expected


def test_threads_follow_other_work_that_comes_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = chosen(Machine(4), monkeypatch)
    assert [counts(others)[-1] for others in (0, 3, 0, 1, 4, 0)] == [4, 1, 4, 3, 1, 4]
    assert counts(3)[1] == 1, "after two looks"


def test_what_this_program_does_is_not_taken_for_others() -> None:
    before = used()
    begin = time.perf_counter()
    while time.perf_counter() - begin < 0.3:
        pass
    clock, _, own = (now - then for now, then in zip(used(), before, strict=True))
    assert own <= clock * 1.05, "one thread"
    assert own > 0


def test_a_command_alone_chooses_and_all_threads_are_there_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(Threads, "count", lambda self: 1)
    torch.set_num_threads(2)

    def seen(allowed: bool) -> int:
        with threads.adapting(allowed):
            threads.adapt()
            count = torch.get_num_threads()
        assert torch.get_num_threads() == 2
        return count

    assert (seen(True), seen(False)) == (1, 2)
    threads.adapt()
    assert torch.get_num_threads() == 2, "in a library"
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert seen(True) == 2
