"""`anogan simulate` with a model of sensors."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from anogan.cli.options.others import Simulate
from anogan.cli.progress import bar
from anogan.cli.simulated import MEASURED, NORMAL, Compared, Made, still_there, write_arrays
from anogan.config.runs import SensorRunConfig, recording_name
from anogan.detectors.calibration import Floats
from anogan.errors import DataUnavailableError, RunError, SampleError
from anogan.evaluation.realism import gaussian, jittered, tstr
from anogan.files import write_bytes, write_text
from anogan.runs.bundle import Bundle
from anogan.runs.directory import Run
from anogan.runs.training import row_counter
from anogan.sensors.healthy import Healthy, prepare
from anogan.sensors.model import SensorModel
from anogan.sensors.scoring import fill
from anogan.sensors.synthesis import Colouring, Windows, imitate_fault, long_recording, normal_windows, real_windows
from anogan.windows import cut_windows

FEWEST_ROWS = 50


@dataclass(frozen=True)
class Known:
    """A model of sensors, its healthy rows where they still are, and recorded faults (n, channels) by name."""

    model: SensorModel
    healthy: Healthy | None
    colouring: Colouring | None
    faults: dict[str, Floats]


def make(options: Simulate, out: Path, format: str) -> Made:
    known = _known(options)
    files = list(_write(options, known, out, format))
    told = {"corrected by recorded rows": known.colouring is not None}
    return Made(files, told, _compared(options, known) if options.report else None)


def _known(options: Simulate) -> Known:
    """Says what cannot be used before anything is written."""
    model = SensorModel.load(Bundle.open(options.run), device=options.device)
    faults = {recording_name(str(file)): _fault_rows(model, file) for file in options.faults}
    if len(faults) < len(options.faults) or NORMAL in faults:
        raise ValueError("the files of --faults must have names of their own, and none may be 'normal'")
    try:
        config = Run.of(options.run, SensorRunConfig).config
        healthy = prepare(config, model.read(still_there(config.data)))
    except (RunError, DataUnavailableError) as error:
        if options.report:
            raise
        print(f"anogan: {error}: generated rows are not corrected by the recorded ones", file=sys.stderr)
        return Known(model, None, None, faults)
    colouring = Colouring.fit(model.detector.gan_, healthy.x, model.scaling)
    if colouring is None:
        print("anogan: too few rows were recorded to correct the generated ones by them", file=sys.stderr)
    return Known(model, healthy, colouring, faults)


def _fault_rows(model: SensorModel, file: Path) -> Floats:
    """Rows (n, channels) of one event, missing values filled as in scoring."""
    recording = model.read(file)
    if len(recording) < FEWEST_ROWS:
        raise SampleError(f"{file} has {len(recording)} rows, expected at least {FEWEST_ROWS} of the fault")
    return fill(recording.values, np.array(model.scaling.centre))


def _write(options: Simulate, known: Known, out: Path, format: str) -> Iterator[Path]:
    model, gan, scaling = known.model, known.model.detector.gan_, known.model.scaling
    if options.n:
        with bar("make windows", options.n * (1 + len(known.faults))) as update:
            made = {NORMAL: normal_windows(gan, scaling, options.n, options.seed, known.colouring)}
            update(options.n, "")
            for label, rows in known.faults.items():
                made[label] = imitate_fault(gan, scaling, model.slow, rows, options.n, options.seed)
                update(options.n, label)
        yield _write_windows(out / f"windows.{format}", made, model.channels)
    if options.rows:
        with bar("lay rows", options.rows) as update:
            rows = long_recording(gan, scaling, options.rows, options.seed, known.colouring, row_counter(update))
        table = pd.DataFrame(rows, columns=list(model.channels))
        table.insert(0, "time" if "time" not in table else "time (s)", np.arange(len(rows)) * model.step)
        file = out / f"recording.{'csv' if format == 'npz' else format}"
        _write_table(file, table)
        yield file


def _write_windows(file: Path, made: dict[str, Windows], channels: tuple[str, ...]) -> Path:
    x, severity = (np.concatenate(parts) for parts in zip(*made.values(), strict=True))
    label = np.repeat(list(made), [len(windows.x) for windows in made.values()])
    if file.suffix == ".npz":
        write_arrays(file, x=x, label=label, severity=severity, channels=np.array(channels))
        return file
    n, _, length = x.shape
    table = pd.DataFrame(x.transpose(0, 2, 1).reshape(n * length, -1), columns=list(channels))
    given = {
        "window": np.repeat(np.arange(n), length),
        "row": np.tile(np.arange(length), n),
        "label": np.repeat(label, length),
        "severity": np.repeat(severity, length),
    }
    clash = sorted(set(given) & set(channels))
    if clash:
        raise ValueError(f"the channel {clash[0]!r} is named like a column of the table; use --format npz")
    _write_table(file, pd.concat([pd.DataFrame(given), table], axis=1))
    return file


def _write_table(file: Path, table: pd.DataFrame) -> None:
    if file.suffix != ".parquet":
        write_text(file, table.to_csv(index=False, float_format="%.6g"))
        return
    buffer = io.BytesIO()
    try:
        table.to_parquet(buffer, index=False)
    except ImportError as error:
        raise ValueError("writing Parquet needs the extra: pip install 'anogan[parquet]'") from error
    write_bytes(file, buffer.getvalue())


def _compared(options: Simulate, known: Known) -> Compared:
    model, healthy, n = known.model, known.healthy, max(options.n, MEASURED)
    assert healthy, "_known raises without it where a report is wanted"
    made = normal_windows(model.detector.gan_, model.scaling, n, options.seed, known.colouring).x
    train, held_out = (real_windows(x, model.scaling) for x in (healthy.x, healthy.x_held_out))
    found = Compared(train.astype(np.float32), held_out.astype(np.float32), made.astype(np.float32), model.channels)
    return found._replace(learned=_learned(options, known, found)) if known.faults else found


def _learned(options: Simulate, known: Known, compared: Compared) -> pd.DataFrame:
    """What a forest learns from the first half of each recorded fault, and from what can be made of it, is tested on
    the second half and on held-out normal windows."""
    model, window, rng = known.model, compared.train.shape[2], np.random.default_rng(options.seed)
    sets = {name: {NORMAL: compared.train} for name in ("recorded", "jittered", "Gaussian")}
    sets["generated"], tested = {NORMAL: compared.made}, {NORMAL: compared.held_out}
    for label, rows in known.faults.items():
        halves = np.array_split(rows, 2)
        if len(halves[1]) < window:
            raise SampleError(f"half of the rows of {label} are fewer than a window of {window}; leave out --report")
        first, tested[label] = (cut_windows(half.T, window).astype(np.float32) for half in halves)
        more = imitate_fault(model.detector.gan_, model.scaling, model.slow, halves[0], MEASURED, options.seed)
        found = (first, jittered(first, MEASURED, rng), gaussian(first, MEASURED, rng), more.x.astype(np.float32))
        for labelled, x in zip(sets.values(), found, strict=True):
            labelled[label] = x
    scores = [tstr(labelled, tested, options.seed) for labelled in sets.values()]
    return pd.DataFrame({"learned from": list(sets), "macro-F1 on real windows": [f"{score:.3f}" for score in scores]})
