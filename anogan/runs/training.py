"""Training of a run's networks from the step it has reached: GAN, encoder, locator; and the making of its detectors."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from anogan import parallel
from anogan.config.runs import RunConfig
from anogan.detectors import Detector, detector_class, detector_names
from anogan.errors import TrainingWarning
from anogan.gan.device import resolve_device
from anogan.gan.health import HealthMonitor, health_warnings
from anogan.gan.networks import GAN
from anogan.gan.stages import train_stages
from anogan.gan.training import GANTraining, Training, train
from anogan.runs.directory import Run

Update = Callable[[int, str], None]  # units done since the last call, note to show next to the bar
Stage = Callable[[str, int], AbstractContextManager[Update]]  # name, units in all
OnSamples = Callable[[int, NDArray[np.float32]], None]  # step, samples (n, channels, height, width) in [-1, 1]

HEALTH_EVERY = 250  # steps
ON_DEVICE = 2**31  # bytes of samples that are copied to the accelerator as a whole


@contextmanager
def silent(name: str, total: int) -> Iterator[Update]:
    """Show no progress."""
    yield lambda done, note: None


def unseen(step: int, x: NDArray[np.float32]) -> None:
    """Drop generated samples."""


@dataclass
class _Trainer:
    """Trains, logs, monitors and checkpoints the stages of one run."""

    run: Run[Any]
    x: torch.Tensor
    monitor: HealthMonitor
    stage: Stage
    checkpoint_seconds: float
    on_samples: OnSamples

    def __call__(self, name: str, training: Training) -> GAN:
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

            gan = train(self.x, training, on_log, self.run.config.augment)
        for sentence in health_warnings(self.run.metrics) if name == "gan" else ():
            warnings.warn(sentence, TrainingWarning, stacklevel=5)
        return gan

    def _watch(self, name: str, step: int, gan: GAN) -> dict[str, float]:
        if name == "gan":
            self.on_samples(step, self.monitor.samples(gan).cpu().numpy())
        return self.monitor.measure(gan)


def train_networks(
    run: Run[Any],
    x: torch.Tensor,
    x_held_out: torch.Tensor,
    *,
    device: str = "auto",
    checkpoint_seconds: float = 20.0,
    stage: Stage = silent,
    on_samples: OnSamples = unseen,
) -> tuple[GAN, dict[str, Detector]]:
    """Train the networks on x (n, *shape), and make the run's detectors, not yet fitted.

    Training starts from the step that the run has reached. Held-out samples are monitored, never trained on.
    `on_samples` gets generated samples now and then. Warns `TrainingWarning` if the GAN looks unhealthy. Raises
    `TrainingDivergedError`.
    """
    config, resolved = run.config, resolve_device(device)
    detectors = make_detectors(config, device)
    x = x if x.nbytes > ON_DEVICE else x.to(resolved)
    monitor = HealthMonitor(x, x_held_out, config.gan.latent_dim, config.seed)
    adversarial = GANTraining(tuple(x.shape[1:]), config.gan, config.seed, resolved)
    parts = {name: part for detector in detectors.values() for name, part in detector.parts.items()}
    trainer = _Trainer(run, x, monitor, stage, checkpoint_seconds, on_samples)
    return train_stages(adversarial, parts, trainer), detectors


def row_counter(update: Update) -> Callable[[int], None]:
    """Turn a progress display into a callback that takes a number of rows."""
    return lambda rows: update(rows, "")


def starts(detector: Detector) -> int:
    """Return how often a detector reports a row as done: once per restart of its search."""
    return detector.search.restarts if detector.search else 1


def make_detectors(config: RunConfig, device: str) -> dict[str, Detector]:
    """Make the detectors of a run, not yet fitted, each with those of its views that the settings name.

    Raises `ValueError` if a detector cannot be trained with these settings, or if no detector has a named view.
    """
    choices = dict.fromkeys(view for name in config.detectors for view in detector_class(name)().terms)
    for view in config.views:
        if view not in choices:
            raise ValueError(f"no chosen detector has a view {view!r}; choose from {', '.join(choices)}")
    return {name: make_detector(name, config, device) for name in config.detectors}


def make_detector(name: str, config: RunConfig, device: str) -> Detector:
    """Make the named detector with the run's settings, not yet fitted.

    Raises `ValueError` if it cannot be trained on such data, or a setting cannot be used.
    """
    cls = detector_class(name)
    defaults = cls()
    views = tuple(view for view in defaults.terms if view in config.views)
    if config.views and not views:
        own = ", ".join(defaults.terms)
        raise ValueError(f"{name} has none of the views {', '.join(config.views)}; its views are {own}")
    settings = vars(config) | {"augment": config.augment, "random_state": config.seed, "device": device, "views": views}
    taken = {key: cls.run_settings.get(key, key) for key in defaults.get_params(deep=False)}
    detector = defaults.set_params(**{key: settings[own] for key, own in taken.items() if own in settings})
    detector.check_parameters()
    if "locator" in detector.parts and config.kind != "photos":
        others = ", ".join(other for other in detector_names() if "locator" not in detector_class(other)().parts)
        raise ValueError(f"{name} learns from photos alone; choose detectors from {others}")
    return detector
