"""Tiny models of every kind, and a client of a server of them in this process."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import photo_model
import pytest
from conftest import quick, stripes
from PIL import Image

from anogan.photos.model import PhotoModel, about_photos, tail_levels
from anogan.pictures.framing import Framing
from anogan.runs import bundle

for package in ("fastapi", "uvicorn", "python_multipart", "prometheus_client", "fastapi_offline", "httpx2"):
    pytest.importorskip(package, reason="needs the extra 'serve'")

import httpx2 as httpx  # noqa: E402
import uvicorn  # noqa: E402
from fastapi.testclient import TestClient  # noqa: E402

from anogan.serve.app import create_app  # noqa: E402
from anogan.serve.batching import Job, Worker  # noqa: E402
from anogan.serve.limits import Limits  # noqa: E402
from anogan.serve.metrics import Metrics  # noqa: E402
from anogan.serve.served import Served, named  # noqa: E402

__all__ = ["TestClient", "httpx", "uvicorn"]  # which tests may import when this has found them

PNG = {"Content-Type": "image/png"}
CSV = {"Content-Type": "text/csv"}
_KEPT = TemporaryDirectory()  # until the tests end
FOLDER = Path(_KEPT.name)


@cache
def boards() -> Path:
    """A run on photos."""
    return photo_model.save_model(FOLDER / "boards")


@cache
def plates() -> Path:
    """Another one."""
    detector = quick("neighbourgan", random_state=1).fit(stripes(90, photo_model.SHAPE, seed=7))
    maps = detector.anomaly_map(stripes(40, photo_model.SHAPE, seed=8))
    peaks = maps.max((1, 2, 3)).astype(np.float64)
    model = PhotoModel(detector, Framing(photo_model.SHAPE), tail_levels(maps), peaks)
    about = {"data": "plates", "photos": about_photos({"neighbourgan": model})}
    bundle.save(FOLDER / "plates" / "bundle", detector.gan_, {"neighbourgan": detector}, "photos", about)
    return FOLDER / "plates"


@cache
def digits() -> Path:
    """A run on images of one size, 28 x 28."""
    detector = quick("neighbourgan").fit(stripes(80, (1, 28, 28)))
    about = {"data": "digits", "normal": "3"}
    bundle.save(FOLDER / "digits" / "bundle", detector.gan_, {"neighbourgan": detector}, "digits", about)
    return FOLDER / "digits"


@contextmanager
def server_of(*runs: Path, **limits: Any) -> Iterator[tuple[TestClient, dict[str, Served]]]:
    """A client, and the models that answer it."""
    metrics, within = Metrics(), Limits(**limits)
    models = {name: Served(name, path, "cpu", within, metrics) for name, path in named(runs).items()}
    app = create_app(list(models.values()), within, metrics)
    with TestClient(app, base_url="http://localhost") as client:
        yield client, models


@contextmanager
def held(worker: Worker) -> Iterator[None]:
    """Nothing is scored meanwhile."""
    begun, let_go = threading.Event(), threading.Event()

    def hold(asked: Sequence[Any]) -> list[None]:
        begun.set()
        let_go.wait(120)
        return [None]

    with worker.changed:
        worker.waiting.append(Job(hold, None, 0))
        worker.changed.notify()
    assert begun.wait(60)
    try:
        yield
    finally:
        let_go.set()


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for it."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def photo(seed: int = 0, bad: bool = False) -> bytes:
    return png(photo_model.photo(seed, bad))
