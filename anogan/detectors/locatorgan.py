"""LocatorGAN: where in a photo something is wrong, by a linear model and by a network that looks for defects."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from numpy.typing import ArrayLike
from torch import Tensor

from anogan.config.detectors import PlacesConfig
from anogan.config.gan import AugmentName, GANConfig, LocatorConfig
from anogan.config.presets import PHOTOS
from anogan.detectors.base import Detector
from anogan.detectors.calibration import Floats
from anogan.gan.inversion import OnRows
from anogan.gan.networks import Locator
from anogan.views.base import View
from anogan.views.defects import Defects
from anogan.views.fusion import HighestPlace
from anogan.views.photo_components import PhotoComponents


@dataclass(eq=False, repr=False)
class LocatorGAN(Detector):
    """Looks for defects at each place of a photo (channels, height, width).

    x -> z -> x_hat by the locator's own encoder and generator, which began as a copy of the GAN's and learnt to repair.
    A(x) is the highest value of two views of all places, each in units of how high it gets on held-out photos:

    - linear: what the principal components of the training photos leave of x, weighted by the share of variance that
      they explain, so that it is ignored on textures without a layout;
    - locator: the logit of the network that was trained on pseudo-defects, averaged over the flips and turns that
      `augment` names.
    """

    title = "LocatorGAN"
    needs = frozenset({"locator"})

    gan: GANConfig = PHOTOS.gan
    locator: LocatorConfig = PHOTOS.locator
    places: PlacesConfig = PlacesConfig()
    augment: tuple[AugmentName, ...] = ()
    _: KW_ONLY
    holdout: float = 0.25

    @property
    def _network(self) -> Locator:
        assert self.gan_.locator is not None
        return self.gan_.locator

    def _encode(self, x: Tensor) -> Tensor:
        z: Tensor = self._network.encoder(x)
        return z

    def _draw(self, z: Tensor) -> Tensor:
        x_hat: Tensor = self._network.generator(z)
        return x_hat

    @property
    def own_views(self) -> tuple[View, ...]:
        return PhotoComponents(self.places, self.places.linear_weight), Defects(self.augment)

    @property
    def rule(self) -> HighestPlace:
        return HighestPlace(self.places.quantile)

    def _held_out(self, X_normal: ArrayLike, on_rows: OnRows | None) -> tuple[Floats, Floats]:
        """Each sample measured by others than itself; the score is the highest value of the map."""
        scores = self.rule.crossed(self._distances(X_normal), self._weights()).cpu().double().numpy()
        if on_rows:
            on_rows(len(scores))
        return scores, scores
