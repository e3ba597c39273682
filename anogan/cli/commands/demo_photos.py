"""`anogan demo photos`."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from anogan.cli.commands import report, train
from anogan.cli.options import vars_of
from anogan.cli.options.others import Demo, Report
from anogan.cli.options.training import TrainPhotos
from anogan.cli.progress import bar
from anogan.config.presets import PHOTOS
from anogan.config.runs import PhotoRunConfig
from anogan.errors import RunError
from anogan.runs.directory import Run
from anogan.simulators.boards import write_folder

FOLDER, REPORT = Path("runs/demo-photos"), Path("reports/demo-photos")
GOOD, TEST, EACH = 240, 60, 20  # photos to train on, good ones to test with, and of each kind of defect
KINDS = 4
SIZE = 128  # pixels of a photo
CONFIG = replace(
    PHOTOS,
    data=str(FOLDER / "boards"),
    photos=replace(PHOTOS.photos, size=64),
    locator=replace(PHOTOS.locator, steps=1000),
)


def run(options: Demo) -> int:
    """Run the demo of photos. Returns the exit status."""
    started = _start(options)
    photos = Path(started.config.data)
    if not started.finished:
        with bar("render boards", GOOD + TEST + KINDS * EACH) as update:
            write_folder(photos, GOOD, TEST, EACH, SIZE, options.seed, lambda n: update(n, ""))
    train.run(TrainPhotos(**vars_of(started.config), out=started.path, resume=True, device=options.device))
    return report.run(Report(started.path, REPORT))


def _start(options: Demo) -> Run[PhotoRunConfig]:
    """Return the demo's run. One with other settings is replaced, because the folder is the demo's own."""
    config = replace(CONFIG, seed=options.seed)
    try:
        return Run.create(FOLDER / "run", config)
    except RunError:
        shutil.rmtree(FOLDER)
        return Run.create(FOLDER / "run", config)
