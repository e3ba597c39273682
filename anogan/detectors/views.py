"""Detectors that look at a sample in several ways and add up what they see."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor

from anogan.detectors.base import Detector, Memory
from anogan.gan.inversion import chunks
from anogan.gan.scores import Score

SMALLEST = 1e-6  # spread of a view


class ViewsDetector(Detector):
    """x -> z = E(x); A(x) is the weighted sum of views, each the logarithm of a distance in units of its spread over
    held-out normal samples."""

    remembered = frozenset({"centre", "spread"})

    @abstractmethod
    def _views(self, x: Tensor, z: Tensor, x_hat: Tensor) -> Tensor:
        """Logarithm of each distance (views, n), in the order of `terms`."""

    @property
    @abstractmethod
    def _weights(self) -> tuple[float, ...]:
        """Weight of each view in the score, in the order of `terms`."""

    def _encoded(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor, int]]:
        """Chunks of x with z, and how many of their rows count."""
        for (chunk, count), z in zip(chunks(x, self.gan_.device), self._invert(x, None), strict=True):
            yield chunk, z, count

    @torch.no_grad()
    def _measure(self, x_normal: Tensor) -> Memory:
        generator = self.gan_.generator
        parts = [self._views(x, z, generator(z))[:, :count] for x, z, count in self._encoded(x_normal)]
        views = torch.cat(parts, dim=1)
        return {"centre": views.mean(1), "spread": views.std(1, correction=0).clamp_min(SMALLEST)}

    def _score(self, x: Tensor, z: Tensor, x_hat: Tensor) -> Score:
        views = (self._views(x, z, x_hat) - self.memory_["centre"][:, None]) / self.memory_["spread"][:, None]
        weights = views.new_tensor(self._weights)[:, None]
        return Score((weights * views).sum(0), dict(zip(self.terms, views, strict=True)))
