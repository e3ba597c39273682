"""Sampling from the generator, and paths between latents."""

from __future__ import annotations

import numpy as np
import torch

from anogan.gan.inversion import chunks
from anogan.gan.networks import GAN
from anogan.gan.training import latents, random_stream


def slerp(a: torch.Tensor, b: torch.Tensor, t: float) -> torch.Tensor:
    """Interpolate along the sphere, where N(0, I) has its mass.

    Parameters
    ----------
    a, b : Tensor (n, latent_dim)
        Latents to go from and to, row by row.
    t : float in [0, 1]
        0 gives a, 1 gives b.

    Returns
    -------
    Tensor (n, latent_dim)

    References
    ----------
    White 2016, "Sampling Generative Networks", arXiv:1609.04468.
    """
    angle = torch.nn.functional.cosine_similarity(a, b, dim=-1).clamp(-1, 1).acos().unsqueeze(-1)
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)


def walks(begin: torch.Tensor, end: torch.Tensor, steps: int) -> torch.Tensor:
    """Return latents at equal steps on the path from each row of `begin` to the same row of `end`.

    Parameters
    ----------
    begin, end : Tensor (n, latent_dim)
        Latents to go from and to.
    steps : int
        Latents per path, both ends included.

    Returns
    -------
    Tensor (n * steps, latent_dim)
        One path after the other.
    """
    return torch.stack([slerp(begin, end, t) for t in np.linspace(0, 1, steps)], dim=1).flatten(0, 1)


def generate(gan: GAN, z: torch.Tensor) -> torch.Tensor:
    """Generate samples from latents.

    Parameters
    ----------
    gan : GAN
        Trained networks.
    z : Tensor (n, latent_dim)
        Latents, on any device.

    Returns
    -------
    Tensor (n, *shape)
        G(z) in [-1, 1], on the CPU.
    """
    with torch.no_grad():
        parts = [gan.generator(part)[:count] for part, count in chunks(z, gan.device, gan.shape)]
    return torch.cat(parts).cpu()


def draw(gan: GAN, n: int, seed: int) -> torch.Tensor:
    """Draw normal samples from the generator.

    Parameters
    ----------
    gan : GAN
        Trained networks.
    n : int
        Number of samples.
    seed : int
        The same seed draws the same samples.

    Returns
    -------
    Tensor (n, *shape)
        Samples in [-1, 1], on the CPU.
    """
    return generate(gan, latents(n, gan.config.latent_dim, random_stream(seed, "simulate", 0)))
