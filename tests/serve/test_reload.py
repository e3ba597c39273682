"""A newer bundle is taken without losing a request; one that cannot be trusted is not taken."""

from __future__ import annotations

import io
import logging
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from served_models import PNG, TestClient, boards, digits, held, photo, plates, server_of, until

from anogan.photos.model import PhotoModel
from anogan.pictures import verdicts
from anogan.pictures.files import read_photo
from anogan.runs import bundle
from anogan.runs.bundle import Bundle
from anogan.serve import served
from anogan.serve.served import Served, named


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "LOOK", 0.02)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    shutil.copytree(boards(), tmp_path / "line")
    return tmp_path / "line"


@pytest.fixture
def line(run: Path) -> Iterator[tuple[TestClient, Served]]:
    with server_of(run) as (client, models):
        yield client, models["line"]


def replace_by(other: Path, run: Path) -> None:
    """As `bundle.save` does it."""
    shutil.copytree(other / "bundle", run / "bundle.part")
    (run / "bundle").rename(run / "bundle.old")
    (run / "bundle.part").rename(run / "bundle")
    shutil.rmtree(run / "bundle.old")


def score(run: Path, content: bytes) -> float:
    (said,) = PhotoModel.load(Bundle.open(run)).inspect([read_photo(io.BytesIO(content), 1)])
    assert not isinstance(said, Exception)
    return verdicts.short(said.score)


def test_requests_during_a_change_are_answered_by_one_model_or_the_other(
    line: tuple[TestClient, Served], run: Path
) -> None:
    client, model = line
    content = photo(3)
    expected = {Bundle.open(path).digest: score(path, content) for path in (boards(), plates())}
    answers, stop = [], threading.Event()

    def ask() -> None:
        while not stop.is_set():
            answers.append(client.post("/models/line/score", content=content, headers=PNG))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for other in (plates(), boards(), plates()):
        replace_by(other, run)
        until(lambda other=other: model.loaded.sha256 == Bundle.open(other).digest)
        count = len(answers)
        until(lambda count=count: len(answers) > count + 8)
    stop.set()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {200}
    found = {(answer.json()["sha256"], answer.json()["results"][0]["score"]) for answer in answers}
    assert found == set(expected.items())
    text = client.get("/metrics").text
    assert f'sha256="{Bundle.open(plates()).digest}"}} 1.0' in text
    assert Bundle.open(boards()).digest not in text


def test_a_request_that_waits_is_answered_by_the_model_it_began_with(
    line: tuple[TestClient, Served], run: Path
) -> None:
    client, model = line
    with ThreadPoolExecutor(2) as pool:
        with held(model.worker):
            asked = []
            for waiting, other in enumerate((boards(), plates())):
                if other != boards():
                    replace_by(other, run)
                    until(lambda other=other: model.loaded.sha256 == Bundle.open(other).digest)
                asked.append(pool.submit(client.post, "/models/line/score", content=photo(3), headers=PNG))
                until(lambda waiting=waiting: len(model.worker) == waiting + 1)
        answers = [each.result().json() for each in asked]
    assert [answer["sha256"] for answer in answers] == [Bundle.open(boards()).digest, Bundle.open(plates()).digest]
    assert [answer["results"][0]["score"] for answer in answers] == [
        score(boards(), photo(3)),
        score(plates(), photo(3)),
    ]


def test_a_damaged_bundle_is_told_of_once_and_the_old_one_stays(
    line: tuple[TestClient, Served], run: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, model = line
    monkeypatch.setattr(logging.getLogger("anogan"), "propagate", True)
    (run / "bundle" / bundle.MANIFEST).write_text("{}")
    until(lambda: "refused" in caplog.text)
    looks = model.stamp
    replace_by(digits(), run)  # of another kind
    until(lambda: model.stamp != looks)
    until(lambda: "is a model of digits now" in caplog.text)
    told = caplog.text.count("refused")
    for _ in range(3):
        model.look()
    assert caplog.text.count("refused") == told  # once for what is there; a state on the way may have been seen too
    answer = client.post("/models/line/score", content=photo(3), headers=PNG).json()
    assert answer["results"][0]["score"] == score(boards(), photo(3))
    replace_by(plates(), run)
    until(lambda: model.loaded.sha256 == Bundle.open(plates()).digest)


def test_a_bundle_is_taken_when_its_last_file_has_come(line: tuple[TestClient, Served], run: Path) -> None:
    _, model = line
    newer = sorted((plates() / "bundle").iterdir())
    for file in newer:  # the manifest is among the first
        assert model.loaded.sha256 == Bundle.open(boards()).digest
        before = model.stamp
        shutil.copy(file, run / "bundle")
        until(lambda before=before: model.stamp != before)
    until(lambda: model.loaded.sha256 == Bundle.open(plates()).digest)


def test_a_bundle_that_is_away_for_a_moment_changes_nothing(
    line: tuple[TestClient, Served], run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client, model = line
    (run / "bundle").rename(run / "away")
    model.look()
    assert client.post("/models/line/score", content=photo(3), headers=PNG).status_code == 200
    (run / "away").rename(run / "bundle")
    model.look()
    assert caplog.text == ""


def test_runs_are_named_by_their_folders_and_no_two_alike(tmp_path: Path, run: Path) -> None:
    assert named([run / "bundle"]) == {"line": run / "bundle"}
    assert named([run, tmp_path / "b"]) == {"line": run, "b": tmp_path / "b"}
    with pytest.raises(ValueError, match="two runs are named line"):
        named([run, tmp_path / "other" / "line"])
