"""A served model: loaded, described, and applied to photos and tables."""

from __future__ import annotations

import io
import platform
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import anogan
from anogan.config.runs import KindName
from anogan.config.serialise import to_dict
from anogan.detectors.calibration import Floats
from anogan.digits.model import DigitModel
from anogan.errors import SampleError
from anogan.files import Json
from anogan.kinds import KINDS, Model
from anogan.photos.model import PhotoModel
from anogan.pictures.files import Pixels, batches, read_photo
from anogan.pictures.verdicts import Inspection
from anogan.runs.bundle import Bundle
from anogan.sensors.model import SensorModel
from anogan.serve.limits import Refusal
from anogan.serve.tables import Scored, Table, Unanswered, alarm_as_json, read

MOST_SCORES = 1000  # calibration scores in a description
Tell = Callable[[str, Pixels | SampleError, Inspection | SampleError], Any]  # name, photo, verdict on it -> answer


class Upload(NamedTuple):
    """One photo of a request: its name, its contents or the reason why they are not used, and its number of pixels."""

    name: str
    content: bytes | SampleError
    pixels: int


class Photos(NamedTuple):
    """The photos of a request, and the function that makes their answers."""

    uploads: Sequence[Upload]
    tell: Tell


@dataclass(frozen=True, eq=False)
class Loaded(ABC):
    """A model in memory, with its name and digest."""

    name: str
    kind: KindName
    sha256: str
    trained_on: str
    since: datetime
    model: Model
    detector_name: str

    def describe(self) -> Json:
        """Describe the model to a client, as JSON."""
        detector = self.model.detector
        about: Json = {
            "name": self.name,
            "kind": self.kind,
            "detector": self.detector_name,
            "terms": list(detector.terms),
            "shape": list(detector.gan_.shape),
            "threshold": detector.threshold_,
            "false_alarm_rate": detector.false_alarm_rate,
            "sha256": self.sha256,
            "trained on": self.trained_on,
            "versions": {
                "anogan": anogan.__version__,
                "torch": torch.__version__,
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
            "loaded": self.since.isoformat(timespec="seconds"),
            "calibration": thinned(detector.calibration_scores_),
            "n_calibration": len(detector.calibration_scores_),
        }
        return about | self._of_kind()

    @abstractmethod
    def _of_kind(self) -> Json:
        """Return what a description says of models of this kind alone."""


@dataclass(frozen=True, eq=False)
class LoadedImages(Loaded):
    """A model of digits or photos."""

    model: DigitModel | PhotoModel

    def _of_kind(self) -> Json:
        framing = self.model.framing
        return {"crop": list(framing.crop), "tiles": framing.overlap is not None}

    def look(self, asked: Sequence[Photos]) -> list[list[Any]]:
        """Answer each request about its photos, which are decoded and dropped one after another."""
        uploads = [(upload, photos.tell) for photos in asked for upload in photos.uploads]
        bytes_of = 4 * self.model.framing.shape[0]
        parts = batches(uploads, lambda asked: bytes_of * asked[0].pixels, most=len(uploads))
        answers = iter([answer for part in parts for answer in self._look(part)])
        return [[next(answers) for _ in photos.uploads] for photos in asked]

    def _look(self, uploads: Sequence[tuple[Upload, Tell]]) -> Iterator[Any]:
        photos = [_read(upload, self.model.framing.shape[0]) for upload, _ in uploads]
        for (upload, tell), photo, inspection in zip(uploads, photos, self.model.inspect(photos), strict=True):
            yield tell(upload.name, photo, inspection)


@dataclass(frozen=True, eq=False)
class LoadedSensors(Loaded):
    """A model of sensors."""

    model: SensorModel

    def _of_kind(self) -> Json:
        model = self.model
        rule = {key: value for key, value in to_dict(model.rule).items() if key != "peaks"}
        return {
            "channels": list(model.channels),
            "step": model.step,
            "window": model.detector.gan_.shape[1],
            "threshold": model.rule.threshold,  # for the score of a row
            "alarm": rule,
        }

    def score(self, asked: Sequence[Table]) -> list[Scored | Unanswered]:
        """Return rows and alarms of each table, each from a new state."""
        return [self._score(table) for table in asked]

    def _score(self, table: Table) -> Scored | Unanswered:
        try:
            recording = read(self.model, table)
        except (SampleError, Refusal) as error:
            return error
        scored = self.model.score(recording)
        alarms = [alarm_as_json(alarm.to_dict()) for alarm in scored.alarms]
        about = {"model": self.name, "sha256": self.sha256, "notes": list(recording.notes), "alarms": alarms}
        return Scored.of(about, scored.table)


AnyLoaded = LoadedImages | LoadedSensors
LOADED: dict[KindName, type[AnyLoaded]] = {"digits": LoadedImages, "sensors": LoadedSensors, "photos": LoadedImages}


def load(name: str, path: Path, device: str = "auto") -> AnyLoaded:
    """Load a run or bundle. Raises `BundleError` if it cannot be trusted, or is replaced in the meantime."""
    bundle = Bundle.open(path)
    model = KINDS[bundle.kind].load(bundle, device=device)
    trained_on = Path(str(bundle.about.get("data", ""))).name  # clients need not know the folder
    now = datetime.now(UTC)
    return LOADED[bundle.kind](name, bundle.kind, bundle.digest, trained_on, now, model, bundle.detectors[0])


def _read(upload: Upload, channels: int) -> Pixels | SampleError:
    if isinstance(upload.content, SampleError):
        return upload.content
    try:
        return read_photo(io.BytesIO(upload.content), channels)
    except SampleError as error:
        return error


def thinned(scores: Floats) -> list[float]:
    """Return at most MOST_SCORES of sorted scores, evenly spaced, including the first and the last."""
    places = np.unique(np.linspace(0, len(scores) - 1, min(MOST_SCORES, len(scores))).round().astype(int))
    return [float(score) for score in scores[places]]
