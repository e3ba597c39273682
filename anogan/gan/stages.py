"""The order of training: first the GAN, then each part that is trained while the GAN is frozen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from anogan.config.gan import EncoderConfig, LocatorConfig
from anogan.gan.locator import LocatorTraining
from anogan.gan.networks import GAN
from anogan.gan.training import EncoderTraining, GANTraining, Training

PARTS: dict[str, Callable[[GAN, Any, int], Training]] = {"encoder": EncoderTraining, "locator": LocatorTraining}
Parts = Mapping[str, EncoderConfig | LocatorConfig]  # by the names of PARTS


def train_stages(adversarial: GANTraining, parts: Parts, run: Callable[[str, Training], GAN]) -> GAN:
    """Train all stages and return the networks. `run` trains one of them, by name ("gan", "encoder", "locator")."""
    gan = run("gan", adversarial)
    for name, part in PARTS.items():
        if name in parts:
            gan = run(name, part(gan, parts[name], adversarial.seed))
    return gan
