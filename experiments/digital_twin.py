"""Closing the loop: a fault in the simulated pump, the monitor's alarm, the safe state. Fills reports/twin/. Finished
cells are kept.

python -m experiments.digital_twin     trains three models on four healthy weeks, about half an hour on one thread

An alarm looks at past rows alone and a trip changes later rows alone. So 'simulate, score until the alarm, simulate
again with the trip at that moment' is the closed loop; one trial of every fault goes through `anogan.sensors.monitor`
row by row to prove it.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from anogan.config.presets import SENSORS
from anogan.files import write_text
from anogan.runs.bundle import Bundle
from anogan.runs.directory import Run
from anogan.sensors.alarms import AlarmRule, AlarmTracker, persistent
from anogan.sensors.model import SensorModel
from anogan.sensors.monitor.monitor import LiveMonitor, Message
from anogan.sensors.recordings import Recording, from_table
from anogan.sensors.training import Sensors
from anogan.simulators import pump
from anogan.simulators.pump import CHANNELS, HOUR, LEAK, RESERVE, Fault, FaultName, simulate
from experiments.twin_page import write_twin_page
from experiments.twin_settings import (
    BUDGET,
    DRAWN,
    EVERY,
    HEALTHY,
    HOLD,
    NONE,
    ONSETS,
    OUT,
    RAMPS,
    SEEDS,
    SEVERITIES,
    STILL,
    WATCHED,
    WEEK,
    WEEKS,
)

RUNS = Path("runs/twin")
BLOCK = 1024  # rows scored between two looks for an alarm


# Training, as `anogan demo sensors` does.


def trained(seed: int) -> Path:
    """The run, finished."""
    run, data = RUNS / str(seed), RUNS / f"healthy-{seed}.csv"
    config = replace(
        SENSORS,
        data=str(data),
        seed=seed,
        sensors=replace(SENSORS.sensors, time_column="time", channels=tuple(CHANNELS)),
        alarm=replace(SENSORS.alarm, budget=BUDGET),
    )
    started = Run.create(run, config)
    if not started.finished:
        write_text(data, simulate(HEALTHY, 2 * seed, every=EVERY).to_csv(index=False))
        Sensors().train(started, Sensors().prepare(config), device="cpu")
    return run


@cache
def model_of(seed: int) -> SensorModel:
    return SensorModel.load(Bundle.open(trained(seed)), device="cpu")


# One trial.


@dataclass(frozen=True)
class Trial:
    fault: FaultName | None
    severity: float
    kind: str  # of RAMPS
    day: int  # of ONSETS

    @property
    def onset(self) -> int:
        return ONSETS[self.day] * HOUR

    @property
    def seconds(self) -> int:
        return self.onset + WATCHED

    @property
    def faults(self) -> list[Fault]:
        if self.fault is None:
            return []
        return [Fault(self.fault, self.onset, self.seconds, self.severity, RAMPS[self.kind])]

    def simulate(self, every: int = EVERY, trip: float = math.inf) -> pd.DataFrame:
        return simulate(self.seconds, 1000 + self.day, self.faults, every, trip)

    def key(self, seed: int) -> dict[str, Any]:
        name = self.fault or NONE
        return {"seed": seed, "fault": name, "severity": self.severity, "onset": self.kind, "day": self.day}


def recording_of(table: pd.DataFrame) -> Recording:
    return from_table(table, "pump", "time")


class Watch:
    """The monitor's scorer and alarm rule, brought up to the onset of a day's faults, which all of them share."""

    def __init__(self, model: SensorModel, day: int) -> None:
        self.model, self.begin = model, ONSETS[day] * HOUR // EVERY
        before = recording_of(Trial(None, 0.0, "sudden", day).simulate()).rows(slice(self.begin))
        follower = model.follower()
        follower.push(before.time, before.stamps.tolist(), before.values)
        self.state = json.dumps(follower.state())

    def alarm(self, recording: Recording) -> tuple[bool, float]:
        """Whether an alarm lasts at the onset, and the time (s) of the first that begins after it, NaN if none does."""
        follower = self.model.follower()
        follower.restore(json.loads(self.state))
        early = follower.tracker.current is not None
        for begin in range(self.begin, len(recording), BLOCK):
            rows = recording.rows(slice(begin, begin + BLOCK))
            found = follower.push(rows.time, rows.stamps.tolist(), rows.values)
            starts = [float(alarm.start) for _, alarm in found.changes if alarm.end is None]
            if starts:
                return early, starts[0]
        return early, math.nan


def reaction(table: pd.DataFrame, trip: float) -> float:
    """Seconds from the trip to the first of HOLD safe rows on end, rows a second apart; NaN where there is none.

    Not for good: in a day, the noise of the sensors alone crosses a limit now and then."""
    after = table[table["time"] > trip]
    limits = {
        "speed": pump.SYNCHRONOUS,
        "current": pump.RATED / pump.WATT_PER_AMPERE,
        "flow": pump.BEST_FLOW,
    }
    moving = np.any([after[name] > STILL * limit for name, limit in limits.items()], axis=0)
    if len(moving) < HOLD:
        return math.nan
    safe = np.flatnonzero(~np.lib.stride_tricks.sliding_window_view(moving, HOLD).any(axis=1))
    return float(safe[0] + 1) if len(safe) else math.nan


def consequences(table: pd.DataFrame, trial: Trial) -> dict[str, float]:
    """What the fault did from its onset on: hottest bearing (degC), level (%), energy (kWh), water leaked (m3)."""
    rows = table[table["time"] >= trial.onset]
    power = pump.WATT_PER_AMPERE * np.sqrt(np.maximum(rows["current"] ** 2 - pump.MAGNETISING**2, 0))
    found = {
        "temperature": rows["temperature"].max(),
        "highest": rows["level"].max(),
        "lowest": rows["level"].min(),
        "energy": power.sum() * EVERY / HOUR / 1000,
    }
    lost = sum(LEAK * f.at(rows["time"].to_numpy(np.float64)) for f in trial.faults if f.name == "leak")
    return found | {"leaked": float((rows["flow"] * lost / (1 - lost)).sum() * EVERY / 60 / 1000)}


def run_trial(trial: Trial, table: pd.DataFrame, watches: dict[int, Watch]) -> Iterator[dict[str, Any]]:
    """A row per training seed; `table` is the trial without a trip."""
    recording, without = recording_of(table), consequences(table, trial)
    for seed, watch in watches.items():
        early, alarm = watch.alarm(recording)
        row = trial.key(seed) | {"early": int(early), "detect": alarm - trial.onset, "react": math.nan}
        row |= {"fed": math.nan, "rest_valve": math.nan}
        within = without
        if math.isfinite(alarm):
            safe = trial.simulate(trip=alarm)
            past = table["time"] <= alarm
            assert safe[past].equals(table[past]), "a trip has changed a row before it"
            fine = trial.simulate(every=1, trip=alarm)
            empty = fine[(fine["time"] > alarm) & (fine["level"] <= 100 * RESERVE)]["time"]
            row |= {"react": reaction(fine, alarm), "fed": empty.min() - alarm}
            row |= {"rest_valve": fine["valve"].iloc[-60:].mean()}
            within = consequences(safe, trial)
        yield row | {f"{name}_without": value for name, value in without.items()} | within


def cells() -> dict[tuple[str, int], list[Trial]]:
    """The trials of each fault and day; without a fault there is one of each day."""
    found: dict[tuple[str, int], list[Trial]] = {}
    for day in range(len(ONSETS)):
        found[NONE, day] = [Trial(None, 0.0, "sudden", day)]
        for name in get_args(FaultName):
            found[name, day] = [Trial(name, severity, kind, day) for kind in RAMPS for severity in SEVERITIES]
    return found


def kept(file: Path) -> list[dict[str, Any]]:
    return list(pd.read_csv(file).to_dict("records")) if file.exists() else []


def run_trials() -> None:
    file = OUT / "results.csv"
    rows = kept(file)
    finished = {(row["fault"], row["day"]) for row in rows}
    todo = {key: trials for key, trials in cells().items() if key not in finished}
    watches: dict[int, dict[int, Watch]] = {}
    for (_, day), trials in tqdm(todo.items(), desc="trials", disable=None):
        if day not in watches:
            watches[day] = {seed: Watch(model_of(seed), day) for seed in SEEDS}
        for trial in trials:
            rows += run_trial(trial, trial.simulate(), watches[day])
        write_text(file, pd.DataFrame(rows).to_csv(index=False, float_format="%.5g"))


# Healthy weeks.


def rules(rule: AlarmRule) -> dict[str, AlarmRule]:
    """The alarm rule, and what is left of it without its minimum duration and its hysteresis, at the same threshold."""
    plain = replace(rule, release=rule.threshold)
    return {
        "alarms": rule,
        "without_persistence": replace(rule, persist=1),
        "without_hysteresis": plain,
        "without_both": replace(plain, persist=1),
    }


def trips(model: SensorModel, rule: AlarmRule, scored: pd.DataFrame) -> int:
    tracker = AlarmTracker(rule, model.channels)
    tracker.push(scored["time"].tolist(), scored["score"].to_numpy(), scored[list(model.channels)].to_numpy())
    return tracker.alarms


def run_healthy() -> None:
    file = OUT / "false_trips.csv"
    rows = kept(file)
    finished = {(row["seed"], row["week"]) for row in rows}
    todo = [(seed, week) for seed in SEEDS for week in range(WEEKS) if (seed, week) not in finished]
    for seed, week in tqdm(todo, desc="healthy weeks", disable=None):
        model = model_of(seed)
        scored = model.score(recording_of(simulate(WEEK, 3000 + 100 * seed + week, every=EVERY))).table
        row = {"seed": seed, "week": week, "budget": BUDGET, "hours": WEEK / HOUR}
        lasting = persistent(scored["score"].to_numpy(), model.rule.persist)
        row |= {"promised": model.rule.promised * WEEK, "under_alarm": float((scored["alarm"] > 0).mean())}
        row |= {"highest": float(np.nanmax(lasting)) / model.rule.threshold}
        rows.append(row | {name: trips(model, rule, scored) for name, rule in rules(model.rule).items()})
        write_text(file, pd.DataFrame(rows).to_csv(index=False, float_format="%.5g"))


# The monitor itself in the loop.


class Loop(NamedTuple):
    alarm: float  # s, NaN if none began after the onset
    rows: int  # fed to the monitor
    seconds: float  # that it took


def live(run: Path, folder: Path, trial: Trial) -> Loop:
    """Feed the monitor one row of JSON after another; its message makes the machine go on as a tripped one."""
    plant = monitor_rows(trial.simulate())
    monitor = LiveMonitor(run, folder, "twin", device="cpu")
    begin, alarm = time.monotonic(), math.nan
    for i in range(trial.seconds // EVERY):
        for change in monitor.handle([Message(plant[i], time.monotonic(), i)], patience=math.inf):
            if change["change"] == "begin" and change["start"] >= trial.onset:
                alarm = float(change["start"])
                plant = monitor_rows(trial.simulate(trip=alarm))
        if i * EVERY > alarm + HOUR:
            break
    return Loop(alarm, i + 1, time.monotonic() - begin)


def monitor_rows(table: pd.DataFrame) -> list[str]:
    lines: str = table.to_json(orient="records", lines=True)
    return lines.splitlines()


def run_live() -> None:
    """One trial of every fault and training seed: the gravest, sudden, on the first day."""
    file = OUT / "live.csv"
    rows = kept(file)
    finished = {(row["seed"], row["fault"]) for row in rows}
    results = pd.read_csv(OUT / "results.csv")
    todo = [(s, name) for s in SEEDS for name in get_args(FaultName) if (s, name) not in finished]
    for seed, name in tqdm(todo, desc="live", disable=None):
        trial = Trial(name, SEVERITIES[-1], "sudden", 0)
        with tempfile.TemporaryDirectory() as folder:
            loop = live(trained(seed), Path(folder), trial)
        same = results[(results[list(trial.key(seed))] == pd.Series(trial.key(seed))).all(axis=1)]
        detect = loop.alarm - trial.onset
        assert np.array_equal(same["detect"], [detect], equal_nan=True), f"{trial}: {detect} s live, {same['detect']}"
        rows.append({"seed": seed, "fault": name, "detect": detect, "rows": loop.rows, "seconds": loop.seconds})
        write_text(file, pd.DataFrame(rows).to_csv(index=False, float_format="%.5g"))


# What the figure shows.


def write_timeline() -> None:
    """One trial without and with the trip, from two hours before the onset to two after the trip, and the minutes about
    the trip in steps of a second. Times are since the onset."""
    file, trial, model = OUT / "timeline.csv", Trial(*DRAWN, 0), model_of(SEEDS[0])
    if file.exists():
        return
    table = trial.simulate()
    _, alarm = Watch(model, 0).alarm(recording_of(table))
    if not math.isfinite(alarm):
        raise RuntimeError(f"{trial} is not detected: there is no closed loop to draw")
    spans = {"without": (trial.onset - 2 * HOUR, alarm + 2 * HOUR), "seconds": (alarm - 60, alarm + 360)}
    parts = []
    for name, rows in {"without": table, "tripped": trial.simulate(trip=alarm)}.items():
        scored = rows.assign(score=model.score(recording_of(rows)).table["score"])
        parts.append(scored[scored["time"].between(*spans["without"])].assign(run=name))
    fine = trial.simulate(every=1, trip=alarm)
    parts.append(fine[fine["time"].between(*spans["seconds"])].assign(run="seconds"))
    shown = pd.concat(parts)[["run", "time", "vibration", "flow", "level", "score"]]
    shown["time"] -= trial.onset
    shown["threshold"], shown["trip"] = model.rule.threshold, alarm - trial.onset
    shown["safe"] = shown["trip"] + reaction(fine, alarm)
    write_text(file, shown.to_csv(index=False, float_format="%.5g"))


def main() -> None:
    torch.set_num_threads(1)
    for seed in tqdm(SEEDS, desc="train", disable=None):
        trained(seed)
    run_trials()
    run_healthy()
    run_live()
    write_timeline()
    write_twin_page(OUT)


if __name__ == "__main__":
    main()
