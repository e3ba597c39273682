"""The page of `experiments.load`: reports/serve/index.html from its CSV files alone.

python -m experiments.load_page
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from anogan.report import figures
from anogan.report.page import Section, write_tables
from experiments.load import COUNTS, OUT, Amounts, slope

TEXTS = {
    "load": (
        "So many clients ask one request after another. 'Answered' are answers 200, each compared with the library's; "
        "'busy' are answers 503, after which a client waits a fifth of a second; 'wrong' are all others, and wrong "
        "scores. Latency is that of answers, in milliseconds. 'Library' is the same decoding and inspecting in a loop "
        "without a server, with one thread as well. Server and clients share the machine's cores.",
    ),
    "soak": (
        "Resident memory of the server under a mixed load of eight clients and three models, read every five seconds.",
    ),
    "abuse": (
        "Hand-made: truncated and damaged pictures, giant ones and some that only say that they are, forms, tables and "
        "JSON of every kind of wrong, broken HTTP. "
        "Made by schemathesis: examples of the OpenAPI document, some that violate it, and boundaries, for the models "
        "that are there. 503 says 'come again': the queue is full, too many bodies are in memory, or the request "
        "has waited longer than it may. "
        "Beside them, two clients check the scores of a model each. The server takes 4 MB and 4 megapixels at "
        "most, and waits 10 s. Memory that such pictures took is not all given back to the system.",
    ),
    "kill": (
        "The server is killed with kill -9 under the load of eight clients that try again until they have an answer, "
        "and started on the same port at once: Python and PyTorch start, the model loads. Then it is told to stop: "
        "whatever it has scored has reached its client. A request that was sent into a connection while it was being "
        "closed has not been accepted; the client sends it again.",
    ),
    "separation": (
        "Five clients of three models at once, two models of boards with the same photos. Every answer's model and "
        "scores are compared with the library's.",
    ),
}
TITLES = {
    "load": "Throughput and latency",
    "soak": "Ten minutes",
    "abuse": "Abuse",
    "kill": "Killed and stopped",
    "separation": "Two models, the same photos",
}
NAMES = {"per_second": "requests/s", "p50_ms": "p50, ms", "p99_ms": "p99, ms"}


def intro(machine: dict[str, str]) -> tuple[str, ...]:
    return (
        f"anogan serve with one thread per model, on {machine['cores']} cores, torch {machine['torch']}, Python "
        f"{machine['python']}. Made by python -m experiments.load; figures of shared hardware, to be read as ratios.",
    )


def load_table(found: pd.DataFrame) -> pd.DataFrame:
    shown = found.rename(columns=NAMES)
    for name in NAMES.values():
        shown[name] = shown[name].map(
            lambda value: "" if pd.isna(value) else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
        )
    for name in ("answered", "busy", "wrong"):
        shown[name] = shown[name].map(lambda value: "" if pd.isna(value) else f"{int(value):,}")
    return shown


def soak_table(found: pd.DataFrame, warm_up: float) -> pd.DataFrame:
    rise, half = slope(found, warm_up)
    after = found[found["seconds"] > warm_up]["megabytes"]
    rows = {
        "answers": f"{int(found['answered'].iloc[-1]):,}",
        "wrong or lost answers": f"{int(found['wrong'].iloc[-1]):,}",
        f"MB after {warm_up:.0f} s, lowest and highest": f"{after.min():.0f} to {after.max():.0f}",
        "MB per hour after that": f"{rise:+.1f} ± {half:.1f}",
    }
    return pd.DataFrame({"figure": list(rows), "value": list(rows.values())})


def counted(found: pd.DataFrame) -> pd.DataFrame:
    return found.assign(**{name: found[name].map(_number) for name in found.columns[1:]})


def _number(value: object) -> object:
    if not isinstance(value, (int, float)) or pd.isna(value):
        return "" if isinstance(value, float) else value
    return f"{value:,.0f}" if value == round(value) else f"{value:.2f}"


def memory(found: pd.DataFrame) -> figures.Drawing:
    def draw(figure: Figure) -> None:
        figure.set_size_inches(2 * figures.WIDTH, figures.HEIGHT * 0.8)
        axes = figure.subplots()
        axes.plot(found["seconds"] / 60, found["megabytes"], color=figures.NORMAL)
        axes.set(xlabel="minutes", ylabel="resident memory, MB", ylim=(0, found["megabytes"].max() * 1.15))

    return draw


def latency(found: pd.DataFrame) -> figures.Drawing:
    served = found[found["clients"].isin([str(count) for count in COUNTS])]

    def draw(figure: Figure) -> None:
        figure.set_size_inches(2 * figures.WIDTH, figures.HEIGHT * 0.9)
        left, right = figure.subplots(1, 2)
        for (kind, part), colour in zip(served.groupby("kind", sort=False), figures.COLOURS, strict=False):
            left.plot(part["clients"], part["per_second"], "o-", color=colour, label=kind)
            right.plot(part["clients"], part["p50_ms"], "o-", color=colour, label=f"{kind}, p50")
            right.plot(part["clients"], part["p99_ms"], "o:", color=colour, label=f"{kind}, p99")
        left.set(xlabel="clients", ylabel="requests per second", ylim=(0, None))
        right.set(xlabel="clients", ylabel="ms", yscale="log")
        figures.plain_powers(right.yaxis)
        left.legend(fontsize=8)
        right.legend(fontsize=7)

    return draw


def write(out: Path) -> Path:
    found = {name: pd.read_csv(out / f"{name}.csv", dtype={"clients": str, "what": str}) for name in TEXTS}
    tables = {
        "load": load_table(found["load"]),
        "soak": soak_table(found["soak"], Amounts.warm_up),
        **{name: counted(found[name]) for name in ("abuse", "kill", "separation")},
    }
    drawn = {
        "load": (("load", "Requests per second and latency by the number of clients", latency(found["load"])),),
        "soak": (("soak", "Resident memory of the server", memory(found["soak"])),),
    }
    sections = [Section(TITLES[name], TEXTS[name], tables[name], drawn.get(name, ())) for name in TEXTS]
    machine = json.loads((out / "machine.json").read_text())
    return write_tables(out, "Experiment", "anogan serve under load and abuse", intro(machine), sections)


if __name__ == "__main__":
    print(write(OUT))
