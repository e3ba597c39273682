"""A trained model of images of one size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from anogan.detectors import Detector
from anogan.digits.arrays import samples_of, score_block
from anogan.errors import BundleError, SampleError
from anogan.pictures.drawing import heatmap, png
from anogan.pictures.files import Pixels
from anogan.pictures.framing import Framing
from anogan.pictures.verdicts import Inspection
from anogan.runs.bundle import Bundle

ZOOM = 4  # of small samples, when they are drawn


@dataclass(frozen=True)
class DigitModel:
    """A trained model of images of one size, usually from `anogan.load`.

    Attributes
    ----------
    detector : Detector
        The scikit-learn estimator inside.
    framing : Framing
        The shape of a sample, and whether images of another size are resized.
    """

    detector: Detector
    framing: Framing
    finds_regions: ClassVar[bool] = False

    @classmethod
    def load(cls, bundle: Bundle, detector: str | None = None, device: str = "auto") -> DigitModel:
        """Load a model from its bundle. Raises `BundleError` if it cannot be trusted or was not trained on images."""
        fitted = bundle.of("digits", "a data set of images").detector(detector, device)
        shape = fitted.gan_.shape
        if len(shape) != 3 or shape[0] not in (1, 3):
            raise BundleError(f"{bundle.folder} scores samples of shape {shape}, which no image has")
        return cls.of(fitted)

    @classmethod
    def of(cls, detector: Detector) -> DigitModel:
        """Make a model that refuses images of another size. `resizing` gives one that accepts them."""
        return cls(detector, Framing(detector.gan_.shape, resize=False))

    def resizing(self) -> DigitModel:
        """Return a model that resizes images of another size."""
        return replace(self, framing=replace(self.framing, resize=True))

    @property
    def promise(self) -> str:
        """The threshold and the false-alarm rate it keeps, as a sentence."""
        detector = self.detector
        return (
            f"threshold {detector.threshold_:.4g} at a false-alarm rate of {detector.false_alarm_rate:g}, "
            f"from {len(detector.calibration_scores_)} held-out images"
        )

    def score(self, x: ArrayLike) -> pd.DataFrame:
        """Score images.

        Parameters
        ----------
        x : array (n, channels, height, width)
            Bytes 0 to 255, or floats in [-1, 1].

        Returns
        -------
        DataFrame
            A row per image: row, score, p_value, verdict, the terms of the score, and the error of an image that could
            not be scored.

        Raises
        ------
        ValueError
            If the images are of another size.
        """
        rows = np.asarray(x)
        if rows.shape[1:] != self.framing.shape:
            raise ValueError(f"got images {rows.shape}, expected (n, {', '.join(map(str, self.framing.shape))})")
        names = list(map(str, range(len(rows))))
        return score_block(self.detector, names, samples_of(rows))

    def inspect(self, photos: Sequence[Pixels | SampleError]) -> list[Inspection | SampleError]:
        """Inspect photos like `PhotoModel.inspect`, but without regions, because map peaks are not calibrated."""
        framed = list(map(self.framing.samples_or_error, photos))
        x = [sample for sample in framed if not isinstance(sample, SampleError)]
        inspections = iter(self._inspections(np.concatenate(x)) if x else [])
        return [sample if isinstance(sample, SampleError) else next(inspections) for sample in framed]

    def _inspections(self, x: Pixels) -> Iterator[Inspection]:
        explanation = self.detector.explain(x)
        p_value, anomaly = self.detector.judge(explanation.score)
        for i, score in enumerate(explanation.score.tolist()):
            terms = {name: float(values[i]) for name, values in explanation.terms.items()}
            places = explanation.anomaly_map[i].max(0), explanation.reconstruction[i]
            yield Inspection(score, float(p_value[i]), bool(anomaly[i]), terms, *places, [])

    def drawn(self, photo: Pixels, inspection: Inspection) -> bytes:
        """Draw the anomaly map as PNG, ZOOM times as large."""
        return png(heatmap(inspection.map[None]), ZOOM)
