"""A server of small models in a process of its own, clients that check its answers, and what it should answer."""

from __future__ import annotations

import http.client
import io
import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from anogan.photos.model import PhotoModel
from anogan.pictures.files import read_photo
from anogan.pictures.verdicts import Inspection, record, short
from anogan.runs.bundle import Bundle
from anogan.sensors.model import SensorModel
from anogan.simulators import boards
from anogan.simulators.pump import CHANNELS, simulate

RUNS = Path("runs/load")
DAY, EVERY = 86_400, 10  # s
ROWS = 200  # of a table that is sent
PHOTOS = 40  # different ones that are sent, half of them defective
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
JPEG, CSV = {"Content-Type": "image/jpeg"}, {"Content-Type": "text/csv"}
FORM = "----anogan"
KEPT = ("score", "p_value", "verdict", "regions")


def models() -> dict[str, Path]:
    """Two models of boards, whose thresholds differ, and one of a pump; trained where they are not there yet."""
    photos, table = RUNS / "photos", RUNS / "pump.csv"
    if not photos.exists():
        boards.write_folder(photos.with_name("photos.part"), 200, 20, 10, 128, 0)
        photos.with_name("photos.part").rename(photos)
    if not table.exists():
        simulate(7 * DAY, 0, (), EVERY)[list(CHANNELS)].to_csv(table, index=False)
    small = ["--size", "64", "--gan.steps", "200", "--locator.steps", "300"]
    wanted = {
        "boards": ["--data", str(photos), "--seed", "0", *small],
        "others": ["--data", str(photos), "--seed", "1", *small],
        "pump": ["--data", str(table)],
    }
    for name, words in wanted.items():
        if not (RUNS / name / "bundle").exists():
            command = [sys.executable, "-m", "anogan", "train", *words, "--out", str(RUNS / name), "--threads", "1"]
            subprocess.run(command, check=True, env=ENVIRONMENT)
    return {name: RUNS / name for name in wanted}


# What is sent, and what must come back.


@dataclass(frozen=True)
class Sent:
    """A request, and the answer that the library gives: verdicts of photos, or scores of rows."""

    model: str
    body: bytes
    headers: dict[str, str]
    expected: Any

    @property
    def path(self) -> str:
        return f"/models/{self.model}/score"

    def agrees(self, answer: bytes) -> bool:
        found = json.loads(answer)
        if found["model"] != self.model:
            return False
        if "rows" in found:
            return bool(found["rows"] == self.expected)
        return [{key: result.get(key) for key in KEPT} for result in found["results"]] == self.expected


def photo_requests(name: str, path: Path, together: int = 1) -> list[Sent]:
    """Requests of so many photos each."""
    model = PhotoModel.load(Bundle.open(path), device="cpu")
    rng, contents = np.random.default_rng(0), []
    for i in range(PHOTOS):
        stream = io.BytesIO()
        image, _ = boards.render(10_000 + i, 128, "missing" if i % 2 else None)
        Image.fromarray(image).save(stream, "JPEG", quality=90)
        contents.append(stream.getvalue())
    said = model.inspect([read_photo(io.BytesIO(content), model.framing.shape[0]) for content in contents])
    expected = [kept(one) for one in said if isinstance(one, Inspection)]
    if together == 1:
        return [Sent(name, content, JPEG, [one]) for content, one in zip(contents, expected, strict=True)]
    chosen = [rng.integers(0, PHOTOS, together) for _ in range(PHOTOS)]
    headers = {"Content-Type": f"multipart/form-data; boundary={FORM}"}
    return [Sent(name, form([contents[i] for i in rows]), headers, [expected[i] for i in rows]) for rows in chosen]


def kept(said: Inspection) -> dict[str, Any]:
    found = record("", said)
    return {key: found[key] for key in KEPT}


def _short(value: Any) -> Any:
    return short(value) if isinstance(value, float) else value


def form(contents: Sequence[bytes]) -> bytes:
    """multipart/form-data."""
    begin = '--{}\r\nContent-Disposition: form-data; name="files"; filename="{}.jpg"\r\n\r\n'
    sent = b"".join(begin.format(FORM, i).encode() + content + b"\r\n" for i, content in enumerate(contents))
    return sent + f"--{FORM}--\r\n".encode()


