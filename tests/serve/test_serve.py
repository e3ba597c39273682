"""The command itself: where it listens, and that it ends without losing a request."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import recording
from served_models import CSV, boards, httpx, photo, until, uvicorn
from uvicorn.server import ServerState

from anogan.cli import main
from anogan.serve.server import Protocol, listen

PARTS = [("files", (str(seed), photo(seed))) for seed in range(200)]


@pytest.fixture
def process(pump_run: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server of two models, and its address."""
    command = [sys.executable, "-m", "anogan", "serve", str(boards()), str(pump_run), "--port", "0", "--threads", "1"]
    command += ["--timeout", "120"]  # however busy the machine is
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        try:
            line = running.stderr.readline()
            yield running, re.findall(r"http://\S+", line)[0]
        finally:
            running.kill()


@pytest.mark.slow
def test_a_server_that_is_told_to_stop_finishes_what_it_accepted(process: tuple[subprocess.Popen[str], str]) -> None:
    running, address = process
    events: list[str] = []

    def listen() -> None:
        with httpx.stream("GET", f"{address}/models/pump/events", timeout=120) as stream:
            events.extend(line for line in stream.iter_lines() if line.startswith("event"))

    listener = threading.Thread(target=listen)
    listener.start()
    until(lambda: len(events) == 1)
    httpx.post(f"{address}/models/pump/rows", content=recording(50).to_csv(index=False), headers=CSV, timeout=60)
    until(lambda: len(events) == 2)
    with ThreadPoolExecutor(8) as pool:
        asked = [
            pool.submit(httpx.post, f"{address}/models/boards/score?pictures=true", files=PARTS, timeout=120)
            for _ in range(8)
        ]
        until(lambda: waiting(address) >= 4)
        running.send_signal(signal.SIGTERM)
        answers = [each.result() for each in asked]
    assert [answer.status_code for answer in answers] == [200] * 8
    assert {answer.headers["connection"] for answer in answers} == {"close"}
    assert all(len(answer.json()["results"]) == 200 for answer in answers)
    listener.join(60)
    assert not listener.is_alive()
    assert running.wait(60) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{address}/health")
    assert running.stderr is not None
    log = running.stderr.read()
    assert "Traceback" not in log
    assert log.count("POST /models/boards/score") == 8


def waiting(address: str) -> float:
    text = httpx.get(f"{address}/metrics", timeout=60).text
    return float(re.findall(r'anogan_queue_requests\{model="boards"\} (\S+)', text)[0])


HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"


@pytest.mark.parametrize("first", [b"", b"GET /health HTTP/1.1\r\nHost: loc", HEAD])
def test_a_connection_on_which_no_request_comes_to_an_end_is_closed(first: bytes) -> None:
    """Nothing, half a head, and after an answer a body that nobody reads."""

    async def run() -> None:
        config = uvicorn.Config(not_there, log_config=None)
        config.load()
        protocol = partial(Protocol, 0.3, config=config, server_state=ServerState(), app_state={})
        async with await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(first)
            drip = asyncio.ensure_future(dripping(writer if first == HEAD else None))
            answer = await asyncio.wait_for(reader.read(), 60)
            assert (b"404" in answer) == (first == HEAD)
            drip.cancel()
            writer.close()

    asyncio.run(run())


async def not_there(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def dripping(writer: asyncio.StreamWriter | None) -> None:
    while writer:
        writer.write(b"x")
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--host 0.0.0.0", "anyone who reaches 0.0.0.0 could use the models; give --token-file, or --no-token"),
        ("--host ::", "anyone who reaches :: could"),
        ("--queue 0", "expected --queue of more than 0"),
        ("--timeout nan", "expected --timeout of more than 0"),
        ("--max-megapixels 1000", "expected --max-megapixels of at most"),
        ("--port 70000", "expected --port of 0 to 65535"),
        ("--token-file /dev/null", "at least 16"),
        ("--host 192.0.2.1 --no-token", "cannot listen on 192.0.2.1 port 8000"),
        ("--host no.such.host.invalid --no-token", "cannot listen on no.such.host.invalid port 8000"),
    ],
)
def test_what_would_be_unsafe_or_wrong_is_told_in_one_line(
    options: str, expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["anogan", "serve", str(boards()), *options.split()])
    assert main.main() == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1


def test_without_the_extra_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "anogan.serve.server", raising=False)
    with pytest.raises(ValueError, match=r"pip install 'anogan\[serve\]'"):
        main.run_command(["serve", str(boards())])


def test_an_answer_does_not_wait_for_the_client_to_say_that_its_head_has_come() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
