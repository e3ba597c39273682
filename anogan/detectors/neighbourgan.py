"""NeighbourGAN: how far a sample is from its nearest normal samples, in oriented gradients and in the GAN's code."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import normalize

from anogan.config import DEFAULT, EncoderConfig, GANConfig, NeighbourConfig
from anogan.detectors.base import Detector, Memory
from anogan.inversion import OnRows, chunks, encode
from anogan.neighbours import nearest, neighbour_distance, oriented_gradients, spacing
from anogan.scoring import Score

SMALLEST = 1e-6  # spread of a view


class NeighbourGAN(Detector):
    """x -> z = E(x); A(x) is the weighted sum of two views, each the logarithm of a distance in units of its spread
    over held-out normal samples:

    - gradients: oriented gradients of x against those of its nearest training samples;
    - code: E(x) against the nearest codes of training samples, relative to how far apart those are themselves: beside a
      dense kind of normal a small distance is already odd, in a varied one it is not.

    E is trained with parts of its input erased, so that it maps what it does not know to what is normal. The memory
    (gradients and codes of all training samples) is part of the model.
    """

    terms = ("gradients", "code")
    remembered = frozenset({"gradients", "codes", "spacing", "centre", "spread"})
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

    def _invert(self, x_all: Tensor, on_rows: OnRows | None) -> Iterator[Tensor]:
        return encode(self.gan_, x_all, on_rows)

    @torch.no_grad()
    def _remember(self, x: Tensor, x_normal: Tensor) -> Memory:
        columns: tuple[list[Tensor], list[Tensor]] = ([], [])
        for chunk, z, count in self._encoded(x):
            for column, value in zip(columns, (oriented_gradients(chunk), normalize(z, dim=1)), strict=True):
                column.append(value[:count])
        gradients, codes = map(torch.cat, columns)
        space = spacing(codes, self.neighbour.code_neighbours)
        self.memory_ = {"gradients": gradients, "codes": codes, "spacing": space}
        views = torch.cat([self._views(chunk, z)[:, :count] for chunk, z, count in self._encoded(x_normal)], dim=1)
        return self.memory_ | {"centre": views.mean(1), "spread": views.std(1, correction=0).clamp_min(SMALLEST)}

    def _encoded(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor, int]]:
        """Chunks of x with z, and how many of their rows count."""
        for (chunk, count), z in zip(chunks(x, self.gan_.device), encode(self.gan_, x), strict=True):
            yield chunk, z, count

    def _views(self, x: Tensor, z: Tensor) -> Tensor:
        """Logarithms of the two distances (2, n)."""
        config, memory = self.neighbour, self.memory_
        gradients = neighbour_distance(oriented_gradients(x), memory["gradients"], config.neighbours)
        distance, rows = nearest(normalize(z, dim=1), memory["codes"], config.code_neighbours)
        code = distance.mean(1).log() - config.code_sparsity * memory["spacing"][rows].mean(1)
        return torch.stack([gradients, code])

    def _score(self, x: Tensor, z: Tensor, x_hat: Tensor) -> Score:
        views = (self._views(x, z) - self.memory_["centre"][:, None]) / self.memory_["spread"][:, None]
        weights = views.new_tensor([1.0, self.neighbour.code_weight])
        return Score(weights @ views, dict(zip(self.terms, views, strict=True)))
