"""`anogan sensitivity`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from anogan.cli.options.scoring import Sensitivity
from anogan.cli.progress import bar
from anogan.config.runs import KindName
from anogan.evaluation.trials import Cell, Trials, cells_of, fill, parse_kinds, parse_severities, summarise, trial_table
from anogan.files import Json, write_text
from anogan.photos import sensitivity as photos
from anogan.photos.model import PhotoModel
from anogan.report import sensitivity as reporting
from anogan.runs.bundle import Bundle
from anogan.sensors import sensitivity as sensors
from anogan.sensors.model import SensorModel


def run(options: Sensitivity) -> int:
    """Measure which injected faults a model catches. Returns the exit status."""
    severities = parse_severities(options.severities)
    for name, value in (("--repeats", options.repeats), ("--duration", options.duration), ("--seed", options.seed)):
        if value < 0:
            raise ValueError(f"expected {name} of at least 0, got {value}")
    bundle = Bundle.open(options.run)
    if bundle.kind not in MEASURES:
        data = bundle.about.get("data")
        raise ValueError(
            f"{options.run} was trained on {data}; there are faults for recordings and photos of parts alone"
        )
    return MEASURES[bundle.kind](options, bundle, severities)


def _sensors(options: Sensitivity, bundle: Bundle, severities: Sequence[float]) -> int:
    kinds = parse_kinds(options.kinds, list(sensors.KINDS))
    model = SensorModel.load(bundle, options.detector, options.device)
    parts = sensors.healthy_parts(options.run, model, options.data)
    trials = sensors.SensorTrials(parts, options.repeats or sensors.REPEATS, options.seed, options.duration)
    if trials.left_out:
        _say(f"{trials.left_out} healthy stretches are left out: an alarm was on when the fault would have begun")
    cells, summary = _cells(options, bundle, trials, kinds, severities, {"stretches": len(trials.usable)})
    return _tell(reporting.write_sensor_page(_out(options), options.run, options.data, trials, cells, summary))


def _photos(options: Sensitivity, bundle: Bundle, severities: Sequence[float]) -> int:
    kinds = parse_kinds(options.kinds, list(photos.KINDS))
    if options.duration:
        raise ValueError("--duration is for faults of sensors")
    model = PhotoModel.load(bundle, options.detector, options.device)
    parts = photos.good_parts(options.run, model, options.data)
    trials = photos.PhotoTrials(parts, options.repeats or photos.REPEATS, options.seed)
    cells, summary = _cells(options, bundle, trials, kinds, severities, {"photos": len(trials.photos)})
    return _tell(reporting.write_photo_page(_out(options), options.run, options.data, trials, cells, summary))


MEASURES: dict[KindName, Callable[[Sensitivity, Bundle, Sequence[float]], int]] = {
    "sensors": _sensors,
    "photos": _photos,
}


def _cells(
    options: Sensitivity,
    bundle: Bundle,
    trials: Trials,
    kinds: Sequence[str],
    severities: Sequence[float],
    size: dict[str, int],
) -> tuple[list[Cell], pd.DataFrame]:
    out, wanted = _out(options), cells_of(kinds, severities)
    settings: Json = {
        "model": bundle.digest,
        "detector": options.detector,
        "data": str(options.data.resolve()) if options.data else None,
        "repeats": options.repeats,
        "duration": options.duration,
        "seed": options.seed,
    }
    with bar("trials", len(wanted) * trials.count) as update:
        cells = fill(out, settings | size, trials, wanted, lambda n: update(n, ""))
    summary = summarise(trials, cells)
    write_text(out / "cells.csv", summary.to_csv(index=False, float_format="%.6g"))
    write_text(out / "trials.csv", trial_table(cells).to_csv(index=False, float_format="%.6g"))
    return cells, summary


def _out(options: Sensitivity) -> Path:
    return options.out or options.run / "sensitivity"


def _tell(written: tuple[pd.DataFrame, Path]) -> int:
    table, page = written
    print(table.to_string(index=False))
    print(page)
    return 0


def _say(line: str) -> None:
    print(f"anogan: {line}", file=sys.stderr)
