"""What models of sensors and of images share in `anogan simulate`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anogan.errors import DataUnavailableError
from anogan.files import write_bytes

NORMAL = "normal"
MEASURED = 1000  # samples that a report compares, at most of what is real
Values = NDArray[np.float32]


class Compared(NamedTuple):
    """Training, held-out and generated samples (n, channels, *size), the channels' names, what faults teach, and
    recorded and imitated faults by name."""

    train: Values
    held_out: Values
    made: Values
    channels: tuple[str, ...]
    learned: pd.DataFrame | None = None
    faults: dict[str, tuple[Values, Values]] | None = None


class Made(NamedTuple):
    """Files written, what the manifest tells of them, and what a report is to compare."""

    files: list[Path]
    told: dict[str, Any]
    compared: Compared | None


def write_arrays(file: Path, **arrays: NDArray[Any]) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_bytes(file, buffer.getvalue())


def still_there(data: str) -> Path:
    if not Path(data).exists():
        raise DataUnavailableError(f"{data}, which the run was trained on, is gone")
    return Path(data)
