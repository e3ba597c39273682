"""Does imitating a rare fault pay? Fills reports/rare_faults/. Finished draws are kept.

A random forest learns from 50 recorded rows per fault and what is made of them, and is tested on real rows of other
experiments.

python -m experiments.rare_faults FOLDER                 FOLDER holds skab/ (see public_recordings.py); half an hour
python -m experiments.rare_faults FOLDER --development   the same where settings were chosen: what teaches, in halves

SKAB: classes normal, valve1, valve2. No experiment stands on both sides: valve1/0-7 and valve2/0-1 teach, valve1/8-15
and valve2/2-3 test (development: 0-3 and 2/0 teach, 4-7 and 2/1 test, then the other way round). The built-in machine:
normal and its nine faults; every event is a simulation of its own, its severity between .3 and 1. A draw is one event
per fault, 50 consecutive rows of it. What is normal is well known: all normal rows of the teaching side.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import f1_score
from sklearn.neighbors import NearestNeighbors
from tqdm import tqdm

from anogan.config.presets import SENSORS
from anogan.config.synthesis import SynthesisConfig
from anogan.detectors.calibration import Floats
from anogan.files import write_text
from anogan.gan.training import EncoderTraining, GANTraining, train
from anogan.sensors.healthy import prepare
from anogan.sensors.recordings import from_table
from anogan.sensors.scaling import Scaling
from anogan.sensors.synthesis import SensorSynthesiser
from anogan.simulators.pump import CHANNELS, Fault, FaultName, simulate
from experiments.public_recordings import LabelledRecording, load_skab

OUT = Path("reports/rare_faults")
SEEDS = (0, 1, 2)
DRAWS = {"SKAB valves": 10, "built-in machine": 4}  # per seed
ROWS = 50  # of a fault
PER_CLASS = 2000  # rows that the forest learns from; of the machine's ten classes half as many
TREES = 100
NEAREST = 400  # recorded normal windows that a fault is put onto where no GAN makes them
JITTERS = (0.05, 0.1, 0.2, 0.4)  # of a normal channel's standard deviation
FAULTS = get_args(FaultName)
EVERY, SETTLE, HOUR, DAY = 60, 1800, 3600, 86_400  # s
OURS = "anogan simulate"  # as it was called when results.csv was filled
COLUMNS = ["case", "seed", "draw", "learned from", "macro_f1"]
Augmentation = Callable[[Floats, np.random.Generator], Floats]


@dataclass(frozen=True)
class Case:
    """What is known of the normal (n, channels), fault events by draw, and real rows with labels (0 = normal) to test
    on; `every_fault`, all that the teaching side recorded of each fault, is what one could have had."""

    channels: tuple[str, ...]
    normal: Floats
    draw: Callable[[np.random.Generator], list[Floats]]
    x_test: Floats
    y_test: NDArray[np.int64]
    every_fault: list[Floats]
    per_class: int


def skab_case(cases: dict[str, LabelledRecording], teach: list[str], test: list[str]) -> Case:
    def rows(names: list[str], kind: str, anomalous: int) -> list[Floats]:
        chosen = [cases[name] for name in names if name.startswith(kind)]
        return [case.recording.values[case.anomalous == anomalous] for case in chosen]

    def draw(rng: np.random.Generator) -> list[Floats]:
        events = (rows(teach, kind, 1) for kind in ("valve1", "valve2"))
        return [_stretch(event[rng.integers(len(event))], rng) for event in events]

    parts = [np.concatenate(rows(test, kind, a)) for kind, a in (("valve", 0), ("valve1", 1), ("valve2", 1))]
    return Case(
        cases[teach[0]].recording.channels,
        np.concatenate(rows(teach, "valve", 0)),
        draw,
        np.concatenate(parts),
        np.repeat(np.arange(len(parts)), [len(part) for part in parts]),
        [np.concatenate(rows(teach, kind, 1)) for kind in ("valve1", "valve2")],
        PER_CLASS,
    )


def _stretch(rows: Floats, rng: np.random.Generator) -> Floats:
    begin = rng.integers(len(rows) - ROWS + 1)
    return rows[begin : begin + ROWS]


def machine_event(name: FaultName, rng: np.random.Generator) -> Floats:
    """50 rows of a fault that began half an hour before, at some moment of a day."""
    start, severity = 6 * HOUR + float(rng.uniform(0, DAY)), float(rng.uniform(0.3, 1))
    seconds = int(start + SETTLE + ROWS * EVERY)
    table = simulate(seconds, int(rng.integers(2**31)), [Fault(name, start, seconds, severity)], EVERY)
    return table[list(CHANNELS)].to_numpy()[-ROWS:]


def machine_case(seed: int, every: int = 12, tested: int = 24) -> Case:
    def draw(rng: np.random.Generator) -> list[Floats]:
        own = np.random.default_rng([seed, int(rng.integers(2**31))])
        return [machine_event(name, own) for name in FAULTS]

    rng = np.random.default_rng([seed, 7])
    normal, other = (simulate(days * DAY, 10 * seed + i, (), EVERY) for i, days in enumerate((28, 3)))
    events = [np.concatenate([machine_event(name, rng) for _ in range(tested)]) for name in FAULTS]
    healthy = rng.permutation(other[list(CHANNELS)].to_numpy())[: len(events[0])]
    return Case(
        tuple(CHANNELS),
        normal[list(CHANNELS)].to_numpy(),
        draw,
        np.concatenate([healthy, *events]),
        np.repeat(np.arange(len(FAULTS) + 1), len(healthy)),
        [np.concatenate([machine_event(name, rng) for _ in range(every)]) for name in FAULTS],
        PER_CLASS // 2,
    )


# What is made of the 50 rows.


def jittered(rows: Floats, rng: np.random.Generator, *, n: int, spread: Floats, amount: float) -> Floats:
    return rows[rng.integers(0, len(rows), n)] + amount * spread * rng.standard_normal((n, rows.shape[1]))


def gaussian(rows: Floats, rng: np.random.Generator, *, n: int) -> Floats:
    return np.asarray(rng.multivariate_normal(rows.mean(0), np.cov(rows.T), n), dtype=np.float64)


def mixed(rows: Floats, rng: np.random.Generator, *, n: int, normal: Floats) -> Floats:
    """Between a recorded row and a normal one (mixup, Zhang et al. 2018), at least half the former."""
    share = rng.uniform(0.5, 1, (n, 1))
    return share * rows[rng.integers(0, len(rows), n)] + (1 - share) * normal[rng.integers(0, len(normal), n)]


def transferred(rows: Floats, rng: np.random.Generator, *, n: int, normal: Floats, scaling: Scaling) -> Floats:
    """As ours with recorded normal rows in the generator's place: what a row differs by from its nearest normal one,
    put onto one of the NEAREST."""
    known, fault = scaling.apply(normal), scaling.apply(rows)
    near = NearestNeighbors(n_neighbors=min(NEAREST, len(known))).fit(known).kneighbors(fault)[1]
    chosen = rng.integers(0, len(rows), n)
    bases = known[near[chosen, rng.integers(0, near.shape[1], n)]]
    low, high = map(math.log, SynthesisConfig().severities)
    severity = np.exp(rng.uniform(low, high, (n, 1)))
    augmented = bases + severity * (fault - known[near[:, 0]])[chosen]
    return np.asarray(augmented * np.array(scaling.spread) + np.array(scaling.centre), dtype=np.float64)


def imitated(rows: Floats, rng: np.random.Generator, *, n: int, synthesiser: SensorSynthesiser) -> Floats:
    window = synthesiser.gan.shape[1]
    x = synthesiser.fault_windows(rows, -(-n // window), int(rng.integers(2**31))).x
    return x.transpose(0, 2, 1).reshape(-1, rows.shape[1])[:n]


def augmentations(case: Case, seed: int) -> dict[str, Augmentation]:
    """Ways to make more rows of a fault, by name, with networks of this seed."""
    recording = from_table(pd.DataFrame(case.normal, columns=list(case.channels)), "normal rows")
    healthy = prepare(SENSORS, recording)
    gan = train(healthy.x, GANTraining(tuple(healthy.x.shape[1:]), SENSORS.gan, seed))
    gan = train(healthy.x, EncoderTraining(gan, SENSORS.encoder, seed))
    n, spread, scaling = case.per_class, case.normal.std(0), healthy.scaling
    return {
        **{f"jittered copies, {a:.0%}": partial(jittered, n=n, spread=spread, amount=a) for a in JITTERS},
        "copies": partial(jittered, n=n, spread=spread, amount=0.0),
        "Gaussian samples": partial(gaussian, n=n),
        "mixed with normal rows": partial(mixed, n=n, normal=case.normal),
        "put onto recorded normal rows, no GAN": partial(transferred, n=n, normal=case.normal, scaling=scaling),
        OURS: partial(imitated, n=n, synthesiser=SensorSynthesiser(gan, scaling, healthy.slow)),
    }


def macro_f1(case: Case, normal: Floats, faults: list[Floats], seed: int) -> float:
    x = np.concatenate([normal, *faults])
    y = np.repeat(np.arange(len(faults) + 1), [len(part) for part in (normal, *faults)])
    forest = RandomForestClassifier(TREES, random_state=seed).fit(x, y)
    return float(f1_score(case.y_test, forest.predict(case.x_test), average="macro"))


def measure(case: Case, seed: int, draw: int, ways: dict[str, Augmentation]) -> Iterator[tuple[str, float]]:
    """Macro-F1 by what the forest has learned from."""
    rng = np.random.default_rng([seed, draw])
    faults = case.draw(rng)
    normal = case.normal[rng.choice(len(case.normal), min(case.per_class, len(case.normal)), replace=False)]
    yield "the 50 rows", macro_f1(case, normal, faults, seed)
    for name, augment in ways.items():
        yield name, macro_f1(case, normal, [augment(rows, rng) for rows in faults], seed)
    if draw == 0:
        yield "all recorded rows of the teaching side", macro_f1(case, normal, case.every_fault, seed)


def cases(folder: Path, seed: int, development: bool) -> Iterator[tuple[str, Callable[[], Case]]]:
    skab = {case.name: case for case in load_skab(folder / "skab")}

    def names(first: range, second: range) -> list[str]:
        return [f"valve1/{i}" for i in first] + [f"valve2/{i}" for i in second]

    if development:
        halves = names(range(4), range(1)), names(range(4, 8), range(1, 2))
        yield "SKAB valves, one half", lambda: skab_case(skab, *halves)
        yield "SKAB valves, other half", lambda: skab_case(skab, *halves[::-1])
    else:
        sides = names(range(8), range(2)), names(range(8, 16), range(2, 4))
        yield "SKAB valves", lambda: skab_case(skab, *sides)
    yield "built-in machine", lambda: machine_case(1000 * development + seed + 100)


def main(folder: Path, development: bool) -> None:
    torch.set_num_threads(1)
    file = OUT / ("development.csv" if development else "results.csv")
    done = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=COLUMNS)
    for seed in SEEDS:
        for name, build in cases(folder, seed, development):
            draws = next(n for key, n in DRAWS.items() if name.startswith(key))
            have = set(done[(done["case"] == name) & (done["seed"] == seed)]["draw"])
            left = [draw for draw in range(draws) if draw not in have]
            if not left:
                continue
            case = build()
            ways = augmentations(case, seed)
            for draw in tqdm(left, desc=f"{name}, seed {seed}"):
                rows = [
                    {"case": name, "seed": seed, "draw": draw, "learned from": how, "macro_f1": round(f1, 6)}
                    for how, f1 in measure(case, seed, draw, ways)
                ]
                done = pd.concat([done, pd.DataFrame(rows)], ignore_index=True)
                write_text(file, done.to_csv(index=False))


if __name__ == "__main__":
    main(Path(sys.argv[1]), "--development" in sys.argv[2:])
