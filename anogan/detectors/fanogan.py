"""f-AnoGAN (Schlegl et al. 2019, doi:10.1016/j.media.2019.01.010): invert the generator by a trained encoder."""

from __future__ import annotations

from anogan.config.gan import EncoderConfig, GANConfig
from anogan.detectors.base import Detector, RandomState
from anogan.gan.networks import Shape
from anogan.views.base import View
from anogan.views.discrimination import Discrimination
from anogan.views.fusion import Sum
from anogan.views.residual import Residual


class FAnoGAN(Detector):
    """x -> z = E(x) in one pass; A(x) = R + kappa D, the loss that E was trained on (izi_f).

    Views: residual and discrimination.
    """

    title = "f-AnoGAN (encoder)"
    rule = Sum()
    encoder: EncoderConfig

    def __init__(
        self,
        gan: GANConfig = GANConfig(),
        encoder: EncoderConfig = EncoderConfig(),
        *,
        sample_shape: Shape | None = None,
        views: tuple[str, ...] = (),
        false_alarm_rate: float = 0.01,
        holdout: float = 0.1,
        random_state: RandomState = 0,
        device: str = "auto",
    ) -> None:
        self.gan = gan
        self.encoder = encoder
        self.sample_shape = sample_shape
        self.views = views
        self.false_alarm_rate = false_alarm_rate
        self.holdout = holdout
        self.random_state = random_state
        self.device = device

    @property
    def own_views(self) -> tuple[View, ...]:
        return Residual(self.encoder.residual), Discrimination("mse", self.encoder.feature_weight)
