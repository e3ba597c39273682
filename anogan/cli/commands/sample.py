"""`anogan sample`."""

from __future__ import annotations

import numpy as np
import torch

from anogan.cli.options.others import Sample
from anogan.files import write_bytes
from anogan.gan.sampling import slerp
from anogan.gan.training import latents, random_stream
from anogan.pictures.drawing import picture, png, tile
from anogan.runs.bundle import Bundle

BLOCK = 1024  # images in memory at once
WALK = 10  # pictures between two latents


def run(options: Sample) -> int:
    opened = Bundle.open(options.run)
    gan = opened.gan(options.device)
    if len(gan.shape) != 3:
        raise ValueError(f"expected a model of images, got samples of shape {gan.shape}")
    out = options.out or options.run / "generated"
    stream = random_stream(options.seed, "sample", 0)

    @torch.no_grad()
    def generate(z: torch.Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        parts = [gan.generator(part.to(gan.device)).cpu() for part in torch.split(z, BLOCK)]
        return torch.cat(parts).numpy()

    def draw(n: int) -> torch.Tensor:
        return latents(n, gan.config.latent_dim, stream)

    if options.grid:
        target = out / f"generated_{opened.about['data']}_grid.png"
        write_bytes(target, png(tile(generate(draw(options.grid**2))), zoom=4))
        print(target)
    if options.interpolations:
        ends = draw(2 * options.interpolations).view(2, options.interpolations, -1)
        walk = torch.stack([slerp(ends[0], ends[1], t) for t in np.linspace(0, 1, WALK)], dim=1).flatten(0, 1)
        write_bytes(out / "interpolations.png", png(tile(generate(walk), columns=WALK), zoom=4))
        print(out / "interpolations.png")
    for i, x in enumerate(generate(draw(options.n)) if options.n else ()):
        write_bytes(out / f"sample-{i:05d}.png", png(picture(x)))
    if options.n:
        print(f"{options.n} images in {out}")
    return 0