def table_requests(name: str, path: Path) -> list[Sent]:
    model = SensorModel.load(Bundle.open(path), device="cpu")
    found = []
    for i in range(PHOTOS):
        table = simulate(ROWS * EVERY, 100 + i, (), EVERY)[list(CHANNELS)].iloc[:ROWS]
        text = table.to_csv(index=False)
        watched = model.score(model.read_table(pd.read_csv(io.StringIO(text)), "rows")).table
        expected = [
            {
                key: None if isinstance(value, float) and math.isnan(value) else _short(value)
                for key, value in row.items()
            }
            for row in watched[["time", "score", "p_value", "alarm"]].to_dict("records")
        ]
        found.append(Sent(name, text.encode(), CSV, expected))
    return found


# The server and its clients.


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass
class Server:
    """`anogan serve` with one thread per model."""

    runs: Sequence[Path]
    log: Path
    options: Sequence[str] = ()
    port: int = field(default_factory=free_port)

    def start(self) -> None:
        command = [sys.executable, "-m", "anogan", "serve", *map(str, self.runs), "--threads", "1"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port), *self.options], env=ENVIRONMENT, stderr=log, stdout=log
            )
        while not self.is_well():
            if self.process.poll() is not None:
                raise RuntimeError(self.log.read_text()[-2000:])
            time.sleep(0.05)

    def is_well(self, timeout: float = 1.0) -> bool:
        client = Client(self.port, timeout)
        try:
            return client.ask("GET", "/health")[0] == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            client.close()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(120)

    def megabytes(self) -> float:
        """Resident memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def most_megabytes(self) -> float:
        """Resident memory when it was highest."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) / 2**10  # type: ignore[index]

    def statuses(self, begin: int = 0) -> pd.Series:
        """How often each status was answered, by the log from this byte on."""
        found = re.findall(r'HTTP/1\.[01]" (\d{3})', self.log.read_bytes()[begin:].decode(errors="replace"))
        return pd.Series(found, dtype=str).value_counts().sort_index()


@contextmanager
def serving(runs: Sequence[Path], log: Path, *options: str) -> Iterator[Server]:
    server = Server(runs, log, options)
    server.start()
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


class Client:
    """One connection, made anew where it breaks."""

    def __init__(self, port: int, timeout: float = 60.0) -> None:
        self.port, self.timeout = port, timeout
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        try:
            self.connection.request(method, path, body, headers or {})
            answer = self.connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            raise

    def send(self, sent: Sent) -> tuple[int, bytes]:
        return self.ask("POST", sent.path, sent.body, sent.headers)

    def close(self) -> None:
        self.connection.close()


@dataclass
class Tally:
    """What clients have seen: seconds of each scored request, how many were told to come again, wrong, sent without an
    answer, or answered otherwise. A server that does not listen yet, or no longer, is not counted."""

    seconds: list[float] = field(default_factory=list)
    busy: int = 0
    wrong: int = 0
    lost: int = 0
    other: int = 0


@contextmanager
def clients(port: int, count: int, requests: Sequence[Sent], *, again: bool = False) -> Iterator[Tally]:
    """So many clients that ask one request after another while the block runs, and check every answer. A lost
    connection is counted or, with `again`, tried until there is an answer."""
    tally, stopped, lock = Tally(), threading.Event(), threading.Lock()

    def run(number: int) -> None:
        rng, client = np.random.default_rng(number), Client(port)
        while not stopped.is_set():
            sent = requests[int(rng.integers(len(requests)))]
            begun = time.monotonic()
            while True:
                try:
                    status, answer = client.send(sent)
                    break
                except (OSError, http.client.HTTPException) as error:
                    with lock:
                        tally.lost += not isinstance(error, ConnectionRefusedError)
                    if not again or stopped.wait(0.05):
                        status, answer = 0, b""
                        break
            with lock:
                if status == 200:
                    tally.seconds.append(time.monotonic() - begun)
                    tally.wrong += not sent.agrees(answer)
                elif status == 503:
                    tally.busy += 1
                elif status:
                    tally.other += 1
            if status == 503:
                stopped.wait(0.2)
        client.close()

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield tally
    finally:
        stopped.set()
        for thread in threads:
            thread.join(120)
