"""Encoder, then search: AnoGAN's latent search warm-started from f-AnoGAN's E(x), a few steps instead of 500."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from anogan.config.gan import HYBRID_SEARCH, EncoderConfig, SearchConfig
from anogan.detectors.anogan import AnoGAN
from anogan.gan.inversion import encode


@dataclass(eq=False, repr=False)
class Hybrid(AnoGAN):
    """x -> z by latent search from E(x); A(x) as in AnoGAN."""

    title = "hybrid (encoder, then search)"
    run_settings: ClassVar[Mapping[str, str]] = {"search": "hybrid"}
    needs = frozenset({"encoder"})

    search: SearchConfig = HYBRID_SEARCH
    encoder: EncoderConfig = EncoderConfig()

    def check_parameters(self) -> None:
        super().check_parameters()
        if self.search.restarts != 1:
            raise ValueError(f"restarts of a hybrid must be 1, for it starts at E(x) alone, got {self.search.restarts}")

    def _starts(self, x: Tensor) -> Tensor:
        """Start points (n, 1, latent_dim): each row's own E(x)."""
        with torch.no_grad():
            return torch.cat(list(encode(self.gan_, x)))[: len(x), None]
