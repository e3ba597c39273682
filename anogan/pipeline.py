"""The main job on a run directory: train and calibrate, then score a labelled test set."""

from __future__ import annotations

import io
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from anogan import bundle, parallel
from anogan.calibration import hold_out, p_values
from anogan.config import DetectorName, PhotoRunConfig, RunConfig, SignalRunConfig
from anogan.data import Split
from anogan.detectors import DETECTORS, Detector, Explanation
from anogan.detectors.base import FEWEST, resolve_device
from anogan.errors import TrainingWarning
from anogan.evaluation import METRICS, auroc, balanced_subset, bootstrap_interval
from anogan.files import write_bytes, write_json, write_text
from anogan.health import HealthMonitor, health_warnings
from anogan.images import png, tile
from anogan.locating import LocatorTraining, train_locator
from anogan.networks import GAN
from anogan.runs import Run
from anogan.training import EncoderTraining, GANTraining, Training, train_encoder, train_gan

Update = Callable[[int, str], None]  # units done since the last call, what to show beside the bar
Stage = Callable[[str, int], AbstractContextManager[Update]]  # name, units in all

HEALTH_EVERY = 250  # steps
ON_DEVICE = 2**31  # bytes of samples that are copied to the accelerator as a whole
GALLERY = 8  # samples of each kind kept for the report


@contextmanager
def silent(name: str, total: int) -> Iterator[Update]:
    """A progress display that shows nothing."""
    yield lambda done, note: None


def normal_rows(config: RunConfig, split: Split) -> tuple[torch.Tensor, torch.Tensor]:
    """Training and held-out normal samples; raises `ValueError` when the class is too small."""
    training, held_out = hold_out(len(split.x_train), config.holdout, config.seed)
    if len(training) < FEWEST or (config.detectors and not len(held_out)):
        raise ValueError(
            f"normal class {config.normal!r} of {config.data} has {len(split.x_train)} training images; "
            f"expected at least {FEWEST} to train on and one to hold out"
        )
    x = torch.from_numpy(split.x_train)
    return x[training], x[held_out]


@dataclass
class _Trainer:
    """Train, log, watch and checkpoint the two stages of one run."""

    run: Run
    monitor: HealthMonitor
    stage: Stage
    checkpoint_seconds: float

    def __call__(self, name: str, training: Training, x: torch.Tensor) -> GAN:
        self.run.load_checkpoint(name, training)
        saved = time.monotonic()
        with self.run.timed(name), self.stage(f"train {name}", training.config.steps) as update:
            update(training.step, "")
            shown = training.step

            def on_log(step: int, metrics: dict[str, float]) -> None:
                nonlocal saved, shown
                if parallel.rank():
                    return
                update(step - shown, "  ".join(f"{key} {value:.3g}" for key, value in metrics.items()))
                shown, last = step, step == training.config.steps
                if step % HEALTH_EVERY == 0 or last:
                    metrics = metrics | self._watch(name, step, training.result())
                self.run.log({"stage": name, "step": step} | metrics)
                if last or time.monotonic() - saved >= self.checkpoint_seconds:
                    self.run.save_checkpoint(name, training)
                    saved = time.monotonic()

            augment = self.run.config.photo.augment if isinstance(self.run.config, PhotoRunConfig) else ()
            if isinstance(training, GANTraining):
                return train_gan(x, training, on_log, augment)
            if isinstance(training, LocatorTraining):
                return train_locator(x, training, on_log, augment)
            assert isinstance(training, EncoderTraining)
            return train_encoder(x, training, on_log, augment)

    def _watch(self, name: str, step: int, gan: GAN) -> dict[str, float]:
        if name == "gan" and len(gan.shape) == 3:
            picture = png(tile(self.monitor.samples(gan).cpu().numpy()))
            write_bytes(self.run.path / "samples" / f"step-{step:06d}.png", picture)
        return self.monitor.measure(gan)


