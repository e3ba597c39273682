"""`anogan demo`."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from pathlib import Path

from anogan.cli.commands import report
from anogan.cli.options.others import Demo, Report
from anogan.cli.progress import bar, clock
from anogan.cli.tables import evaluate
from anogan.config.presets import PRESETS
from anogan.config.runs import DigitRunConfig
from anogan.digits.training import Digits, NormalImages
from anogan.errors import DataUnavailableError, RunError
from anogan.runs.directory import Run

DEMO_RUN, DEMO_REPORT = Path("runs/demo"), Path("reports/demo")


def run(options: Demo) -> int:
    """Train, score and report on built-in data. Returns the exit status."""
    if options.what == "digits":
        return _digits(options)
    if (options.normal, options.data_root) != (Demo.normal, Demo.data_root):
        raise ValueError(
            f"--normal and --data-root are for the demo of digits; the one of {options.what} needs no data"
        )
    from anogan.cli.commands import demo_photos, demo_sensors

    return demo_photos.run(options) if options.what == "photos" else demo_sensors.run(options)


def _digits(options: Demo) -> int:
    config, notice = dataclasses.replace(PRESETS["default"], normal=options.normal, seed=options.seed), ""
    try:
        prepared = _prepared(config, options.data_root)
    except DataUnavailableError as error:
        config = dataclasses.replace(PRESETS["digits"], normal=options.normal, seed=options.seed)
        notice = "MNIST could not be downloaded, so this demo ran on scikit-learn's 1,797 small digits instead."
        print(f"anogan: {error}\nanogan: {notice}", file=sys.stderr)
        prepared = _prepared(config, options.data_root)
    try:
        started = Run.create(DEMO_RUN, config)
    except RunError:  # of other settings; the folder is the demo's own
        shutil.rmtree(DEMO_RUN)
        started = Run.create(DEMO_RUN, config)
    if not started.finished:
        Digits().train(started, prepared, device=options.device, stage=bar)
    if not (DEMO_RUN / "results.json").exists():
        evaluate(started, prepared.split, subset=306, device=options.device, notice=notice)
    return report.run(Report(DEMO_RUN, DEMO_REPORT))


def _prepared(config: DigitRunConfig, data_root: str | None) -> NormalImages:
    with clock(f"read {config.data}"):
        return Digits().prepare(config, data_root=data_root)
