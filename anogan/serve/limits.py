"""Limits on who may send requests, how large they are and how long they take, checked before a body is read."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from anogan.files import Json

OPEN = ("/", "/health", "/docs", "/openapi.json")  # need no token, nor what is below /static/ and /docs/
HELD = 16  # times the largest request: bodies in memory at once
SHORTEST = 16  # characters of a token
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "style-src 'self'; script-src 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # else a tablet keeps the old page after an upgrade
}


class Refusal(Exception):
    """A refused request: status, one line, headers."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.headers = status, dict(headers or {})


@dataclass(frozen=True)
class Limits:
    """Limits of the server: bytes of a request, pixels of a photo, and requests that wait for one model.

    `timeout` is in seconds, for a body to arrive and for a request to wait. An empty `token` means that none is needed,
    and empty `hosts` that requests may use any name of this host.
    """

    max_bytes: int = 32 << 20
    max_pixels: int = 50_000_000
    queue: int = 64
    timeout: float = 30.0
    token: str = ""
    hosts: frozenset[str] = frozenset()


def read_token(path: Path) -> str:
    """Read a token from a file. Raises `ValueError` if it is too short to be a secret."""
    token = path.read_text("utf-8", errors="replace").strip()
    if len(token) < SHORTEST or not (token.isascii() and token.isprintable()) or " " in token:
        raise ValueError(f"{path} must hold a token of at least {SHORTEST} ASCII characters and nothing else")
    return token


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """ASGI middleware that refuses requests beyond the limits, and adds headers to every answer."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app, self.limits = app, limits
        self.held = 0  # bytes of bodies in memory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        body = Body(self, receive)

        async def send_on(message: Message) -> None:
            body.complete = True  # or is not needed
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        try:
            self._check(scope["path"], Headers(scope=scope))
        except Refusal as refusal:
            await refuse(refusal, send_on)
            return
        try:
            await self.app(scope, body.receive, send_on)
        finally:
            self.held -= body.taken

    def _check(self, path: str, headers: Headers) -> None:
        limits = self.limits
        if "\0" in path:
            raise Refusal(404, "Not Found")  # no name of a file, which some versions of starlette find out too late
        if limits.hosts and _name(headers.get("host", "")) not in limits.hosts:
            raise Refusal(421, "this server answers to localhost only; give it a token to be reached by another name")
        needs_token = path not in OPEN and not path.startswith(("/static/", "/docs/"))
        if limits.token and needs_token and not _is_bearer(headers.get("authorization", ""), limits.token):
            raise Refusal(401, "a token is needed: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > limits.max_bytes:
            raise too_large(limits)


class Body:
    """Counts the bytes of a request's body as they arrive, and waits for them at most `timeout` seconds."""

    def __init__(self, guard: Guard, receive: Receive) -> None:
        self.guard, self.receive_next = guard, receive
        self.until = time.monotonic() + guard.limits.timeout
        self.taken, self.complete = 0, False

    async def receive(self) -> Message:
        """Receive the next part. Raises `Refusal` if the body is too late or too large."""
        if self.complete:
            return await self.receive_next()
        limits = self.guard.limits
        try:
            message = await asyncio.wait_for(self.receive_next(), self.until - time.monotonic())
        except TimeoutError:
            raise Refusal(408, f"the request did not arrive within {limits.timeout:g} s") from None
        size = len(message.get("body", b""))
        self.taken += size
        self.guard.held += size
        if self.taken > limits.max_bytes:
            raise too_large(limits)
        if self.guard.held > HELD * limits.max_bytes:
            raise Refusal(503, "too many large requests at once", {"Retry-After": "1"})
        self.complete = not message.get("more_body", False)
        return message


def too_large(limits: Limits) -> Refusal:
    """Return the refusal of a request that is too large."""
    return Refusal(413, f"larger than {limits.max_bytes / (1 << 20):g} MB")


def _name(host: str) -> str:
    """Remove the port: localhost:8000 -> localhost, [::1]:8000 -> [::1]."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() else host).lower()


def _is_bearer(given: str, token: str) -> bool:
    scheme, _, credentials = given.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(credentials.strip().encode(), token.encode())


async def refuse(refusal: Refusal, send: Send) -> None:
    """Answer a request whose body has not been read."""
    body = json.dumps({"detail": str(refusal)}).encode()
    own = {"content-type": "application/json", "content-length": str(len(body))}
    headers: list[tuple[bytes, bytes]] = [
        (name.lower().encode(), value.encode()) for name, value in (own | refusal.headers).items()
    ]
    start: Json = {"type": "http.response.start", "status": refusal.status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})
