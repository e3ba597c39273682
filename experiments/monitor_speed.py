"""How many rows the monitor takes, how late it is, and what memory it needs: reports/monitor/.

python -m experiments.monitor_speed [PART ...] [--rows N]     all parts, about twenty minutes

Everything is measured on the command itself, `anogan monitor` in a process of its own with one thread, fed with rows of
the simulated pump (eight channels) by this process.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import IO, NamedTuple

import pandas as pd
import torch

from anogan.files import write_json, write_text
from anogan.report.page import Section, write_tables
from anogan.sensors.monitor.monitor import STATE
from anogan.simulators.pump import CHANNELS, simulate
from experiments.speed_page import shown
from experiments.timing import Row, alternate, rows

OUT = Path("reports/monitor")
DAY = 86_400
RATES = {1: 240, 100: 60, 2000: 60}  # rows per second -> seconds
FIRST = 40  # rows that fill the window before a latency is measured
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}

SECTIONS = {
    "throughput": (
        "As fast as rows come",
        "One thread, from the first byte to the last alarm; what the same command takes without rows (starting Python, "
        "loading the model) is measured in turn and subtracted. Rows per second of processor time depend less on "
        "what else the machine does.",
    ),
    "latency": (
        "A steady feed",
        "From a row's arrival in the process until its score has gone through the alarm rule, as the monitor's own "
        "status line tells it, to a ninth of its value.",
    ),
    "memory": (
        "Memory",
        "Resident memory of the process while rows come in on standard input as fast as it takes them.",
    ),
    "mqtt": (
        "From a broker",
        "mosquitto with its default settings on the same machine, quality of service 1; every message is acknowledged "
        "after its rows have been scored and the state has been written to disk, and the broker sends 20 messages "
        "before it waits. Scoring and saving are included, and so is the publisher, a process on the same two cores.",
    ),
}


class Took(NamedTuple):
    """Of one process: seconds on the clock, seconds of the processor, and its last status line."""

    seconds: float
    processor: float
    status: str


def trained(folder: Path, steps: int = 0) -> Path:
    """A model of the pump with the preset's settings; `steps` shortens the training, which speed does not depend on."""
    simulate(DAY if not steps else DAY // 20).to_csv(folder / "healthy.csv", index=False)
    words = f"train --data {folder / 'healthy.csv'} --time-column time --budget 1/hour --out {folder / 'run'}"
    words += f" --gan.steps {steps} --encoder.steps {steps}" if steps else ""
    subprocess.run([sys.executable, "-m", "anogan", *words.split()], env=ENVIRONMENT, capture_output=True, check=True)
    return folder / "run"


def monitor(run: Path, state: Path, source: str = "-", *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "anogan", "monitor", str(run), source, "--state", str(state), *more]
    return subprocess.Popen(command, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=-1)


def finish(process: subprocess.Popen[bytes], begin: float) -> Took:
    """Wait for its end."""
    assert process.stdin
    assert process.stderr
    process.stdin.close()
    told = process.stderr.read().decode()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(told)
    return Took(time.perf_counter() - begin, used.ru_utime + used.ru_stime, told.splitlines()[-1])


def whole(run: Path, content: bytes, to_file: bool = False) -> Took:
    """The command on these rows, all of them waiting."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rows").write_bytes(content)
        begin = time.perf_counter()
        if to_file:
            return finish(monitor(run, folder / "state", str(folder / "rows"), "--no-follow"), begin)
        process = monitor(run, folder / "state")
        assert process.stdin
        process.stdin.write(content)
        return finish(process, begin)


def throughput(run: Path, n: int = 100_000, rounds: int = 3) -> Iterator[Row]:
    table = simulate(n, seed=1)
    header, text = ",".join(table.columns) + "\n", table.to_csv(index=False).encode()
    objects = table.to_json(orient="records", lines=True).encode()
    kinds: dict[str, Callable[[], Took]] = {
        "start": partial(whole, run, header.encode()),
        "CSV lines on standard input": partial(whole, run, text),
        "JSON lines on standard input": partial(whole, run, objects),
        "a CSV file": partial(whole, run, text, to_file=True),
    }
    took: dict[str, list[Took]] = {name: [] for name in kinds}

    def measure(name: str) -> float:
        took[name].append(kinds[name]())
        return 0.0

    alternate({name: partial(measure, name) for name in kinds}, rounds)
    idle = took.pop("start")[1:]
    for unit, field in (("rows/s", "seconds"), ("rows per second of processor time", "processor")):
        found = {
            name: [n / (getattr(t, field) - getattr(i, field)) for t, i in zip(times[1:], idle, strict=True)]
            for name, times in took.items()
        }
        yield from rows("as fast as they come", unit, found)
    start = statistics.median(took.seconds for took in idle)
    yield from rows("start of the command", "s", {"until it has ended without a row": [start]})


def lines(table: pd.DataFrame) -> Iterator[bytes]:
    """Rows without end: the table's again and again, the time going on."""
    cells = [line.partition(",")[2] for line in table.to_csv(index=False, header=False).splitlines()]
    for i in count():
        yield f"{i},{cells[i % len(cells)]}\n".encode()


def feed(stream: IO[bytes], source: Iterator[bytes], rate: int, seconds: float) -> None:
    """Write rows when they are due."""
    begin, sent = time.monotonic(), 0
    while (now := time.monotonic() - begin) < seconds:
        due = int(now * rate) + 1
        if due > sent:
            stream.write(b"".join(next(source) for _ in range(due - sent)))
            stream.flush()
            sent = due
        time.sleep(max(0.0005, (sent / rate) - (time.monotonic() - begin)))


def read_so_far(state: Path) -> int:
    try:
        return int(json.loads((state / STATE).read_text())["read"])
    except FileNotFoundError:
        return 0


def wait_for_rows(state: Path, n: int, seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while read_so_far(state) < n:
        if time.monotonic() > end:
            raise TimeoutError(f"{read_so_far(state)} of {n} rows in {seconds} s")
        time.sleep(0.02)


def latency(run: Path, rates: dict[int, float] | None = None) -> Iterator[Row]:
    """A first process fills the window; the one that is measured goes on from its state."""
    table = simulate(20_000, seed=1)
    header = f"time,{','.join(CHANNELS)}\n".encode()
    for rate, seconds in (rates or RATES).items():
        with tempfile.TemporaryDirectory() as name:
            state, source = Path(name), lines(table)
            for begin, work in ((0, FIRST), (FIRST, 1)):
                process = monitor(run, state)
                assert process.stdin
                process.stdin.write(header + b"".join(next(source) for _ in range(work)))
                process.stdin.flush()
                wait_for_rows(state, begin + work)
                if begin:
                    feed(process.stdin, source, rate, seconds)
                told = finish(process, 0.0).status
        found = re.search(r"([\d,]+) rows.*latency ([\d.e+]+) ms, 99 % ([\d.e+]+) ms", told)
        assert found, told
        measured = int(found[1].replace(",", "")) - FIRST
        part = f"{rate:,} rows/s, {measured:,} rows"
        yield from rows(part, "ms", {"p50": [float(found[2])], "p99": [float(found[3])]})


def resident(process: subprocess.Popen[bytes]) -> float:
    """MB of memory (Linux)."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def memory(run: Path, n: int = 10_000_000, looks: int = 10) -> Iterator[Row]:
    """Resident memory, looked at `looks` times in n rows."""
    source, found = lines(simulate(20_000, seed=1)), {}
    with tempfile.TemporaryDirectory() as name:
        begin = time.perf_counter()
        process = monitor(run, Path(name))
        assert process.stdin
        process.stdin.write(f"time,{','.join(CHANNELS)}\n".encode())
        for look in range(1, looks + 1):
            for _ in range(n // looks // 1000):
                process.stdin.write(b"".join(next(source) for _ in range(1000)))
            process.stdin.flush()
            done = look * (n // looks // 1000) * 1000
            wait_for_rows(Path(name), done - 1000)
            found[f"after {done:,} rows"] = [resident(process)]
            print(f"{done:,} rows, {resident(process):.1f} MB, {time.perf_counter() - begin:.0f} s", flush=True)
        took = finish(process, begin)
    assert f"{done:,} rows" in took.status, took.status
    yield from rows("memory", "MB", found)
    sizes = [size for (size,) in found.values()]
    yield from rows("growth", "MB", {f"from the first to the last of {looks} looks": [sizes[-1] - sizes[0]]})
    yield from rows("all rows", "rows/s", {"with the start of the command": [done / took.seconds]})


def mqtt(run: Path, n: int = 10_000) -> Iterator[Row]:
    broker = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if broker is None:
        print("mosquitto is not installed: left out", file=sys.stderr)
        return
    table = simulate(n, seed=1)
    records = table.to_dict("records")
    for together in (1, 20):
        messages = [json.dumps(records[i : i + together]) for i in range(0, n, together)]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            (folder / "broker.conf").write_text(
                f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nlog_type error\n"
            )
            serving = subprocess.Popen([broker, "-c", str(folder / "broker.conf")], stderr=subprocess.DEVNULL)
            process = monitor(run, folder, f"mqtt://127.0.0.1:{port}/pump")
            try:
                assert process.stderr
                while b"connected to" not in process.stderr.readline():
                    pass
                time.sleep(1)  # for the subscription
                begin = time.perf_counter()
                publish(port, messages)
                wait_for_rows(folder, n)
                seconds = time.perf_counter() - begin
            finally:
                process.terminate()
                process.communicate()
                serving.terminate()
                serving.wait()
        kind = "one row in a message" if together == 1 else f"{together} rows in a message"
        yield from rows(f"{n:,} rows over MQTT", "rows/s", {kind: [n / seconds]})


def publish(port: int, messages: list[str]) -> None:
    import paho.mqtt.client as client
    from paho.mqtt.enums import CallbackAPIVersion

    sender = client.Client(CallbackAPIVersion.VERSION2)
    sender.max_inflight_messages_set(100)
    sender.connect("127.0.0.1", port)
    sender.loop_start()
    for sent in [sender.publish("pump", message, qos=1) for message in messages]:
        sent.wait_for_publish(60)
    sender.disconnect()
    sender.loop_stop()


PARTS: dict[str, Callable[..., Iterator[Row]]] = {f.__name__: f for f in (throughput, latency, memory, mqtt)}


def write_monitor_page(out: Path) -> Path:
    """Write index.html and tables from results.csv and machine.json; returns the page."""
    results = pd.read_csv(out / "results.csv")
    machine = json.loads((out / "machine.json").read_text())
    sections = [
        Section(title, (text,), shown(results[results["measured"] == name]))
        for name, (title, text) in SECTIONS.items()
        if (results["measured"] == name).any()
    ]
    intro = [
        "The command anogan monitor in a process of its own, one thread, rows of eight channels. "
        + ", ".join(f"{key}: {value}" for key, value in machine.items())
        + ".",
        "Made by python -m experiments.monitor_speed.",
    ]
    return write_tables(out, "monitor", "How fast the monitor is", intro, sections)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", choices=[[], *PARTS], help=", ".join(PARTS))
    parser.add_argument("--rows", type=int, default=10_000_000, help="for the part memory; the page tells how many")
    given = parser.parse_args(arguments)
    file = OUT / "results.csv"
    kept = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=["measured"])
    with tempfile.TemporaryDirectory() as name:
        run = trained(Path(name))
        for part in given.parts or PARTS:
            more = {"n": given.rows} if part == "memory" else {}
            found = pd.DataFrame([{"measured": part} | row for row in PARTS[part](run, **more)])
            print(found.to_string(index=False, float_format="%.4g"), flush=True)
            kept = pd.concat([kept[kept["measured"] != part], found])
            write_text(file, kept.to_csv(index=False, float_format="%.5g"))
    machine = {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads of the monitor": 1,
        "processes running on average, others included": f"{os.getloadavg()[2]:.1f}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    write_json(OUT / "machine.json", machine)
    write_monitor_page(OUT)


if __name__ == "__main__":
    main()
