"""anogan: train a GAN on what is normal, flag what is not."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anogan.config.detectors import NeighbourConfig, PlacesConfig, SubspaceConfig
    from anogan.config.gan import EncoderConfig, GANConfig, LocatorConfig, SearchConfig
    from anogan.detectors import DETECTORS, AnoGAN, Detector, FAnoGAN, Hybrid, LocatorGAN, NeighbourGAN, SubspaceGAN
    from anogan.digits.model import DigitModel
    from anogan.kinds import load
    from anogan.photos.model import PhotoModel
    from anogan.sensors.model import SensorModel

__version__ = "0.1.0"

# Imported at first use: `anogan --help` must not wait for torch.
_HOME = {
    "load": "anogan.kinds",
    "EncoderConfig": "anogan.config.gan",
    "GANConfig": "anogan.config.gan",
    "LocatorConfig": "anogan.config.gan",
    "LocatorGAN": "anogan.detectors",
    "NeighbourConfig": "anogan.config.detectors",
    "SearchConfig": "anogan.config.gan",
    "DETECTORS": "anogan.detectors",
    "DigitModel": "anogan.digits.model",
    "PhotoModel": "anogan.photos.model",
    "SensorModel": "anogan.sensors.model",
    "AnoGAN": "anogan.detectors",
    "Detector": "anogan.detectors",
    "FAnoGAN": "anogan.detectors",
    "Hybrid": "anogan.detectors",
    "NeighbourGAN": "anogan.detectors",
    "PlacesConfig": "anogan.config.detectors",
    "SubspaceConfig": "anogan.config.detectors",
    "SubspaceGAN": "anogan.detectors",
}

__all__ = [
    "DETECTORS",
    "AnoGAN",
    "Detector",
    "DigitModel",
    "EncoderConfig",
    "FAnoGAN",
    "GANConfig",
    "Hybrid",
    "LocatorConfig",
    "LocatorGAN",
    "NeighbourConfig",
    "NeighbourGAN",
    "PhotoModel",
    "PlacesConfig",
    "SearchConfig",
    "SensorModel",
    "SubspaceConfig",
    "SubspaceGAN",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'anogan' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
