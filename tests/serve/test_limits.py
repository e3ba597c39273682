"""Nobody gets in without the token, and no request takes more than its share."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import ImageFile
from served_models import CSV, PNG, TestClient, boards, held, photo, server_of, until

from anogan.runs.bundle import Bundle
from anogan.serve.limits import HEADERS, HELD, Guard, Limits, Refusal, is_loopback, read_token
from experiments.load_attacks import black

TOKEN = "a-token-of-some-length"
THREADS = 45  # more than the routes share


@pytest.fixture(scope="module")
def guarded(pump_run: Path) -> Iterator[TestClient]:
    with server_of(boards(), pump_run, token=TOKEN) as (client, _):
        yield client


PATHS = [
    ("GET", "/models"),
    ("GET", "/models/boards"),
    ("GET", "/metrics"),
    ("GET", "/models/pump/events"),
    ("GET", "/nothing"),
    ("GET", "/health/"),
    ("POST", "/models/boards/score"),
    ("POST", "/models/boards/map"),
    ("POST", "/models/pump/rows"),
]


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer " + TOKEN[:-1], f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"])
@pytest.mark.parametrize(("method", "path"), PATHS)
def test_nothing_is_told_without_the_token(guarded: TestClient, method: str, path: str, given: str) -> None:
    answer = guarded.request(method, path, headers={"Authorization": given} if given else {})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "boards" not in answer.text


def test_the_page_of_the_api_asks_for_the_token(guarded: TestClient) -> None:
    described = guarded.get("/openapi.json").json()
    assert described["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    assert described["paths"]["/models/{name}/score"]["post"]["security"] == [{"HTTPBearer": []}]


def test_with_the_token_models_answer(guarded: TestClient) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert guarded.get("/models", headers=headers).status_code == 200
    sent = guarded.post("/models/boards/score", content=photo(1), headers=PNG | headers)
    assert sent.status_code == 200


@pytest.mark.parametrize("path", ["/", "/health", "/docs", "/docs/start.js", "/openapi.json", "/static/index.html"])
def test_what_tells_nothing_of_the_models_needs_no_token(guarded: TestClient, path: str) -> None:
    answer = guarded.get(path)
    assert answer.status_code == 200
    assert ("javascript" in answer.headers["content-type"]) == path.endswith(".js")
    assert Bundle.open(boards()).digest not in answer.text


@pytest.mark.parametrize("path", ["/", "/models", "/nothing", "/models/boards/score", "/docs"])
def test_every_answer_has_the_headers_that_protect_a_browser(guarded: TestClient, path: str) -> None:
    headers = guarded.get(path).headers
    assert all(headers[name] == value for name, value in HEADERS.items())
    assert "access-control-allow-origin" not in headers


def test_a_foreign_name_of_this_host_is_refused_where_no_token_is_needed() -> None:
    with server_of(boards(), hosts=frozenset({"localhost", "127.0.0.1", "[::1]"})) as (client, _):
        for host in ("localhost", "localhost:8000", "127.0.0.1:1", "[::1]", "[::1]:8000", "LOCALHOST"):
            assert client.get("/models", headers={"Host": host}).status_code == 200, host
        for host in ("evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", ""):
            assert client.get("/models", headers={"Host": host}).status_code == 421, host


@pytest.mark.parametrize(
    "path", ["/static/../models.py", "/static/%2e%2e/app.py", "/static/..%2f..%2fcli.py", "/static/%00"]
)
def test_no_file_but_the_page_is_served(guarded: TestClient, path: str) -> None:
    assert guarded.get(path).status_code in (401, 404)


@pytest.mark.parametrize("text", ["", "short", "x" * 15, "two words of a token", "ümlaute-im-token-x"])
def test_a_token_that_is_no_secret_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text)
    with pytest.raises(ValueError, match="at least 16"):
        read_token(tmp_path / "token")
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert read_token(tmp_path / "token") == TOKEN


def test_loopback_is_told_from_other_addresses() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.2", "example.org", "127.0.0.1.example.org")))


# How much.


def test_a_request_that_is_too_large_is_refused_however_it_is_sent(pump_run: Path) -> None:
    with server_of(boards(), pump_run, max_bytes=5000) as (client, _):
        for name, kind in (("boards", PNG), ("pump", CSV)):
            for content in (b"x" * 5001, iter([b"x" * 2000] * 3)):  # with its length, and without
                answer = client.post(f"/models/{name}/score", content=content, headers=kind)
                assert (answer.status_code, answer.json()["detail"][:6]) == (413, "larger")
        files = [("files", (str(i), photo(i))) for i in range(20)]
        assert client.post("/models/boards/score", files=files).status_code == 413
        assert client.post("/models/boards/score", content=photo(1), headers=PNG).status_code == 200


def test_a_photo_of_too_many_pixels_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = count_decoded(monkeypatch)
    with server_of(boards(), max_pixels=1_000_000) as (client, _):
        for side in (2000, 9400, 16_000):
            answer = client.post("/models/boards/score", content=black(side, 1, 0), headers=PNG)
            assert answer.status_code == 413
        files = [("files", ("large", black(2000, 1, 0))), ("files", ("small", photo(1)))]
        verdicts = [result["verdict"] for result in client.post("/models/boards/score", files=files).json()["results"]]
        assert verdicts[0] == "error"
        assert verdicts[1] != "error"
        many = [("files", (str(i), black(980, 1, 0))) for i in range(11)]
        assert client.post("/models/boards/score", files=many).status_code == 413
    assert decoded == [(32, 32)], "only the small one is"


def count_decoded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Sizes of the images whose pixels are decoded from here on."""
    decoded, load = [], ImageFile.ImageFile.load

    def counting(image: Any) -> Any:
        if image.tile:
            decoded.append(image.size)
        return load(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load", counting)
    return decoded


def test_a_photo_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with server_of(boards()) as (client, _):
        decoded = count_decoded(monkeypatch)
        assert client.post("/models/boards/score", content=photo(1), headers=PNG).status_code == 200
    assert len(decoded) == 1


def test_photos_whose_headers_take_long_keep_nobody_from_asking_for_the_servers_health(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    let_go, begun = threading.Event(), []

    def slow(*_: Any) -> int:
        begun.append(1)
        assert let_go.wait(60)
        return 1

    monkeypatch.setattr("anogan.serve.uploads.count_pixels", slow)
    with server_of(boards()) as (client, _), ThreadPoolExecutor(THREADS + 1) as pool:
        sent = [pool.submit(client.post, "/models/boards/score", content=photo(1), headers=PNG) for _ in range(THREADS)]
        try:
            until(lambda: len(begun) >= 2)
            assert pool.submit(client.get, "/health").result(30).status_code == 200
            assert pool.submit(client.get, "/metrics").result(30).status_code == 200
        finally:
            let_go.set()
        assert [answer.result().status_code for answer in sent] == [200] * THREADS


def test_more_files_than_a_request_may_hold_are_refused() -> None:
    with server_of(boards()) as (client, _):
        answer = client.post("/models/boards/score", files=[("files", (str(i), b"x")) for i in range(1001)])
        assert answer.status_code == 422
        assert "1000" in answer.json()["detail"]


# How long.


def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    with server_of(boards(), queue=2) as (client, models), ThreadPoolExecutor(2) as pool:
        worker = models["boards"].worker
        with held(worker):
            waiting = [
                pool.submit(client.post, "/models/boards/score", content=photo(1), headers=PNG) for _ in range(2)
            ]
            until(lambda: len(worker) == 2)
            refused = client.post("/models/boards/score", content=photo(1), headers=PNG)
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) >= 1
        assert [answer.result().status_code for answer in waiting] == [200, 200]


def test_a_request_that_waits_too_long_is_not_scored() -> None:
    with server_of(boards(), timeout=1) as (client, models):
        with held(models["boards"].worker):
            assert client.post("/models/boards/score", content=photo(1), headers=PNG).status_code == 503
            assert len(models["boards"].worker) == 0
        assert client.post("/models/boards/score", content=photo(1), headers=PNG).status_code == 200
        assert 'anogan_requests_total{model="boards",status="503"} 1.0' in client.get("/metrics").text


class Sent:
    """What is sent to a server, piece by piece, and the status of its answer."""

    def __init__(self, *pieces: bytes, pause: float = 0.0, ends: bool = True) -> None:
        self.pieces, self.pause, self.ends = list(pieces), pause, ends
        self.status = 0

    async def receive(self) -> dict[str, Any]:
        if not self.pieces:
            if self.ends:
                return {"type": "http.disconnect"}
            await asyncio.sleep(60)
        await asyncio.sleep(self.pause)
        return {"type": "http.request", "body": self.pieces.pop(0), "more_body": bool(self.pieces) or not self.ends}

    async def send(self, message: dict[str, Any]) -> None:
        self.status = message.get("status", self.status)


def scope(path: str, kind: str) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", kind.encode())],
    }


