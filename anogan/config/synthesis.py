"""Settings of new data made with a trained model. They belong to a call, not to a run, and stand in its manifest."""

from __future__ import annotations

from dataclasses import dataclass

from anogan.config.gan import _require


def _check_severities(severities: tuple[float, float]) -> None:
    _require(0 < severities[0] <= severities[1], "severities", severities, "two numbers > 0, the lower one first")


@dataclass(frozen=True)
class SynthesisConfig:
    """How generated sensor windows become new data.

    Values chosen on SKAB's teaching experiments and on simulated pumps, unless a field says otherwise
    (experiments/LOG.md).
    """

    max_angle: float = 45.0
    """Largest angle in degrees by which an imitated fault's latent is turned away from that of the recorded one."""
    severities: tuple[float, float] = (0.5, 2.0)
    """Lowest and highest severity of imitated faults, 1 = as recorded, drawn evenly in ratios."""
    candidates: int = 512
    """Windows of which the best one continues a long recording; from one fixed pool it went in circles."""
    overlap: float = 0.4
    """Share of a window that overlaps the one before it in a long recording (image quilting: Efros & Freeman 2001)."""
    moment_samples: int = 4096
    """Minimum number of generated windows whose mean and covariance are compared with those of recorded ones."""
    samples_per_value: int = 2
    """Minimum number of windows for each value of a window, to estimate a covariance at all (rule of thumb)."""

    def __post_init__(self) -> None:
        _require(0 <= self.max_angle <= 180, "max_angle", self.max_angle, "in [0, 180] degrees")
        _check_severities(self.severities)
        _require(0 < self.overlap < 1, "overlap", self.overlap, "in (0, 1)")
        for name in ("candidates", "moment_samples", "samples_per_value"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), ">= 1")


@dataclass(frozen=True)
class ImitationConfig:
    """How a recorded defect is put onto photos of good parts.

    Values are first guesses. Others were tried on solar cells and commutators; none was better (experiments/LOG.md).
    """

    severities: tuple[float, float] = (0.5, 1.5)
    """Lowest and highest opacity of a defect, 1 = as recorded, drawn evenly in ratios."""
    max_shift: float = 0.1
    """Farthest that a defect is moved along an axis, as a share of that side."""
    pixel_share: float = 1e-2
    """Share of good pixels that exceed a pixel of a defect in the anomaly map, at most."""
    core: float = 0.5
    """Share of the anomaly map's peak above which a pixel belongs to the defect in any case."""
    edge: float = 0.012
    """Standard deviation of the defect's soft edge, as a share of the shorter side."""

    def __post_init__(self) -> None:
        _check_severities(self.severities)
        for name in ("max_shift", "pixel_share", "core", "edge"):
            _require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "in [0, 1]")
