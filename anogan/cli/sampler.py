"""The common interface of `anogan sample` for all kinds of models."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from anogan.cli.options.others import Sample, SampleFormat
from anogan.config.synthesis import ImitationConfig, SynthesisConfig
from anogan.evaluation.realism import SampleSets
from anogan.files import Json, write_bytes
from anogan.runs.bundle import Bundle

NORMAL, MASKS = "normal", "ground_truth"  # no label of a fault
T = TypeVar("T")


class Sampler(ABC):
    """Writes what a model of one kind generates. The constructor refuses options that cannot be used."""

    formats: ClassVar[tuple[SampleFormat, ...]]  # the first is the default
    foreign: ClassVar[tuple[str, ...]]  # options that are for other kinds
    config: ClassVar[SynthesisConfig | ImitationConfig | None] = None

    def __init__(self, options: Sample, bundle: Bundle) -> None:
        self.options, self.bundle = options, bundle

    @abstractmethod
    def write_samples(self, out: Path) -> list[Path]:
        """Write samples with their labels. Returns the files."""

    @abstractmethod
    def sample_sets(self) -> SampleSets:
        """Return the samples that a report compares."""

    def write_pictures(self, out: Path) -> list[Path]:
        """Write the grid and the interpolations that were asked for. Returns the files."""
        return []

    @property
    def notes(self) -> Json:
        """What the manifest says of the samples besides the options."""
        return {}


def read_faults(paths: Sequence[Path], name: Callable[[Path], str], read: Callable[[Path], T]) -> dict[str, T]:
    """Read recorded faults by name. Raises `ValueError` if two have the same name or one is named like a label."""
    faults = {name(path): read(path) for path in paths}
    if len(faults) < len(paths) or {NORMAL, MASKS} & set(faults):
        raise ValueError(f"the faults must have different names, and none may be {NORMAL!r} or {MASKS!r}")
    return faults


def write_arrays(file: Path, **arrays: NDArray[Any]) -> None:
    """Write arrays as one compressed npz file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_bytes(file, buffer.getvalue())
