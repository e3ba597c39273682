"""Training on the normal classes of an image data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from anogan.config.runs import DigitRunConfig
from anogan.detectors import Detector
from anogan.detectors.base import FEWEST
from anogan.detectors.calibration import hold_out
from anogan.digits.datasets import load_dataset
from anogan.digits.model import DigitModel
from anogan.digits.splits import Split, one_vs_rest
from anogan.files import Json
from anogan.gan.inversion import OnRows
from anogan.gan.networks import GAN
from anogan.pictures.drawing import sheets
from anogan.runs.kind import Kind, Samples, Tell
from anogan.runs.training import OnSamples, Stage


@dataclass(frozen=True)
class NormalImages:
    """A data set split by class, with the rows of its normal training images to train on and to hold out."""

    split: Split
    training: torch.Tensor
    held_out: torch.Tensor

    @classmethod
    def of(cls, config: DigitRunConfig, split: Split) -> NormalImages:
        """Hold out a part of the normal training images. Raises `ValueError` if there are too few."""
        training, held_out = map(torch.from_numpy, hold_out(len(split.x_train), config.holdout, config.seed))
        if len(training) < FEWEST or (config.detectors and not len(held_out)):
            raise ValueError(
                f"normal class {config.normal!r} of {config.data} has {len(split.x_train)} training images; "
                f"expected at least {FEWEST} to train on and one to hold out"
            )
        return cls(split, training, held_out)

    def samples(self, folder: Path, stage: Stage) -> Samples:
        x = torch.from_numpy(self.split.x_train)
        return Samples(x[self.training], x[self.held_out])


class Digits(Kind[DigitRunConfig, NormalImages, DigitModel]):
    """Images of one size with classes, of which one or several are normal."""

    model = DigitModel

    def prepare(
        self, config: DigitRunConfig, tell: Tell = lambda sentence: None, data_root: str | None = None
    ) -> NormalImages:
        return NormalImages.of(config, one_vs_rest(load_dataset(config.data, data_root), config.normal))

    def calibrate(
        self,
        detector: Detector,
        gan: GAN,
        samples: Samples,
        prepared: NormalImages,
        config: DigitRunConfig,
        on_rows: OnRows,
    ) -> DigitModel:
        return DigitModel.of(detector.calibrate(gan, samples.x.numpy(), samples.x_held_out.numpy(), on_rows))

    def about(self, models: Mapping[str, DigitModel]) -> Json:
        return {}

    def on_samples(self, folder: Path) -> OnSamples:
        return sheets(folder)
