"""Training of the locator, a network that finds defects. It learns from pseudo-defects drawn into good photos."""

from __future__ import annotations

import copy
import math

import torch
from torch.nn.functional import adaptive_max_pool2d, binary_cross_entropy_with_logits
from torch.optim import Adam

from anogan import parallel
from anogan.config.gan import LocatorConfig
from anogan.gan.networks import GAN, Locator
from anogan.gan.pseudo_defects import spoil
from anogan.gan.training import Samples, State, flatten_state, latents, random_stream, restore_state, seeded_init
from anogan.parallel import share


class LocatorTraining:
    """Training of the locator: it repairs and finds pseudo-defects in photos x (n, channels, height, width).

    The GAN is frozen. The locator's generator starts as a copy of the GAN's generator.

    Parameters
    ----------
    gan : GAN
        The trained GAN.
    config : LocatorConfig
        Steps, batch size, learning rate, and how pseudo-defects are drawn.
    seed : int
        Decides the first weights and all random numbers.
    """

    def __init__(self, gan: GAN, config: LocatorConfig, seed: int) -> None:
        self.config, self.seed, self.step = config, seed, 0
        self.gan = gan.frozen()
        with seeded_init(seed, "locator"):
            locator = Locator(gan.shape, gan.config)
        locator.generator.load_state_dict(gan.generator.state_dict())
        self.locator: Locator = locator.to(gan.device).to(memory_format=torch.channels_last)
        self.optimisers = {"locator": Adam(self.locator.parameters(), lr=config.learning_rate)}

    def update(self, samples: Samples) -> State:
        """Take one step. Returns the losses of repairing (`loss_r`) and of locating (`loss_l`)."""
        config, gan, locator, adam = self.config, self.gan, self.locator, self.optimisers["locator"]
        stream = random_stream(self.seed, "locator", self.step)

        # Draw pseudo-defects.
        photos = samples(self.step)
        z = latents(len(photos), gan.config.latent_dim, stream).to(gan.device)
        drawn = torch.rand(len(photos), 1, 1, 1, generator=stream) < config.drawn
        foreign = torch.where(drawn.to(gan.device), gan.generator(z), photos)
        good, spoiled, mask = map(share, (photos, *spoil(photos, foreign, stream, config)))

        # Repair them, and tell where they were.
        x_hat = locator.generator(locator.encoder(spoiled))
        loss_r = (x_hat - good).square().mean()
        logit = locator.cells(spoiled, x_hat.detach())
        target = adaptive_max_pool2d(mask[:, None], logit.shape[2:])
        loss_l = binary_cross_entropy_with_logits(logit, target, pos_weight=logit.new_tensor(config.defect_weight))

        for group in adam.param_groups:
            group["lr"] = config.learning_rate * rise_and_fall((self.step + 1) / config.steps, config.warm_up)
        adam.zero_grad()
        (loss_r + loss_l).backward()
        parallel.average_gradients(locator)
        adam.step()
        return {"loss_r": loss_r, "loss_l": loss_l}

    def state_dict(self) -> State:
        """Return weights and optimiser moments as one flat dict of tensors."""
        return flatten_state(self.locator, self.optimisers)

    def load_state_dict(self, state: State, step: int) -> None:
        """Continue from a `state_dict` after `step` steps."""
        restore_state(state, self.locator, self.optimisers)
        self.step = step

    def result(self) -> GAN:
        """Return the shared networks with a frozen copy of the locator."""
        gan = copy.deepcopy(self.gan)
        gan.locator = copy.deepcopy(self.locator)
        return gan.frozen()


def rise_and_fall(progress: float, warm_up: float) -> float:
    """Return the share of the learning rate at `progress` (0 to 1): up until `warm_up`, then down half a cosine."""
    fall = (progress - warm_up) / (1 - warm_up)
    return progress / warm_up if fall < 0 else (1 + math.cos(math.pi * fall)) / 2