def train_networks(
    run: Run,
    x: torch.Tensor,
    x_held_out: torch.Tensor,
    *,
    device: str = "auto",
    checkpoint_seconds: float = 20.0,
    stage: Stage = silent,
) -> tuple[GAN, dict[DetectorName, Detector]]:
    """Train GAN and encoder on x (n, *shape) from wherever the run stands; also the run's detectors, not yet fitted.

    Held-out samples are watched, never trained on. Warns `TrainingWarning` when the GAN looks unhealthy; raises
    `TrainingDivergedError`.
    """
    config, resolved = run.config, resolve_device(device)
    detectors = {name: make_detector(name, config, device) for name in config.detectors}
    x = x if x.nbytes > ON_DEVICE else x.to(resolved)
    monitor = HealthMonitor(x, x_held_out, config.gan.latent_dim, config.seed)
    train = _Trainer(run, monitor, stage, checkpoint_seconds)
    gan = train("gan", GANTraining(tuple(x.shape[1:]), config.gan, config.seed, resolved), x)
    for sentence in health_warnings(run.metrics):
        warnings.warn(sentence, TrainingWarning, stacklevel=3)
    if any(detector.encoder is not None for detector in detectors.values()):
        gan = train("encoder", EncoderTraining(gan, config.encoder, config.seed), x)
    if isinstance(config, PhotoRunConfig) and any(detector.locator is not None for detector in detectors.values()):
        gan = train("locator", LocatorTraining(gan, config.locator, config.seed), x)
    return gan, detectors


def train_run(
    run: Run, split: Split, *, device: str = "auto", checkpoint_seconds: float = 20.0, stage: Stage = silent
) -> Mapping[DetectorName, Detector]:
    """Train GAN and encoder from wherever the run stands, calibrate its detectors, write the bundle.

    Of several processes all train and the first does the rest. Warnings and errors as in `train_networks`.
    """
    config = run.config
    x, x_held_out = normal_rows(config, split)
    gan, detectors = train_networks(
        run, x, x_held_out, device=device, checkpoint_seconds=checkpoint_seconds, stage=stage
    )
    if parallel.rank():
        return {}
    for name, detector in detectors.items():
        with run.timed(f"calibrate {name}"), stage(f"calibrate {name}", starts(detector) * len(x_held_out)) as update:
            detector.adopt(gan, x.numpy(), x_held_out.numpy(), row_counter(update))
    about = {"data": config.data, "normal": config.normal, "seed": config.seed, "value_range": [-1, 1]}
    bundle.save(run.path / "bundle", gan, detectors, about)
    return detectors


def row_counter(update: Update) -> Callable[[int], None]:
    return lambda rows: update(rows, "")


def starts(detector: Detector) -> int:
    """How often a detector reports a row as done."""
    return detector.search.restarts if detector.search else 1


def make_detector(name: DetectorName, config: RunConfig, device: str) -> Detector:
    """The detector of this name with the run's settings, not yet fitted. Raises `ValueError` where it cannot be trained
    on such data or a setting cannot be used."""
    cls: Any = DETECTORS[name]
    settings: dict[str, Any] = {
        "encoder": config.encoder,
        "search": config.hybrid if name == "hybrid" else config.search,
        "neighbour": config.neighbour,
    }
    if isinstance(config, SignalRunConfig):
        settings["subspace"] = config.subspace
    if isinstance(config, PhotoRunConfig):
        settings |= {"locator": config.locator, "places": config.places, "harmless": config.photo.augment}
    taken = {key: value for key, value in settings.items() if key in cls().get_params(deep=False)}
    detector: Detector = cls(
        config.gan,
        **taken,
        false_alarm_rate=config.false_alarm_rate,
        holdout=config.holdout,
        random_state=config.seed,
        device=device,
    )
    detector.check_parameters()
    if detector.locator is not None and not isinstance(config, PhotoRunConfig):
        others = ", ".join(other for other, made in DETECTORS.items() if made().locator is None)
        raise ValueError(f"{name} learns from photos alone; choose detectors from {others}")
    return detector


# Scoring a labelled test set.


def evaluate_run(
    run: Run,
    split: Split,
    *,
    subset: int = 306,
    device: str = "auto",
    stage: Stage = silent,
    notice: str = "",
) -> dict[str, Any]:
    """Score the test set with every detector of the run; write scores.csv, gallery/ and, last, results.json.

    Encoder detectors score all rows; detectors that search score a fixed subset of about `subset` rows, half normal
    and half from the anomalous classes in equal parts (0 = all rows).
    """
    tables, results = [], {}
    for name in run.config.detectors:
        detector = bundle.load(run.path, name, device)
        rows = np.arange(len(split.x_test))
        if detector.searches and 0 < subset < len(rows):
            rows = balanced_subset(split.label_test, split.y_test, subset, run.config.seed)
        begin = time.monotonic()
        with run.timed(f"score {name}"), stage(f"score {name}", starts(detector) * len(rows)) as update:
            found = detector.explain(split.x_test[rows], row_counter(update))
        seconds = time.monotonic() - begin
        table = _score_table(name, detector, found, split, rows)
        tables.append(table)
        results[name] = summarise(detector, table, split.classes, run.config.seed) | {
            "seconds_per_image": seconds / len(rows),
            "search_steps": detector.search.steps if detector.search else 0,
        }
        shown = list(zip(split.x_test[rows], found.reconstruction, found.anomaly_map, strict=True))
        save_gallery(run, name, shown.__getitem__, table)
    scores = pd.concat(tables, ignore_index=True)
    write_text(run.path / "scores.csv", scores.to_csv(index=False, float_format="%.6g"))
    return write_results(run, results, notice)


