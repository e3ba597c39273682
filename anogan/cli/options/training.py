"""Options of `anogan train`. No heavy import here: --help is made from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from anogan.config.presets import PRESETS
from anogan.config.runs import AlarmConfig, DigitRunConfig, PhotoConfig, PhotoRunConfig, SensorConfig, SensorRunConfig


@dataclass(frozen=True)
class Train(DigitRunConfig):
    """Train a GAN on normal samples, train the encoder, calibrate the detectors. A recording of sensors or a folder of
    photos has options of its own: anogan train --data FILE --help."""

    preset: Literal[tuple(PRESETS)] = "default"  # type: ignore[valid-type]
    """Settings to start from; any option given beside it wins."""
    out: Path | None = None
    """Run directory; runs/DATA-NORMAL-seedSEED unless given."""
    resume: bool = False
    """Continue an interrupted run from its last checkpoint, with its own settings."""
    checkpoint_seconds: float = 20.0
    """Time between checkpoints: the most that an interruption can lose."""
    data_root: str | None = None
    """Folder of the data sets; else ANOGAN_DATA, else a cache folder of this user's."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    threads: int = 0
    """CPU threads; 0 = OMP_NUM_THREADS, else one per core that other programs leave idle. torchrun gives each of its
    processes one."""


@dataclass(frozen=True)
class TrainSensors(SensorRunConfig):
    """Train a GAN on windows of a recording of healthy operation, train the encoder, calibrate scores and alarms."""

    sensors: tyro.conf.OmitArgPrefixes[SensorConfig] = field(default_factory=SensorConfig)
    alarm: tyro.conf.OmitArgPrefixes[AlarmConfig] = field(default_factory=AlarmConfig)
    out: Path | None = None
    """Run directory; runs/FILE-seedSEED unless given."""
    resume: bool = False
    """Continue an interrupted run from its last checkpoint, with its own settings."""
    checkpoint_seconds: float = 20.0
    """Time between checkpoints: the most that an interruption can lose."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    threads: int = 0
    """CPU threads; 0 = OMP_NUM_THREADS, else one per core that other programs leave idle. torchrun gives each of its
    processes one."""


@dataclass(frozen=True)
class TrainPhotos(PhotoRunConfig):
    """Train a GAN on a folder of photos of good parts, train the locator, calibrate scores and maps. With the layout of
    MVTec AD (train/good, test/KIND, ground_truth/KIND) the test photos are scored too."""

    photos: tyro.conf.OmitArgPrefixes[PhotoConfig] = field(default_factory=PhotoConfig)
    out: Path | None = None
    """Run directory; runs/FOLDER-seedSEED unless given."""
    resume: bool = False
    """Continue an interrupted run from its last checkpoint, with its own settings."""
    checkpoint_seconds: float = 20.0
    """Time between checkpoints: the most that an interruption can lose."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    threads: int = 0
    """CPU threads; 0 = OMP_NUM_THREADS, else one per core that other programs leave idle. torchrun gives each of its
    processes one."""
