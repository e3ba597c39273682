"""f-AnoGAN (Schlegl et al. 2019, doi:10.1016/j.media.2019.01.010): invert the generator by a trained encoder."""

from __future__ import annotations

from dataclasses import dataclass

from anogan.config.gan import EncoderConfig
from anogan.detectors.base import Detector
from anogan.views.base import View
from anogan.views.discrimination import Discrimination
from anogan.views.fusion import Sum
from anogan.views.residual import Residual


@dataclass(eq=False, repr=False)
class FAnoGAN(Detector):
    """x -> z = E(x) in one pass; A(x) = R + kappa D, the loss that E was trained on (izi_f).

    Views: residual and discrimination.
    """

    title = "f-AnoGAN (encoder)"
    rule = Sum()

    encoder: EncoderConfig = EncoderConfig()

    @property
    def own_views(self) -> tuple[View, ...]:
        return Residual(self.encoder.residual), Discrimination("mse", self.encoder.feature_weight)