def write_results(run: Run, results: Mapping[Any, dict[str, Any]], notice: str = "") -> dict[str, Any]:
    """results.json, whose presence means that the run has been evaluated."""
    first = next(iter(results.values()))
    summary = {
        "dataset": run.config.data,
        "normal": run.config.normal,
        "seed": run.config.seed,
        "notice": notice,
        "detectors": results,
        "seconds": run.seconds,
        "false_alarm_rate": first["false_alarm_rate"],
    }
    write_json(run.path / "results.json", summary)
    return summary


def _score_table(
    name: str, detector: Detector, found: Explanation, split: Split, rows: NDArray[np.intp]
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "detector": name,
            "row": rows,
            "class": [split.classes[label] for label in split.label_test[rows]],
            "anomalous": split.y_test[rows],
            "score": found.score,
            "p_value": p_values(detector.calibration_scores_, found.score),
            "verdict": np.where(found.score > detector.threshold_, "anomaly", "normal"),
            **found.terms,
        }
    )


def summarise(detector: Detector, table: pd.DataFrame, classes: Sequence[str], seed: int) -> dict[str, Any]:
    """Figures of a labelled table of scores."""
    y, score = table["anomalous"].to_numpy(), table["score"].to_numpy()
    flagged = (table["verdict"] == "anomaly").to_numpy()
    summary: dict[str, Any] = {}
    for name, metric in METRICS.items():
        summary[name] = metric(y, score)
        summary[f"{name}_ci"] = list(bootstrap_interval(metric, y, score, seed=seed))
    normal = y == 0
    summary["per_class"] = {
        name: auroc(y[normal | member], score[normal | member])
        for name in classes
        if (member := (table["class"] == name).to_numpy() & ~normal).any()
    }
    return summary | {
        "n_test": len(y),
        "n_normal": int(normal.sum()),
        "n_calibration": len(detector.calibration_scores_),
        "threshold": detector.threshold_,
        "false_alarm_rate": {"promised": detector.false_alarm_rate, "achieved": float(flagged[normal].mean())},
        "detection_rate": float(flagged[~normal].mean()),
    }


Shown = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]  # input, reconstruction, anomaly map


def save_gallery(run: Run, name: str, shown: Callable[[int], Shown], table: pd.DataFrame) -> None:
    """Inputs, reconstructions and maps of the rows that a reader wants to see, as one npz file."""
    order = np.argsort(-table["score"].to_numpy(), kind="stable")  # highest first
    y, flagged = (table["anomalous"] == 1).to_numpy()[order], (table["verdict"] == "anomaly").to_numpy()[order]
    quiet = order[~y & ~flagged]
    picked = {
        "most anomalous": order[y & flagged][:GALLERY],
        "false alarms": order[~y & flagged][:GALLERY],
        "misses": order[y & ~flagged][::-1][:GALLERY],
        "typical normals": quiet[len(quiet) // 2 :][:GALLERY],
    }
    rows = np.concatenate(list(picked.values()))
    x, reconstruction, anomaly_map = (np.stack(parts) for parts in zip(*map(shown, rows), strict=True))
    stream = io.BytesIO()
    np.savez_compressed(
        stream,
        kind=np.concatenate([[kind] * len(index) for kind, index in picked.items()]),
        x=x,
        reconstruction=reconstruction,
        anomaly_map=anomaly_map,
        score=table["score"].to_numpy()[rows],
        p_value=table["p_value"].to_numpy()[rows],
        label=table["class"].to_numpy(dtype=str)[rows],
    )
    write_bytes(run.path / "gallery" / f"{name}.npz", stream.getvalue())
