"""The listening server, which ends without losing a request."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from anogan.serve.app import create_app
from anogan.serve.limits import Limits, is_loopback
from anogan.serve.metrics import Metrics
from anogan.serve.served import Served, named

STOP_SECONDS = 60  # seconds for current requests when the server stops, and for clients that do not read
LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Protocol(H11Protocol):
    """HTTP that closes a connection if the head of a request, or the rest of a refused one, takes too long."""

    def __init__(self, patience: float, **known: Any) -> None:
        super().__init__(**known)
        self.patience = patience
        self.giving_up: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_waiting()

    def shutdown(self) -> None:
        """Announce the end of the connection in the current answer.

        Otherwise the client would send its next request into it and not know whether it was accepted.
        """
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.default_headers = [*self.cycle.default_headers, (b"connection", b"close")]
        super().shutdown()

    def _wait(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self.giving_up is None:
            self.giving_up = self.loop.call_later(self.patience, self.transport.close)

    def _stop_waiting(self) -> None:
        if self.giving_up is not None:
            self.giving_up.cancel()
            self.giving_up = None


class Server(uvicorn.Server):
    """A server that on SIGTERM or Ctrl-C ends streams of events, finishes requests and exits with status 0."""

    def __init__(self, config: uvicorn.Config, on_exit: Callable[[], None]) -> None:
        super().__init__(config)
        self.on_exit = on_exit

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit  # the second signal waits for nothing
        self.should_exit = True
        asyncio.get_running_loop().call_soon_threadsafe(self.on_exit)


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket. Raises `OSError` with the address if that fails."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=2048)
        # Connections inherit it. asyncio would not set it, and a client would wait 40 ms for the body after the head.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OSError(f"cannot listen on {host} port {port}: {reason}") from None


def serve(runs: Sequence[Path], host: str, port: int, device: str, limits: Limits, say: Callable[[str], None]) -> None:
    """Serve until the process is stopped."""
    metrics = Metrics()
    models = [Served(name, path, device, limits, metrics) for name, path in named(runs).items()]
    app = create_app(models, limits, metrics)
    _log_to_stderr()
    patience = round(2 * limits.timeout) + STOP_SECONDS
    config = uvicorn.Config(
        app,
        http=cast(Any, partial(Protocol, limits.timeout)),
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=patience,
    )

    def end_streams() -> None:
        for model in models:
            if model.feed:
                model.feed.close()

    with listen(host, port) as listener:
        bound = listener.getsockname()
        shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        loaded = ", ".join(f"{m.name} ({m.loaded.kind}, {m.loaded.sha256[:12]})" for m in models)
        say(f"serving {loaded} on http://{shown}:{bound[1]}")
        Server(config, end_streams).run(sockets=[listener])


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    levels = {"uvicorn.access": "INFO", "uvicorn.error": "WARNING", "anogan": "INFO", "python_multipart": "CRITICAL"}
    for name, level in levels.items():
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)


def local_names(host: str, token: str) -> frozenset[str]:
    """Return the names that requests may use for this host; empty means any.

    They are limited if the server listens to this machine alone and needs no token. Otherwise a foreign page could
    reach it under a name of its own that resolves to this machine.
    """
    return LOCAL | {host.lower()} if is_loopback(host) and not token else frozenset()
