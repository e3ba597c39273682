"""What each command can be told. No heavy import here: --help is made from it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from anogan.cli.options.others import Benchmark, Data, Demo, Export, Report, Sample, Simulate
from anogan.cli.options.scoring import Monitor, Recalibrate, Score, Sensitivity, Watch
from anogan.cli.options.serving import Serve
from anogan.cli.options.training import Train, TrainPhotos, TrainSignals
from anogan.config.runs import PhotoRunConfig, RunConfig, SignalRunConfig, is_recording

__all__ = [
    "COMMANDS",
    "Benchmark",
    "Data",
    "Demo",
    "Export",
    "Monitor",
    "Recalibrate",
    "Report",
    "Sample",
    "Score",
    "Sensitivity",
    "Serve",
    "Simulate",
    "Train",
    "TrainPhotos",
    "TrainSignals",
    "Watch",
    "recording_name",
    "run_path",
    "vars_of",
]

COMMANDS: dict[str, type] = {
    "demo": Demo,
    "train": Train,
    "score": Score,
    "sensitivity": Sensitivity,
    "recalibrate": Recalibrate,
    "monitor": Monitor,
    "watch": Watch,
    "serve": Serve,
    "report": Report,
    "export": Export,
    "sample": Sample,
    "simulate": Simulate,
    "data": Data,
    "benchmark": Benchmark,
}


def vars_of(config: RunConfig) -> dict[str, Any]:
    """The settings of a run, by name; those that are not the run's are left out."""
    kinds = (SignalRunConfig, PhotoRunConfig)
    kind = next((kind for kind in kinds if isinstance(config, kind)), RunConfig)
    return {f.name: getattr(config, f.name) for f in dataclasses.fields(kind)}


def run_path(options: Train | TrainSignals | TrainPhotos) -> Path:
    name = f"{options.data}-{options.normal}-seed{options.seed}".replace(",", "+")
    if isinstance(options, TrainPhotos):
        name = f"{Path(options.data).resolve().name}-seed{options.seed}"
    elif is_recording(options.data):
        name = f"{recording_name(options.data)}-seed{options.seed}"
    return options.out or Path("runs") / name


def recording_name(file: str) -> str:
    """pump.csv.gz -> pump."""
    return Path(file).name.split(".")[0]
