"""The loops a reader would write from a tutorial: what `experiments.speed` compares with. Same networks, same batch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from anogan.config import GANConfig
from anogan.networks import GAN, Shape


class Images(Dataset[Tensor]):
    """One image at a time through torchvision's transforms."""

    def __init__(self, x: NDArray[np.uint8]) -> None:
        self.x = x
        self.transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, row: int) -> Tensor:
        image: Tensor = self.transform(self.x[row, 0])
        return image


class ReferenceGAN:
    """DCGAN as in the PyTorch tutorial: NCHW, `BCELoss` on a sigmoid, two Adams, `.item()` at every step."""

    def __init__(self, x: NDArray[np.uint8], shape: Shape, config: GANConfig, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.config, self.gan = config, GAN(shape, config).train()
        self.loader = DataLoader(Images(x), config.batch_size, shuffle=True, drop_last=True)
        self.loss = nn.BCELoss()
        adam = {"lr": config.learning_rate, "betas": config.betas}
        self.adam_d = torch.optim.Adam(self.gan.discriminator.parameters(), **adam)  # type: ignore[arg-type]
        self.adam_g = torch.optim.Adam(self.gan.generator.parameters(), **adam)  # type: ignore[arg-type]
        self.batches = self._batches()
        self.history: list[tuple[float, float]] = []

    def _batches(self) -> Iterator[Tensor]:
        while True:
            yield from self.loader

    def steps(self, count: int) -> None:
        generator, discriminator = self.gan.generator, self.gan.discriminator
        for _ in range(count):
            real = next(self.batches)
            ones, zeros = torch.ones(len(real)), torch.zeros(len(real))
            self.adam_d.zero_grad()
            error_real = self.loss(torch.sigmoid(discriminator(real)), ones)
            error_real.backward()
            fake = generator(torch.randn(len(real), self.config.latent_dim))
            error_fake = self.loss(torch.sigmoid(discriminator(fake.detach())), zeros)
            error_fake.backward()
            self.adam_d.step()
            self.adam_g.zero_grad()
            error_g = self.loss(torch.sigmoid(discriminator(fake)), ones)
            error_g.backward()
            self.adam_g.step()
            self.history.append(((error_real + error_fake).item(), error_g.item()))


def search_one(gan: GAN, x: Tensor, steps: int, learning_rate: float, weight: float) -> float:
    """AnoGAN for one image x (1, *shape), as public implementations do it: its score after `steps` Adam updates."""
    z = torch.randn(1, gan.config.latent_dim, requires_grad=True)
    adam = torch.optim.Adam([z], lr=learning_rate)
    score = 0.0
    for _ in range(steps):
        adam.zero_grad()
        x_hat = gan.generator(z)
        residual = (x - x_hat).abs().sum()
        discrimination = (gan.discriminator.features(x) - gan.discriminator.features(x_hat)).abs().sum()
        loss = (1 - weight) * residual + weight * discrimination
        loss.backward()
        adam.step()
        score = loss.item()
    return score
