"""The defects that the locator sees, a network that was trained on pseudo-defects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from anogan.config.gan import AugmentName
from anogan.gan.augment import moved, moved_back, symmetries
from anogan.gan.networks import GAN
from anogan.views.base import Memory, View


@dataclass(frozen=True)
class Defects(View):
    """The locator's logit of each place, averaged over the flips and turns that leave a good part good.

    The locator looks at x and at x - x_hat, where x_hat is its own repair of x.
    """

    augment: Sequence[AugmentName] = ()
    weight: float = 1.0

    name = "locator"
    needs = frozenset({"locator"})

    def distance(self, x: Tensor, z: Tensor, x_hat: Tensor, gan: GAN, memory: Memory) -> Tensor:
        assert gan.locator is not None, "calibrate() refuses networks without a locator"
        network, logits = gan.locator, []
        for i, symmetry in enumerate(symmetries(self.augment)):
            turned = moved(x, symmetry)
            repaired = network.generator(network.encoder(turned)) if i else x_hat
            logits.append(moved_back(network.places(turned, repaired), symmetry))
        return torch.stack(logits).mean(0)
