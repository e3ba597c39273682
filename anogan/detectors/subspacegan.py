"""SubspaceGAN: how far a window of sensor rows is from usual ones, by a linear model and what the GAN cannot draw."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from anogan.config.detectors import SubspaceConfig
from anogan.config.gan import EncoderConfig, GANConfig
from anogan.config.presets import SENSORS
from anogan.detectors.base import Detector
from anogan.views.base import View
from anogan.views.components import Components
from anogan.views.fusion import StandardisedSum
from anogan.views.level import Level
from anogan.views.unexplained import Unexplained


@dataclass(eq=False, repr=False)
class SubspaceGAN(Detector):
    """Looks at a window of sensor rows by a linear model and by what the GAN cannot draw.

    x -> z = E(x); A(x) is the weighted sum of views, each the logarithm of a distance in units of its spread over
    held-out normal samples:

    - linear: T2 and SPE of the window against the principal components of training windows, by their limits;
    - residual: mean and logarithmic variance of x - G(E(x)) per channel, by Mahalanobis' distance from those of
      training windows;
    - level: the same figures of x itself in its slow channels. `slow` says that the second half of the channels shows
      the first on a slower scale; without it this view counts for nothing.

    Components, means and precisions are part of the model.
    """

    title = "SubspaceGAN"
    rule = StandardisedSum()

    gan: GANConfig = SENSORS.gan
    encoder: EncoderConfig = SENSORS.encoder
    subspace: SubspaceConfig = SubspaceConfig()
    _: KW_ONLY
    slow: bool = False
    holdout: float = 0.3

    @property
    def own_views(self) -> tuple[View, ...]:
        config = self.subspace
        level = Level(config, float(self.slow), self.slow)
        return Components(config), Unexplained(config, config.residual_weight), level
