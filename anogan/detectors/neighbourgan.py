"""NeighbourGAN: how far a sample is from its nearest normal samples, in oriented gradients and in the GAN's code."""

from __future__ import annotations

from anogan.config.detectors import NeighbourConfig
from anogan.config.gan import EncoderConfig, GANConfig
from anogan.config.presets import DEFAULT
from anogan.detectors.base import Detector, RandomState
from anogan.gan.networks import Shape
from anogan.views.base import View
from anogan.views.codes import Codes
from anogan.views.fusion import StandardisedSum
from anogan.views.gradients import Gradients


class NeighbourGAN(Detector):
    """x -> z = E(x); A(x) is the weighted sum of two views, each the logarithm of a distance in units of its spread
    over held-out normal samples:

    - gradients: oriented gradients of x against those of its nearest training samples;
    - code: E(x) against the nearest codes of training samples, relative to how far apart those are themselves.

    E is trained with parts of its input erased, so that it maps what it does not know to what is normal. The memory
    (gradients and codes of all training samples) is part of the model.
    """

    title = "NeighbourGAN"
    rule = StandardisedSum()
    encoder: EncoderConfig

    def __init__(
        self,
        gan: GANConfig = DEFAULT.gan,
        encoder: EncoderConfig = DEFAULT.encoder,
        neighbour: NeighbourConfig = NeighbourConfig(),
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
        self.neighbour = neighbour
        self.sample_shape = sample_shape
        self.views = views
        self.false_alarm_rate = false_alarm_rate
        self.holdout = holdout
        self.random_state = random_state
        self.device = device

    @property
    def own_views(self) -> tuple[View, ...]:
        return Gradients(self.neighbour), Codes(self.neighbour, self.neighbour.code_weight)
