"""Comparison of generated with recorded windows, and of what a classifier learns from imitated faults."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anogan.errors import SampleError
from anogan.evaluation.realism import MEASURED, Samples, SampleSets, gaussian, jittered, tstr
from anogan.sensors.healthy import Healthy
from anogan.sensors.model import SensorModel
from anogan.sensors.synthesis import SensorSynthesiser, real_windows
from anogan.windows import cut_windows

Rows = NDArray[np.float64]
NORMAL = "normal"


def sample_sets(
    model: SensorModel, synthesiser: SensorSynthesiser, healthy: Healthy, faults: Mapping[str, Rows], n: int, seed: int
) -> SampleSets:
    """Return windows in the recording's units: trained on, held out, and n generated ones.

    With recorded rows (m, channels) of `faults` by name, also the results of `transfer`.
    """
    generated = synthesiser.normal_windows(n, seed).x
    real = (real_windows(x, model.scaling) for x in (healthy.x, healthy.x_held_out))
    train, held_out, drawn = (x.astype(np.float32) for x in (*real, generated))
    sets = SampleSets(train, held_out, drawn, model.channels)
    return sets._replace(transfer=transfer(synthesiser, sets, faults, seed)) if faults else sets


def transfer(synthesiser: SensorSynthesiser, sets: SampleSets, faults: Mapping[str, Rows], seed: int) -> pd.DataFrame:
    """Train a forest on synthetic samples, test it on real ones, and return the macro-F1 for each source of samples.

    It is trained on normal windows and the first half of each fault's rows (m, channels), or on imitations of that
    half. It is tested on the second half and on held-out normal windows. Raises `SampleError` if half of the rows are
    fewer than a window.
    """
    rng, window = np.random.default_rng(seed), sets.train.shape[2]
    normal = {name: sets.train for name in ("recorded", "jittered", "Gaussian")} | {"generated": sets.generated}
    train = {name: {NORMAL: x} for name, x in normal.items()}
    test: dict[str, Samples] = {NORMAL: sets.held_out}
    for label, rows in faults.items():
        halves = np.array_split(rows, 2)
        if len(halves[1]) < window:
            raise SampleError(f"half of the rows of {label} are fewer than a window of {window}; leave out --report")
        first, test[label] = (cut_windows(half.T, window).astype(np.float32) for half in halves)
        train["recorded"][label] = first
        train["jittered"][label] = jittered(first, MEASURED, rng)
        train["Gaussian"][label] = gaussian(first, MEASURED, rng)
        train["generated"][label] = synthesiser.fault_windows(halves[0], MEASURED, seed).x.astype(np.float32)
    scores = [f"{tstr(samples, test, seed):.3f}" for samples in train.values()]
    return pd.DataFrame({"learned from": list(train), "macro-F1 on real windows": scores})
