"""Adversarial losses on logits, and the gradient penalty."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

from anogan.config.gan import LossName


class AdversarialLoss(NamedTuple):
    """The losses of both players, as means over logits (n,): discriminator(real, fake) and generator(fake)."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]


def non_saturating_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Compute -log D(x) - log(1 - D(G(z))), where D is the sigmoid of the logit (Goodfellow et al. 2014)."""
    return softplus(-real).mean() + softplus(fake).mean()


def non_saturating_generator(fake: Tensor) -> Tensor:
    """Compute -log D(G(z))."""
    return softplus(-fake).mean()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Compute max(0, 1 - D(x)) + max(0, 1 + D(G(z))) (Lim & Ye 2017, arXiv:1705.02894)."""
    return relu(1 - real).mean() + relu(1 + fake).mean()


def wasserstein_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Compute D(G(z)) - D(x) (Arjovsky et al. 2017). Needs `gradient_penalty`."""
    return fake.mean() - real.mean()


def critic_generator(fake: Tensor) -> Tensor:
    """Compute -D(G(z)), for the hinge and the Wasserstein loss."""
    return -fake.mean()


LOSSES: dict[LossName, AdversarialLoss] = {
    "non_saturating": AdversarialLoss(non_saturating_discriminator, non_saturating_generator),
    "hinge": AdversarialLoss(hinge_discriminator, critic_generator),
    "wgan_gp": AdversarialLoss(wasserstein_discriminator, critic_generator),
}


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """Compute (|grad D(x)| - 1)^2 at x = mix real + (1 - mix) fake, mix (n,) in [0, 1] (Gulrajani et al. 2017)."""
    mix = mix.view(-1, *[1] * (real.dim() - 1))
    x = (mix * real + (1 - mix) * fake).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    penalty: Tensor = (torch.linalg.vector_norm(gradient.flatten(1), dim=1) - 1).square()
    return penalty
