"""AnoGAN (Schlegl et al. 2017, arXiv:1703.05921): invert the generator by searching z for every query."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from anogan.config.gan import SearchConfig
from anogan.detectors.base import Detector
from anogan.gan.inversion import OnRows, chunks, search_latent
from anogan.gan.training import random_stream
from anogan.views.base import View
from anogan.views.discrimination import Discrimination
from anogan.views.fusion import Sum
from anogan.views.residual import Residual


@dataclass(eq=False, repr=False)
class AnoGAN(Detector):
    """x -> z by latent search from fixed random starts; A(x) = (1 - lambda) R + lambda D, which the search minimises.

    Views: residual and discrimination.
    """

    title = "AnoGAN (latent search)"
    needs = frozenset()
    rule = Sum()
    searches = True

    search: SearchConfig = SearchConfig()

    def _starts(self, x: Tensor) -> Tensor:
        """Start points (n, restarts, latent_dim): the same for every row, so that a score depends on its row alone."""
        stream = random_stream(self.random_state_, "search", 0)
        starts = torch.randn(self.search.restarts, self.gan_.config.latent_dim, generator=stream)
        return starts.to(x.device).expand(len(x), -1, -1)

    def _invert(self, x_all: Tensor, on_rows: OnRows | None) -> Iterator[Tensor]:
        x_all = x_all.to(self.gan_.device)
        z, _ = search_latent(self.gan_, x_all, self._starts(x_all), self.search, on_rows)
        for part, _ in chunks(z, z.device, self.gan_.shape):
            yield part

    @property
    def own_views(self) -> tuple[View, ...]:
        weight = self.search.discrimination_weight
        return Residual(self.search.residual, 1 - weight), Discrimination("l1", weight)
