"""The three kinds of data by name, and `load`, which opens a trained model of any kind."""

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
    """Load a trained model from its run directory or bundle.

    Nothing in the files is executed.

    Parameters
    ----------
    path : Path or str
        Run directory or bundle folder.
    detector : str, optional
        Name of the detector, such as "neighbourgan"; by default the first one of the run.
    device : str
        "cpu", "cuda" or "auto", which takes a graphics card if there is one.

    Returns
    -------
    DigitModel, SensorModel or PhotoModel
        Its `score` takes an array of images (digits), a recording, table or file (sensors), or files and folders
        (photos). Its `detector` is the scikit-learn estimator inside.

    Raises
    ------
    BundleError
        If there is no bundle, or its files were changed or do not fit together.
    ValueError
        If the run has no such detector.
    """
    bundle = Bundle.open(path)
    model: Model = KINDS[bundle.kind].load(bundle, detector, device)
    return model
