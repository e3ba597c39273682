"""What waits is scored together, in order; what has begun is finished, and what nobody waits for is not begun."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from served_models import held

from anogan.serve.batching import MOST_REQUESTS, Worker
from anogan.serve.limits import Refusal


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker(limit=200, most=100)
    yield worker
    worker.close()


class Echo:
    """Work that answers what it is asked, and remembers what it was asked at once."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []

    def answer(self, asked: Sequence[Any]) -> list[Any]:
        self.batches.append(list(asked))
        return list(asked)


def all_at_once(worker: Worker, asked: list[tuple[Echo, Any, int]]) -> list[Any]:
    """Answers to what waits together, in the order asked."""

    async def run() -> list[Any]:
        with held(worker):
            tasks = []
            for echo, question, weight in asked:
                tasks.append(asyncio.ensure_future(worker.answer(echo.answer, question, weight, 30)))
                await asyncio.sleep(0)
        return await asyncio.gather(*tasks, return_exceptions=True)

    return asyncio.run(run())


def test_what_waits_is_answered_together_as_far_as_a_batch_reaches(worker: Worker) -> None:
    echo = Echo()
    count = 2 * MOST_REQUESTS + 3
    assert all_at_once(worker, [(echo, i, 0) for i in range(count)]) == list(range(count))
    assert [len(batch) for batch in echo.batches] == [MOST_REQUESTS, MOST_REQUESTS, 3]


def test_a_batch_is_no_larger_than_memory_allows_unless_one_request_is(worker: Worker) -> None:
    echo = Echo()
    all_at_once(worker, [(echo, weight, weight) for weight in (60, 40, 1, 500, 99, 1)])
    assert echo.batches == [[60, 40], [1], [500], [99, 1]]


def test_work_of_two_models_is_not_mixed_and_keeps_its_order(worker: Worker) -> None:
    first, second = Echo(), Echo()
    asked = [(echo, i, 1) for i, echo in enumerate([first, first, second, first, second, second])]
    assert all_at_once(worker, asked) == list(range(6))
    assert (first.batches, second.batches) == ([[0, 1], [3]], [[2], [4, 5]])


def test_an_error_is_told_to_whom_it_concerns(worker: Worker) -> None:
    def some(asked: Sequence[int]) -> list[Any]:
        return [ValueError(f"no {number}") if number % 2 else number for number in asked]

    def none(asked: Sequence[int]) -> list[Any]:
        raise RuntimeError("broken")

    async def run() -> list[Any]:
        answers = [worker.answer(work, number, 1, 30) for work in (some, none) for number in range(2)]
        return await asyncio.gather(*answers, worker.answer(some, 2, 1, 30), return_exceptions=True)

    assert [str(answer) for answer in asyncio.run(run())] == ["0", "no 1", "broken", "broken", "2"]


def test_what_has_begun_is_finished_however_long_it_takes(worker: Worker) -> None:
    begun = threading.Event()

    def slow(asked: Sequence[Any]) -> list[Any]:
        begun.set()
        return [threading.Event().wait(0.4)]

    async def run() -> Any:
        return await worker.answer(slow, None, 1, timeout=0.1)

    assert asyncio.run(run()) is False
    assert begun.is_set()


def test_what_waits_longer_than_its_time_is_never_begun(worker: Worker) -> None:
    echo = Echo()

    async def run() -> None:
        with held(worker), pytest.raises(Refusal) as refused:
            await worker.answer(echo.answer, "late", 1, timeout=0.05)
        assert refused.value.status == 503
        await worker.answer(echo.answer, "next", 1, timeout=30)

    asyncio.run(run())
    assert echo.batches == [["next"]]


def test_a_worker_that_is_closed_finishes_what_waits() -> None:
    worker, echo = Worker(limit=10, most=100), Echo()

    async def run() -> list[Any]:
        with held(worker):
            tasks = [asyncio.ensure_future(worker.answer(echo.answer, i, 1, 30)) for i in range(5)]
            await asyncio.sleep(0.01)
            closing = asyncio.ensure_future(asyncio.to_thread(worker.close))
        await closing
        return await asyncio.gather(*tasks)

    assert asyncio.run(run()) == list(range(5))
    assert not worker.thread.is_alive()


def test_the_longer_the_queue_the_later_a_client_may_come_back(worker: Worker) -> None:
    worker.limit, worker.seconds = 20, 0.25
    with held(worker):
        told = []
        for waiting in (20, 100, 1000):
            worker.waiting.extend([worker] * (waiting - len(worker)))  # type: ignore[list-item]
            with pytest.raises(Refusal) as refused:
                worker.check()
            told.append(int(refused.value.headers["Retry-After"]))
        worker.waiting.clear()
    assert told == [5, 25, 60]
