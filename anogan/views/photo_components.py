"""The part of a photo that the principal components of good photos do not explain, at each place. Needs no network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from anogan.config.detectors import PlacesConfig
from anogan.gan.inversion import chunks
from anogan.gan.layers import precise
from anogan.gan.networks import GAN
from anogan.gan.scores import blur, passes_of_blur
from anogan.views.base import Memory, View

SMALLEST_VARIANCE = 1e-3  # variance of held-out photos; samples lie in [-1, 1]
MOST_PHOTOS = 2000  # photos that the principal components are computed from


@dataclass(frozen=True)
class PhotoComponents(View):
    """Size of the unexplained part at each place of x (n, channels, height, width), smoothed.

    It is weighted by the share of variance that the components explain on held-out photos, so that it is ignored on
    textures without a layout.
    """

    config: PlacesConfig = PlacesConfig()
    weight: float = 1.0

    name = "linear"
    remembered = frozenset({"mean", "components", "explained"})

    def remember(self, x: Tensor, gan: GAN) -> Memory:
        rows = x[:: -(-len(x) // MOST_PHOTOS)].flatten(1)
        mean = rows.mean(0)
        k = min(self.config.components, len(rows) // 4)
        values, vectors = torch.linalg.eigh((rows - mean) @ (rows - mean).T)  # far fewer photos than pixels
        leading = vectors[:, -k:] / values[-k:].clamp_min(1e-6).sqrt()
        return {"mean": mean, "components": ((rows - mean).T @ leading).contiguous()}  # (d,), (d, k)

    def measure(self, x_normal: Tensor, gan: GAN, memory: Memory) -> Memory:
        left, whole = 0.0, 0.0
        for x, count in chunks(x_normal, gan.device):
            left += float(unexplained(x, memory)[:count].square().sum())
            whole += float((x.flatten(1) - memory["mean"])[:count].square().sum())
        return {"explained": torch.tensor([max(0.0, 1 - left / max(whole, SMALLEST_VARIANCE))])}

    def distance(self, x: Tensor, z: Tensor, x_hat: Tensor, gan: GAN, memory: Memory) -> Tensor:
        left = unexplained(x, memory).abs().mean(1, keepdim=True)
        return blur(left, passes_of_blur(x.shape[2:], 2.0))[:, 0]

    def weigh(self, memory: Memory) -> Tensor:
        return self.weight * memory["explained"][0]


def unexplained(x: Tensor, memory: Memory) -> Tensor:
    """Return the part of x (n, *shape) that the components do not explain."""
    rows = precise(x.flatten(1)) - memory["mean"]
    components = precise(memory["components"])
    return (rows - (rows @ components) @ components.T).to(x.dtype).view_as(x)
