"""NeighbourGAN: how far a sample is from its nearest normal samples, in oriented gradients and in the GAN's code."""

from __future__ import annotations

from dataclasses import dataclass

from anogan.config.detectors import NeighbourConfig
from anogan.config.gan import EncoderConfig, GANConfig
from anogan.config.presets import DEFAULT
from anogan.detectors.base import Detector
from anogan.views.base import View
from anogan.views.codes import Codes
from anogan.views.fusion import StandardisedSum
from anogan.views.gradients import Gradients


@dataclass(eq=False, repr=False)
class NeighbourGAN(Detector):
    """Compares a sample with its nearest training samples, in two views.

    x -> z = E(x); A(x) is the weighted sum of the views, each the logarithm of a distance in units of its spread over
    held-out normal samples:

    - gradients: oriented gradients of x against those of its nearest training samples;
    - code: E(x) against the nearest codes of training samples, relative to how far apart those are themselves.

    E is trained with parts of its input erased, so that it maps what it does not know to what is normal. The memory
    (gradients and codes of all training samples) is part of the model.
    """

    title = "NeighbourGAN"
    rule = StandardisedSum()

    gan: GANConfig = DEFAULT.gan
    encoder: EncoderConfig = DEFAULT.encoder
    neighbour: NeighbourConfig = NeighbourConfig()

    @property
    def own_views(self) -> tuple[View, ...]:
        return Gradients(self.neighbour), Codes(self.neighbour, self.neighbour.code_weight)
