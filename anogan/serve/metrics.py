"""Metrics for Prometheus, in a registry of their own, so that several servers fit into one process."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
JOBS = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counters and gauges of a server."""

    def __init__(self) -> None:
        self.registry = r = CollectorRegistry()
        self.requests = Counter("anogan_requests", "Requests by status", ["model", "status"], registry=r)
        self.seconds = Histogram(
            "anogan_request_seconds", "Seconds until the answer", ["model"], buckets=SECONDS, registry=r
        )
        self.waiting = Gauge("anogan_queue_requests", "Requests that wait", ["model"], registry=r)
        self.batches = Histogram(
            "anogan_batch_requests", "Requests scored at once", ["model"], buckets=JOBS, registry=r
        )
        self.verdicts = Counter(
            "anogan_verdicts", "Verdicts on photos, and alarms begun or ended", ["model", "verdict"], registry=r
        )
        self.rows = Counter("anogan_rows", "Rows of sensors scored", ["model"], registry=r)
        self.info = Gauge("anogan_model_info", "Which model is served", ["model", "kind", "sha256"], registry=r)

    def watch(self, model: str, waiting: Callable[[], int]) -> None:
        """Report the number of waiting requests of a model."""
        self.waiting.labels(model).set_function(waiting)

    def serves(self, model: str, kind: str, sha256: str, before: str = "") -> None:
        """Report the digest of a served model, in place of the digest `before`."""
        if before:
            self.info.remove(model, kind, before)
        self.info.labels(model, kind, sha256).set(1)

    def text(self) -> bytes:
        """Return the metrics in Prometheus's text format."""
        return generate_latest(self.registry)
