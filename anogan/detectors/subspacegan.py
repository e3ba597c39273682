"""SubspaceGAN: how far a window of sensor rows is from usual ones, by a linear model and what the GAN cannot draw."""

from __future__ import annotations

from anogan.config.detectors import SubspaceConfig
from anogan.config.gan import EncoderConfig, GANConfig
from anogan.config.presets import SENSORS
from anogan.detectors.base import Detector, RandomState
from anogan.gan.networks import Shape
from anogan.views.base import View
from anogan.views.components import Components
from anogan.views.fusion import StandardisedSum
from anogan.views.level import Level
from anogan.views.unexplained import Unexplained


class SubspaceGAN(Detector):
    """x -> z = E(x); A(x) is the weighted sum of views, each the logarithm of a distance in units of its spread
    over held-out normal samples:

    - linear: T2 and SPE of the window against the principal components of training windows, by their limits;
    - residual: mean and logarithmic variance of x - G(E(x)) per channel, by Mahalanobis' distance from those of
      training windows;
    - level: the same figures of x itself in its slow channels. `slow` says that the second half of the channels shows
      the first on a slower scale; without it this view counts for nothing.

    Components, means and precisions are part of the model.
    """

    title = "SubspaceGAN"
    rule = StandardisedSum()
    encoder: EncoderConfig

    def __init__(
        self,
        gan: GANConfig = SENSORS.gan,
        encoder: EncoderConfig = SENSORS.encoder,
        subspace: SubspaceConfig = SubspaceConfig(),
        *,
        slow: bool = False,
        sample_shape: Shape | None = None,
        views: tuple[str, ...] = (),
        false_alarm_rate: float = 0.01,
        holdout: float = 0.3,
        random_state: RandomState = 0,
        device: str = "auto",
    ) -> None:
        self.gan = gan
        self.encoder = encoder
        self.subspace = subspace
        self.slow = slow
        self.sample_shape = sample_shape
        self.views = views
        self.false_alarm_rate = false_alarm_rate
        self.holdout = holdout
        self.random_state = random_state
        self.device = device

    @property
    def own_views(self) -> tuple[View, ...]:
        config = self.subspace
        level = Level(config, float(self.slow), self.slow)
        return Components(config), Unexplained(config, config.residual_weight), level
