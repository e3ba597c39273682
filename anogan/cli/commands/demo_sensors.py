"""`anogan demo sensors`."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd

from anogan.cli.commands import train
from anogan.cli.commands.score_recordings import score_recording
from anogan.cli.options import vars_of
from anogan.cli.options.others import Demo
from anogan.cli.options.training import TrainSensors
from anogan.cli.progress import bar
from anogan.config.presets import SENSORS
from anogan.config.runs import SensorRunConfig
from anogan.errors import RunError
from anogan.files import write_text
from anogan.report.known_faults import Truth
from anogan.runs.bundle import Bundle
from anogan.runs.directory import Run
from anogan.sensors.model import SensorModel
from anogan.simulators.pump import CHANNELS, DAY, DEMO_FAULTS, Fault, simulate

FOLDER, REPORT = Path("runs/demo-sensors"), Path("reports/demo-sensors")
EVERY = 10  # s between rows
BUDGET = "1/week"  # what the held-out share of HEALTHY supports
HEALTHY, WATCHED = 28 * DAY, 5 * DAY
BEGIN = pd.Timestamp("2025-03-03")
TITLE = "Simulated pump: a bearing wears out, a valve sticks"


def run(options: Demo) -> int:
    """Run the demo of sensors. Returns the exit status."""
    started = _start(options)
    watched = FOLDER / "watched.csv"
    if not started.finished or not watched.exists():
        with bar("simulate", HEALTHY + WATCHED) as update:
            _write(FOLDER / "healthy.csv", HEALTHY, 2 * options.seed)
            update(HEALTHY, "")
            _write(watched, WATCHED, 2 * options.seed + 1, DEMO_FAULTS)
            update(WATCHED, "")
    train.run(TrainSensors(**vars_of(started.config), out=started.path, resume=True, device=options.device))
    model = SensorModel.load(Bundle.open(started.path), device=options.device)
    truth = [Truth(fault.name, fault.start, fault.end) for fault in DEMO_FAULTS]
    score_recording(model, watched, REPORT, TITLE, truth)
    return 0


def _start(options: Demo) -> Run[SensorRunConfig]:
    """Return the demo's run. One with other settings is replaced, because the folder is the demo's own."""
    config = replace(
        SENSORS,
        data=str(FOLDER / "healthy.csv"),
        seed=options.seed,
        sensors=replace(SENSORS.sensors, time_column="time", channels=tuple(CHANNELS)),
        alarm=replace(SENSORS.alarm, budget=BUDGET),
    )
    try:
        return Run.create(FOLDER / "run", config)
    except RunError:
        shutil.rmtree(FOLDER)
        return Run.create(FOLDER / "run", config)


def _write(file: Path, seconds: int, seed: int, faults: tuple[Fault, ...] = ()) -> None:
    table = simulate(seconds, seed, faults, EVERY)
    table["time"] = BEGIN + pd.to_timedelta(table["time"], unit="s")
    write_text(file, table.to_csv(index=False))
