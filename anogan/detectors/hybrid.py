"""Encoder, then search: AnoGAN's latent search warm-started from f-AnoGAN's E(x), a few steps instead of 500."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from anogan.config.gan import HYBRID_SEARCH, EncoderConfig, GANConfig, SearchConfig
from anogan.detectors.anogan import AnoGAN
from anogan.detectors.base import RandomState
from anogan.gan.inversion import encode
from anogan.gan.networks import Shape


class Hybrid(AnoGAN):
    """x -> z by latent search from E(x); A(x) as in AnoGAN."""

    title = "hybrid (encoder, then search)"
    run_settings: ClassVar[Mapping[str, str]] = {"search": "hybrid"}
    needs = frozenset({"encoder"})

    def __init__(
        self,
        gan: GANConfig = GANConfig(),
        encoder: EncoderConfig = EncoderConfig(),
        search: SearchConfig = HYBRID_SEARCH,
        *,
        sample_shape: Shape | None = None,
        views: tuple[str, ...] = (),
        false_alarm_rate: float = 0.01,
        holdout: float = 0.1,
        random_state: RandomState = 0,
        device: str = "auto",
    ) -> None:
        super().__init__(
            gan,
            search,
            sample_shape=sample_shape,
            views=views,
            false_alarm_rate=false_alarm_rate,
            holdout=holdout,
            random_state=random_state,
            device=device,
        )
        self.encoder = encoder

    def check_parameters(self) -> None:
        super().check_parameters()
        if self.search.restarts != 1:
            raise ValueError(f"restarts of a hybrid must be 1, for it starts at E(x) alone, got {self.search.restarts}")

    def _starts(self, x: Tensor) -> Tensor:
        """Start points (n, 1, latent_dim): each row's own E(x)."""
        with torch.no_grad():
            return torch.cat(list(encode(self.gan_, x)))[: len(x), None]
