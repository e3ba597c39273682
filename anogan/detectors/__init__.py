"""GAN-based anomaly detectors with scikit-learn's face. A new one is a subclass of `Detector` and one entry here."""

from anogan.config.detectors import DetectorName
from anogan.detectors.anogan import AnoGAN
from anogan.detectors.base import Detector, Explanation
from anogan.detectors.fanogan import FAnoGAN
from anogan.detectors.hybrid import Hybrid
from anogan.detectors.locatorgan import LocatorGAN
from anogan.detectors.neighbourgan import NeighbourGAN
from anogan.detectors.subspacegan import SubspaceGAN

DETECTORS: dict[DetectorName, type[Detector]] = {
    "neighbourgan": NeighbourGAN,
    "subspacegan": SubspaceGAN,
    "locatorgan": LocatorGAN,
    "fanogan": FAnoGAN,
    "anogan": AnoGAN,
    "hybrid": Hybrid,
}

__all__ = [
    "DETECTORS",
    "AnoGAN",
    "Detector",
    "Explanation",
    "FAnoGAN",
    "Hybrid",
    "LocatorGAN",
    "NeighbourGAN",
    "SubspaceGAN",
]
