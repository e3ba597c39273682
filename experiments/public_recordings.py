"""Public recordings of machines with labelled faults: SKAB and NAB's machine temperature.

Read from where the user has put them, in the layout in which they are published, or as one compressed table each. The
loaders never download: SKAB's licence is GPL-3.0, NAB's MIT.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anogan.errors import DataUnavailableError
from anogan.sensors.recordings import Recording, from_table

SKAB = "the folder 'data' of github.com/waico/SKAB, or skab_faults.csv.gz with a column 'experiment'"
NAB = "the folder 'data/realKnownCause' of github.com/numenta/NAB with combined_windows.json of its 'labels' beside it"
LABELS = ["anomaly", "changepoint"]
MACHINE = "machine_temperature_system_failure"


@dataclass(frozen=True)
class LabelledRecording:
    """A recording whose first `n_train` rows are for training, and which rows are anomalous (n,)."""

    name: str
    recording: Recording
    anomalous: NDArray[np.int64]
    n_train: int

    @property
    def healthy(self) -> Recording:
        """The training rows."""
        return self.recording.rows(slice(self.n_train))

    @property
    def y_test(self) -> NDArray[np.int64]:
        return self.anomalous[self.n_train :]


def load_skab(root: Path) -> list[LabelledRecording]:
    """The 34 experiments of the Skoltech Anomaly Benchmark v0.9, training on the first 400 rows of each (protocol of
    its leaderboard). Raises `DataUnavailableError`."""
    packed = root / "skab_faults.csv.gz"
    if packed.exists():
        groups = pd.read_csv(packed).groupby("experiment", sort=False)
        tables = {str(name): table.drop(columns="experiment") for name, table in groups}
    else:
        files = [file for group in ("valve1", "valve2", "other") for file in (root / group).glob("*.csv")]
        files.sort(key=lambda file: (file.parent.name, int(file.stem)))
        tables = {f"{file.parent.name}/{file.stem}": pd.read_csv(file, sep=";") for file in files}
    if not tables:
        raise DataUnavailableError(f"no recordings of SKAB in {root}; expected {SKAB}")
    return [
        LabelledRecording(
            name,
            from_table(table.drop(columns=LABELS).reset_index(drop=True), name, "datetime"),
            table["anomaly"].to_numpy(dtype=np.int64),
            400,
        )
        for name, table in tables.items()
    ]


def load_skab_healthy(root: Path) -> Recording:
    """SKAB's recording without faults, less its last 572 rows, which are the first of experiment other/5."""
    files = root / "skab_anomaly_free.csv.gz", root / "anomaly-free" / "anomaly-free.csv"
    for file, separator in zip(files, ",;", strict=True):
        if file.exists():
            table = pd.read_csv(file, sep=separator)
            return from_table(table.iloc[:-572].drop(columns=LABELS, errors="ignore"), file.name, "datetime")
    raise DataUnavailableError(f"no recording without faults of SKAB in {root}; expected {SKAB}")


def load_nab_machine(root: Path) -> LabelledRecording:
    """NAB's temperature of a large machine, every five minutes, training on the rows before the first labelled window.

    A row is a step: a few time stamps occur twice. Raises `DataUnavailableError`.
    """
    packed, plain = root / f"{MACHINE}.csv.gz", root / f"{MACHINE}.csv"
    if packed.exists():
        table = pd.read_csv(packed)
        anomalous = table["in_window"].to_numpy(dtype=np.int64)
    elif plain.exists() and (root / "combined_windows.json").exists():
        table = pd.read_csv(plain)
        windows = json.loads((root / "combined_windows.json").read_text())[f"realKnownCause/{MACHINE}.csv"]
        times = pd.to_datetime(table["timestamp"])
        inside = [times.between(*map(pd.Timestamp, window)).to_numpy() for window in windows]
        anomalous = np.any(inside, axis=0).astype(np.int64)
    else:
        raise DataUnavailableError(f"no {plain.name} in {root}; expected {NAB}")
    return LabelledRecording(MACHINE, from_table(table[["value"]], MACHINE), anomalous, int(np.argmax(anomalous)))
