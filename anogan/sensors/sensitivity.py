"""Faults of sensors in healthy rows, scored exactly as live rows are."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from anogan.config.runs import SensorRunConfig
from anogan.detectors.calibration import Floats
from anogan.errors import SampleError
from anogan.evaluation.trials import NOTHING, Cell, OnTrials, config_of, random_stream, separation, still_there
from anogan.files import Json
from anogan.runs.bundle import Bundle
from anogan.sensors import faults
from anogan.sensors.healthy import Healthy, prepare, segments
from anogan.sensors.model import SensorModel
from anogan.sensors.recordings import Recording

Stretch = tuple[Floats, Floats]  # time (n,) in seconds, values (n, channels)
KINDS: tuple[str, ...] = tuple(faults.SENSOR_FAULTS)
REPEATS = 20  # trials of each kind and severity on every channel
SPREAD_ROWS = 100_000  # healthy rows that tell a channel's spread


class Part(NamedTuple):
    """Healthy rows that the model has not seen."""

    model: SensorModel
    rows: Stretch


class Begun(NamedTuple):
    """A healthy stretch, and the state of scorer and alarm tracker at the onset.

    `score` are the scores of the rows from the onset on without a fault, `alarm` the row where the first alarm begins
    in them, if any.
    """

    number: int
    model: SensorModel
    rows: Recording
    state: Json
    score: Floats
    alarm: int | None


class SensorTrials:
    """Faults in stretches of healthy rows, scored exactly as live rows are.

    Before the onset a stretch has the rows that the warm-up takes, and one window more. Then follow `duration` rows of
    fault. By default they are as many as a score looks back at, or a block of the alarm rule if that is longer, so that
    in the last row the detector sees nothing but the fault. A fault is caught when an alarm begins in these rows. A
    stretch with an alarm at the onset is left out, because no alarm could begin in it. Stretches share no rows. They
    are used again if there are more trials than stretches; the channels take turns.
    """

    def __init__(self, parts: Sequence[Part], repeats: int = REPEATS, seed: int = 0, duration: int = 0) -> None:
        self.seed, model = seed, parts[0].model
        self.names, self.step, window = model.channels, model.step, model.detector.gan_.shape[1]
        self.lead = window * model.slow + window
        self.duration = duration or max(window * model.slow, model.rule.block)
        segments = [(part.model, *segment) for part in parts for segment in _segments(part.rows, model.step)]
        length = self.lead + self.duration
        pieces = [
            (fitted, Recording(values[rows], time[rows], time[rows], self.names, self.step, ()))
            for fitted, time, values in segments
            for rows in (slice(begin, begin + length) for begin in range(0, len(time) - length + 1, length))
        ]
        if not pieces:
            raise SampleError(
                f"expected {length} healthy rows without a gap ({self.lead} before a fault's onset, {self.duration} "
                f"under it), got {max((len(time) for _, time, _ in segments), default=0)}; give more with --data"
            )
        begun = [self._begin(number, *piece) for number, piece in enumerate(pieces)]
        self.usable = [one for one in begun if one is not None]
        self.left_out = len(begun) - len(self.usable)
        if not self.usable:
            raise SampleError(f"an alarm is on in all {len(pieces)} healthy stretches; is the machine healthy there?")
        self.history = np.concatenate([values for _, _, values in segments])[-SPREAD_ROWS:]
        self.channels = np.flatnonzero(~np.isnan(self.history).all(axis=0)).tolist()
        self.count = repeats * len(self.channels)
        rng, rounds = np.random.default_rng([seed, len(self.usable)]), -(-self.count // len(self.usable))
        order = np.concatenate([rng.permutation(len(self.usable)) for _ in range(rounds)])[: self.count]
        self.turns = [(self.usable[n], self.channels[i % len(self.channels)]) for i, n in enumerate(order)]

    def _begin(self, number: int, model: SensorModel, rows: Recording) -> Begun | None:
        follower, lead = model.follower(), self.lead
        follower.push(rows.time[:lead], rows.stamps[:lead].tolist(), rows.values[:lead])
        if follower.tracker.current:
            return None
        begun = Begun(number, model, rows, follower.state(), np.zeros(0), None)
        score, alarm = self.follow(begun, rows.values)
        return begun._replace(score=score, alarm=alarm)

    def follow(self, begun: Begun, values: Floats) -> tuple[Floats, int | None]:
        """Score values (n, channels) of the whole stretch from the onset on.

        Returns the scores, and the number of rows from the onset to the first alarm, or None.
        """
        follower, rows = begun.model.follower(), begun.rows
        follower.restore(begun.state)
        found = follower.push(rows.time[self.lead :], rows.stamps[self.lead :].tolist(), values[self.lead :])
        return found.score, found.changes[0][0] if found.changes else None

    def faulty(self, trial: int, kind: str, severity: float) -> Floats:
        """Return the values of a trial's stretch with its fault. The spread is that of all healthy rows."""
        begun, channel = self.turns[trial]
        column = np.concatenate([self.history[:, channel], begun.rows.values[:, channel]])[:, None]
        onset, stream = len(self.history) + self.lead, random_stream(self.seed, kind, trial)
        changed, _ = faults.apply(kind, column, severity, stream, onset, self.duration, [0])
        values: Floats = begun.rows.values.copy()
        values[:, channel] = changed[len(self.history) :, 0]
        return values

    def cell(self, kind: str, severity: float, on_trials: OnTrials = lambda n: None) -> Cell:
        """Run all trials of a kind at a severity. Without a fault every stretch is one trial, on no channel."""
        if kind == NOTHING:
            on_trials(self.count)
            return self._made_of(kind, severity, [(one, None, one.score, one.alarm) for one in self.usable])
        trials: list[tuple[Begun, str | None, Floats, int | None]] = []
        for trial, (begun, channel) in enumerate(self.turns):
            score, alarm = self.follow(begun, self.faulty(trial, kind, severity))
            trials.append((begun, self.names[channel], score, alarm))
            on_trials(1)
        return self._made_of(kind, severity, trials)

    @staticmethod
    def _made_of(kind: str, severity: float, found: list[tuple[Begun, str | None, Floats, int | None]]) -> Cell:
        trials = [
            {"channel": channel, "stretch": begun.number, "caught": alarm is not None, "delay": alarm}
            for begun, channel, _, alarm in found
        ]
        area = separation([begun.score for begun, *_ in found], [score for _, _, score, _ in found])
        return {"kind": kind, "severity": severity, "auroc": area, "trials": trials}

    def figures(self, trials: pd.DataFrame) -> dict[str, float]:
        """Return the median delay until the alarm, in rows and in seconds."""
        delay = float(trials["delay"].astype(float).median())
        return {"delay_rows": delay, "delay_seconds": delay * self.step}

    def spread(self, channel: int) -> float:
        """Return a channel's spread as faults measure it, from the bias of severity 1."""
        column = np.append(self.history[:, channel], np.nanmedian(self.history[:, channel]))[:, None]
        changed, _ = faults.bias(column, 1.0, np.random.default_rng(0), len(self.history), 1, [0])
        return float(abs(changed[-1, 0] - column[-1, 0])) / faults.BIAS


