"""`anogan score`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from anogan import parallel
from anogan.cli.commands.score_files import score_files
from anogan.cli.options.scoring import Score
from anogan.cli.progress import bar, clock
from anogan.config.runs import RECORDINGS, is_recording, recording_name
from anogan.digits.datasets import DATASETS, load_dataset
from anogan.digits.splits import one_vs_rest
from anogan.errors import SampleError
from anogan.files import without_formulas, write_text
from anogan.runs.bundle import Bundle

if TYPE_CHECKING:
    from anogan.report.known_faults import Truth
    from anogan.sensors.model import SensorModel


def run(options: Score) -> int:
    if not options.inputs:
        raise ValueError("nothing to score: give files, a folder, a recording or the name of a data set")
    if Bundle.open(options.run).kind == "sensors":
        _check_nothing_moves(options)
        return _score_recordings(options)
    if len(options.inputs) == 1 and options.inputs[0] in DATASETS and not Path(options.inputs[0]).exists():
        _check_nothing_moves(options)
        return 0 if parallel.rank() else _score_dataset(options)
    return score_files(options)


def _check_nothing_moves(options: Score) -> None:
    if options.move_rejects:
        raise ValueError(f"--move-rejects is for image files, got {' '.join(options.inputs)}")


def _score_dataset(options: Score) -> int:
    from anogan.cli.tables import evaluate  # what it needs takes long to import
    from anogan.runs.directory import Run

    run: Run[Any] = Run(options.run)
    name = options.inputs[0]
    if name != run.config.data:
        raise ValueError(f"{options.run} was trained on {run.config.data}; its test split is the one to evaluate on")
    with clock(f"read {name}"):
        split = one_vs_rest(load_dataset(name, options.data_root), run.config.normal)
    evaluate(run, split, options.subset, options.device)
    print(run.path / "scores.csv")
    table = pd.read_csv(run.path / "scores.csv")
    return int(options.fail_on_anomaly and (table["verdict"] == "anomaly").any())


def _score_recordings(options: Score) -> int:
    from anogan.sensors.model import SensorModel  # what it needs takes long to import

    if not any(map(is_recording, options.inputs)):
        raise ValueError(
            f"{options.run} was trained on a recording of sensors and scores recordings ({', '.join(RECORDINGS)}), "
            f"not {' '.join(options.inputs)}"
        )
    model = SensorModel.load(Bundle.open(options.run), options.detector, options.device)
    if options.out and len(options.inputs) > 1:
        raise ValueError("--out is the folder of one recording; leave it out to score several")
    alarms = errors = 0
    for name in options.inputs:
        out = options.out or options.run / "scored" / recording_name(name)
        try:
            alarms += score_recording_file(model, Path(name), out, Path(name).name)
        except SampleError as error:
            print(f"anogan: {error}", file=sys.stderr)
            errors += 1
    return 2 if errors else int(options.fail_on_anomaly and alarms > 0)


def score_recording_file(model: SensorModel, file: Path, out: Path, title: str, truth: Sequence[Truth] = ()) -> int:
    """Write scores.csv, alarms.csv and the page of a recording into `out`; how many alarms there are."""
    from anogan.report.recording import write_recording_page
    from anogan.sensors.model import alarm_table

    recording = model.read(file)
    for note in recording.notes:
        print(f"anogan: {file}: {note}", file=sys.stderr)
    with bar("score", len(recording)) as update:
        watched = model.score(recording, lambda rows: update(rows, ""))
    for name, table in (("scores", watched.table), ("alarms", alarm_table(watched.alarms))):
        write_text(out / f"{name}.csv", without_formulas(table).to_csv(index=False, float_format="%.6g"))
    page = write_recording_page(out, title, recording, model, watched.table, watched.alarms, truth)
    print(f"{file}: {len(watched.alarms)} alarms in {len(recording)} rows")
    print(page)
    return len(watched.alarms)
