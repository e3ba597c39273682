"""What each command can be told. No heavy import here: --help is made from it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from anogan.cli.options.others import Benchmark, Convert, Data, Demo, Export, Report, Sample
from anogan.cli.options.scoring import Monitor, Recalibrate, Score, Sensitivity, Watch
from anogan.cli.options.serving import Serve
from anogan.cli.options.training import AnyTrain, Train, TrainPhotos, TrainSensors
from anogan.config.runs import CONFIGS, KindName, RunConfig

__all__ = [
    "COMMANDS",
    "TRAIN",
    "AnyTrain",
    "Benchmark",
    "Convert",
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
    "Train",
    "TrainPhotos",
    "TrainSensors",
    "Watch",
    "run_path",
    "vars_of",
]

TRAIN: dict[KindName, type[AnyTrain]] = {
    "digits": Train,
    "sensors": TrainSensors,
    "photos": TrainPhotos,
}
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
    "convert": Convert,
    "sample": Sample,
    "data": Data,
    "benchmark": Benchmark,
}


def vars_of(config: RunConfig) -> dict[str, Any]:
    """Return the settings of a run by name, without those that are not the run's."""
    return {f.name: getattr(config, f.name) for f in dataclasses.fields(CONFIGS[config.kind])}


def run_path(options: AnyTrain) -> Path:
    """Return the folder that a training writes into."""
    return options.out or Path("runs") / options.run_name
