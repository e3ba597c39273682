"""A model being served: its queue, its live feed, and the newer bundle that replaces it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from anogan.errors import BundleError
from anogan.runs import bundle
from anogan.runs.bundle import Bundle
from anogan.serve.batching import Worker
from anogan.serve.feed import Feed
from anogan.serve.limits import Limits
from anogan.serve.loaded import AnyLoaded, LoadedSensors, load
from anogan.serve.metrics import Metrics

LOOK = 1.0  # seconds between two looks at the bundles
logger = logging.getLogger("anogan.serve")


class Served:
    """A model being served. Each request is answered by the model that was `loaded` when it was accepted."""

    def __init__(self, name: str, path: Path, device: str, limits: Limits, metrics: Metrics) -> None:
        self.name, self.path, self.device, self.metrics = name, path, device, metrics
        self.stamp = _stamp(path)
        self.loaded: AnyLoaded = load(name, path, device)
        self.feed = Feed(self.loaded) if isinstance(self.loaded, LoadedSensors) else None
        self.worker = Worker(limits.queue, limits.max_pixels, metrics.batches.labels(name).observe)
        metrics.watch(name, self.worker.__len__)
        metrics.serves(name, self.loaded.kind, self.loaded.sha256)

    def start(self) -> None:
        """Remember the running event loop, in which listeners get their events."""
        if self.feed:
            self.feed.loop = asyncio.get_running_loop()

    def close(self) -> None:
        """Finish the waiting requests."""
        self.worker.close()

    def look(self) -> None:
        """Load a newer bundle if there is one. A bundle that cannot be used is logged once."""
        stamp = _stamp(self.path)
        if stamp in ((), self.stamp):  # no bundle: it is being replaced
            return
        self.stamp = stamp
        before = self.loaded
        try:
            if Bundle.open(self.path).digest == before.sha256:
                return
            newer = load(self.name, self.path, self.device)
            if newer.kind != before.kind:
                raise BundleError(f"{self.path} is a model of {newer.kind} now, not of {before.kind}")
        except Exception as error:  # of any kind: the old model stays
            logger.warning("%s: the newer bundle is refused, the old one stays: %s", self.name, error)
            return
        self.loaded = newer
        if self.feed and isinstance(newer, LoadedSensors):
            self.feed.renew(newer)
        self.metrics.serves(self.name, newer.kind, newer.sha256, before.sha256)
        logger.warning("%s: model %s replaces %s", self.name, newer.sha256[:12], before.sha256[:12])


def _stamp(path: Path) -> tuple[Any, ...]:
    """Return a value that changes with the bundle, or an empty tuple while there is none."""
    with suppress(BundleError, OSError):
        stats = [(file.name, file.stat()) for file in sorted(bundle.find(path).iterdir())]
        return tuple((name, stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in stats)
    return ()


def named(paths: Sequence[Path]) -> dict[str, Path]:
    """Map the names under which runs are served to their paths. Raises `ValueError` if two runs have the same name."""
    found: dict[str, Path] = {}
    for path in paths:
        name = bundle.run_name(path)
        if name in found:
            raise ValueError(f"two runs are named {name}: {found[name]} and {path}; give one by a link of another name")
        found[name] = path
    return found


class Reloader:
    """A thread that looks for newer bundles."""

    def __init__(self, models: Sequence[Served]) -> None:
        self.models, self.stopped = models, threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while not self.stopped.wait(LOOK):
            for model in self.models:
                model.look()

    def close(self) -> None:
        """Stop the thread."""
        self.stopped.set()
        self.thread.join()
