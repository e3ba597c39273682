"""What `anogan sample` asks of a model, whatever its kind."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anogan.cli.options.others import Sample, SampleFormat
from anogan.errors import DataUnavailableError
from anogan.files import write_bytes

NORMAL = "normal"
MEASURED = 1000  # samples that a report compares, at most of what is real
Samples = NDArray[np.float32]


class SampleSets(NamedTuple):
    """Training, held-out and generated samples (n, channels, *size), the channels' names, what a classifier learns from
    imitated faults, and recorded and imitated defects by name."""

    train: Samples
    held_out: Samples
    generated: Samples
    channels: tuple[str, ...]
    learned: pd.DataFrame | None = None
    defects: dict[str, tuple[Samples, Samples]] | None = None


class Sampler(ABC):
    """Writes what a model of one kind generates. The constructor refuses what cannot be used."""

    formats: ClassVar[tuple[SampleFormat, ...]]  # the first is the default
    foreign: ClassVar[tuple[str, ...]]  # options that are for other kinds

    def __init__(self, options: Sample) -> None:
        self.options = options

    @abstractmethod
    def write_samples(self, out: Path) -> list[Path]:
        """Write samples with their labels."""

    @abstractmethod
    def sample_sets(self) -> SampleSets:
        """What a report compares."""

    def write_pictures(self, out: Path) -> list[Path]:
        """Write the grid and the interpolations that were asked for."""
        return []

    @property
    def notes(self) -> dict[str, Any]:
        """What the manifest says of the samples besides what was asked for."""
        return {}


def write_arrays(file: Path, **arrays: NDArray[Any]) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_bytes(file, buffer.getvalue())


def still_there(data: str) -> Path:
    if not Path(data).exists():
        raise DataUnavailableError(f"{data}, which the run was trained on, is gone")
    return Path(data)
