"""Settings of detectors."""

from __future__ import annotations

from dataclasses import dataclass

from anogan.config.gan import _require


@dataclass(frozen=True)
class NeighbourConfig:
    """How NeighbourGAN compares a sample with training samples, by gradients and by codes.

    Values chosen on training images.
    """

    neighbours: int = 10
    """Number of nearest training samples. Their mean gradients are compared with those of a sample."""
    code_neighbours: int = 5
    """Number of nearest codes E(x) of training samples. The distance in latent space is the mean over them."""
    code_sparsity: float = 0.75
    """How much of a distance between codes is excused where codes of normal samples lie far apart too: 0 = nothing, 1 =
    all."""
    code_weight: float = 0.25
    """Weight of the codes; the gradients have 1."""
    directions: int = 8
    """Number of directions that the gradients of an image are sorted into."""
    cell: float = 3 / 14
    """Side of the cells in which gradients are counted, as a share of the sample's side. Cells overlap by half."""

    def __post_init__(self) -> None:
        _require(self.directions >= 2, "neighbour.directions", self.directions, ">= 2")
        _require(0 < self.cell <= 1, "neighbour.cell", self.cell, "in (0, 1]")
        for name in ("neighbours", "code_neighbours"):
            _require(getattr(self, name) >= 1, f"neighbour.{name}", getattr(self, name), ">= 1")
        for name in ("code_sparsity", "code_weight"):
            _require(getattr(self, name) >= 0, f"neighbour.{name}", getattr(self, name), ">= 0")


@dataclass(frozen=True)
class SubspaceConfig:
    """How SubspaceGAN looks at a window of sensor rows.

    Values chosen on injected faults and on a series of NAB (experiments/LOG.md).
    """

    variance: float = 0.9
    """Share of the training windows' variance that the principal components keep."""
    residual_weight: float = 1.0
    """Weight of what the GAN cannot redraw; the principal components have 1. 0 = without the GAN."""
    quantile: float = 0.99
    """T2 and the squared error are scaled so that this share of the training windows stays below 1."""
    shrinkage: float = 0.01
    """How far correlations are moved towards zero, so that their matrix can be inverted: near 0 = hardly, 1 = to zero.
    """

    def __post_init__(self) -> None:
        _require(0 < self.variance < 1, "subspace.variance", self.variance, "in (0, 1)")
        _require(0 < self.quantile < 1, "subspace.quantile", self.quantile, "in (0, 1)")
        _require(0 < self.shrinkage <= 1, "subspace.shrinkage", self.shrinkage, "in (0, 1]")
        _require(self.residual_weight >= 0, "subspace.residual_weight", self.residual_weight, ">= 0")


@dataclass(frozen=True)
class PlacesConfig:
    """How LocatorGAN looks at each place of a photo, by principal components and by the locator.

    Values chosen on good photos with injected defects.
    """

    components: int = 50
    """Number of principal components of the training photos. What they cannot restore in a photo is odd."""
    linear_weight: float = 1.0
    """Weight of the principal components, times the share of the variance that they explain; the locator has 1. 0 =
    without the components."""
    quantile: float = 0.9
    """Each of the two is scaled so that the peak of this share of the held-out photos stays below 1."""

    def __post_init__(self) -> None:
        _require(self.components >= 1, "places.components", self.components, ">= 1")
        _require(0 < self.quantile < 1, "places.quantile", self.quantile, "in (0, 1)")
        _require(self.linear_weight >= 0, "places.linear_weight", self.linear_weight, ">= 0")
