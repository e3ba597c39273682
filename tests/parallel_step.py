"""Run by torchrun or alone: a few steps of GAN and encoder; what the networks then say goes to the file named."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch
from conftest import QUICK_ENCODER, QUICK_GAN, stripes

from anogan import parallel
from anogan.files import write_json
from anogan.gan.training import EncoderTraining, GANTraining, train

STEPS = 3


def main(out: str, loss: str) -> None:
    torch.set_num_threads(1)
    x = torch.from_numpy(stripes(64, (1, 12, 12)))
    extra = {"loss": "wgan_gp", "discriminator_norm": "none", "critic_steps": 2} if loss == "wgan_gp" else {}
    config = replace(QUICK_GAN, steps=STEPS, batch_size=16, **extra)
    logged: list[dict[str, float]] = []
    with parallel.group():
        gan = train(x, GANTraining((1, 12, 12), config, 0), lambda step, metrics: logged.append(metrics))
        encoder = replace(QUICK_ENCODER, steps=STEPS, batch_size=16)
        gan = train(x, EncoderTraining(gan, encoder, 0), lambda step, metrics: logged.append(metrics))
        assert gan.encoder is not None
        z = torch.linspace(-1, 1, 4 * config.latent_dim).view(4, -1)
        said = {
            "generator": gan.generator(z),
            "discriminator": gan.discriminator(x[:8]),
            "encoder": gan.encoder(x[:8]),
            "running_mean": torch.cat([b.flatten() for n, b in gan.named_buffers() if n.endswith("running_mean")]),
            "running_var": torch.cat([b.flatten() for n, b in gan.named_buffers() if n.endswith("running_var")]),
        }
        write_json(
            Path(out),
            {name: tensor.flatten().tolist() for name, tensor in said.items()}
            | {f"logged {i}": list(metrics.values()) for i, metrics in enumerate(logged)},
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
