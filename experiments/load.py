"""`anogan serve` under load and abuse: fills reports/serve/. Finished parts are kept.

python -m experiments.load [--quick] [--schemathesis PROGRAM]     all parts, half an hour on two cores; --quick tries
                                                                  them out in runs/load/quick

Needs no data: boards and a pump are simulated, small models of them trained into runs/load. Server and clients share
the machine, the server with one thread per model. Part of the abuse is made by schemathesis from the OpenAPI document
(`pip install schemathesis` in an environment of its own, and --schemathesis with the path of its program).
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import linregress
from tqdm import tqdm

from anogan.files import write_json, write_text
from anogan.photos.model import PhotoModel
from anogan.pictures.files import read_photo
from anogan.runs.bundle import Bundle
from experiments.load_attacks import attacks, reason, send_all
from experiments.load_server import RUNS, Client, Sent, Server, clients, models, photo_requests, serving, table_requests

OUT = Path("reports/serve")
COUNTS = (1, 8, 64)  # clients
ROUNDS = 4  # of attacks at once, so that slow ones overlap
Rows = Iterator[dict[str, Any]]


@dataclass(frozen=True)
class Amounts:
    load: float = 20.0  # s of each number of clients and kind of request
    soak: float = 600.0  # s
    warm_up: float = 120.0  # s of it that say nothing of leaks
    attacks: int = 10_000  # hand-made ones at least
    examples: int = 300  # of schemathesis, per operation and phase
    kill: float = 10.0  # s of load before the server is killed
    rounds: int = 5  # kills
    separation: int = 2000  # requests


QUICK = Amounts(2.0, 12.0, 4.0, 400, 5, 2.0, 2, 100)


def load(runs: dict[str, Path], amounts: Amounts, log: Path) -> Rows:
    """Throughput and latency by the number of clients, beside the library in a loop in this process."""
    kinds = {
        "one photo": photo_requests("boards", runs["boards"]),
        "8 photos": photo_requests("boards", runs["boards"], 8),
        "a table of 200 rows": table_requests("pump", runs["pump"]),
    }
    for name, library in in_a_loop(runs["boards"], kinds["one photo"], amounts.load).items():
        yield {"kind": "one photo", "clients": name, "per_second": library}
    with serving([runs["boards"], runs["pump"]], log) as server:
        for name, requests in kinds.items():
            for count in COUNTS:
                with clients(server.port, count, requests):  # what is slow the first time is not counted
                    time.sleep(1)
                begun = time.monotonic()
                with clients(server.port, count, requests) as tally:
                    time.sleep(amounts.load)
                taken = time.monotonic() - begun
                p50, p99 = np.quantile(tally.seconds, (0.5, 0.99)) * 1000
                yield {
                    "kind": name,
                    "clients": str(count),
                    "per_second": len(tally.seconds) / taken,
                    "p50_ms": p50,
                    "p99_ms": p99,
                    "answered": len(tally.seconds),
                    "busy": tally.busy,
                    "wrong": tally.wrong + tally.lost + tally.other,
                }


def in_a_loop(run: Path, requests: Sequence[Sent], seconds: float) -> dict[str, float]:
    """Photos per second that the library decodes and inspects with one thread."""
    model, found = PhotoModel.load(Bundle.open(run), device="cpu"), {}
    for name, together in (("library, one by one", 1), ("library, 32 at once", 32)):
        bodies = [requests[i % len(requests)].body for i in range(together)]
        begun, rounds = time.monotonic(), 0
        while time.monotonic() - begun < seconds:
            model.inspect([read_photo(io.BytesIO(body), model.framing.shape[0]) for body in bodies])
            rounds += 1
        found[name] = rounds * together / (time.monotonic() - begun)
    return found


def mixed(runs: dict[str, Path]) -> list[Sent]:
    photos = photo_requests("boards", runs["boards"]) + photo_requests("others", runs["others"])
    return [*photos, *table_requests("pump", runs["pump"])]


def soak(runs: dict[str, Path], amounts: Amounts, log: Path) -> Rows:
    """Memory of the server every five seconds under the load of eight clients."""
    with serving(list(runs.values()), log) as server, clients(server.port, 8, mixed(runs)) as tally:
        begun = time.monotonic()
        for _ in tqdm(range(int(amounts.soak / 5)), desc="soak"):
            time.sleep(5)
            answered, wrong = len(tally.seconds), tally.wrong + tally.lost + tally.other
            seconds = time.monotonic() - begun
            yield {"seconds": seconds, "megabytes": server.megabytes(), "answered": answered, "wrong": wrong}


def slope(soaked: pd.DataFrame, warm_up: float) -> tuple[float, float]:
    """MB per hour after the warm-up, and half the width of its 95 % interval, as if readings were independent."""
    part = soaked[soaked["seconds"] > warm_up]
    fit = linregress(part["seconds"] / 3600, part["megabytes"])
    return float(fit.slope), float(1.96 * fit.stderr)


def abuse(runs: dict[str, Path], amounts: Amounts, log: Path, schemathesis: str | None) -> Rows:
    """Hostile requests, while two clients check the scores of their own models."""
    beside = photo_requests("boards", runs["boards"]), photo_requests("others", runs["others"])
    with serving(list(runs.values()), log, "--timeout", "10", "--max-mb", "4", "--max-megapixels", "4") as server:
        before = server.megabytes()
        with clients(server.port, 1, beside[0]) as first, clients(server.port, 1, beside[1]) as second:
            answers = made_by_hand(server, amounts.attacks)
            yield {"what": "hand-made requests", "count": answers.total()}
            for answer, count in sorted(answers.items()):
                yield {"what": f"of them answered {answer}" if answer else "of them left or closed", "count": count}
            fuzzed = made_by_schemathesis(server, schemathesis, amounts.examples) if schemathesis else 0
            yield {"what": "requests of schemathesis", "count": fuzzed}
        for name, tally in (("boards", first), ("others", second)):
            wrong = tally.wrong + tally.lost + tally.other
            yield {"what": f"answers beside them, {name}", "count": len(tally.seconds)}
            yield {"what": f"told to come again beside them, {name}", "count": tally.busy}
            yield {"what": f"wrong or lost answers beside them, {name}", "count": wrong}
        for status, count in server.statuses().items():
            yield {"what": f"status {status} in the log, which lacks some answers", "count": int(count)}
        yield {"what": "well within a second afterwards", "count": int(server.is_well())}
        time.sleep(5)
        yield {"what": "megabytes before", "count": round(before)}
        yield {"what": "megabytes at most", "count": round(server.most_megabytes())}
        yield {"what": "megabytes afterwards", "count": round(server.megabytes())}
        yield {"what": "tracebacks in the log", "count": server.log.read_text(errors="replace").count("Traceback")}


def made_by_hand(server: Server, least: int) -> Counter[str]:
    """How often each answer was given."""
    rng, found = np.random.default_rng(0), Counter[str]()
    with tqdm(total=least, desc="hand-made") as bar:
        while found.total() < least:
            rounds = chain.from_iterable(attacks(rng) for _ in range(ROUNDS))
            answers = Counter(map(reason, send_all(server.port, rounds)))
            found += answers
            bar.update(answers.total())
    return found


def made_by_schemathesis(server: Server, program: str, examples: int) -> int:
    """How many requests it has sent to the models that are there. Only 5xx count as its findings."""
    _, content = Client(server.port).ask("GET", "/openapi.json")
    document = json.loads(content)
    for path in document["paths"].values():
        for parameter in (one for operation in path.values() for one in operation.get("parameters", [])):
            if parameter["name"] == "name":  # else it asks for models of names it has made up
                parameter["schema"]["enum"] = ["boards", "others", "pump"]
    write_json(RUNS / "openapi.json", document)
    command = [program, "run", "openapi.json", "--url", f"http://127.0.0.1:{server.port}", "-n", str(examples)]
    more = "--seed 0 --checks not_a_server_error --exclude-path-regex events --request-timeout 20"
    with (RUNS / "schemathesis.log").open("w") as told:
        subprocess.run([*command, *more.split(), "--suppress-health-check", "all"], stdout=told, stderr=told, cwd=RUNS)
    return sum(map(int, re.findall(r"(\d+) generated", (RUNS / "schemathesis.log").read_text())))


def kill(runs: dict[str, Path], amounts: Amounts, log: Path) -> Rows:
    """`kill -9` under the load of eight clients that try again, and a new server on the same port; then SIGTERM."""
    requests = photo_requests("boards", runs["boards"])
    server = Server([runs["boards"]], log)
    server.start()
    for number in range(amounts.rounds):
        with clients(server.port, 8, requests, again=True) as tally:
            time.sleep(amounts.kill)
            answered = len(tally.seconds)
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
            begun = time.monotonic()
            server.start()
            while len(tally.seconds) == answered:
                time.sleep(0.01)
            yield {"what": f"kill {number + 1}: seconds to the first score again", "value": time.monotonic() - begun}
            yield {"what": f"kill {number + 1}: broken connections", "value": tally.lost}
            time.sleep(1)
        yield {"what": f"kill {number + 1}: wrong answers", "value": tally.wrong + tally.other}
    begin = server.log.stat().st_size
    with clients(server.port, 8, requests) as tally:
        time.sleep(amounts.kill)
        status = server.stop()
    yield {"what": "SIGTERM: exit status", "value": status}
    yield {"what": "SIGTERM: photos scored", "value": int(server.statuses(begin).get("200", 0))}
    yield {"what": "SIGTERM: scores that clients got", "value": len(tally.seconds)}
    yield {"what": "SIGTERM: requests sent and not answered", "value": tally.lost}


def separation(runs: dict[str, Path], amounts: Amounts, log: Path) -> Rows:
    """Clients of three models at once; answers that are not those of the client's own model."""
    requests = {
        "boards": photo_requests("boards", runs["boards"]),
        "others": photo_requests("others", runs["others"]),
        "pump": table_requests("pump", runs["pump"]),
    }
    pairs = zip(requests["boards"], requests["others"], strict=True)
    differing = sum(a.expected[0]["score"] != b.expected[0]["score"] for a, b in pairs)
    with serving(list(runs.values()), log) as server:
        with (
            clients(server.port, 2, requests["boards"]) as a,
            clients(server.port, 2, requests["others"]) as b,
            clients(server.port, 1, requests["pump"]) as c,
        ):
            while min(len(a.seconds), len(b.seconds)) < amounts.separation / 2:
                time.sleep(0.1)
        for name, tally in (("boards", a), ("others", b), ("pump", c)):
            wrong = tally.wrong + tally.lost + tally.other
            yield {"model": name, "answers": len(tally.seconds), "not its own": wrong}
        yield {"model": "photos whose score differs between the two", "answers": differing}


def machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def main(amounts: Amounts, out: Path, schemathesis: str | None) -> None:
    torch.set_num_threads(1)
    runs, log = models(), RUNS / "serve.log"
    parts: dict[str, Callable[[dict[str, Path], Amounts, Path], Rows]] = {
        "load": load,
        "soak": soak,
        "abuse": lambda *given: abuse(*given, schemathesis),
        "kill": kill,
        "separation": separation,
    }
    for name, part in parts.items():
        if (out / f"{name}.csv").exists():
            continue
        log.unlink(missing_ok=True)
        rows = list(part(runs, amounts, log))
        write_text(out / f"{name}.csv", pd.DataFrame(rows).to_csv(index=False, float_format="%.5g"))
        print(pd.DataFrame(rows).to_string())
    write_json(out / "machine.json", machine())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--schemathesis", default=shutil.which("schemathesis"))
    given = parser.parse_args()
    if given.quick:
        shutil.rmtree(RUNS / "quick", ignore_errors=True)
    main(QUICK if given.quick else Amounts(), RUNS / "quick" if given.quick else OUT, given.schemathesis)
