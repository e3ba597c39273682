"""A trained model of samples of one size: image data sets and arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from anogan.detectors import Detector
from anogan.detectors.calibration import p_values
from anogan.errors import SampleError
from anogan.pictures.files import Pixels
from anogan.pictures.framing import Framing
from anogan.pictures.verdicts import Inspection


@dataclass(frozen=True)
class SampleModel:
    """A detector of images of one size."""

    detector: Detector
    framing: Framing

    def inspect(self, photos: Sequence[Pixels | SampleError]) -> list[Inspection | SampleError]:
        """As `PhotoModel.inspect`; no regions, as what its maps usually show is not known."""
        framed = [self._sample(photo) for photo in photos]
        x = [sample for sample in framed if not isinstance(sample, SampleError)]
        said = iter(self._said(np.stack(x)) if x else [])
        return [sample if isinstance(sample, SampleError) else next(said) for sample in framed]

    def _sample(self, photo: Pixels | SampleError) -> Pixels | SampleError:
        try:
            return photo if isinstance(photo, SampleError) else self.framing.samples(photo)[0]
        except SampleError as error:
            return error

    def _said(self, x: Pixels) -> Iterator[Inspection]:
        found, detector = self.detector.explain(x), self.detector
        p = p_values(detector.calibration_scores_, found.score)
        for i, score in enumerate(found.score.tolist()):
            terms = {name: float(values[i]) for name, values in found.terms.items()}
            places = found.anomaly_map[i].max(0), found.reconstruction[i]
            yield Inspection(score, float(p[i]), score > detector.threshold_, terms, *places, [])
