"""Over HTTP a model says what the library says, and nothing that is sent makes it say anything else."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from served_models import CSV, PNG, boards, client_of, digits, photo

from anogan.data.photos import read_photo
from anogan.inspection import PhotoModel
from anogan.verdicts import record


@pytest.fixture(scope="module")
def client(pump_run: Path) -> Iterator:
    with client_of(boards(), digits(), pump_run) as client:
        yield client


def expected(content: bytes, name: str) -> dict:
    (said,) = PhotoModel.load(boards()).inspect([read_photo(io.BytesIO(content), 1)])
    return record(name, said)


def test_every_model_is_listed_with_its_digest(client) -> None:
    models = client.get("/models").json()["models"]
    assert [model["kind"] for model in models] == ["photos", "samples", "signals"]
    assert all(len(model["sha256"]) == 64 for model in models)
    assert client.get("/health").json()["models"] == 3


@pytest.mark.parametrize("bad", [False, True])
def test_a_photo_gets_the_verdict_of_the_library(client, bad: bool) -> None:
    sent = photo(3, bad)
    answer = client.post("/models/boards/score", content=sent, headers=PNG).json()
    (result,) = answer["results"]
    terms = result.pop("terms")
    assert result == expected(sent, "image")
    assert list(terms) == ["gradients", "code"]


def test_a_broken_photo_among_several_gets_a_row_of_its_own(client) -> None:
    files = [("files", (name, content)) for name, content in (("a", photo(1)), ("b", b"no"), ("c", photo(2, True)))]
    results = client.post("/models/boards/score", files=files).json()["results"]
    assert [result["file"] for result in results] == ["a", "b", "c"]
    assert results[1] == {"file": "b", "verdict": "error", "error": "no image that can be read"}
    assert results[2]["score"] == expected(photo(2, True), "c")["score"]


def test_a_table_of_signals_is_scored(client, pump_run: Path) -> None:
    table = (pump_run.parent / "pump.csv").read_bytes()
    answer = client.post(f"/models/{pump_run.name}/score", content=table, headers=CSV).json()
    assert len(answer["rows"]) == 3000
