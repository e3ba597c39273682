"""Faults of sensor recordings, to develop and test detectors on healthy recordings only.

Each kind is a function (x, severity, rng, onset, duration, channels) -> (changed, mask) of float64 values x (n,
channels), each channel in its own unit, NaN where a value is missing. Only rows onset to onset + duration change, and
only in `channels`; by default the random generator draws one channel. The generator alone decides signs, rows and
phases. Severity, 0 to 1, is the strength; 0 leaves every bit as it was. The mask (n, channels) marks exactly the values
that differ.

A spread is the channel's own: 1.4826 times the median distance from its median over the rows before the onset. For a
Gaussian this is the standard deviation, and outliers do not change it. A channel that hardly ever moves has its
standard deviation instead, a constant one has 1 % of its median's size, and one that was always 0 has 1.

Missing values stay missing. Faults compose: apply one after the other and combine the masks by `or`; the spread of a
later one is that of the recording as it has become.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Rng = np.random.Generator
Channels = Sequence[int] | None
Changed = tuple[Values, NDArray[np.bool_]]  # both (n, channels)
SensorFaultFunction = Callable[[Values, float, Rng, int, int, Channels], Changed]

# At severity 1, in spreads unless noted otherwise.
SPIKE, DRIFT, BIAS, NOISE, STEP, AMPLITUDE = 12.0, 10.0, 6.0, 4.0, 3.0, 4.0
GAIN = 4.0  # added to the factor 1
LAG = 30  # rows
ROWS_PER_SPIKE = 50
PERIODS = (6.0, 40.0)  # rows
TRIES, SMOOTH = 16, 8  # stretches drawn for decoupling, and how many that join best are compared


def apply(
    kind: str,
    x: Values,
    severity: float,
    rng: Rng,
    onset: int,
    duration: int,
    channels: Channels = None,
) -> Changed:
    """Apply the fault of this name. Raises `ValueError` for an unknown one."""
    if kind not in SENSOR_FAULTS:
        raise ValueError(f"unknown sensor fault {kind!r}; choose from {', '.join(SENSOR_FAULTS)}")
    return SENSOR_FAULTS[kind](x, severity, rng, onset, duration, channels)


def spike(x: Values, severity: float, rng: Rng, onset: int, duration: int, channels: Channels = None) -> Changed:
    """Put single rows off by 6 to 12 spreads times severity, up or down; one row in 50, and at least one."""
    at = _locate(x, severity, rng, onset, duration, channels)
    heights = rng.uniform(SPIKE / 2, SPIKE, at.x.shape) * rng.choice((-1.0, 1.0), at.x.shape)
    hit = _ranks(at, rng) < math.ceil(duration / ROWS_PER_SPIKE)
    return _put(x, at, at.x + severity * heights * hit * at.spread)


def drift(x: Values, severity: float, rng: Rng, onset: int, duration: int, channels: Channels = None) -> Changed:
    """Add an offset that grows row by row, up or down, to 10 spreads times severity in the last row."""
    at = _locate(x, severity, rng, onset, duration, channels)
    grown = np.arange(1, duration + 1)[:, None] / duration
    return _put(x, at, at.x + severity * DRIFT * grown * _signs(at, rng) * at.spread)


def bias(x: Values, severity: float, rng: Rng, onset: int, duration: int, channels: Channels = None) -> Changed:
    """Add an offset of 6 spreads times severity, up or down, from the onset on."""
    at = _locate(x, severity, rng, onset, duration, channels)
    return _put(x, at, at.x + severity * BIAS * _signs(at, rng) * at.spread)


def stuck_at(x: Values, severity: float, rng: Rng, onset: int, duration: int, channels: Channels = None) -> Changed:
    """Hold the last value before the onset at severity 1; below 1, keep a share 1 - severity of the distance from it.

    Spreads have no effect.
    """
    at = _locate(x, severity, rng, onset, duration, channels)
    held = np.array([past[~np.isnan(past)][-1] for past in at.past.T])
    return _put(x, at, np.broadcast_to(held, at.x.shape) if severity == 1 else at.x + severity * (held - at.x))


def gain(x: Values, severity: float, rng: Rng, onset: int, duration: int, channels: Channels = None) -> Changed:
    """Multiply the distance from the median before the onset by 1 + 4 severity. Spreads have no effect."""
    at = _locate(x, severity, rng, onset, duration, channels)
    return _put(x, at, at.x + severity * GAIN * (at.x - at.median))


def noise_burst(x: Values, severity: float, rng: Rng, onset: int, duration: int, channels: Channels = None) -> Changed:
    """Add independent Gaussian noise with a standard deviation of 4 spreads times severity."""
    at = _locate(x, severity, rng, onset, duration, channels)
    return _put(x, at, at.x + severity * NOISE * at.spread * rng.standard_normal(at.x.shape))


def dropout(x: Values, severity: float, rng: Rng, onset: int, duration: int, channels: Channels = None) -> Changed:
    """Remove a share `severity` of the rows (NaN), rounded up and drawn at random. Spreads have no effect."""
    at = _locate(x, severity, rng, onset, duration, channels)
    return _put(x, at, np.where(_ranks(at, rng) < severity * duration, np.nan, at.x))


def quantisation(x: Values, severity: float, rng: Rng, onset: int, duration: int, channels: Channels = None) -> Changed:
    """Round values to steps of 3 spreads times severity, counted from the median before the onset."""
    at = _locate(x, severity, rng, onset, duration, channels)
    step = severity * STEP * at.spread
    if severity < 1e-9:  # steps too fine for the values' own precision
        return _put(x, at, at.x)
    return _put(x, at, at.median + np.rint((at.x - at.median) / step) * step)


def delay(x: Values, severity: float, rng: Rng, onset: int, duration: int, channels: Channels = None) -> Changed:
    """Show the values of 30 rows earlier at severity 1, of fewer in proportion, rounded up to whole rows.

    Before the recording's first row, the first row is shown. Values that were missing then are missing again. Spreads
    have no effect. A lag beyond the channel's memory does no more harm than a shorter one.
    """
    at = _locate(x, severity, rng, onset, duration, channels)
    rows = np.arange(onset, onset + duration) - math.ceil(severity * LAG)
    return _put(x, at, x[np.maximum(rows, 0)][:, at.channels])


def oscillation(x: Values, severity: float, rng: Rng, onset: int, duration: int, channels: Channels = None) -> Changed:
    """Add a sine with an amplitude of 4 spreads times severity and a period of 6 to 40 rows."""
    at = _locate(x, severity, rng, onset, duration, channels)
    period, phase = rng.uniform(*PERIODS), rng.uniform(0, 2 * math.pi, at.x.shape[1])
    wave = np.sin(2 * math.pi * np.arange(duration)[:, None] / period + phase)
    return _put(x, at, at.x + severity * AMPLITUDE * at.spread * wave)


def decoupling(x: Values, severity: float, rng: Rng, onset: int, duration: int, channels: Channels = None) -> Changed:
    """Replace the channel by another stretch of itself from before the onset, at severity 1.

    It keeps its distribution and autocorrelation, but loses its relation to the other channels. Below 1, both are mixed
    with weights sqrt(1 - severity2) and severity, which keep the variance about the median. Spreads have no effect.
    """
    at = _locate(x, severity, rng, onset, duration, channels)
    pairs = zip(at.past.T, at.x.T, at.median, strict=True)
    other = np.stack([_elsewhere(past, due, median, rng) for past, due, median in pairs], axis=1)
    less = math.sqrt(1 - severity**2) - 1
    mixed = at.x + less * (at.x - at.median) + severity * (other - at.median)
    return _put(x, at, at.x if severity == 0 else other if severity == 1 else mixed)


SENSOR_FAULTS: dict[str, SensorFaultFunction] = {
    "spike": spike,
    "drift": drift,
    "bias": bias,
    "stuck_at": stuck_at,
    "gain": gain,
    "noise_burst": noise_burst,
    "dropout": dropout,
    "quantisation": quantisation,
    "delay": delay,
    "oscillation": oscillation,
    "decoupling": decoupling,
}


class _Place(NamedTuple):
    """Where a fault acts: values due (duration, chosen), values before the onset (onset, chosen), statistics.

    Median and spread are (chosen,) and come from the values before the onset.
    """

    rows: slice
    channels: list[int]
    x: Values
    past: Values
    median: Values
    spread: Values


def _locate(x: Values, severity: float, rng: Rng, onset: int, duration: int, channels: Channels) -> _Place:
    """Check the arguments of a fault and find its place. Raises `ValueError`."""
    if x.ndim != 2 or x.dtype != np.float64 or not x.shape[1]:
        raise ValueError(f"got {x.shape} of {x.dtype}, expected (n, channels) of float64")
    if np.isinf(x).any():
        raise ValueError("got infinite values, expected finite ones or NaN")
    if not 0 <= severity <= 1:
        raise ValueError(f"got severity {severity}, expected 0 to 1")
    if not 1 <= onset < len(x):
        raise ValueError(
            f"got onset {onset}, expected a row from 1 to {len(x) - 1}: the rows before it give the spread"
        )
    if not 1 <= duration <= len(x) - onset:
        raise ValueError(f"got duration {duration}, expected 1 to the {len(x) - onset} rows from the onset on")
    chosen = _chosen(x[:onset], rng, channels)
    rows, past = slice(onset, onset + duration), x[:onset, chosen]
    median, spread = np.array([_median_and_spread(column) for column in past.T]).T
    return _Place(rows, chosen, x[rows, chosen], past, median, spread)


def _chosen(past: Values, rng: Rng, channels: Channels) -> list[int]:
    """Return the columns to change, each once and with some value before the onset."""
    known = np.flatnonzero(~np.isnan(past).all(axis=0)).tolist()
    if channels is None and known:
        return [int(rng.choice(known))]
    if not channels or len(set(channels)) < len(channels) or not set(channels) <= set(known):
        raise ValueError(f"got channels {channels}, expected some of {known}: those with values before the onset")
    return [int(channel) for channel in channels]


def _median_and_spread(past: Values) -> tuple[float, float]:
    seen = past[~np.isnan(past)]
    median = float(np.median(seen))
    if np.ptp(seen) == 0:  # rounding of the mean must not count as a spread
        return median, 0.01 * abs(median) or 1.0
    return median, 1.4826 * float(np.median(np.abs(seen - median))) or float(seen.std())


def _signs(at: _Place, rng: Rng) -> Values:
    """Draw up or down, (1, chosen)."""
    return rng.choice((-1.0, 1.0), (1, at.x.shape[1]))


def _ranks(at: _Place, rng: Rng) -> NDArray[np.int64]:
    """Draw an order of the rows (duration, chosen), for each channel separately."""
    return rng.permuted(np.broadcast_to(np.arange(len(at.x))[:, None], at.x.shape), axis=0)


def _elsewhere(past: Values, due: Values, median: float, rng: Rng) -> Values:
    """Return a stretch of the history `past` (n,) to replace `due` (m,), mirrored where the history is too short.

    The candidates begin near the first value of `due`, so that no jump betrays them. The one least correlated with
    `due` is taken, because a recurring pattern must not be replaced by itself.
    """
    turn = max(1, 2 * (len(past) - 1))
    begins = rng.integers(0, turn, TRIES)[:, None]
    there = (begins + np.arange(len(due))) % turn
    stretches = past[np.minimum(there, turn - there) if len(past) > 1 else 0 * there]
    jumps = np.nan_to_num(np.abs(stretches[:, 0] - due[0]), nan=np.inf)
    stretches = stretches[np.argsort(jumps, kind="stable")[:SMOOTH]]
    moving, still = (np.nan_to_num(part - median) for part in (stretches, due))
    moving, still = moving - moving.mean(axis=1, keepdims=True), still - still.mean()
    norms = np.sqrt((moving**2).sum(axis=1)) + np.finfo(np.float64).tiny
    return np.asarray(stretches[np.argmin(np.abs(moving @ still) / norms)], dtype=np.float64)


def _put(x: Values, at: _Place, values: Values) -> Changed:
    """Put values (duration, chosen) into x. Returns x and the mask of those that differ; others keep every bit."""
    differs = (values != at.x) & ~np.isnan(at.x)
    changed, mask = x.copy(), np.zeros(x.shape, dtype=bool)
    changed[at.rows, at.channels] = np.where(differs, values, at.x)
    mask[at.rows, at.channels] = differs
    return changed, mask
