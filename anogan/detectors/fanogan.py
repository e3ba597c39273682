"""f-AnoGAN (Schlegl et al. 2019, doi:10.1016/j.media.2019.01.010): invert the generator by a trained encoder."""

from __future__ import annotations

from torch import Tensor

from anogan.config.gan import EncoderConfig, GANConfig
from anogan.detectors.base import Detector
from anogan.gan.scores import Score, fanogan_score


class FAnoGAN(Detector):
    """x -> z = E(x) in one pass; A(x) = R + kappa D, the loss that E was trained on (izi_f)."""

    encoder: EncoderConfig

    def __init__(
        self,
        gan: GANConfig = GANConfig(),
        encoder: EncoderConfig = EncoderConfig(),
        *,
        false_alarm_rate: float = 0.01,
        holdout: float = 0.1,
        random_state: int = 0,
        device: str = "auto",
    ) -> None:
        self.gan = gan
        self.encoder = encoder
        self.false_alarm_rate = false_alarm_rate
        self.holdout = holdout
        self.random_state = random_state
        self.device = device

    def _score(self, x: Tensor, z: Tensor, x_hat: Tensor) -> Score:
        features = self.gan_.discriminator.features
        return fanogan_score(self.encoder, x, x_hat, features(x), features(x_hat))
