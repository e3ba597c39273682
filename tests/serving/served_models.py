"""Tiny models of every kind, and a client of a server of them in this process."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import photo_model
import pytest
from conftest import quick, stripes
from PIL import Image

from anogan import bundle

for package in ("fastapi", "uvicorn", "python_multipart", "prometheus_client", "fastapi_offline", "httpx2"):
    pytest.importorskip(package, reason="needs the extra 'serve'")

from fastapi.testclient import TestClient  # noqa: E402

from anogan.serving.app import create_app  # noqa: E402
from anogan.serving.limits import Limits  # noqa: E402
from anogan.serving.metrics import Metrics  # noqa: E402
from anogan.serving.served import Served, named  # noqa: E402

PNG = {"Content-Type": "image/png"}
CSV = {"Content-Type": "text/csv"}


@cache
def _folder() -> Path:
    return Path(mkdtemp())


@cache
def boards() -> Path:
    """A run on photos."""
    return photo_model.save_model(_folder() / "boards")


@cache
def digits() -> Path:
    """A run on images of one size, 28 x 28."""
    detector = quick("neighbourgan").fit(stripes(80, (1, 28, 28)))
    about = {"data": "digits", "normal": "3"}
    bundle.save(_folder() / "digits" / "bundle", detector.gan_, {"neighbourgan": detector}, about)
    return _folder() / "digits"


def served(runs: Sequence[Path], limits: Limits) -> tuple[list[Served], Metrics]:
    metrics = Metrics()
    return [Served(name, path, "cpu", limits, metrics) for name, path in named(runs).items()], metrics


@contextmanager
def client_of(*runs: Path, **limits: Any) -> Iterator[TestClient]:
    models, metrics = served(runs, Limits(**limits))
    with TestClient(create_app(models, Limits(**limits), metrics), base_url="http://localhost") as client:
        yield client


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def photo(seed: int = 0, bad: bool = False) -> bytes:
    return png(photo_model.photo(seed, bad))
