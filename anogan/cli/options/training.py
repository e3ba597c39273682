"""Options of `anogan train`. No heavy import here: --help is made from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from anogan.cli.options.shared import Device, Threads
from anogan.config.presets import PresetName
from anogan.config.runs import AlarmConfig, DigitRunConfig, PhotoConfig, PhotoRunConfig, SensorConfig, SensorRunConfig


@dataclass(frozen=True, kw_only=True)
class Output:
    """Where a training writes, and how it goes on."""

    out: Path | None = None
    """Folder for the trained model and everything about it. By default it is in runs/, named after the data and the
    seed."""
    resume: bool = False
    """Continue an interrupted training in this folder from its last checkpoint, with the settings it was started with.
    """
    checkpoint_seconds: float = 20.0
    """Seconds between checkpoints. An interruption loses no more than that."""


@dataclass(frozen=True)
class Train(Threads, Device, Output, DigitRunConfig):
    """Train a model on normal samples: first the GAN, then its encoder; then calibrate the detectors.

    Without --data it learns one digit of MNIST. Recordings of sensors and folders of photos have other options and
    defaults; see them by anogan train --data FILE --help.
    """

    preset: PresetName = "default"
    """Settings to start from. Any other option that you give wins over the preset's."""
    data_root: str | None = None
    """Folder with the data sets. By default it is the folder in ANOGAN_DATA, else a cache folder of yours."""


@dataclass(frozen=True)
class TrainSensors(Threads, Device, Output, SensorRunConfig):
    """Train a model on a recording of healthy operation.

    GAN and encoder learn short windows of its rows. Then the threshold for alarms is set on rows held out.
    """

    sensors: tyro.conf.OmitArgPrefixes[SensorConfig] = field(default_factory=SensorConfig)
    alarm: tyro.conf.OmitArgPrefixes[AlarmConfig] = field(default_factory=AlarmConfig)


@dataclass(frozen=True)
class TrainPhotos(Threads, Device, Output, PhotoRunConfig):
    """Train a model on a folder of photos of good parts.

    First the GAN learns, then the network that locates defects. Then the threshold is set on photos held out. In a
    folder laid out like MVTec AD (train/good, test/KIND, ground_truth/KIND), the test photos are scored too.
    """

    photos: tyro.conf.OmitArgPrefixes[PhotoConfig] = field(default_factory=PhotoConfig)


AnyTrain = Train | TrainSensors | TrainPhotos
