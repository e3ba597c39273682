"""The main job on a recording of sensors: train on healthy operation, score another one, adapt to a new day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from anogan import bundle, parallel
from anogan.alarms import Alarm, AlarmRule, AlarmTracker
from anogan.calibration import Floats, p_values
from anogan.config import AlarmConfig, SignalRunConfig
from anogan.data.recordings import Recording
from anogan.data.scaling import Scaling
from anogan.data.windows import cut_scales, lead_in, slow_scale
from anogan.detectors import Detector, SubspaceGAN
from anogan.detectors.base import FEWEST
from anogan.errors import SampleError
from anogan.inversion import OnRows
from anogan.networks import GAN
from anogan.pipeline import Stage, row_counter, silent, starts, train_networks
from anogan.runs import Run
from anogan.signals import Clock, RowScorer, SignalModel, Usual, about_signals, channel_residuals, fill

WINDOWS = 20_000  # to train on at most, evenly spread: more of them are nearly the same
PARTS = 5  # stretches of the recording whose ends are held out
FOLDS = 3  # held-out stretches of a short recording
BLOCK_WINDOWS = 10
Rows = NDArray[np.float64]
Stretch = tuple[Rows, Rows]  # time (n,) in seconds, values (n, channels)


@dataclass(frozen=True)
class Healthy:
    """A healthy recording made ready: all samples (n, channels or 2 channels, window) in it, those to train on, and
    held-out stretches, disjoint in rows from those and from each other, each with its samples; `slow` as in
    `data.windows`."""

    every: torch.Tensor
    x: torch.Tensor
    folds: list[tuple[Stretch, torch.Tensor]]
    scaling: Scaling
    slow: int

    @property
    def x_held_out(self) -> torch.Tensor:
        return torch.cat([windows for _, windows in self.folds])

    def without(self, fold: int) -> NDArray[np.float32]:
        """All windows but those that share rows with one held-out stretch."""
        held_out = [windows for i, (_, windows) in enumerate(self.folds) if i != fold]
        return torch.cat([self.x, *held_out]).numpy()


def prepare(config: SignalRunConfig, recording: Recording) -> Healthy:
    """Hold out stretches in time, not rows: neighbouring rows are alike. Raises `SampleError` on too few rows, or a
    channel without numbers in the training rows."""
    window = config.signal.window
    slow = slow_scale(len(recording), window, config.signal.slow)
    training, held_out = hold_out_stretches(recording, config.holdout, window)
    for i, name in enumerate(recording.channels):
        if all(np.isnan(values[:, i]).all() for _, values in training):
            raise SampleError(f"channel {name!r} holds no number in the training rows; leave it out with --channels")
    scaling = _scaling(recording)
    x = _windows(training, scaling, recording.step, window, slow, WINDOWS)
    most = WINDOWS // len(held_out)
    folds = [(stretch, _windows([stretch], scaling, recording.step, window, slow, most)) for stretch in held_out]
    count = sum(len(windows) for _, windows in folds)
    if min(len(x), count) < FEWEST:
        raise SampleError(
            f"{config.data} has {len(recording)} rows, which leave {len(x)} windows of {window} rows to "
            f"train on and {count} to hold out; expected at least {FEWEST} of each"
        )
    longest = max(len(time) for (time, _), _ in folds) - window + 1
    if config.alarm.block > longest:
        raise SampleError(
            f"--block {config.alarm.block} is longer than what can be held out of {config.data}: {longest} scored rows"
        )
    every = _windows([(recording.time, recording.values)], scaling, recording.step, window, slow, WINDOWS)
    return Healthy(every, x, folds, scaling, slow)


def _scaling(recording: Recording) -> Scaling:
    with np.errstate(over="ignore"):
        scaling = Scaling.fit(recording.values)
    for name, *figures in zip(recording.channels, scaling.centre, scaling.spread, strict=True):
        if not np.isfinite(figures).all():
            raise SampleError(f"the numbers of channel {name!r} are too large to calculate with")
    return scaling


def hold_out_stretches(recording: Recording, share: float, window: int) -> tuple[list[Stretch], list[Stretch]]:
    """The last `share` of each of up to PARTS parts of the recording is held out; of a short recording, which is one
    part, in FOLDS stretches."""
    n = len(recording)
    parts = int(np.clip(n * share / (2 * BLOCK_WINDOWS * window), 1, PARTS))
    training, held_out = [], []
    for begin, end in zip(
        *(np.linspace(0, n, parts + 1).astype(int)[s] for s in (slice(0, -1), slice(1, None))), strict=True
    ):
        cut = end - round(share * (end - begin))
        training.append((recording.time[begin:cut], recording.values[begin:cut]))
        stretches = np.array_split(np.arange(cut, end), FOLDS if parts == 1 else 1)
        held_out += [(recording.time[rows], recording.values[rows]) for rows in stretches]
    return training, held_out


def _windows(
    stretches: list[Stretch], scaling: Scaling, step: float, window: int, slow: int, most: int
) -> torch.Tensor:
    """Samples that span no gap, `most` of them."""
    segments = []
    for time, values in stretches:
        if len(time):
            begins, late = Clock(step).push(time)
            kept = values[~late]
            segments += np.split(kept, np.flatnonzero(begins[~late])[1:])
    rows = [fill(scaling.apply(part), np.zeros(len(scaling.centre))) for part in segments if len(part) >= window]
    if not rows:
        return torch.empty(0, len(scaling.centre) * (1 + (slow > 1)), window)
    stride = -(-sum(len(part) - window + 1 for part in rows) // most)
    whole = [scaling.to_unit(np.concatenate([lead_in(part, window, slow), part])) for part in rows]
    return torch.from_numpy(np.concatenate([cut_scales(part.T, window, slow, stride) for part in whole]))


def train_recording(
    run: Run,
    recording: Recording,
    healthy: Healthy,
    *,
    device: str = "auto",
    checkpoint_seconds: float = 20.0,
    stage: Stage = silent,
) -> dict[str, SignalModel]:
    """Train on a healthy recording from wherever the run stands, calibrate detectors and alarms, write the bundle.

    Warns `CalibrationWarning` where the held-out rows are too few for the budget; further as `pipeline.train_networks`.
    """
    config = run.config
    assert isinstance(config, SignalRunConfig)
    gan, detectors = train_networks(
        run, healthy.x, healthy.x_held_out, device=device, checkpoint_seconds=checkpoint_seconds, stage=stage
    )
    if parallel.rank():
        return {}
    models = {}
    for name, detector in detectors.items():
        total = starts(detector) * len(healthy.x_held_out)
        with run.timed(f"calibrate {name}"), stage(f"calibrate {name}", total) as update:
            models[str(name)] = calibrated(detector, gan, healthy, recording, config, row_counter(update))
    about = {"data": config.data, "normal": config.normal, "seed": config.seed, "value_range": [-1, 1]}
    bundle.save(run.path / "bundle", gan, detectors, about | {"signal": about_signals(models)})
    return models


def calibrated(
    detector: Detector,
    gan: GAN,
    healthy: Healthy,
    recording: Recording,
    config: SignalRunConfig,
    on_rows: OnRows | None = None,
) -> SignalModel:
    """A detector with the trained networks, and alarms.

    What a detector remembers comes from all healthy rows, for a machine changes slowly and the last rows are the most
    like tomorrow's. Scores for the thresholds come from held-out stretches, each scored while the detector remembers
    all but it (cross-conformal prediction: Vovk 2015); the networks have seen none of them.
    """
    x_held_out, smoothing = healthy.x_held_out.numpy(), config.signal.smoothing
    if isinstance(detector, SubspaceGAN):
        detector.slow = healthy.slow > 1
    detector.adopt(gan, healthy.x.numpy(), x_held_out, on_rows)
    usual = usual_of(detector, x_held_out)
    scores = []
    for i, (time, values) in enumerate(stretch for stretch, _ in healthy.folds):
        if detector.remembered:
            detector.remember(healthy.without(i))
        scorer = RowScorer(detector, healthy.scaling, recording.step, healthy.slow, smoothing, usual)
        scorer.warm_up = 0  # a short stretch would have no score that counts in full
        scores.append(scorer.push(time, values).score)
    if detector.remembered:
        detector.remember(healthy.every.numpy())
    return SignalModel(
        detector,
        recording.channels,
        healthy.scaling,
        recording.step,
        healthy.slow,
        smoothing,
        usual,
        calibrate(detector, scores, config.signal.window, recording.step, config.alarm),
        config.signal.time_column,
        config.signal.day_first,
    )


def usual_of(detector: Detector, x: NDArray[np.float32]) -> Usual:
    """From windows x (n, channels, window) of healthy operation that the networks were not trained on."""
    found = detector.explain(x)
    residual = channel_residuals(found.anomaly_map).mean(0)
    return Usual(float(found.score.mean()), tuple(map(float, np.maximum(residual, 1e-12))))


def calibrate(detector: Detector, scores: list[Floats], window: int, step: float, config: AlarmConfig) -> AlarmRule:
    """Thresholds from the scores of healthy stretches: the detector's for single rows, the rule's for alarms."""
    scored = [part[np.argmax(np.isfinite(part)) :] for part in scores if np.isfinite(part).any()]
    if not scored:
        raise SampleError(f"no healthy stretch is longer than a window of {window} rows")
    rows = np.concatenate(scored)
    detector.restore(detector.gan_, rows[np.isfinite(rows)], detector.map_scale_, detector.memory_)
    longest = max(map(len, scored))
    block = config.block or max(config.persist, min(BLOCK_WINDOWS * window, longest // 3))
    return AlarmRule.calibrate(scored, block, step, config)


# Scoring.


@dataclass(frozen=True)
class Watched:
    """A recording scored: a table with a row per row, and the alarms in it."""

    table: pd.DataFrame
    alarms: list[Alarm]
    scorer: RowScorer


def score_recording(
    model: SignalModel, recording: Recording, on_rows: Callable[[int], None] = lambda n: None
) -> Watched:
    """Score every row and follow the alarms, exactly as live monitoring would."""
    scorer, tracker = model.scorer(), AlarmTracker(model.rule, model.channels)
    stamps = recording.stamps.tolist()
    scores, shares, active, alarms = [], [], [], []
    for begin in range(0, len(recording), BATCH):
        rows = slice(begin, begin + BATCH)
        found = scorer.push(recording.time[rows], recording.values[rows])
        before = tracker.current.number if tracker.current else 0
        changes = tracker.push(stamps[rows], found.score, found.shares)
        active.append(_active(len(found.score), before, changes))
        alarms += [alarm for _, alarm in changes if alarm.end is not None]
        scores.append(found.score)
        shares.append(found.shares)
        on_rows(len(found.score))
    if current := tracker.ongoing():
        alarms.append(current)
    score = np.concatenate(scores)
    table = pd.DataFrame({"time": stamps, "score": score})
    known = np.isfinite(score)
    table["p_value"] = np.nan
    table.loc[known, "p_value"] = p_values(model.detector.calibration_scores_, score[known])
    table["alarm"] = np.concatenate(active)
    return Watched(table.join(pd.DataFrame(np.concatenate(shares), columns=list(model.channels))), alarms, scorer)


BATCH = 8192  # rows between two looks at the progress bar


def _active(n: int, before: int, changes: list[tuple[int, Alarm]]) -> NDArray[np.int64]:
    """The number of the alarm that each row belongs to (n,), 0 = none; `before` is that of the row before them."""
    active = np.full(n, before)
    for row, alarm in changes:
        active[row:] = alarm.number if alarm.end is None else 0
    return active


def recalibrate(model: SignalModel, recording: Recording, budget: str = "") -> SignalModel:
    """The same networks with thresholds from another healthy recording: the machine, its load or its surroundings have
    changed for good. An empty `budget` keeps the model's."""
    for i, name in enumerate(recording.channels):
        if np.isnan(recording.values[:, i]).all():
            raise SampleError(f"channel {name!r} holds no number; what is healthy cannot be told without it")
    window, rule = model.detector.gan_.shape[1], model.rule
    scorer = model.scorer()
    scorer.warm_up = 0  # as in `calibrated`
    scores = scorer.push(recording.time, recording.values).score
    config = AlarmConfig(budget or rule.budget, rule.persist)
    return replace(model, rule=calibrate(model.detector, [scores], window, model.step, config))


def alarm_table(alarms: list[Alarm]) -> pd.DataFrame:
    """A row per alarm, its channels in words."""
    rows = [alarm.to_dict() | {"shares": alarm.named()} for alarm in alarms]
    return pd.DataFrame(rows, columns=[f.name for f in fields(Alarm)]).rename(columns={"shares": "channels"})
