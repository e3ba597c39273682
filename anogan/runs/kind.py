"""Digits, sensors, photos: what each kind of data does by itself. The rest of a model's life is the same for all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

from torch import Tensor

from anogan import parallel
from anogan.config.runs import RunConfig
from anogan.detectors import Detector
from anogan.gan.inversion import OnRows
from anogan.gan.networks import GAN
from anogan.runs.bundle import Bundle, save
from anogan.runs.directory import Run
from anogan.runs.training import OnSamples, Stage, row_counter, silent, starts, train_networks, unseen

Tell = Callable[[str], None]  # a sentence for the user


class Samples(NamedTuple):
    """Normal samples in [-1, 1]: those to train on (n, channels, *size) and those held out (m, channels, *size)."""

    x: Tensor
    x_held_out: Tensor


class Prepared(Protocol):
    """Training data that has been found and checked."""

    def samples(self, folder: Path, stage: Stage) -> Samples:
        """Read them; what memory may not hold is kept in `folder`."""


class Model(Protocol):
    """A calibrated detector, and what its kind of data must go through before and after it."""

    @classmethod
    def load(cls, bundle: Bundle, detector: str | None = None, device: str = "auto") -> Self:
        """A trained model, by its first detector unless another is named. Raises `BundleError` where the bundle cannot
        be trusted or is of another kind, and `ValueError` where there is no such detector."""

    @property
    def detector(self) -> Detector: ...
    @property
    def promise(self) -> str:
        """The threshold, and what it promises, in words."""


C = TypeVar("C", bound=RunConfig)
P = TypeVar("P", bound=Prepared)
M = TypeVar("M", bound=Model)


class Kind(ABC, Generic[C, P, M]):
    """One kind of data: its settings C, its training data P and its models M."""

    model: type[M]

    @abstractmethod
    def prepare(self, config: C, tell: Tell = lambda sentence: None, data_root: str | None = None) -> P:
        """Find the training data and check it against the settings, before anything is written.

        Parameters
        ----------
        config
            Settings of the run; `config.data` names the data.
        tell
            Is told what the user should know: what was left out, or guessed.
        data_root
            Folder of the data sets of images; their usual place unless given.

        Raises
        ------
        ValueError, AnoganError
            Where the data cannot be used, or is too little for the settings.
        """

    @abstractmethod
    def calibrate(self, detector: Detector, gan: GAN, samples: Samples, prepared: P, config: C, on_rows: OnRows) -> M:
        """Calibrate a detector with trained networks on the samples held out; `on_rows` is told how many are done."""

    @abstractmethod
    def about(self, models: Mapping[str, M]) -> dict[str, Any]:
        """What a bundle says of the models besides their detectors; their `load` reads it."""

    def load(self, bundle: Bundle, detector: str | None = None, device: str = "auto") -> M:
        """A trained model, by its first detector unless another is named."""
        return self.model.load(bundle, detector, device)

    def train(
        self,
        run: Run[C],
        prepared: P,
        *,
        device: str = "auto",
        checkpoint_seconds: float = 20.0,
        stage: Stage = silent,
    ) -> dict[str, M]:
        """Train from wherever the run stands, calibrate its detectors, write the bundle.

        Of several processes all train and the first does the rest; the others get no model. Warnings and errors as in
        `train_networks`; warns `CalibrationWarning` where held-out samples are too few for what is promised.
        """
        samples = prepared.samples(run.path, stage)
        gan, detectors = train_networks(
            run,
            *samples,
            device=device,
            checkpoint_seconds=checkpoint_seconds,
            stage=stage,
            on_samples=self.on_samples(run.path / "samples"),
        )
        models: dict[str, M] = {}
        if parallel.rank():
            return models
        for name, detector in detectors.items():
            total = starts(detector) * len(samples.x_held_out)
            with run.timed(f"calibrate {name}"), stage(f"calibrate {name}", total) as update:
                models[name] = self.calibrate(detector, gan, samples, prepared, run.config, row_counter(update))
        about = run.config.about | (self.about(models) if models else {})
        save(run.path / "bundle", gan, detectors, run.config.kind, about)
        return models

    def on_samples(self, folder: Path) -> OnSamples:
        """What shows generated samples while the GAN is trained."""
        return unseen

    def evaluate(
        self, run: Run[C], prepared: P, *, device: str = "auto", stage: Stage = silent
    ) -> dict[str, Any] | None:
        """Score the labelled test data that lies beside the training data; None where there is none."""
        return None
