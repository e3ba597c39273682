"""Samples of one size from an array file, scored block by block."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anogan.detectors import Detector
from anogan.errors import SampleError
from anogan.pictures.files import to_unit_range
from anogan.runs.scoring import SAMPLES_AT_ONCE, OnMap, Rows, Samples


class ArrayFile:
    """A NumPy file (n, *shape) that stays on disk: bytes 0 to 255, or floats in [-1, 1]."""

    column = "row"

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.path = path
        try:
            array = self._mapped()
        except (OSError, ValueError, EOFError) as error:
            raise ValueError(f"{path} is not a readable NumPy array: {error}") from None
        if array.shape[1:] != shape or not len(array):
            expected = f"(n, {', '.join(map(str, shape))})"
            raise ValueError(f"{path} has shape {array.shape}, expected {expected}")
        if array.dtype != np.uint8 and array.dtype.kind != "f":
            raise ValueError(f"{path} holds {array.dtype}, expected bytes 0-255 or floats in [-1, 1]")
        self.rows = len(array)

    @property
    def block(self) -> int:
        return SAMPLES_AT_ONCE

    def __len__(self) -> int:
        return self.rows

    def _mapped(self) -> NDArray[Any]:
        """Map the file again for every block, because the pages of a lasting map count as this process's memory."""
        array: NDArray[Any] = np.lib.format.open_memmap(self.path, mode="r")
        return array

    def identity(self) -> Any:
        stat = self.path.stat()
        return [str(self.path.resolve()), stat.st_size, stat.st_mtime_ns]

    def fitting(self, begin: int, end: int) -> int:
        return end

    def read(self, begin: int, end: int) -> tuple[list[str], Samples]:
        rows = np.array(self._mapped()[begin:end])
        return list(map(str, range(begin, begin + len(rows)))), samples_of(rows)


def samples_of(rows: NDArray[Any]) -> Samples:
    """Convert rows (n, *shape), bytes 0 to 255 or floats in [-1, 1], to samples, or to errors."""
    if rows.dtype == np.uint8:
        return list(to_unit_range(rows))
    rows = rows.astype(np.float32)
    flat = rows.reshape(len(rows), -1)
    good = (flat.min(1) >= -1) & (flat.max(1) <= 1)  # false where NaN
    return [row if fine else _complaint(row) for row, fine in zip(rows, good, strict=True)]


def _complaint(row: NDArray[np.float32]) -> SampleError:
    if not np.isfinite(row).all():
        return SampleError("NaN or infinity")
    return SampleError(f"values in [{row.min():.4g}, {row.max():.4g}], expected [-1, 1]")


def score_block(detector: Detector, names: list[str], samples: Samples, on_map: OnMap | None = None) -> pd.DataFrame:
    """Return a row per sample: score, p-value, verdict and terms, or the error."""
    valid = {i: sample for i, sample in enumerate(samples) if not isinstance(sample, SampleError)}
    good = list(valid)
    rows = pd.DataFrame({ArrayFile.column: names, "verdict": "error"})
    rows["error"] = [str(sample) if isinstance(sample, SampleError) else None for sample in samples]
    if good:
        x = np.stack(list(valid.values()))
        if on_map:
            score, terms, _, maps = detector.explain(x)
            for i, anomaly_map in zip(good, maps, strict=True):
                on_map(i, anomaly_map)
        else:
            score, terms = detector.compare(x)
        rows.loc[good, "score"] = score
        p_value, anomaly = detector.judge(score)
        rows.loc[good, "p_value"] = p_value
        rows.loc[good, "verdict"] = np.where(anomaly, "anomaly", "normal")
        for name, term in terms.items():
            rows.loc[good, name] = term
    return rows.reindex(columns=[ArrayFile.column, "score", "p_value", "verdict", *detector.terms, "error"])


def scorer(detector: Detector, on_map: OnMap | None = None) -> Rows:
    """Return the function that makes table rows by `score_block`."""

    def rows(begin: int, names: list[str], samples: Samples) -> pd.DataFrame:
        to_map = None if on_map is None else lambda i, values: on_map(begin + i, values)
        return score_block(detector, names, samples, to_map)

    return rows
