"""Requests that no honest client sends: what they look like on the wire."""

from __future__ import annotations

import contextlib
import io
import json
import re
import socket
import struct
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import NamedTuple

import numpy as np
from PIL import Image

SCORE, TABLE, ROWS, MAP = "/models/boards/score", "/models/pump/score", "/models/pump/rows", "/models/boards/map"
FORM = "multipart/form-data; boundary=x"
PATIENCE = 25.0  # s for an answer
HANDS = 32  # attacks at once
SIDES = (2000, 2001, 9400)  # of black pictures: at the limit of 4 megapixels, above it, below that of Pillow
CSV_HEAD = b"flow,pressure,vibration,temperature,current,speed,valve,level\n"


class Attack(NamedTuple):
    """Bytes as they go over the wire, and whether the connection is then left without waiting for an answer."""

    content: bytes
    leave: bool = False


def request(
    path: str, body: bytes, kind: str, method: str = "POST", more: str = "", length: str | None = None
) -> Attack:
    size = str(len(body)) if length is None else length
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n{more}\r\n"
    )
    return Attack(head.encode("latin-1", "replace") + body)


def send_raw(port: int, attack: Attack) -> bytes:
    """The first bytes of the answer; none where there is no answer."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(attack.content)
        if not attack.leave:
            return connection.recv(1024)
    return b""


def send_all(port: int, every: Iterable[Attack]) -> list[bytes]:
    """The first bytes of every answer."""
    with ThreadPoolExecutor(HANDS) as pool:
        return list(pool.map(partial(send_raw, port), every))


def reason(answer: bytes) -> str:
    """Status and, of a 503, why; figures left out."""
    status = answer.removeprefix(b"HTTP/1.1 ")[:3].decode("latin-1")
    detail = re.search(rb'"detail": ?"([^"]*)"', answer)
    return f"{status}, {re.sub(r'[0-9.]+', 'N', detail[1].decode())}" if status == "503" and detail else status


def attacks(rng: np.random.Generator) -> Iterator[Attack]:
    """A round of every kind, other bytes each time."""
    for group in (_pictures, _forms, _tables, _texts_as_json, _protocol):
        yield from group(rng)


def picture(rng: np.random.Generator, format: str, mode: str = "RGB", size: int = 128, **options: object) -> bytes:
    stream = io.BytesIO()
    if mode == "I;16":
        image = Image.fromarray(rng.integers(0, 65536, (size, size), dtype=np.uint16))
    else:
        image = Image.fromarray(rng.integers(0, 256, (size, size, 3), dtype=np.uint8)).convert(mode)
    image.save(stream, format, **options)
    return stream.getvalue()


def _pictures(rng: np.random.Generator) -> Iterator[Attack]:
    for format, kind in (("PNG", "image/png"), ("JPEG", "image/jpeg")):
        whole = picture(rng, format)
        for twentieth in range(20):
            yield request(SCORE, whole[: len(whole) * twentieth // 20], kind)
        for _ in range(10):
            yield request(SCORE, _damaged(whole, rng), kind)
    for mode, format in (("P", "GIF"), ("L", "TIFF"), ("CMYK", "JPEG"), ("I;16", "PNG"), ("1", "PNG"), ("LA", "PNG")):
        yield request(SCORE, picture(rng, format, mode), "application/octet-stream")
    for size in (1, 2, 15, 1999, 3000):
        yield request(SCORE, picture(rng, "PNG", "L", size), "image/png")
    frames = [Image.fromarray(rng.integers(0, 256, (64, 64), dtype=np.uint8)) for _ in range(3)]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    yield request(MAP, stream.getvalue(), "image/gif")
    for width, height in ((30_000, 30_000), (2**31 - 1, 2**31 - 1), (0, 0), (1, 100_000_000)):
        yield request(SCORE, bomb(width, height), "image/png")
    for side in SIDES:
        for bits, colour in ((1, 0), (8, 2), (16, 0)):
            yield request(SCORE, black(side, bits, colour), "image/png")
    for content in (
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%!PS",
    ):
        yield request(SCORE, content, "image/png")
    yield request(MAP, rng.bytes(int(rng.integers(1, 5000))), "image/jpeg")
    yield request(SCORE, rng.bytes(5 << 20), "image/jpeg")  # more than the server takes


def _damaged(content: bytes, rng: np.random.Generator) -> bytes:
    damaged = bytearray(content)
    for place in rng.integers(0, len(damaged), int(rng.integers(1, 30))):
        damaged[place] = rng.integers(256)
    return bytes(damaged)


def bomb(width: int, height: int) -> bytes:
    """A PNG that says it is so large."""
    return _png(width, height, 8, 2, zlib.compress(bytes(100_000)))


@cache
def black(side: int, bits: int, kind: int) -> bytes:
    """A PNG that is so large, in few bytes: black, with so many bits per value, of colour (`kind` 2) or grey (0)."""
    row, packer = bytes(1 + side * bits * (3 if kind == 2 else 1) // 8), zlib.compressobj(9)
    packed = b"".join(packer.compress(row) for _ in range(side))
    return _png(side, side, bits, kind, packed + packer.flush())


def _png(width: int, height: int, bits: int, kind: int, packed: bytes) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def _forms(rng: np.random.Generator) -> Iterator[Attack]:
    good = picture(rng, "JPEG", size=64)

    def part(name: str, file: str, content: bytes) -> bytes:
        head = f'--x\r\nContent-Disposition: form-data; name="{name}"; filename="{file}"\r\n\r\n'
        return head.encode("latin-1", "replace") + content + b"\r\n"

    for file in (
        "../../etc/passwd",
        "/etc/passwd",
        "a\x00b.png",
        "a\nb.png",
        "C:\\x",
        "x" * 100_000,
        "",
        '"; name="other',
    ):
        yield request(SCORE, part("files", file, good) + b"--x--\r\n", FORM)
    yield request(SCORE, b"".join(part("files", "a", b"") for _ in range(3000)) + b"--x--\r\n", FORM)
    yield request(SCORE, b"".join(part("files", "a", black(SIDES[-1], 1, 0)) for _ in range(100)) + b"--x--\r\n", FORM)
    yield request(SCORE, part("other", "a", good) + b"--x--\r\n", FORM)
    yield request(SCORE, part("files", "a", good), FORM)  # without an end
    yield request(SCORE, part("files", "a", good)[: int(rng.integers(10, 200))], FORM)
    yield request(SCORE, b"--y\r\n\r\n--y--", FORM)
    yield request(SCORE, good, "multipart/form-data")
    yield request(SCORE, part("files", "a", good) + b"--x--\r\n", "multipart/form-data; boundary=" + "b" * 5000)
    yield request(ROWS, part("files", "a", CSV_HEAD) + b"--x--\r\n", FORM)


def _tables(rng: np.random.Generator) -> Iterator[Attack]:
    row = b"1,2,3,4,5,6,7,8\n"
    number = str(float(rng.standard_normal())).encode()
    bodies = [
        CSV_HEAD,
        CSV_HEAD + row * 30,
        CSV_HEAD + row.replace(b"3", b"nan") * 30,
        CSV_HEAD + row.replace(b"3", b"inf") * 30,
        CSV_HEAD + row.replace(b"3", b"1e999") * 30,
        CSV_HEAD + row.replace(b"3", b"-1e308") * 30,
        CSV_HEAD + row.replace(b"3", b"=1+1") * 30,
        CSV_HEAD + row.replace(b"3", number * 50) * 30,
        CSV_HEAD + b"1,2\n" + row * 30,
        CSV_HEAD + row * 10 + b"1,2,3,4,5,6,7,8,9,10\n",
        CSV_HEAD.replace(b"flow", b"flow,flow") + row * 3,
        CSV_HEAD.replace(b"flow", b"fl\xffw") + row * 3,
        (CSV_HEAD + row * 30).decode().encode("utf-16"),
        CSV_HEAD.replace(b",", b";") + row.replace(b",", b";") * 30,
        b",".join(b"c%d" % i for i in range(100_000)) + b"\n",
        b"x" * 1_000_000,
        b"\n" * 100_000,
        b'"' + CSV_HEAD + row * 30,
        bytes(10_000),
        rng.bytes(2000),
    ]
    for body in bodies:
        yield request(TABLE, body, "text/csv")
    yield request(ROWS, bodies[int(rng.integers(len(bodies)))], "text/csv")
    yield request(ROWS, CSV_HEAD + row * 5, "text/plain")


def _texts_as_json(rng: np.random.Generator) -> Iterator[Attack]:
    columns = CSV_HEAD.decode().strip().split(",")
    bodies = [
        b"",
        b"null",
        b"[" * 100_000,
        b'{"a":' * 20_000,
        b'{"columns": ["flow"], "rows": [[1' + b"0" * 5000 + b"]]}",
        b'{"columns": ["flow", "flow"], "rows": [[1, 2]]}',
        b'{"columns": ["\\ud800"], "rows": [[1]]}',
        b'{"columns": [], "rows": []}',
        b'{"columns": ["flow"], "columns": ["level"], "rows": [[NaN]]}',
        json.dumps({"columns": columns, "rows": [[1] * 8] * 30}).encode(),
        json.dumps({"columns": columns, "rows": [["x"] * 8] * 30}).encode(),
        json.dumps({"columns": columns, "rows": [[None] * 8] * 30}).encode(),
        json.dumps({"columns": columns, "rows": [[1e308] * 8] * 30}).encode(),
        json.dumps({"columns": columns, "rows": [[1] * int(rng.integers(1, 20))] * 3}).encode(),
        json.dumps({"columns": columns, "rows": {"a": 1}}).encode(),
        b'{"columns": "' + rng.bytes(200) + b'"}',
    ]
    for body in bodies:
        yield request(TABLE, body, "application/json")
    yield request(ROWS, bodies[int(rng.integers(len(bodies)))], "application/json")


def _protocol(rng: np.random.Generator) -> Iterator[Attack]:
    good = picture(rng, "PNG", size=64)
    for length in ("-1", "abc", "99999999999999999999", str(10 * len(good)), "1", "1, 2"):
        yield request(SCORE, good, "image/png", length=length)
    yield request(SCORE, good, "image/png", more="Content-Length: 5\r\n")
    yield request(SCORE, good, "image/png", more="Transfer-Encoding: chunked\r\n")
    yield request(SCORE, good, "image/png", more="X-Long: " + "a" * 100_000 + "\r\n")
    yield request(SCORE, good, "image/png", more="X: y\r\n" * 2000)
    yield request(SCORE, good, "image/png", more="Authorization: Bearer \r\nAuthorization: Basic eDp5\r\n")
    yield request("/models/../../etc/passwd/score", good, "image/png")
    yield request("/static/../app.py", b"", "text/plain", "GET")
    yield request("/static/%2e%2e/%2e%2e/app.py", b"", "text/plain", "GET")
    yield request("/models/" + "a" * 20_000 + "/score", good, "image/png")
    yield request("/models/%00%ff/score", good, "image/png")
    yield request(SCORE + "?pictures=" + "maybe" * 100, good, "image/png")
    for method in ("GET", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "\x00\x01"):
        yield request(SCORE, b"", "image/png", method)
    head = f"POST {SCORE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    chunked = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode()
    yield Attack(chunked + b"5\r\nabc", leave=True)  # never ends
    yield Attack(chunked + b"zz\r\nabc\r\n0\r\n\r\n")
    yield Attack(chunked + b"ffffffffffffffff\r\nabc")
    yield Attack(request(SCORE, good, "image/png").content[: int(rng.integers(20, 300))], leave=True)
    yield Attack(request(SCORE, good, "image/png").content * 3)  # pipelined
    yield Attack(request(SCORE, good, "image/png").content + rng.bytes(500))
    yield Attack(rng.bytes(500))
    yield Attack(b"GET / HTTP/9.9\r\n\r\n")
    yield Attack(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")  # a TLS greeting
    yield Attack(request(SCORE, good, "image/png").content.replace(b"localhost", b"evil.example"))
