"""The models of every kind, and a trained one from its run."""

from __future__ import annotations

from pathlib import Path

from anogan.config.runs import Kind
from anogan.digits.model import DigitModel
from anogan.photos.model import PhotoModel
from anogan.runs.bundle import Bundle
from anogan.sensors.model import SensorModel

Model = DigitModel | SensorModel | PhotoModel
MODELS: dict[Kind, type[Model]] = {"digits": DigitModel, "sensors": SensorModel, "photos": PhotoModel}


def load(path: Path | str, detector: str | None = None, device: str = "auto") -> Model:
    """A trained model of a run or bundle, with its first detector unless another is named.

    Its `score` takes what the kind looks at: an array of images (digits), a recording, table or file (sensors), files
    and folders (photos). Its `detector` is the scikit-learn object inside. Nothing in the files is executed. Raises
    `BundleError` if they cannot be trusted and `ValueError` if there is no such detector.
    """
    bundle = Bundle.open(path)
    return MODELS[bundle.kind].load(bundle, detector, device)
