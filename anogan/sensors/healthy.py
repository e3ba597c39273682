"""A prepared healthy recording: the rows to train on, the rows held out, and the first row whose score calibrates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from anogan.config.runs import AlarmConfig, SensorRunConfig
from anogan.detectors.base import FEWEST
from anogan.detectors.calibration import Floats
from anogan.errors import SampleError
from anogan.runs.kind import Samples
from anogan.runs.training import Stage
from anogan.sensors.recordings import Recording
from anogan.sensors.scaling import Scaling
from anogan.sensors.scoring import Clock, fill
from anogan.sensors.windows import cut_scales, lead_in, slow_scale

MOST_WINDOWS = 20_000  # to train on at most, evenly spread: more of them are nearly the same
PARTS = 5  # stretches of the recording whose ends are held out
HELD_OUT_STRETCHES = 3  # held-out stretches of a short recording
BLOCK_WINDOWS = 10
BLOCK_SPANS = 2  # of the rows that a score looks at, so that what two blocks say is nearly independent


class Part(NamedTuple):
    """Rows (n, channels) in their own units, at time (n,) in seconds, that follow one another without a gap.

    The first `before` of them are not held out; they only precede those that are.
    """

    time: Floats
    values: Floats
    before: int = 0

    def first(self, warm_up: int, block: int) -> int:
        """Return the first row whose score is used for calibration.

        That is the first held-out row after the warm-up, or the first held-out row if no block of rows would be left.
        """
        full = max(self.before, warm_up)
        return full if len(self.time) - full >= block else self.before


class Fold(NamedTuple):
    """A held-out stretch of time.

    `parts` are its rows, `x` the samples that calibrate, which look back into the rows before it, and `own` the samples
    of its own rows alone, which a detector may store.
    """

    parts: list[Part]
    x: torch.Tensor
    own: torch.Tensor


@dataclass(frozen=True)
class Healthy:
    """A prepared healthy recording: samples (n, channels or 2 channels, window), and held-out stretches.

    `every` are all samples, `x` those to train on. The held-out stretches share no rows with `x` or with each other.
    `step` is in seconds, `slow` as in `sensors.windows`, `block` as in `AlarmRule`.
    """

    every: torch.Tensor
    x: torch.Tensor
    folds: list[Fold]
    channels: tuple[str, ...]
    step: float
    scaling: Scaling
    slow: int
    block: int

    def samples(self, folder: Path, stage: Stage) -> Samples:
        return Samples(self.x, self.x_held_out)

    @property
    def x_held_out(self) -> torch.Tensor:
        """The samples of all held-out stretches."""
        return torch.cat([fold.x for fold in self.folds])

    def without(self, fold: int) -> NDArray[np.float32]:
        """Return all samples except those that share rows with one held-out stretch."""
        held_out = [other.own for i, other in enumerate(self.folds) if i != fold]
        return torch.cat([self.x, *held_out]).numpy()


def prepare(config: SensorRunConfig, recording: Recording) -> Healthy:
    """Split a recording into stretches of time to train on and to hold out.

    Whole stretches are held out, not single rows, because neighbouring rows are alike. Raises `SampleError` if there
    are too few rows, or a channel has no numbers in the training rows.
    """
    window, n = config.sensors.window, len(recording)
    slow = slow_scale(n, window, config.sensors.slow)
    training, held_out = hold_out_stretches(n, config.holdout, window)
    values = np.concatenate([recording.values[rows] for rows in training])
    for i, name in enumerate(recording.channels):
        if np.isnan(values[:, i]).all():
            raise SampleError(f"channel {name!r} holds no number in the training rows; leave it out with --channels")
    scaling = _scaling(recording.channels, values, config.sensors.reach)

    def samples(stretches: Sequence[slice], most: int = MOST_WINDOWS) -> torch.Tensor:
        parts = [part for rows in stretches for part in parts_of(recording, rows)]
        return _windows(parts, [0] * len(parts), scaling, window, slow, most)

    x, own = samples(training), [samples([rows], MOST_WINDOWS // len(held_out)) for rows in held_out]
    if min(len(x), sum(map(len, own))) < FEWEST:
        raise SampleError(
            f"{config.data} has {n} rows, which leave {len(x)} windows of {window} rows to "
            f"train on and {sum(map(len, own))} to hold out; expected at least {FEWEST} of each"
        )
    parts = [parts_of(recording, rows, window * slow + window) for rows in held_out]
    where = f"can be held out of {config.data}"
    block = block_of(config.alarm, [part for found in parts for part in found], window, slow, where)
    warm_up = window * slow if slow > 1 else 0
    looking_back = [
        _windows(
            found, [part.first(warm_up, block) for part in found], scaling, window, slow, MOST_WINDOWS // len(held_out)
        )
        for found in parts
    ]
    folds = [Fold(*fold) for fold in zip(parts, looking_back, own, strict=True)]
    return Healthy(samples([slice(0, n)]), x, folds, recording.channels, recording.step, scaling, slow, block)


def _scaling(channels: tuple[str, ...], values: Floats, reach: float) -> Scaling:
    with np.errstate(over="ignore"):
        scaling = Scaling.fit(values, reach)
    for name, *figures in zip(channels, scaling.centre, scaling.spread, strict=True):
        if not np.isfinite(figures).all():
            raise SampleError(f"the numbers of channel {name!r} are too large to calculate with")
    return scaling


def hold_out_stretches(n: int, share: float, window: int) -> tuple[list[slice], list[slice]]:
    """Return the rows to train on and the rows to hold out: the last `share` of each of up to PARTS parts of n rows.

    A short recording is one part; its held-out rows are cut into HELD_OUT_STRETCHES stretches.
    """
    parts = int(np.clip(n * share / (2 * BLOCK_WINDOWS * window), 1, PARTS))
    training, held_out = [], []
    for begin, end in pairwise(np.linspace(0, n, parts + 1).astype(int).tolist()):
        cut = end - round(share * (end - begin))
        training.append(slice(begin, cut))
        edges = np.linspace(cut, end, (HELD_OUT_STRETCHES if parts == 1 else 1) + 1).astype(int).tolist()
        held_out += [slice(*edge) for edge in pairwise(edges)]
    return training, held_out


def segments(time: Floats, step: float) -> list[NDArray[np.intp]]:
    """Return the numbers of rows that follow one another without a gap, one array per segment, without late rows."""
    if not len(time):
        return []
    begins, late = Clock(step).push(time)
    kept = np.flatnonzero(~late)
    return np.split(kept, np.flatnonzero(begins[kept])[1:])


def parts_of(recording: Recording, rows: slice, before: int = 0) -> list[Part]:
    """Return the parts of a stretch of rows. The first part includes up to `before` rows before the stretch."""
    begin = max(rows.start - before, 0)
    time, values = recording.time[begin : rows.stop], recording.values[begin : rows.stop]
    found = [
        Part(time[part], values[part], int((part < rows.start - begin).sum()))
        for part in segments(time, recording.step)
    ]
    return [part for part in found if part.before < len(part.time)]


def _windows(parts: list[Part], first: list[int], scaling: Scaling, window: int, slow: int, most: int) -> torch.Tensor:
    """Cut at most `most` samples from parts, each part from its `first` row on."""
    mean = np.zeros(len(scaling.centre))
    whole, count = [], 0
    for part, begin in zip(parts, first, strict=True):
        if len(part.time) >= window:
            rows = fill(scaling.apply(part.values), mean)
            rows = np.concatenate([lead_in(rows, window, slow), rows])[max(begin - window + 1, 0) :]
            whole.append(scaling.to_unit(rows))
            count += len(rows) - window * slow + 1
    if not whole:
        return torch.empty(0, len(scaling.centre) * (1 + (slow > 1)), window)
    stride = -(-count // most)
    return torch.from_numpy(np.concatenate([cut_scales(rows.T, window, slow, stride) for rows in whole]))


def block_of(config: AlarmConfig, parts: list[Part], window: int, slow: int, where: str) -> int:
    """Return the rows of a block. Raises `SampleError` if no part has so many scored rows."""
    longest = max((len(part.time) - max(part.before, window - 1) for part in parts), default=0)
    if longest < 1:
        raise SampleError(f"no healthy stretch is longer than a window of {window} rows")
    usual = max(BLOCK_WINDOWS, BLOCK_SPANS * slow) * window
    block = config.block or max(config.persist, min(usual, longest // 3))
    if block > longest:
        option = "block" if config.block else "persist"
        raise SampleError(f"--{option} {block} is longer than what {where}: {longest} scored rows")
    return block
