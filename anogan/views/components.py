"""The distance of a window from the principal components of training windows: T2 and SPE. Needs no network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from anogan.config.detectors import SubspaceConfig
from anogan.gan.layers import precise
from anogan.gan.networks import GAN
from anogan.views.base import Memory, View
from anogan.views.ellipsoid import SMALLEST_DISTANCE, SMALLEST_SPREAD


@dataclass(frozen=True)
class Components(View):
    """Log of T2 + SPE, each divided by its limit, which is a quantile over training windows."""

    config: SubspaceConfig = SubspaceConfig()
    weight: float = 1.0

    name = "linear"
    remembered = frozenset({"window_mean", "window_spread", "components", "variance", "limits"})

    def remember(self, x: Tensor, gan: GAN) -> Memory:
        return principal_components(x.flatten(1), self.config)

    def distance(self, x: Tensor, z: Tensor, x_hat: Tensor, gan: GAN, memory: Memory) -> Tensor:
        in_limits = t2_and_spe(x.flatten(1), memory) / memory["limits"][:, None]
        return in_limits.sum(0).clamp_min(SMALLEST_DISTANCE).log()


def principal_components(x: Tensor, config: SubspaceConfig) -> Memory:
    """Compute the leading components of standardised x (n, d) that hold a share `config.variance` of the variance."""
    mean, spread = x.mean(0), x.std(0, correction=0).clamp_min(SMALLEST_SPREAD)
    _, values, rows = torch.linalg.svd((x - mean) / spread, full_matrices=False)
    variance = values.square() / len(x)
    held = variance.cumsum(0) / variance.sum().clamp_min(SMALLEST_DISTANCE)
    k = min(int((held < config.variance).sum()) + 1, len(variance))
    memory = {"window_mean": mean, "window_spread": spread}  # (d,)
    memory |= {"components": rows[:k].T.contiguous()}  # (d, k)
    memory |= {"variance": variance[:k].clamp_min(SMALLEST_DISTANCE)}
    limits = t2_and_spe(x, memory).quantile(config.quantile, dim=1)  # (2,)
    return memory | {"limits": limits.clamp_min(SMALLEST_DISTANCE)}


def t2_and_spe(x: Tensor, memory: Memory) -> Tensor:
    """Compute Hotelling's T2 and the squared prediction error (SPE) of x (n, d), (2, n).

    T2 measures the distance within the subspace of the components, SPE the distance from it (Jackson & Mudholkar 1979).
    """
    components = precise(memory["components"])
    standard = (precise(x) - memory["window_mean"]) / memory["window_spread"]
    code = standard @ components
    t2, spe = (code.square() / memory["variance"]).sum(1), (standard - code @ components.T).square().sum(1)
    return torch.stack([t2, spe]).to(x.dtype)
