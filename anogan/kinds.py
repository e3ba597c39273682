"""The three kinds by name, and a trained model of any of them from its run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from anogan.config.runs import KindName
from anogan.digits.model import DigitModel
from anogan.digits.training import Digits
from anogan.photos.model import PhotoModel
from anogan.photos.training import Photos
from anogan.runs.bundle import Bundle
from anogan.runs.kind import Kind
from anogan.sensors.model import SensorModel
from anogan.sensors.training import Sensors

Model = DigitModel | SensorModel | PhotoModel
KINDS: dict[KindName, Kind[Any, Any, Any]] = {"digits": Digits(), "sensors": Sensors(), "photos": Photos()}


def load(path: Path | str, detector: str | None = None, device: str = "auto") -> Model:
    """A trained model of a run or bundle, with its first detector unless another is named.

    Its `score` takes what the kind looks at: an array of images (digits), a recording, table or file (sensors), files
    and folders (photos). Its `detector` is the scikit-learn object inside. Nothing in the files is executed. Raises
    `BundleError` if they cannot be trusted and `ValueError` if there is no such detector.
    """
    bundle = Bundle.open(path)
    model: Model = KINDS[bundle.kind].load(bundle, detector, device)
    return model