@pytest.mark.parametrize("kind", ["image/png", "multipart/form-data; boundary=x"])
def test_a_body_that_does_not_come_is_not_waited_for(kind: str) -> None:
    with server_of(boards(), timeout=0.3) as (client, _):
        for sent in (Sent(b"--x", ends=False), Sent(b"--x\r\n", *[b"x"] * 100, pause=0.05)):
            asyncio.run(asyncio.wait_for(client.app(scope("/models/boards/score", kind), sent.receive, sent.send), 60))
            assert sent.status == 408


@pytest.mark.parametrize("kind", ["image/png", "multipart/form-data; boundary=x"])
def test_a_client_that_goes_while_it_sends_is_no_error(kind: str) -> None:
    gone = Sent(b"--x", ends=False)
    gone.receive = _then_goes(gone.receive)  # type: ignore[method-assign]
    with server_of(boards()) as (client, _):
        asyncio.run(client.app(scope("/models/boards/score", kind), gone.receive, gone.send))
        assert gone.status == 499


def _then_goes(receive: Any) -> Any:
    sent = []

    async def first_only() -> dict[str, Any]:
        if sent:
            return {"type": "http.disconnect"}
        sent.append(True)
        message: dict[str, Any] = await receive()
        return message

    return first_only


def test_a_request_whose_client_has_gone_is_not_scored() -> None:
    with server_of(boards()) as (client, models):
        scored = models["boards"].worker
        with held(scored):
            gone = Sent(photo(1))
            asyncio.run(client.app(scope("/models/boards/score", "image/png"), gone.receive, gone.send))
            assert gone.status == 499
            assert len(scored) == 0


def test_bodies_in_memory_are_bounded_together() -> None:
    refused, held_bodies = [], []

    async def keeps_all(scope: Any, receive: Any, send: Any) -> None:
        try:
            await receive()
        except Refusal as refusal:
            refused.append(refusal.status)
            return
        held_bodies.append(True)
        while len(held_bodies) + len(refused) < HELD + 3:
            await asyncio.sleep(0.01)

    async def all_at_once() -> Guard:
        guard = Guard(keeps_all, Limits(max_bytes=100))
        clients = [Sent(b"x" * 100) for _ in range(HELD + 3)]
        await asyncio.gather(*(guard(scope("/", ""), client.receive, client.send) for client in clients))
        return guard

    guard = asyncio.run(all_at_once())
    assert (len(held_bodies), refused) == (HELD, [503] * 3)
    assert guard.held == 0
