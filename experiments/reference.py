"""The loops a reader would write from a tutorial, and ours beside them: same networks, same batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from anogan.config.gan import EncoderConfig, GANConfig
from anogan.config.presets import PRESETS
from anogan.gan.networks import GAN
from anogan.gan.training import EncoderTraining, GANTraining, encoder_loss, train

PAPERS = PRESETS["papers"]
SHAPE = (1, 28, 28)
Pixels = np.ndarray[Any, np.dtype[np.uint8]]
HEAD = 2  # layers of the discriminator after its features: 7x7 convolution to one logit, sigmoid


def _copy(target: Tensor, source: Tensor, pixels_first: bool) -> None:
    """Our matrices stand for convolutions of 7x7 pixels, channels last."""
    if source.dim() == 2 and target.dim() == 4:
        source = (
            source.unflatten(0, (7, 7, -1)).permute(3, 2, 0, 1)
            if pixels_first
            else source.unflatten(1, (7, 7, -1)).permute(0, 3, 1, 2)
        )
    target.copy_(source)


@torch.no_grad()
def plain_networks(gan: GAN) -> tuple[nn.Sequential, nn.Sequential, nn.Sequential]:
    """Generator, discriminator and encoder of `gan` (1x28x28) as a tutorial writes them, NCHW, with its weights."""
    latent_dim, width = gan.config.latent_dim, gan.config.width
    generator = nn.Sequential(
        nn.ConvTranspose2d(latent_dim, 2 * width, 7, bias=False),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(True),
        nn.ConvTranspose2d(2 * width, width, 4, 2, 1),
        nn.BatchNorm2d(width),
        nn.ReLU(True),
        nn.ConvTranspose2d(width, 1, 4, 2, 1),
        nn.Tanh(),
    )

    def trunk(outputs: int) -> list[nn.Module]:
        return [
            nn.Conv2d(1, width, 4, 2, 1),
            nn.LeakyReLU(0.2, True),
            nn.Conv2d(width, 2 * width, 4, 2, 1),
            nn.BatchNorm2d(2 * width),
            nn.LeakyReLU(0.2, True),
            nn.Conv2d(2 * width, outputs, 7),
        ]

    discriminator = nn.Sequential(*trunk(1), nn.Sigmoid())
    encoder = nn.Sequential(*trunk(latent_dim))
    for plain, ours in ((generator, gan.generator), (discriminator, gan.discriminator), (encoder, gan.encoder)):
        if ours is not None:
            state = zip(plain.state_dict().values(), ours.state_dict().values(), strict=True)
            for target, source in state:
                _copy(target, source, pixels_first=plain is generator)
    return generator, discriminator, encoder


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


class Reference:
    """DCGAN as in the PyTorch tutorial, then an f-AnoGAN encoder as in public implementations: per-image transforms,
    NCHW, `BCELoss`, gradients through every network, `.item()` at every step."""

    def __init__(self, x: NDArray[np.uint8], gan: GAN, encoder: EncoderConfig = EncoderConfig()) -> None:
        self.config, self.encoder_config = gan.config, encoder
        self.generator, self.discriminator, self.encoder = plain_networks(gan)
        self.loader = DataLoader(Images(x), gan.config.batch_size, shuffle=True, drop_last=True)
        self.loss = nn.BCELoss()
        rate, betas = gan.config.learning_rate, gan.config.betas
        self.adam_d = torch.optim.Adam(self.discriminator.parameters(), lr=rate, betas=betas)
        self.adam_g = torch.optim.Adam(self.generator.parameters(), lr=rate, betas=betas)
        self.adam_e = torch.optim.Adam(self.encoder.parameters(), lr=encoder.learning_rate)
        self.batches = self._batches()
        self.history: list[tuple[float, ...]] = []

    def _batches(self) -> Iterator[Tensor]:
        while True:
            yield from self.loader

    def steps(self, count: int) -> None:
        """Adversarial training."""
        for _ in range(count):
            real = next(self.batches)
            ones, zeros = torch.ones(len(real)), torch.zeros(len(real))
            self.adam_d.zero_grad()
            error_real = self.loss(self.discriminator(real).view(-1), ones)
            error_real.backward()
            fake = self.generator(torch.randn(len(real), self.config.latent_dim, 1, 1))
            error_fake = self.loss(self.discriminator(fake.detach()).view(-1), zeros)
            error_fake.backward()
            self.adam_d.step()
            self.adam_g.zero_grad()
            error_g = self.loss(self.discriminator(fake).view(-1), ones)
            error_g.backward()
            self.adam_g.step()
            self.history.append(((error_real + error_fake).item(), error_g.item()))

    def residual(self, x: Tensor) -> Tensor:
        """A(x) of f-AnoGAN (n,): mean squared errors of pixels and of features."""
        x_hat, features = self.generator(self.encoder(x)), self.discriminator[:-HEAD]
        pixels = (x - x_hat).square().flatten(1).mean(1)
        distance = (features(x) - features(x_hat)).square().flatten(1).mean(1)
        score: Tensor = pixels + self.encoder_config.feature_weight * distance
        return score

    @torch.no_grad()
    def scores(self, x: Tensor) -> Tensor:
        """`residual` of the networks as they would be used."""
        self.encoder.eval()
        return torch.cat([self.residual(part) for part in x.split(500)])

    def encoder_steps(self, count: int) -> None:
        """Training of the encoder, izi_f."""
        self.encoder.train()
        self.generator.eval()
        self.discriminator.eval()
        for _ in range(count):
            self.adam_e.zero_grad()
            error = self.residual(next(self.batches)).mean()
            error.backward()
            self.adam_e.step()
            self.history.append((error.item(),))


def search_one(
    generator: nn.Module, features: nn.Module, x: Tensor, steps: int, learning_rate: float, weight: float
) -> float:
    """AnoGAN for one image x (1, 1, 28, 28), as public implementations do it: its score after `steps` Adam updates."""
    latent_dim = next(generator.parameters()).shape[0]
    z = torch.randn(1, latent_dim, 1, 1, requires_grad=True)
    adam = torch.optim.Adam([z], lr=learning_rate)
    score = 0.0
    for _ in range(steps):
        adam.zero_grad()
        x_hat = generator(z)
        residual = (x - x_hat).abs().sum()
        discrimination = (features(x) - features(x_hat)).abs().sum()
        loss = (1 - weight) * residual + weight * discrimination
        loss.backward()
        adam.step()
        score = loss.item()
    return score


def images(n: int) -> Pixels:
    """n random images (n, 1, 28, 28): speed does not depend on what they show."""
    return np.random.default_rng(0).integers(0, 256, (n, *SHAPE), np.uint8)


def unit_range(pixels: Pixels) -> Tensor:
    return torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1)


class Ours:
    """Our loops, a few steps at a time."""

    def __init__(self, pixels: Pixels, gan: GANConfig, encoder: EncoderConfig, seed: int) -> None:
        self.x, self.encoder_config = unit_range(pixels), encoder
        self.training = GANTraining(SHAPE, gan, seed)
        self.encoder_training: EncoderTraining | None = None

    def steps(self, count: int) -> None:
        self.training.config = replace(self.training.config, steps=self.training.step + count)
        train(self.x, self.training)

    def encoder_steps(self, count: int) -> None:
        if self.encoder_training is None:
            self.encoder_training = EncoderTraining(self.training.result(), self.encoder_config, self.training.seed)
        training = self.encoder_training
        training.config = replace(self.encoder_config, steps=training.step + count)
        train(self.x, training)

    @torch.no_grad()
    def scores(self, x: Tensor) -> Tensor:
        """A(x) of f-AnoGAN (n,), the loss of the encoder."""
        assert self.encoder_training is not None
        gan, config = self.encoder_training.result(), self.encoder_config
        return torch.cat([encoder_loss(gan, gan.encoder, config, part, torch.Generator()) for part in x.split(500)])  # type: ignore[arg-type]


def loops(pixels: Pixels, gan: GANConfig, seed: int = 0) -> dict[str, Reference | Ours]:
    """The tutorial's loop and ours."""
    torch.manual_seed(seed)
    return {
        "tutorial": Reference(pixels, GAN(SHAPE, gan, with_encoder=True), PAPERS.encoder),
        "ours": Ours(pixels, gan, PAPERS.encoder, seed),
        "ours, bfloat16": Ours(pixels, replace(gan, precision="bfloat16"), PAPERS.encoder, seed),
    }
