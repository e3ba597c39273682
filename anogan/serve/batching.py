"""One thread per model scores the waiting requests in batches, so that simultaneous requests share a forward pass."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from anogan.serve.limits import Refusal

MOST_REQUESTS = 64  # requests scored at once
SLOWEST = 60  # seconds, the longest wait that a client is asked for
Work = Callable[[Sequence[Any]], Sequence[Any]]  # several requests -> an answer or error for each


@dataclass(eq=False)
class Job:
    """A request: what to compute it with, its content, and the memory it takes in units of `Worker.most`."""

    work: Work
    asked: Any
    weight: int
    answer: Future[Any] = field(default_factory=Future)


class Worker:
    """A bounded queue and the thread that empties it. Jobs with the same `work` are answered by one call."""

    def __init__(self, limit: int, most: int, on_batch: Callable[[int], None] = lambda jobs: None) -> None:
        self.limit, self.most, self.on_batch = limit, most, on_batch
        self.waiting: deque[Job] = deque()
        self.changed = threading.Condition()
        self.closed = False
        self.seconds = 0.0  # that a request took on average of late
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def __len__(self) -> int:
        return len(self.waiting)

    def check(self) -> None:
        """Raise `Refusal` if the queue is full."""
        if len(self.waiting) >= self.limit:
            raise self._busy(f"{self.limit} requests wait already")

    def _busy(self, why: str) -> Refusal:
        """Return a refusal that says when the waiting requests will be done."""
        seconds = min(SLOWEST, max(1, math.ceil(len(self.waiting) * self.seconds)))
        return Refusal(503, why, {"Retry-After": str(seconds)})

    async def answer(self, work: Work, asked: Any, weight: int, timeout: float) -> Any:
        """Return the answer of `work`.

        Raises `Refusal` if the queue is full or the job has waited for `timeout` seconds; the job is then dropped, also
        if the caller is cancelled. A job that has begun is finished.
        """
        job = Job(work, asked, weight)
        with self.changed:
            self.check()
            self.waiting.append(job)
            self.changed.notify()
        done = asyncio.wrap_future(job.answer)
        done.add_done_callback(lambda future: future.cancelled() or future.exception())  # the client may have left
        try:
            await asyncio.wait([done], timeout=timeout)
            if not done.done() and job.answer.cancel():
                raise self._busy(f"not scored within {timeout:g} s")
            return await done
        finally:
            if job.answer.cancel():
                self._drop(job)

    def _drop(self, job: Job) -> None:
        with self.changed:
            if job in self.waiting:
                self.waiting.remove(job)

    def close(self) -> None:
        """Finish the waiting jobs, then end the thread."""
        with self.changed:
            self.closed = True
            self.changed.notify()
        self.thread.join()

    def _run(self) -> None:
        while jobs := self._next():
            begun = time.monotonic()
            self.on_batch(len(jobs))
            _answer(jobs)
            took = (time.monotonic() - begun) / len(jobs)
            self.seconds = took if not self.seconds else 0.8 * self.seconds + 0.2 * took

    def _next(self) -> list[Job]:
        """Wait for the next jobs with the same work. Returns none when closed."""
        with self.changed:
            while True:
                jobs: list[Job] = []
                while self.waiting and self._fits(jobs, self.waiting[0]):
                    job = self.waiting.popleft()
                    if job.answer.set_running_or_notify_cancel():
                        jobs.append(job)
                if jobs or (self.closed and not self.waiting):
                    return jobs
                self.changed.wait()

    def _fits(self, jobs: list[Job], job: Job) -> bool:
        if not jobs:
            return True
        return (
            job.work == jobs[0].work and len(jobs) < MOST_REQUESTS and sum(j.weight for j in [*jobs, job]) <= self.most
        )


def _answer(jobs: list[Job]) -> None:
    try:
        answers = jobs[0].work([job.asked for job in jobs])
    except Exception as error:  # of any kind: the clients must get an answer, and the thread must go on
        answers = [error] * len(jobs)
    for job, answer in zip(jobs, answers, strict=True):
        if isinstance(answer, Exception):
            job.answer.set_exception(answer)
        else:
            job.answer.set_result(answer)
