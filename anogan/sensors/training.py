"""Training on a recording of healthy operation, and new thresholds for a machine that has changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anogan.config.runs import AlarmConfig, SensorRunConfig
from anogan.detectors import Detector, SubspaceGAN
from anogan.detectors.calibration import Floats
from anogan.errors import SampleError
from anogan.files import Json
from anogan.gan.inversion import OnRows
from anogan.gan.networks import GAN
from anogan.runs.kind import Kind, Samples, Tell
from anogan.sensors.alarms import AlarmRule
from anogan.sensors.healthy import Healthy, Part, block_of, parts_of, prepare
from anogan.sensors.model import SensorModel, about_sensors
from anogan.sensors.recordings import Recording, read_recording
from anogan.sensors.scoring import RowScorer, Usual, channel_residuals


class Sensors(Kind[SensorRunConfig, Healthy, SensorModel]):
    """Rows of a machine's sensors, recorded in healthy operation."""

    model = SensorModel

    def prepare(
        self, config: SensorRunConfig, tell: Tell = lambda sentence: None, data_root: str | None = None
    ) -> Healthy:
        own = config.sensors
        recording = read_recording(Path(config.data), own.time_column, own.channels, own.day_first)
        for note in recording.notes:
            tell(f"{config.data}: {note}")
        return prepare(config, recording)

    def calibrate(
        self,
        detector: Detector,
        gan: GAN,
        samples: Samples,
        prepared: Healthy,
        config: SensorRunConfig,
        on_rows: OnRows,
    ) -> SensorModel:
        return calibrated(detector, gan, prepared, config, on_rows)

    def about(self, models: Mapping[str, SensorModel]) -> Json:
        return {"sensors": about_sensors(models)}


def calibrated(
    detector: Detector,
    gan: GAN,
    healthy: Healthy,
    config: SensorRunConfig,
    on_rows: OnRows | None = None,
) -> SensorModel:
    """Calibrate a detector and its alarms.

    A detector stores samples of all healthy rows, because a machine changes slowly and its last rows are most like the
    next ones. Scores for the thresholds come from held-out stretches; each is scored while the detector stores all but
    that one (cross-conformal prediction: Vovk 2015). The networks have seen none of them.
    """
    x_held_out, smoothing = healthy.x_held_out.numpy(), config.sensors.smoothing
    if isinstance(detector, SubspaceGAN):
        detector.slow = healthy.slow > 1
    detector.calibrate(gan, healthy.x.numpy(), x_held_out, on_rows)
    usual = usual_of(detector, x_held_out)
    scores = []
    for i, fold in enumerate(healthy.folds):
        if detector.remembered:
            detector.remember(healthy.without(i))

        def scorer() -> RowScorer:
            return RowScorer(detector, healthy.scaling, healthy.step, healthy.slow, smoothing, usual)

        scores += scores_of(scorer, fold.parts, healthy.block)
    if detector.remembered:
        detector.remember(healthy.every.numpy())
    return SensorModel(
        detector,
        healthy.channels,
        healthy.scaling,
        healthy.step,
        healthy.slow,
        smoothing,
        usual,
        calibrate(detector, scores, healthy.block, healthy.step, config.alarm),
        config.sensors.time_column,
        config.sensors.day_first,
    )


def usual_of(detector: Detector, x: NDArray[np.float32]) -> Usual:
    """Measure healthy windows x (n, channels, window) that the networks were not trained on."""
    found = detector.explain(x)
    residual = channel_residuals(found.anomaly_map).mean(0)
    return Usual(float(found.score.mean()), tuple(map(float, np.maximum(residual, 1e-12))))


def scores_of(scorer: Callable[[], RowScorer], parts: list[Part], block: int) -> list[Floats]:
    """Return the scores that calibrate, one array per part, each by a new scorer."""
    scores = []
    for part in parts:
        scoring = scorer()
        score = scoring.push(part.time, part.values).score[part.first(scoring.warm_up, block) :]
        scores.append(score[np.isfinite(score)])
    return scores


def calibrate(detector: Detector, scores: list[Floats], block: int, step: float, config: AlarmConfig) -> AlarmRule:
    """Set thresholds from the scores of healthy stretches: the detector's for single rows, the rule's for alarms."""
    detector.load_state(detector.gan_, np.concatenate(scores), detector.map_scale_, detector.memory_)
    return AlarmRule.calibrate(scores, block, step, config)


def recalibrate(model: SensorModel, recording: Recording, budget: str = "") -> SensorModel:
    """Return the same networks with thresholds from another healthy recording.

    This is for a machine whose load or surroundings have changed for good. An empty `budget` keeps the model's.
    """
    for i, name in enumerate(recording.channels):
        if np.isnan(recording.values[:, i]).all():
            raise SampleError(f"channel {name!r} holds no number, so its healthy level is unknown")
    window, rule = model.detector.gan_.shape[1], model.rule
    config = replace(rule.config, budget=budget or rule.budget)
    parts = parts_of(replace(recording, step=model.step), slice(0, len(recording)))
    block = block_of(config, parts, window, model.slow, "the recording holds")
    if max(len(part.time) for part in parts) - window + 1 >= rule.block:
        block = rule.block
    scores = scores_of(model.scorer, parts, block)
    return replace(model, rule=calibrate(model.detector, scores, block, model.step, config))
