"""Over HTTP a model says what the library says, and nothing that is sent makes it say anything else."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import faulty
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from served_models import CSV, PNG, TestClient, boards, digits, held, photo, plates, png, server_of, until

from anogan.photos.model import PhotoModel
from anogan.pictures import verdicts
from anogan.pictures.files import read_photo, to_unit_range
from anogan.runs import bundle
from anogan.runs.bundle import Bundle
from anogan.sensors.model import SensorModel

JSON = {"Content-Type": "application/json"}
CELLS = st.none() | st.booleans() | st.floats() | st.text() | st.integers()


@pytest.fixture(scope="module")
def client(pump_run: Path) -> Iterator[TestClient]:
    with server_of(boards(), digits(), pump_run) as (client, _):
        yield client


def expected(run: Path, content: bytes, name: str = "image") -> dict[str, Any]:
    """What the library says of one photo alone."""
    (said,) = PhotoModel.load(Bundle.open(run)).inspect([read_photo(io.BytesIO(content), 1)])
    assert not isinstance(said, Exception)
    return verdicts.record(name, said) | {"terms": {term: verdicts.short(value) for term, value in said.terms.items()}}


def picture(url: str) -> Image.Image:
    head, _, content = url.partition(",")
    assert head == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(content)))


def test_every_model_is_told_with_its_digest_and_calibration(client: TestClient, pump_run: Path) -> None:
    models = client.get("/models").json()["models"]
    runs = {"photos": boards(), "digits": digits(), "sensors": pump_run}
    assert {model["kind"]: model["sha256"] for model in models} == {
        k: Bundle.open(run).digest for k, run in runs.items()
    }
    for model in models:
        assert client.get(f"/models/{model['name']}").json() == model
        detector = Bundle.open(runs[model["kind"]]).detector()
        rule = SensorModel.load(Bundle.open(pump_run)).rule
        assert model["threshold"] == (rule.threshold if model["kind"] == "sensors" else detector.threshold_)
        ranks = detector.calibration_scores_
        assert (model["calibration"][0], model["calibration"][-1]) == (ranks[0], ranks[-1])
        assert len(model["calibration"]) == min(len(ranks), 1000)
    assert models[2]["channels"] == ["flow", "pressure", "noise", "still"]
    assert client.get("/health").json()["models"] == 3
    assert str(pump_run.parent) not in json.dumps(models)  # where it lies is nobody's business


def test_an_unknown_model_is_answered_with_the_choices(client: TestClient) -> None:
    answer = client.get("/models/nothing")
    assert answer.status_code == 404
    assert answer.json() == {"detail": "no model 'nothing'; choose from boards, digits, pump"}


@pytest.mark.parametrize("bad", [False, True])
def test_a_photo_gets_the_verdict_of_the_library(client: TestClient, bad: bool) -> None:
    answer = client.post("/models/boards/score", content=photo(3, bad), headers=PNG).json()
    assert answer == {
        "model": "boards",
        "sha256": Bundle.open(boards()).digest,
        "results": [expected(boards(), photo(3, bad))],
    }
    assert (answer["results"][0]["verdict"] == "anomaly") == bad


def test_an_image_of_one_size_gets_the_verdict_of_the_library(client: TestClient) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
    sent = png(Image.fromarray(pixels))
    (result,) = client.post("/models/digits/score", content=sent, headers=PNG).json()["results"]
    detector = Bundle.open(digits()).detector()
    score = detector.anomaly_score(to_unit_range(pixels[None, None]))
    assert result["score"] == verdicts.short(float(score[0]))
    assert result["verdict"] == ("anomaly" if score > detector.threshold_ else "normal")
    refused = client.post("/models/digits/score", content=photo(1), headers=PNG)
    assert (refused.status_code, refused.json()["detail"][:10]) == (422, "size 32x32")


def test_a_broken_photo_among_several_gets_a_row_of_its_own(client: TestClient) -> None:
    sent = {"a.png": photo(1), "b.png": b"no", "c.png": photo(2, True)}
    results = client.post("/models/boards/score", files=[("files", part) for part in sent.items()]).json()["results"]
    assert results[0] == expected(boards(), photo(1), "a.png")
    assert results[1] == {"file": "b.png", "verdict": "error", "error": "not a readable image"}
    assert results[2] == expected(boards(), photo(2, True), "c.png")
    alone = client.post("/models/boards/score", content=b"no", headers=PNG)
    assert (alone.status_code, alone.json()) == (422, {"detail": "not a readable image"})


def test_the_name_of_a_file_is_shortened_and_never_used(client: TestClient) -> None:
    name = "../" * 100 + "\u202ex\x07.png"
    (result,) = client.post("/models/boards/score", files=[("files", (name, photo(1)))]).json()["results"]
    assert result["file"] == ("../" * 100)[:200]


def test_pictures_show_the_part_its_map_and_what_the_network_makes_of_it(client: TestClient) -> None:
    answer = client.post("/models/boards/score?pictures=true", content=photo(3, True), headers=PNG).json()
    (result,) = answer["results"]
    assert (result["origin"], result["size"]) == ([0, 0], [32, 32])
    assert np.array_equal(
        np.asarray(picture(result["photo"]).convert("L")), np.asarray(Image.open(io.BytesIO(photo(3, True))))
    )
    heat = picture(result["map"])
    assert (heat.mode, heat.size) == ("RGBA", (16, 16))
    (said,) = PhotoModel.load(Bundle.open(boards())).inspect([read_photo(io.BytesIO(photo(3, True)), 1)])
    assert np.array_equal(np.asarray(heat)[..., 3] > 0, said.map > 0.5 + 1 / 340)
    assert picture(result["reconstruction"]).size == (16, 16)


def test_a_photo_is_shown_as_far_as_the_model_looks_at_it(tmp_path: Path) -> None:
    shutil.copytree(boards(), tmp_path / "crop")
    manifest = Bundle.open(boards()).manifest
    manifest["about"]["photos"]["crop"] = [5, 3, 26, 24]
    seal = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
    (tmp_path / "crop" / "bundle" / bundle.MANIFEST).write_text(json.dumps(manifest | {"sha256": seal}))
    with server_of(tmp_path / "crop") as (client, _):
        assert client.get("/models/crop").json()["crop"] == [5, 3, 26, 24]
        answer = client.post("/models/crop/score?pictures=true", content=photo(3), headers=PNG).json()
    (result,) = answer["results"]
    assert (result["origin"], result["size"]) == ([5, 3], [24, 26])
    assert picture(result["photo"]).size == (26, 24)


def test_the_map_is_the_picture_that_the_command_draws(client: TestClient, tmp_path: Path) -> None:
    answer = client.post("/models/boards/map", content=photo(3, True), headers=PNG)
    assert answer.headers["content-type"] == "image/png"
    model, pixels = PhotoModel.load(Bundle.open(boards())), read_photo(io.BytesIO(photo(3, True)), 1)
    (said,) = model.inspect([pixels])
    verdicts.write_map(tmp_path, "photo", model.drawn(pixels, said))
    assert answer.content == (tmp_path / "photo.map.png").read_bytes()


def test_requests_scored_together_get_the_scores_of_each_alone() -> None:
    with server_of(boards(), plates()) as (client, models), ThreadPoolExecutor(32) as pool:

        def ask(number: int) -> list[dict[str, Any]]:
            name, seeds = ("boards", "plates")[number % 2], range(number, number + 1 + number % 3)
            parts = [("files", (str(seed), photo(seed, seed % 5 == 0))) for seed in seeds]
            return client.post(f"/models/{name}/score", files=parts).json()["results"]

        with held(models["boards"].worker), held(models["plates"].worker):
            asked = [pool.submit(ask, number) for number in range(32)]
            until(lambda: all(len(model.worker) == 16 for model in models.values()))
        for number, answer in enumerate(asked):
            run = (boards(), plates())[number % 2]
            seeds = range(number, number + 1 + number % 3)
            assert answer.result() == [expected(run, photo(seed, seed % 5 == 0), str(seed)) for seed in seeds]
        text = client.get("/metrics").text
    assert 'anogan_batch_requests_bucket{le="16.0",model="boards"} 2.0' in text  # the held one, then 16 at once
    assert 'anogan_batch_requests_count{model="boards"} 2.0' in text


def test_a_table_is_scored_as_the_command_does(client: TestClient, pump_run: Path, tmp_path: Path) -> None:
    faulty().to_csv(tmp_path / "day.csv", index=False)
    sent = (tmp_path / "day.csv").read_bytes()
    answer = client.post("/models/pump/score", content=sent, headers=CSV).json()
    model = SensorModel.load(Bundle.open(pump_run))
    watched = model.score(model.read(tmp_path / "day.csv"))
    rows = pd.DataFrame(answer["rows"])
    assert rows["time"].tolist() == list(range(1000))
    for column in ("score", "p_value"):
        assert np.allclose(rows[column], watched.table[column], rtol=1e-5, atol=0, equal_nan=True)
    assert rows["alarm"].tolist() == watched.table["alarm"].tolist()
    assert answer["alarms"] == [alarm.to_dict() for alarm in watched.alarms]
    columns = {"columns": list(faulty()), "rows": faulty().to_numpy().tolist()}
    again = client.post("/models/pump/score", content=json.dumps(columns), headers=JSON).json()
    assert [row["score"] for row in again["rows"]] == [row["score"] for row in answer["rows"]]


def test_a_row_keeps_its_time_as_it_was_given(client: TestClient) -> None:
    for time in (1764067566.25, "2024-05-01 12:00:00", 1764067566123):
        sent = {"columns": ["t", "flow", "pressure", "noise", "still"], "rows": [[time, 1, 2, 3, 4]]}
        assert client.post("/models/pump/score", json=sent).json()["rows"][0]["time"] == time


def test_cells_that_rows_lack_are_missing_and_take_no_memory_without_bound(client: TestClient) -> None:
    columns = ["t", "flow", "pressure", "noise", "still"]
    sent = {"columns": columns, "rows": [[0, 1, True, "2,5"], [1, 1, 1, 1, 1]]}
    assert "1 of 2 values of 'still' are missing" in client.post("/models/pump/score", json=sent).json()["notes"]
    sent = {"columns": [*columns, *map(str, range(4000))], "rows": [[0]] * 5000}
    assert client.post("/models/pump/score", json=sent).status_code == 413
    text = ",".join(map(str, sent["columns"])) + "\n" + "1\n" * len(sent["rows"])
    answer = client.post("/models/pump/score", content=text, headers={"content-type": "text/csv"})
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("boards/rows", 409),
        ("boards/events", 409),
        ("pump/map", 409),
        ("no/score", 404),
        ("no/map", 404),
        ("no/rows", 404),
    ],
)
def test_what_a_model_cannot_do_is_refused(client: TestClient, path: str, status: int) -> None:
    send = client.get if path.endswith("events") else client.post
    answer = send(f"/models/{path}")
    assert answer.status_code == status
    assert list(answer.json()) == ["detail"]


@pytest.mark.parametrize(
    "kind", ["text/plain", "multipart/form-data; boundary=x", "", "application/x-www-form-urlencoded"]
)
def test_no_foreign_page_can_send_rows(client: TestClient, kind: str) -> None:
    """A browser sends these types to other origins without asking them first."""
    headers = {"Content-Type": kind} if kind else {}
    assert (
        client.post("/models/pump/rows", content=b"t,flow,pressure,noise,still\n", headers=headers).status_code == 415
    )


def test_an_image_that_would_run_a_program_is_refused(client: TestClient) -> None:
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n%%EndComments\nshowpage\n"
    assert client.post("/models/boards/score", content=script, headers=PNG).json() == {"detail": "not a readable image"}


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # of damaged headers
@given(st.binary(max_size=300), st.integers(0, 500), st.integers(0, 3))
@settings(max_examples=60)
def test_no_damaged_photo_makes_an_error_of_the_server(client: TestClient, junk: bytes, place: int, kind: int) -> None:
    whole = [photo(1), *(_as(form) for form in ("JPEG", "TIFF", "GIF"))][kind]
    sent = whole[:place] + junk + whole[place + len(junk) // 2 :]
    assert client.post("/models/boards/score", content=sent, headers=PNG).status_code in (200, 413, 422)


@given(st.lists(st.lists(CELLS | st.lists(CELLS, max_size=2), max_size=6), max_size=20))
@settings(max_examples=60)
def test_no_odd_table_makes_an_error_of_the_server(client: TestClient, rows: list[list[Any]]) -> None:
    columns = ["t", "flow", "pressure", "noise", "still"]
    for how in ("score", "rows"):
        sent = json.dumps({"columns": columns, "rows": rows})
        assert client.post(f"/models/pump/{how}", content=sent, headers=JSON).status_code in (200, 422)
        text = "\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]).encode("utf-8", "replace")
        assert client.post(f"/models/pump/{how}", content=text, headers=CSV).status_code in (200, 422)


def _as(form: str) -> bytes:
    stream = io.BytesIO()
    Image.open(io.BytesIO(photo(1))).save(stream, form)
    return stream.getvalue()


def test_the_page_of_the_api_needs_no_other_server(client: TestClient) -> None:
    page = client.get("/docs").text
    assert "//" not in page.replace("<!doctype html>", "")
    for link in ("/docs/assets/swagger-ui.css", "/docs/assets/swagger-ui-bundle.js", "/docs/start.js"):
        assert link in page
        assert client.get(link).status_code == 200
    described = client.get("/openapi.json").json()
    assert {"/models/{name}/score", "/models/{name}/rows", "/metrics"} <= set(described["paths"])


def test_the_metrics_tell_requests_verdicts_and_the_model(client: TestClient) -> None:
    client.post("/models/boards/score", content=photo(3, True), headers=PNG)
    client.post("/models/boards/score", content=b"no", headers=PNG)
    text = client.get("/metrics").text
    assert f'anogan_model_info{{kind="photos",model="boards",sha256="{Bundle.open(boards()).digest}"}} 1.0' in text
    for line in (
        'anogan_requests_total{model="boards",status="200"}',
        'anogan_requests_total{model="boards",status="422"}',
        'anogan_verdicts_total{model="boards",verdict="anomaly"}',
        'anogan_queue_requests{model="boards"} 0.0',
        'anogan_request_seconds_count{model="boards"}',
    ):
        assert line in text
