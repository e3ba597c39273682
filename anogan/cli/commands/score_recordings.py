"""`anogan score` of recordings of sensors."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from anogan.cli.options.scoring import Score
from anogan.cli.progress import bar
from anogan.config.runs import RECORDINGS, is_recording, recording_name
from anogan.errors import SampleError
from anogan.files import without_formulas, write_text
from anogan.runs.bundle import Bundle

if TYPE_CHECKING:
    from anogan.report.known_faults import Truth
    from anogan.sensors.model import SensorModel


def score_recordings(options: Score, bundle: Bundle) -> int:
    """Score recordings with a model of sensors. Returns the exit status."""
    from anogan.sensors.model import SensorModel  # what it needs takes long to import

    if options.move_rejects:
        raise ValueError(f"--move-rejects is for image files, got {' '.join(options.inputs)}")
    if not any(map(is_recording, options.inputs)):
        raise ValueError(
            f"{options.run} was trained on a recording of sensors and scores recordings ({', '.join(RECORDINGS)}), "
            f"not {' '.join(options.inputs)}"
        )
    model = SensorModel.load(bundle, options.detector, options.device)
    if options.out and len(options.inputs) > 1:
        raise ValueError("--out is the folder of one recording; leave it out to score several")
    alarms = errors = 0
    for name in options.inputs:
        out = options.out or options.run / "scored" / recording_name(name)
        try:
            alarms += score_recording(model, Path(name), out, Path(name).name)
        except SampleError as error:
            print(f"anogan: {error}", file=sys.stderr)
            errors += 1
    return 2 if errors else int(options.fail_on_anomaly and alarms > 0)


def score_recording(model: SensorModel, file: Path, out: Path, title: str, truth: Sequence[Truth] = ()) -> int:
    """Write scores.csv, alarms.csv and the page of a recording into `out`. Returns the number of alarms."""
    from anogan.report.recording import write_recording_page
    from anogan.sensors.model import alarm_table

    recording = model.read(file)
    for note in recording.notes:
        print(f"anogan: {file}: {note}", file=sys.stderr)
    with bar("score", len(recording)) as update:
        scored = model.score(recording, lambda rows: update(rows, ""))
    for name, table in (("scores", scored.table), ("alarms", alarm_table(scored.alarms))):
        write_text(out / f"{name}.csv", without_formulas(table).to_csv(index=False, float_format="%.6g"))
    page = write_recording_page(out, title, recording, model, scored.table, scored.alarms, truth)
    print(f"{file}: {len(scored.alarms)} alarms in {len(recording)} rows")
    print(page)
    return len(scored.alarms)
