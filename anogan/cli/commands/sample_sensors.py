"""`anogan sample` with a model of sensors."""

from __future__ import annotations

import io
import sys
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pandas as pd

from anogan.cli.options.others import Sample
from anogan.cli.progress import bar
from anogan.cli.sampler import NORMAL, Sampler, read_faults, write_arrays
from anogan.config.runs import SensorRunConfig, recording_name
from anogan.config.synthesis import SynthesisConfig
from anogan.errors import DataUnavailableError, RunError
from anogan.evaluation.realism import MEASURED, SampleSets
from anogan.files import Json, write_bytes, write_text
from anogan.runs.bundle import Bundle
from anogan.runs.directory import Run
from anogan.runs.training import row_counter
from anogan.sensors.healthy import Healthy, prepare
from anogan.sensors.model import SensorModel
from anogan.sensors.realism import sample_sets
from anogan.sensors.synthesis import SensorSynthesiser, SyntheticWindows, read_fault


class SensorSampler(Sampler):
    """Writes windows and recordings of a model of sensors."""

    formats = ("csv", "parquet", "npz")
    foreign = ("grid", "interpolations")
    config = SynthesisConfig()

    def __init__(self, options: Sample, bundle: Bundle) -> None:
        super().__init__(options, bundle)
        self.model = SensorModel.load(bundle, device=options.device)
        read = partial(read_fault, self.model)
        self.faults = read_faults(options.faults, lambda file: recording_name(str(file)), read)

    @cached_property
    def healthy(self) -> Healthy:
        """The rows that the run was trained on. Raises `DataUnavailableError` or `RunError` if they no longer exist."""
        run = Run.of(self.options.run, SensorRunConfig)
        return prepare(run.config, self.model.read(run.training_data()))

    @cached_property
    def synthesiser(self) -> SensorSynthesiser:
        """The synthesiser, corrected by the recorded rows if possible; otherwise it prints why not."""
        try:
            x = self.healthy.x
        except (RunError, DataUnavailableError) as error:
            if self.options.report:
                raise
            print(f"anogan: {error}: generated rows are not corrected by recorded ones", file=sys.stderr)
            return SensorSynthesiser.of(self.model, None, self.config)
        synthesiser = SensorSynthesiser.of(self.model, x, self.config)
        if synthesiser.correction is None:
            print("anogan: too few recorded rows to correct the generated ones", file=sys.stderr)
        return synthesiser

    @property
    def notes(self) -> Json:
        return {"corrected by recorded rows": self.synthesiser.correction is not None}

    def write_samples(self, out: Path) -> list[Path]:
        files = [self._write_windows(out)] if self.options.n else []
        return [*files, self._write_recording(out)] if self.options.rows else files

    def _write_windows(self, out: Path) -> Path:
        options, synthesiser = self.options, self.synthesiser
        with bar("make windows", options.n * (1 + len(self.faults))) as update:
            windows = {NORMAL: synthesiser.normal_windows(options.n, options.seed)}
            update(options.n, "")
            for label, rows in self.faults.items():
                windows[label] = synthesiser.fault_windows(rows, options.n, options.seed)
                update(options.n, label)
        return _write_windows(out / f"windows.{options.format}", windows, self.model.channels)

    def _write_recording(self, out: Path) -> Path:
        options, model, synthesiser = self.options, self.model, self.synthesiser
        with bar("make rows", options.rows) as update:
            rows = synthesiser.recording(options.rows, options.seed, row_counter(update))
        table = pd.DataFrame(rows, columns=list(model.channels))
        table.insert(0, "time" if "time" not in table else "time (s)", np.arange(len(rows)) * model.step)
        file = out / f"recording.{'csv' if options.format == 'npz' else options.format}"
        _write_table(file, table)
        return file

    def sample_sets(self) -> SampleSets:
        n = max(self.options.n, MEASURED)
        return sample_sets(self.model, self.synthesiser, self.healthy, self.faults, n, self.options.seed)


def _write_windows(file: Path, windows: dict[str, SyntheticWindows], channels: tuple[str, ...]) -> Path:
    x, severity = (np.concatenate(parts) for parts in zip(*windows.values(), strict=True))
    label = np.repeat(list(windows), [len(part.x) for part in windows.values()])
    if file.suffix == ".npz":
        write_arrays(file, x=x, label=label, severity=severity, channels=np.array(channels))
        return file
    n, _, length = x.shape
    table = pd.DataFrame(x.transpose(0, 2, 1).reshape(n * length, -1), columns=list(channels))
    columns = {
        "window": np.repeat(np.arange(n), length),
        "row": np.tile(np.arange(length), n),
        "label": np.repeat(label, length),
        "severity": np.repeat(severity, length),
    }
    clash = sorted(set(columns) & set(channels))
    if clash:
        raise ValueError(f"the channel {clash[0]!r} is named like a column of the table; use --format npz")
    _write_table(file, pd.concat([pd.DataFrame(columns), table], axis=1))
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
