"""GAN-based anomaly detectors with scikit-learn's face.

A new one is a subclass of `Detector` in one file. It has an entry in DETECTORS, or a package of its own offers it by an
entry point of the group "anogan.detectors".
"""

from importlib.metadata import entry_points

from anogan.detectors.anogan import AnoGAN
from anogan.detectors.base import Detector, Explanation
from anogan.detectors.fanogan import FAnoGAN
from anogan.detectors.hybrid import Hybrid
from anogan.detectors.locatorgan import LocatorGAN
from anogan.detectors.neighbourgan import NeighbourGAN
from anogan.detectors.subspacegan import SubspaceGAN

DETECTORS: dict[str, type[Detector]] = {
    "neighbourgan": NeighbourGAN,
    "subspacegan": SubspaceGAN,
    "locatorgan": LocatorGAN,
    "fanogan": FAnoGAN,
    "anogan": AnoGAN,
    "hybrid": Hybrid,
}
GROUP = "anogan.detectors"  # of entry points


def detector_names() -> list[str]:
    """Return the names of all detectors: those of DETECTORS, then those that installed packages offer."""
    return [*DETECTORS, *sorted(entry_points(group=GROUP).names - DETECTORS.keys())]


def detector_class(name: str) -> type[Detector]:
    """Return the class of a detector by its name. Raises `ValueError` if there is none, naming the choices."""
    if name in DETECTORS:
        return DETECTORS[name]
    if name not in detector_names():
        raise ValueError(f"unknown detector {name!r}; choose from {', '.join(detector_names())}")
    (offered,) = entry_points(group=GROUP, name=name)
    cls = offered.load()
    if not (isinstance(cls, type) and issubclass(cls, Detector)):
        raise ValueError(f"{offered.value}, which is offered as detector {name!r}, is no subclass of Detector")
    return cls


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
    "detector_class",
    "detector_names",
]
