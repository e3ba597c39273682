"""`anogan train`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict
from math import isfinite
from pathlib import Path

from tqdm import tqdm

from anogan import parallel
from anogan.cli.options import run_path, vars_of
from anogan.cli.options.training import AnyTrain
from anogan.cli.progress import bar, clock
from anogan.cli.tables import show
from anogan.config.runs import CONFIGS
from anogan.detectors import detector_class
from anogan.errors import RunError
from anogan.files import Json
from anogan.gan.device import resolve_device
from anogan.kinds import KINDS
from anogan.runs.directory import C, Run
from anogan.runs.training import make_detectors


def run(options: AnyTrain) -> int:
    """Train a model, or continue its training. Returns the exit status."""
    path = run_path(options)
    _check(options)
    if (path / "config.json").exists() and not options.resume and not Run(path).finished:
        raise RunError(f"{path} holds an unfinished run; continue it with --resume, or choose another --out")
    config = CONFIGS[options.kind](**vars_of(options))
    kind = KINDS[config.kind]
    with clock(f"read {config.data}"):
        prepared = kind.prepare(config, _tell, vars(options).get("data_root"))
    started = _start(path, config)
    if started.finished:
        print(f"{path} is already trained")
    else:
        models = kind.train(
            started,
            prepared,
            device=options.device,
            checkpoint_seconds=options.checkpoint_seconds,
            stage=bar,
        )
        for name, model in models.items():
            print(f"{name}: {model.promise}")
    if parallel.rank():
        return 0
    if results := kind.evaluate(started, prepared, device=options.device, stage=bar):
        show(results)
    print(path / "bundle")
    return 0


def _check(options: AnyTrain) -> None:
    """Check what can be checked before anything is read."""
    resolve_device(options.device)
    if options.checkpoint_seconds < 0:
        raise ValueError(f"expected --checkpoint-seconds of 0 or more, got {options.checkpoint_seconds}")
    for name, number in _numbers(asdict(options)):
        if not isfinite(number):
            raise ValueError(f"expected a finite --{name.replace('_', '-')}, got {number}")
    if not all(0 <= beta < 1 for beta in options.gan.betas):
        raise ValueError(f"expected --gan.betas in [0, 1), got {' '.join(map(str, options.gan.betas))}")
    for detector in options.detectors:
        detector_class(detector)  # says what is wrong before anything is read
    if not options.detectors and options.kind != "digits":
        raise ValueError("expected one or more --detectors for sensors or photos")


def _numbers(settings: Json, group: str = "") -> Iterator[tuple[str, float]]:
    """Yield the settings that are fractional numbers, by name, including those of groups."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _numbers(value, f"{name}." if name not in ("sensors", "alarm", "photos") else "")
        elif isinstance(value, float):
            yield f"{group}{name}", value


def _start(path: Path, config: C) -> Run[C]:
    """Return the run directory, made by the first process. Detectors that cannot be trained are refused first."""
    make_detectors(config, "auto")
    if not parallel.rank():
        Run.create(path, config)
    parallel.wait_for_all()
    return Run(path)


def _tell(sentence: str) -> None:
    tqdm.write(f"anogan: {sentence}", file=sys.stderr)
