"""Settings of detectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from anogan.config.gan import _require

DetectorName = Literal["neighbourgan", "subspacegan", "locatorgan", "fanogan", "anogan", "hybrid"]


@dataclass(frozen=True)
class NeighbourConfig:
    """NeighbourGAN: how its two views of a sample are made and weighed (chosen on training images)."""

    neighbours: int = 10
    """Nearest training samples whose mean gradients a sample is compared with."""
    code_neighbours: int = 5
    """Nearest codes E(x) that the distance in latent space is averaged over."""
    code_sparsity: float = 0.75
    """How much of the distance between codes is excused where normal codes are far apart: 0 = nothing, 1 = all."""
    code_weight: float = 0.25
    """Weight of the code beside the gradients' 1."""
    directions: int = 8
    """Directions that gradients of an image are counted by."""
    cell: float = 3 / 14
    """Side of a cell that gradients are counted in, as a share of the sample's side; cells overlap by half."""

    def __post_init__(self) -> None:
        _require(self.directions >= 2, "neighbour.directions", self.directions, ">= 2")
        _require(0 < self.cell <= 1, "neighbour.cell", self.cell, "in (0, 1]")
        for name in ("neighbours", "code_neighbours"):
            _require(getattr(self, name) >= 1, f"neighbour.{name}", getattr(self, name), ">= 1")
        for name in ("code_sparsity", "code_weight"):
            _require(getattr(self, name) >= 0, f"neighbour.{name}", getattr(self, name), ">= 0")


@dataclass(frozen=True)
class SubspaceConfig:
    """SubspaceGAN: its views of a window of sensor rows (chosen on injected faults and on a series of NAB: LOG.md)."""

    variance: float = 0.9
    """Share of the variance of training windows that the principal components hold."""
    residual_weight: float = 1.0
    """Weight of what the GAN cannot draw beside the components' 1; 0 = without the GAN."""
    quantile: float = 0.99
    """Share of training windows that stay below 1 in T2, and in the squared error."""
    shrinkage: float = 0.01
    """How far correlations are shrunk towards none, so that they can be inverted."""

    def __post_init__(self) -> None:
        _require(0 < self.variance < 1, "subspace.variance", self.variance, "in (0, 1)")
        _require(0 < self.quantile < 1, "subspace.quantile", self.quantile, "in (0, 1)")
        _require(0 < self.shrinkage <= 1, "subspace.shrinkage", self.shrinkage, "in (0, 1]")
        _require(self.residual_weight >= 0, "subspace.residual_weight", self.residual_weight, ">= 0")


@dataclass(frozen=True)
class PlacesConfig:
    """LocatorGAN: its two views of each place of a photo (chosen on good photos with injected defects)."""

    components: int = 50
    """Principal components of the training photos, beside which the linear view looks."""
    linear_weight: float = 1.0
    """Weight of what the components leave, times the share that they explain, beside the locator's 1; 0 = without."""
    quantile: float = 0.9
    """Share of held-out photos whose peak stays below 1 in a view."""

    def __post_init__(self) -> None:
        _require(self.components >= 1, "places.components", self.components, ">= 1")
        _require(0 < self.quantile < 1, "places.quantile", self.quantile, "in (0, 1)")
        _require(self.linear_weight >= 0, "places.linear_weight", self.linear_weight, ">= 0")
