"""`anogan sample` with a model of sensors."""

from __future__ import annotations

import io
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anogan.cli.options.others import Sample
from anogan.cli.progress import bar
from anogan.cli.sampler import MEASURED, NORMAL, Sampler, SampleSets, still_there, write_arrays
from anogan.config.runs import SensorRunConfig, recording_name
from anogan.errors import DataUnavailableError, RunError, SampleError
from anogan.evaluation.realism import gaussian, jittered, tstr
from anogan.files import write_bytes, write_text
from anogan.runs.directory import Run
from anogan.runs.training import row_counter
from anogan.sensors.healthy import Healthy, prepare
from anogan.sensors.model import SensorModel
from anogan.sensors.scoring import fill
from anogan.sensors.synthesis import Colouring, Windows, imitate_fault, long_recording, normal_windows, real_windows
from anogan.windows import cut_windows

FEWEST_ROWS = 50
Rows = NDArray[np.float64]


class SensorSampler(Sampler):
    """Writes windows and recordings of a model of sensors."""

    formats = ("csv", "parquet", "npz")
    foreign = ("grid", "interpolations")

    def __init__(self, options: Sample) -> None:
        super().__init__(options)
        self.model = SensorModel.load(options.run, device=options.device)
        self.faults = {recording_name(str(file)): _fault_rows(self.model, file) for file in options.faults}
        if len(self.faults) < len(options.faults) or NORMAL in self.faults:
            raise ValueError(f"the files of --faults must have names of their own, and none may be {NORMAL!r}")

    @cached_property
    def healthy(self) -> Healthy:
        """The rows that the run was trained on; raises `DataUnavailableError` or `RunError` where they are gone."""
        config = Run.of(self.options.run, SensorRunConfig).config
        return prepare(config, self.model.read(still_there(config.data)))

    @cached_property
    def colouring(self) -> Colouring | None:
        try:
            x = self.healthy.x
        except (RunError, DataUnavailableError) as error:
            if self.options.report:
                raise
            print(f"anogan: {error}: generated rows are not corrected by the recorded ones", file=sys.stderr)
            return None
        colouring = Colouring.fit(self.model.detector.gan_, x, self.model.scaling)
        if colouring is None:
            print("anogan: too few rows were recorded to correct the generated ones by them", file=sys.stderr)
        return colouring

    @property
    def notes(self) -> dict[str, Any]:
        return {"corrected by recorded rows": self.colouring is not None}

    def write_samples(self, out: Path) -> list[Path]:
        colouring = self.colouring  # says what is missing before anything is written
        files = [self._write_windows(out, colouring)] if self.options.n else []
        return [*files, self._write_recording(out, colouring)] if self.options.rows else files

    def _write_windows(self, out: Path, colouring: Colouring | None) -> Path:
        options, model = self.options, self.model
        gan, scaling = model.detector.gan_, model.scaling
        with bar("make windows", options.n * (1 + len(self.faults))) as update:
            windows = {NORMAL: normal_windows(gan, scaling, options.n, options.seed, colouring)}
            update(options.n, "")
            for label, rows in self.faults.items():
                windows[label] = imitate_fault(gan, scaling, model.slow, rows, options.n, options.seed)
                update(options.n, label)
        return _write_windows(out / f"windows.{options.format}", windows, model.channels)

    def _write_recording(self, out: Path, colouring: Colouring | None) -> Path:
        options, model = self.options, self.model
        with bar("lay rows", options.rows) as update:
            gan, on_rows = model.detector.gan_, row_counter(update)
            rows = long_recording(gan, model.scaling, options.rows, options.seed, colouring, on_rows)
        table = pd.DataFrame(rows, columns=list(model.channels))
        table.insert(0, "time" if "time" not in table else "time (s)", np.arange(len(rows)) * model.step)
        file = out / f"recording.{'csv' if options.format == 'npz' else options.format}"
        _write_table(file, table)
        return file

    def sample_sets(self) -> SampleSets:
        model, n = self.model, max(self.options.n, MEASURED)
        generated = normal_windows(model.detector.gan_, model.scaling, n, self.options.seed, self.colouring).x
        real = (real_windows(x, model.scaling) for x in (self.healthy.x, self.healthy.x_held_out))
        train, held_out, made = (x.astype(np.float32) for x in (*real, generated))
        sets = SampleSets(train, held_out, made, model.channels)
        if not self.faults:
            return sets
        return sets._replace(learned=_learned(model, self.faults, sets, self.options.seed))


def _fault_rows(model: SensorModel, file: Path) -> Rows:
    """Rows (n, channels) of one event, missing values filled as in scoring."""
    recording = model.read(file)
    if len(recording) < FEWEST_ROWS:
        raise SampleError(f"{file} has {len(recording)} rows, expected at least {FEWEST_ROWS} of the fault")
    return fill(recording.values, np.array(model.scaling.centre))


def _write_windows(file: Path, windows: dict[str, Windows], channels: tuple[str, ...]) -> Path:
    x, severity = (np.concatenate(parts) for parts in zip(*windows.values(), strict=True))
    label = np.repeat(list(windows), [len(one.x) for one in windows.values()])
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


def _learned(model: SensorModel, faults: dict[str, Rows], sets: SampleSets, seed: int) -> pd.DataFrame:
    """What a forest learns from the first half of each recorded fault, and from what can be made of it, is tested on
    the second half and on held-out normal windows."""
    window, rng = sets.train.shape[2], np.random.default_rng(seed)
    taught = {name: {NORMAL: sets.train} for name in ("recorded", "jittered", "Gaussian")}
    taught["generated"], tested = {NORMAL: sets.generated}, {NORMAL: sets.held_out}
    for label, rows in faults.items():
        halves = np.array_split(rows, 2)
        if len(halves[1]) < window:
            raise SampleError(f"half of the rows of {label} are fewer than a window of {window}; leave out --report")
        first, tested[label] = (cut_windows(half.T, window).astype(np.float32) for half in halves)
        more = imitate_fault(model.detector.gan_, model.scaling, model.slow, halves[0], MEASURED, seed)
        found = (first, jittered(first, MEASURED, rng), gaussian(first, MEASURED, rng), more.x.astype(np.float32))
        for labelled, x in zip(taught.values(), found, strict=True):
            labelled[label] = x
    scores = [f"{tstr(labelled, tested, seed):.3f}" for labelled in taught.values()]
    return pd.DataFrame({"learned from": list(taught), "macro-F1 on real windows": scores})
