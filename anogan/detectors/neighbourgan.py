"""NeighbourGAN: how far a sample is from its nearest normal samples, in oriented gradients and in the GAN's code."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from anogan.config.detectors import NeighbourConfig
from anogan.config.gan import EncoderConfig, GANConfig
from anogan.config.presets import DEFAULT
from anogan.detectors.base import Memory
from anogan.detectors.neighbours import nearest, neighbour_distance, oriented_gradients, spacing
from anogan.detectors.views import ViewsDetector


class NeighbourGAN(ViewsDetector):
    """x -> z = E(x); A(x) is the weighted sum of two views, each the logarithm of a distance in units of its spread
    over held-out normal samples:

    - gradients: oriented gradients of x against those of its nearest training samples;
    - code: E(x) against the nearest codes of training samples, relative to how far apart those are themselves: beside a
      dense kind of normal a small distance is already odd, in a varied one it is not.

    E is trained with parts of its input erased, so that it maps what it does not know to what is normal. The memory
    (gradients and codes of all training samples) is part of the model.
    """

    terms = ("gradients", "code")
    remembered = ViewsDetector.remembered | {"gradients", "codes", "spacing"}
    encoder: EncoderConfig

    def __init__(
        self,
        gan: GANConfig = DEFAULT.gan,
        encoder: EncoderConfig = DEFAULT.encoder,
        neighbour: NeighbourConfig = NeighbourConfig(),
        *,
        false_alarm_rate: float = 0.01,
        holdout: float = 0.1,
        random_state: int = 0,
        device: str = "auto",
    ) -> None:
        self.gan = gan
        self.encoder = encoder
        self.neighbour = neighbour
        self.false_alarm_rate = false_alarm_rate
        self.holdout = holdout
        self.random_state = random_state
        self.device = device

    @property
    def _weights(self) -> tuple[float, ...]:
        return 1.0, self.neighbour.code_weight

    @torch.no_grad()
    def _remember(self, x: Tensor) -> Memory:
        columns: tuple[list[Tensor], list[Tensor]] = ([], [])
        for chunk, z, count in self._encoded(x):
            for column, value in zip(
                columns, (oriented_gradients(chunk, self.neighbour), normalize(z, dim=1)), strict=True
            ):
                column.append(value[:count])
        gradients, codes = map(torch.cat, columns)
        return {"gradients": gradients, "codes": codes, "spacing": spacing(codes, self.neighbour.code_neighbours)}

    def _views(self, x: Tensor, z: Tensor, x_hat: Tensor) -> Tensor:
        config, memory = self.neighbour, self.memory_
        gradients = neighbour_distance(oriented_gradients(x, config), memory["gradients"], config.neighbours)
        distance, rows = nearest(normalize(z, dim=1), memory["codes"], config.code_neighbours)
        code = distance.mean(1).log() - config.code_sparsity * memory["spacing"][rows].mean(1)
        return torch.stack([gradients, code])
