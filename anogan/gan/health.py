"""Health of a GAN during training: sample diversity, reconstruction of held-out normal samples, and warnings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from anogan.config.gan import SearchConfig
from anogan.gan.inversion import search_latent
from anogan.gan.networks import GAN
from anogan.gan.scores import mse
from anogan.gan.training import latents, random_stream

WATCHED_SAMPLES = 64  # fixed latents, watched throughout the training
PROBES = 32  # held-out normal samples that a short search must reproduce
PROBE_SEARCH = SearchConfig(steps=30, learning_rate=0.1, patience=0, residual="mse", discrimination_weight=0.0)
COLLAPSED = 0.5  # share of the data's own diversity
DECIDED = 0.98  # D(x) and 1 - D(G(z)) above this: the discriminator no longer teaches


def spread(x: Tensor) -> float:
    """Compute the mean distance between two rows of x (n, ...), divided by the root of the number of values per row."""
    return float(torch.pdist(x.flatten(1)).mean() / x[0].numel() ** 0.5)


class HealthMonitor:
    """Measures one training on fixed latents `z` and fixed held-out samples. Deterministic for a given seed.

    The samples may lie on another device than the networks.
    """

    def __init__(self, x_train: Tensor, x_held_out: Tensor, latent_dim: int, seed: int) -> None:
        stream = random_stream(seed, "health", 0)
        self.z = latents(WATCHED_SAMPLES, latent_dim, stream)
        self.probes = x_held_out[:PROBES]
        self.reference = spread(x_train[torch.randperm(len(x_train), generator=stream)[:WATCHED_SAMPLES]])

    @torch.no_grad()
    def samples(self, gan: GAN) -> Tensor:
        """Generate G(z) of the fixed latents, (64, *shape)."""
        x: Tensor = gan.generator(self.z.to(gan.device))
        return x

    def measure(self, gan: GAN) -> dict[str, float]:
        """Return `diversity` and `reconstruction`.

        `diversity` is the spread of generated samples divided by the spread of the data; it is left out once there is
        an encoder. `reconstruction` is the mean squared error on held-out normal samples, with z from E(x) if there is
        an encoder, else from a short search.
        """
        metrics = {} if gan.encoder else {"diversity": spread(self.samples(gan)) / max(self.reference, 1e-12)}
        if len(self.probes):
            metrics["reconstruction"] = self._reconstruction(gan)
        return metrics

    @torch.no_grad()
    def _reconstruction(self, gan: GAN) -> float:
        probes = self.probes.to(gan.device)
        if gan.encoder is not None:
            z = gan.encoder(probes)
        else:
            starts = self.z[: len(probes), None].to(gan.device)
            z, _ = search_latent(gan, probes, starts, PROBE_SEARCH)
        return float(mse(probes, gan.generator(z)).mean())


def health_warnings(history: Sequence[dict[str, Any]]) -> list[str]:
    """Return one sentence for each problem that the last log lines of a GAN's training show. Empty if there is none."""
    sentences = []
    diversity = [line["diversity"] for line in history if "diversity" in line]
    if diversity and diversity[-1] < COLLAPSED:
        sentences.append(
            f"the generator has collapsed: its samples have {diversity[-1]:.0%} of the data's diversity "
            f"(healthy: above {COLLAPSED:.0%}); try discriminator_norm spectral, another seed or fewer steps"
        )
    last = [line for line in history if "d_real" in line][-5:]
    if len(last) == 5 and all(line["d_real"] > DECIDED and line["d_fake"] < 1 - DECIDED for line in last):
        sentences.append(
            "the discriminator has won: it tells every sample from every fake, so the generator learns no more; "
            "try a lower learning rate or loss wgan_gp"
        )
    return sentences