def _segments(part: Stretch, step: float) -> list[Stretch]:
    """Split at gaps, without late rows."""
    time, values = part
    return [(time[rows], values[rows]) for rows in segments(time, step)]


def healthy_parts(run: Path, model: SensorModel, data: Path | None) -> list[Part]:
    """Return the rows of a recording or, without one, the stretches that the run held out of its own recording.

    A detector stores samples of all rows of the run's recording. Here it stores all but those of the stretch that is
    scored, as when the thresholds were set. Raises `SampleError` if the recording has changed since training.
    """
    if data:
        recording = model.read(data)
        return [Part(model, (recording.time, recording.values))]
    config = config_of(run, SensorRunConfig)
    recording = model.read(still_there(config.data))
    healthy = prepare(config, recording)
    window, warm_up = model.detector.gan_.shape[1], model.scorer().warm_up
    parts = [(fold, part) for fold, found in enumerate(healthy.folds) for part in found.parts]
    first = [max(part.first(warm_up, healthy.block), window - 1) for _, part in parts]
    scored = sum(max(0, len(part.time) - begin) for (_, part), begin in zip(parts, first, strict=True))
    recalibrated = "recalibrated" in Bundle.open(run).about
    if scored != len(model.detector.calibration_scores_) and not recalibrated:
        raise SampleError(f"{config.data} has changed since training; give healthy rows with --data")
    models = [_without(model, healthy, fold) for fold in range(len(healthy.folds))]
    return [Part(models[fold], (part.time[part.before :], part.values[part.before :])) for fold, part in parts]


def _without(model: SensorModel, healthy: Healthy, fold: int) -> SensorModel:
    detector = copy.copy(model.detector)
    detector.memory_ = dict(detector.memory_)
    if detector.remembered:
        detector.remember(healthy.without(fold))
    return replace(model, detector=detector)


# At a severity, what a fault is: in the channel's unit or, for the others, as text.
IN_SPREADS: dict[str, tuple[str, float]] = {
    "spike": ("spikes up to", faults.SPIKE),
    "drift": ("offset at the end", faults.DRIFT),
    "bias": ("offset", faults.BIAS),
    "noise_burst": ("standard deviation", faults.NOISE),
    "quantisation": ("steps of", faults.STEP),
    "oscillation": ("amplitude", faults.AMPLITUDE),
}
IN_WORDS: dict[str, tuple[str, Callable[[float], str]]] = {
    "stuck_at": ("movement lost", lambda severity: f"{severity:.0%}"),
    "gain": ("movement, times", lambda severity: f"{1 + faults.GAIN * severity:.3g}"),
    "dropout": ("rows missing", lambda severity: f"{severity:.0%}"),
    "delay": ("rows late", lambda severity: f"{math.ceil(faults.LAG * severity)}"),
    "decoupling": ("weight of what is unrelated", lambda severity: f"{severity:.0%}"),
}


def amount(kind: str, severity: float, spread: float) -> tuple[str, str]:
    """Return what a fault changes, and by how much at this severity on a channel of this spread."""
    if kind in IN_SPREADS:
        what, at_one = IN_SPREADS[kind]
        return what, f"{severity * at_one * spread:.3g}"
    what, text = IN_WORDS.get(kind, ("severity", lambda severity: f"{severity:g}"))
    return what, text(severity)


def in_spreads(kind: str, severity: float) -> str:
    """Describe a fault at this severity in words, in spreads."""
    what, much = amount(kind, severity, 1.0)
    return f"{what} {much} spreads" if kind in IN_SPREADS else f"{what} {much}"
