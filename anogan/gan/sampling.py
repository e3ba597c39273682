"""Samples from the generator, and ways between latents."""

from __future__ import annotations

import numpy as np
import torch

from anogan.gan.inversion import chunks
from anogan.gan.networks import GAN
from anogan.gan.training import latents, random_stream


def slerp(a: torch.Tensor, b: torch.Tensor, t: float) -> torch.Tensor:
    """From rows of a to rows of b along the sphere, where N(0, I) has its mass (White 2016, arXiv:1609.04468)."""
    angle = torch.nn.functional.cosine_similarity(a, b, dim=-1).clamp(-1, 1).acos().unsqueeze(-1)
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)


def walks(begin: torch.Tensor, end: torch.Tensor, steps: int) -> torch.Tensor:
    """Latents (n * steps, latent_dim) on the way from each row of `begin` (n, latent_dim) to the same row of `end`."""
    return torch.stack([slerp(begin, end, t) for t in np.linspace(0, 1, steps)], dim=1).flatten(0, 1)


def generate(gan: GAN, z: torch.Tensor) -> torch.Tensor:
    """G(z) (n, *shape), on the CPU."""
    with torch.no_grad():
        parts = [gan.generator(part)[:count] for part, count in chunks(z, gan.device, gan.shape)]
    return torch.cat(parts).cpu()


def draw(gan: GAN, n: int, seed: int) -> torch.Tensor:
    """n normal samples (n, *shape) in [-1, 1]."""
    return generate(gan, latents(n, gan.config.latent_dim, random_stream(seed, "simulate", 0)))
