"""`anogan train`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

from tqdm import tqdm

from anogan import parallel
from anogan.budgets import in_words
from anogan.cli.options import run_path, vars_of
from anogan.cli.options.training import Train, TrainPhotos, TrainSensors
from anogan.cli.progress import bar, get
from anogan.cli.tables import show
from anogan.config.runs import DigitRunConfig, PhotoRunConfig, SensorRunConfig
from anogan.detectors.base import FEWEST, resolve_device
from anogan.detectors.calibration import hold_out
from anogan.digits.datasets import DATASETS
from anogan.digits.splits import one_vs_rest
from anogan.digits.training import normal_rows, train_run
from anogan.errors import RunError, SampleError
from anogan.photos import training as photo_training
from anogan.photos.folders import find_photos
from anogan.runs.bundle import Bundle
from anogan.runs.directory import C, Run
from anogan.runs.training import make_detector
from anogan.sensors.healthy import prepare
from anogan.sensors.recordings import read_recording
from anogan.sensors.training import train_recording


def run(options: Train | TrainSensors | TrainPhotos) -> int:
    path = run_path(options)
    _check(options)
    if (path / "config.json").exists() and not options.resume and not Run(path).finished:
        raise RunError(f"{path} holds an unfinished run; continue it with --resume, or choose another --out")
    if isinstance(options, Train):
        return _train_images(options, path)
    return _train_sensors(options, path) if isinstance(options, TrainSensors) else _train_photos(options, path)


def _check(options: Train | TrainSensors | TrainPhotos) -> None:
    """What can be told before anything is read."""
    resolve_device(options.device)
    if options.checkpoint_seconds < 0:
        raise ValueError(f"expected --checkpoint-seconds of 0 or more, got {options.checkpoint_seconds}")
    for name, number in _numbers(asdict(options)):
        if not isfinite(number):
            raise ValueError(f"expected a finite --{name.replace('_', '-')}, got {number}")
    if not all(0 <= beta < 1 for beta in options.gan.betas):
        raise ValueError(f"expected --gan.betas in [0, 1), got {' '.join(map(str, options.gan.betas))}")
    if not options.detectors and not isinstance(options, Train):
        raise ValueError("expected one or more --detectors for sensors or photos")


def _numbers(settings: dict[str, Any], group: str = "") -> Iterator[tuple[str, float]]:
    """The settings that are fractional numbers, by name, and those of the groups in them."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _numbers(value, f"{name}." if name not in ("sensors", "alarm", "photos") else "")
        elif isinstance(value, float):
            yield f"{group}{name}", value


def _start(path: Path, config: C) -> Run[C]:
    """The run directory, made by the first process. Detectors that cannot be trained are refused before."""
    for name in config.detectors:
        make_detector(name, config, "auto")
    if not parallel.rank():
        Run.create(path, config)
    parallel.wait_for_all()
    return Run(path)


def _train_images(options: Train, path: Path) -> int:
    config = DigitRunConfig(**vars_of(options))
    if config.data not in DATASETS:
        raise ValueError(f"unknown data set {config.data!r}; choose from {', '.join(DATASETS)}")
    split = one_vs_rest(get(config.data, options.data_root), config.normal)
    normal_rows(config, split)  # says what is wrong before anything is written
    started = _start(path, config)
    if started.finished:
        print(f"{path} is already trained")
        return 0
    train_run(started, split, device=options.device, checkpoint_seconds=options.checkpoint_seconds, stage=bar)
    if parallel.rank():
        return 0
    for name in config.detectors:
        detector = Bundle.open(path).detector(name, options.device)
        print(
            f"{name}: threshold {detector.threshold_:.4g} at a false-alarm rate of {config.false_alarm_rate:g}, "
            f"from {len(detector.calibration_scores_)} held-out images"
        )
    print(path / "bundle")
    return 0


def _train_sensors(options: TrainSensors, path: Path) -> int:
    config = SensorRunConfig(**vars_of(options))
    own = config.sensors
    recording = read_recording(Path(config.data), own.time_column, own.channels, own.day_first)
    for note in recording.notes:
        print(f"anogan: {config.data}: {note}", file=sys.stderr)
    healthy = prepare(config, recording)
    started = _start(path, config)
    if started.finished:
        print(f"{path} is already trained")
        return 0
    models = train_recording(
        started,
        recording,
        healthy,
        device=options.device,
        checkpoint_seconds=options.checkpoint_seconds,
        stage=bar,
    )
    for name, model in models.items():
        rule = model.rule
        print(
            f"{name}: alarm above {rule.threshold:.4g}, {rule.promise}, "
            f"from {len(rule.peaks)} held-out blocks of {in_words(rule.block * rule.step)}"
        )
    if models:
        print(path / "bundle")
    return 0


def _check_holdout(config: PhotoRunConfig, photos: int) -> None:
    training, held_out = hold_out(photos, config.holdout, config.seed)
    fewest = 1 if config.photos.tiles else FEWEST
    if len(training) < fewest or not len(held_out):
        raise SampleError(
            f"--holdout {config.holdout:g} leaves {len(training)} of {photos} photos to train on and {len(held_out)} "
            f"to hold out; expected at least {fewest} and 1"
        )


def _train_photos(options: TrainPhotos, path: Path) -> int:
    config = PhotoRunConfig(**vars_of(options))
    folder = find_photos(Path(config.data))

    def tell(file: Path, error: SampleError) -> None:
        tqdm.write(f"anogan: {file} is left out: {error}", file=sys.stderr)

    framing, good = photo_training.frame(config.photos, folder.good, tell)
    _check_holdout(config, len(good))
    started = _start(path, config)
    if started.finished:
        print(f"{path} is already trained")
    else:
        with bar("read photos", len(good)) as update:
            parts = photo_training.prepare(started, framing, good, lambda n: update(n, ""), tell)
        models = photo_training.train_photos(
            started, parts, device=options.device, checkpoint_seconds=options.checkpoint_seconds, stage=bar
        )
        for name, model in models.items():
            print(
                f"{name}: threshold {model.detector.threshold_:.4g} at a false-alarm rate of "
                f"{config.false_alarm_rate:g}, from {len(model.detector.calibration_scores_)} held-out photos"
            )
    if folder.test and not parallel.rank() and not (path / "results.json").exists():
        show(photo_training.evaluate_photos(started, folder.test, device=options.device, stage=bar))
    if not parallel.rank():
        print(path / "bundle")
    return 0
