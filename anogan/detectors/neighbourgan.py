"""NeighbourGAN: how far a sample is from its nearest normal samples, seen through the gradients, the code and G."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import normalize

from anogan.calibration import Floats
from anogan.config import DEFAULT, EncoderConfig, GANConfig, NeighbourConfig
from anogan.detectors.base import Detector, Memory
from anogan.inversion import OnRows, chunks, encode
from anogan.neighbours import hyperplane_distance, nearest, oriented_gradients
from anogan.networks import GAN
from anogan.scoring import RESIDUALS, Score

FLOOR = 1e-6  # of a distance, before its logarithm
MEMORY = {"gradients", "codes", "errors", "centre", "spread"}


class NeighbourGAN(Detector):
    """x -> z = E(x); A(x) is the weighted sum of three views, each the logarithm of a distance in units of its spread
    over held-out normal samples:

    - gradients: oriented gradients of x against the hyperplane through those of its nearest training samples;
    - code: E(x) against the nearest codes of training samples;
    - reconstruction: x against G(E(x)), relative to how well its nearest training samples are reconstructed.

    E is trained with parts of its input erased, so that it maps what it does not know to what is normal. The memory
    (gradients, codes and residuals of all training samples) is part of the model.
    """

    terms = ("gradients", "code", "reconstruction")
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

    def restore(self, gan: GAN, calibration_scores: Floats, map_scale: float, memory: Memory) -> Self:
        if set(memory) != MEMORY or not all(tensor.isfinite().all() for tensor in memory.values()):
            expected, got = ", ".join(sorted(MEMORY)), ", ".join(sorted(memory))
            raise ValueError(f"expected a memory of finite {expected}; got {got}")
        return super().restore(gan, calibration_scores, map_scale, memory)

    def _passes(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor, int]]:
        """Chunks of x with z and G(z), and how many of their rows count."""
        for (chunk, count), z in zip(chunks(x, self.gan_.device), encode(self.gan_, x), strict=True):
            yield chunk, z, self.gan_.generator(z), count

    @torch.no_grad()
    def _remember(self, x: Tensor, x_normal: Tensor) -> Memory:
        columns: tuple[list[Tensor], ...] = ([], [], [])
        for chunk, z, x_hat, count in self._passes(x):
            found = oriented_gradients(chunk), normalize(z, dim=1), self._error(chunk, x_hat)
            for column, value in zip(columns, found, strict=True):
                column.append(value[:count])
        self.memory_ = dict(zip(("gradients", "codes", "errors"), map(torch.cat, columns), strict=True))
        views = torch.cat([self._views(*passed)[:, :count] for *passed, count in self._passes(x_normal)], dim=1)
        return self.memory_ | {"centre": views.mean(1), "spread": views.std(1, correction=0).clamp_min(FLOOR)}

    def _error(self, x: Tensor, x_hat: Tensor) -> Tensor:
        """log R(x, x_hat) (n,)."""
        return RESIDUALS[self.encoder.residual](x, x_hat).clamp_min(FLOOR).log()

    def _views(self, x: Tensor, z: Tensor, x_hat: Tensor) -> Tensor:
        """Logarithms of the three distances (3, n)."""
        config, memory = self.neighbour, self.memory_
        gradients = oriented_gradients(x)
        _, rows = nearest(gradients, memory["gradients"], config.neighbours)
        shape = hyperplane_distance(gradients, memory["gradients"][rows], config.ridge)
        code, _ = nearest(normalize(z, dim=1), memory["codes"], config.code_neighbours)
        # Halfway between the plain residual and its ratio to the neighbours': some kinds of normal are harder.
        error = self._error(x, x_hat) - memory["errors"][rows].mean(1) / 2
        return torch.stack([shape.clamp_min(FLOOR).log(), code.mean(1).clamp_min(FLOOR).log(), error])

    def _score(self, x: Tensor, z: Tensor, x_hat: Tensor) -> Score:
        views = (self._views(x, z, x_hat) - self.memory_["centre"][:, None]) / self.memory_["spread"][:, None]
        weights = views.new_tensor([1.0, self.neighbour.code_weight, self.neighbour.reconstruction_weight])
        return Score(weights @ views, dict(zip(self.terms, views, strict=True)))
