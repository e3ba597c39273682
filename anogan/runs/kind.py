"""The base class of the three kinds: what each kind of data does in its own way. All else is shared."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

from torch import Tensor

from anogan import parallel
from anogan.config.runs import RunConfig
from anogan.detectors import Detector
from anogan.files import Json
from anogan.gan.inversion import OnRows
from anogan.gan.networks import GAN
from anogan.runs.bundle import Bundle, save
from anogan.runs.directory import Run
from anogan.runs.training import OnSamples, Stage, row_counter, silent, starts, train_networks, unseen

Tell = Callable[[str], None]  # takes a sentence for the user


class Samples(NamedTuple):
    """Normal samples in [-1, 1]: to train on (n, channels, *size), and held out (m, channels, *size)."""

    x: Tensor
    x_held_out: Tensor


class Prepared(Protocol):
    """Training data that has been found and checked."""

    def samples(self, folder: Path, stage: Stage) -> Samples:
        """Read the samples. What may not fit in memory is kept on disk in `folder`."""


class Model(Protocol):
    """A calibrated detector, with the processing of its kind of data before and after it."""

    @classmethod
    def load(cls, bundle: Bundle, detector: str | None = None, device: str = "auto") -> Self:
        """Load a trained model with the named detector, or the first one.

        Raises `BundleError` if the bundle cannot be trusted or is of another kind, and `ValueError` if there is no such
        detector.
        """

    @property
    def detector(self) -> Detector:
        """The scikit-learn estimator inside."""

    @property
    def promise(self) -> str:
        """The threshold and what it guarantees, as a sentence."""


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
        config : RunConfig
            Settings of the run; `config.data` names the data.
        tell : callable
            Called with each sentence that the user should read, such as what was left out or guessed.
        data_root : str, optional
            Folder of the image data sets; by default as in `digits.idx.data_root`.

        Returns
        -------
        Prepared

        Raises
        ------
        ValueError, AnoganError
            If the data cannot be used, or is too little for the settings.
        """

    @abstractmethod
    def calibrate(self, detector: Detector, gan: GAN, samples: Samples, prepared: P, config: C, on_rows: OnRows) -> M:
        """Calibrate a detector on the held-out samples. `on_rows` gets the number of samples just scored."""

    @abstractmethod
    def about(self, models: Mapping[str, M]) -> Json:
        """Return what a bundle stores of the models besides their detectors. `load` of the models reads it."""

    def load(self, bundle: Bundle, detector: str | None = None, device: str = "auto") -> M:
        """Load a trained model with the named detector, or the first one."""
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
        """Train from the step that the run has reached, calibrate its detectors, and write the bundle.

        Returns the models by the names of their detectors. Of several processes all train, the first does the rest, and
        the others get no model. A checkpoint is written every `checkpoint_seconds`; `stage` shows the progress.
        Warnings and errors are those of `train_networks`; warns `CalibrationWarning` if there are too few held-out
        samples for the promised rate.
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
        """Return what shows generated samples while the GAN is trained; by default they are dropped."""
        return unseen

    def evaluate(self, run: Run[C], prepared: P, *, device: str = "auto", stage: Stage = silent) -> Json | None:
        """Score the labelled test data that lies next to the training data. Returns None if there is none."""
        return None
