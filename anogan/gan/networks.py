"""Generator, discriminator and encoder for samples of any shape (channels, *size), in one or two dimensions.

DCGAN (Radford et al. 2016): strided convolutions, batch normalisation, ReLU / LeakyReLU(0.2), N(0, 0.02) weights. A
sample (1, 28, 28) is made from z by 7x7 -> 14x14 -> 28x28. Other sizes are generated larger and cropped.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.nn.utils.parametrizations import spectral_norm

from anogan.config.gan import GANConfig, NormName
from anogan.gan.layers import BatchNorm, FromVector, Linear, ToVector, doubling, halving

Shape = tuple[int, ...]
SMALLEST_SIDE = 4  # side at which halving stops: 28 -> 14 -> 7, 64 -> ... -> 4
SMALLEST_MAP = 8  # side at which the locator stops halving
WIDEST = 512  # channels, however often the size is halved


def check_shape(shape: Shape) -> Shape:
    """Return the shape (channels, *size) if networks can be built for it. Raises `ValueError` otherwise."""
    if len(shape) not in (2, 3) or min(shape) < 1 or min(shape[1:]) < 2:
        raise ValueError(f"sample shape must be (channels, length) or (channels, height, width), got {tuple(shape)}")
    return tuple(int(side) for side in shape)


def _channels(shape: Shape, width: int) -> list[int]:
    """Return the channels after each halving: width, 2 width, 4 width, ..."""
    halvings = max(1, int(math.log2(min(shape[1:]) / SMALLEST_SIDE)))
    return [min(width * 2**i, max(width, WIDEST)) for i in range(halvings)]


def _init(module: nn.Module) -> None:
    weight = getattr(module, "weight", None)
    if isinstance(weight, Tensor) and not weight.is_meta:  # on meta, "random" takes seconds of imports to do nothing
        nn.init.normal_(weight, float(isinstance(module, BatchNorm)), 0.02)


class Generator(nn.Module):
    """Maps z (n, latent_dim) to x (n, *shape) in [-1, 1]."""

    def __init__(self, shape: Shape, latent_dim: int, width: int) -> None:
        super().__init__()
        self.shape, self.latent_dim = check_shape(shape), latent_dim
        dims, channels = len(shape) - 1, _channels(shape, width)[::-1]
        base = [math.ceil(side / 2 ** len(channels)) for side in shape[1:]]
        # A transposed convolution of a 1x1 input is a matrix product; written as one it is faster.
        layers: list[nn.Module] = [
            Linear(latent_dim, channels[0] * math.prod(base), bias=False),
            FromVector(channels[0], base),
        ]
        for c_in, c_out in zip(channels, [*channels[1:], shape[0]], strict=True):
            layers += [BatchNorm(c_in), nn.ReLU(inplace=True)]
            layers += [doubling(dims, c_in, c_out)]
        self.net = nn.Sequential(*layers, nn.Tanh())
        self.apply(_init)

    def forward(self, z: Tensor) -> Tensor:
        """Generate x (n, *shape) in [-1, 1] from z (n, latent_dim)."""
        x: Tensor = self.net(z).float()  # in any precision of the layers
        for axis, side in enumerate(self.shape[1:], start=2):
            x = x.narrow(axis, (x.shape[axis] - side) // 2, side)
        return x


class _Trunk(nn.Module):
    """Strided convolutions from x (n, *shape) to features (n, feature_dim), the mirror image of the generator."""

    def __init__(self, shape: Shape, width: int, norm: NormName) -> None:
        super().__init__()
        dims, channels = len(check_shape(shape)) - 1, _channels(shape, width)
        layers: list[nn.Module] = []
        for i, (c_in, c_out) in enumerate(zip([shape[0], *channels[:-1]], channels, strict=True)):
            layers.append(halving(dims, c_in, c_out))
            if norm == "batch" and i > 0:  # DCGAN: none on the first layer
                layers.append(BatchNorm(c_out))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
        self.net = nn.Sequential(*layers, ToVector())
        self.feature_dim = channels[-1] * math.prod(side // 2 ** len(channels) for side in shape[1:])
        self.apply(_init)
        if norm == "spectral":
            for layer in self.net:
                if isinstance(layer, nn.Conv1d | nn.Conv2d):
                    spectral_norm(layer)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.net(x).float()
        return features


class Discriminator(nn.Module):
    """Maps x (n, *shape) to a logit (n,), high for real samples. `features` are its last activations."""

    def __init__(self, shape: Shape, width: int, norm: NormName) -> None:
        super().__init__()
        self.features = _Trunk(shape, width, norm)
        self.head = nn.Linear(self.features.feature_dim, 1)
        _init(self.head)
        if norm == "spectral":
            spectral_norm(self.head)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logit (n,) of x (n, *shape)."""
        logit: Tensor = self.head(self.features(x)).squeeze(1).float()
        return logit


class Encoder(nn.Module):
    """Maps x (n, *shape) to z (n, latent_dim). The output is linear: a tanh could not reach the tails of N(0, I)."""

    def __init__(self, shape: Shape, latent_dim: int, width: int) -> None:
        super().__init__()
        self.trunk = _Trunk(shape, width, "batch")
        self.head = Linear(self.trunk.feature_dim, latent_dim)
        _init(self.head)

    def forward(self, x: Tensor) -> Tensor:
        """Return z (n, latent_dim) of x (n, *shape)."""
        z: Tensor = self.head(self.trunk(x)).float()
        return z


class Locator(nn.Module):
    """Maps a photo x (n, *shape) to its repair x_hat, and finds its defects by comparing the two.

    Its own encoder and generator repair x. A U-Net (Ronneberger et al. 2015) takes x and x - x_hat and decides on cells
    of 4x4 pixels (DRAEM: Zavrtanik et al. 2021).
    """

    def __init__(self, shape: Shape, config: GANConfig) -> None:
        super().__init__()
        if len(check_shape(shape)) != 3:
            raise ValueError(f"a locator needs photos (channels, height, width), got {tuple(shape)}")
        self.encoder = Encoder(shape, config.latent_dim, config.width)
        self.generator = Generator(shape, config.latent_dim, config.width)
        levels = max(2, int(math.log2(min(shape[1:]) / SMALLEST_MAP)))
        channels = [config.width * 2**i for i in range(levels)]
        self.down = nn.ModuleList(
            nn.Sequential(halving(2, c_in, c_out), BatchNorm(c_out), nn.LeakyReLU(0.2, inplace=True), _same(c_out))
            for c_in, c_out in zip([2 * shape[0], *channels[:-1]], channels, strict=True)
        )
        pairs = list(zip(channels[:0:-1], channels[-2:0:-1], strict=False))
        self.narrow = nn.ModuleList(nn.Conv2d(c_below, c, 1) for c_below, c in pairs)
        self.up = nn.ModuleList(_same(c) for _, c in pairs)
        self.head = nn.Conv2d(channels[1], 1, 1)
        for part in (self.down, self.narrow, self.up, self.head):
            part.apply(_init)

    def cells(self, x: Tensor, x_hat: Tensor) -> Tensor:
        """Return a logit per cell (n, 1, height / 4, width / 4), high where x is defective."""
        activations, h = [], torch.cat([x, x - x_hat], 1)
        for layer in self.down:
            h = layer(h)
            activations.append(h)
        for narrow, layer, skip in zip(self.narrow, self.up, activations[-2:0:-1], strict=True):
            h = layer(interpolate(narrow(h), size=skip.shape[2:], mode="nearest") + skip)
        logit: Tensor = self.head(h).float()
        return logit

    def places(self, x: Tensor, x_hat: Tensor) -> Tensor:
        """Return a logit per pixel (n, height, width), interpolated linearly between the cells."""
        return interpolate(self.cells(x, x_hat), size=x.shape[2:], mode="bilinear")[:, 0]


def _same(channels: int) -> nn.Sequential:
    """Make a layer that keeps size and channels."""
    convolution = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
    return nn.Sequential(convolution, BatchNorm(channels), nn.LeakyReLU(0.2, inplace=True))


class GAN(nn.Module):
    """The networks that all detectors share. `encoder` and `locator` are None until they are trained."""

    def __init__(self, shape: Shape, config: GANConfig, with_encoder: bool = False, with_locator: bool = False) -> None:
        super().__init__()
        self.shape, self.config = check_shape(shape), config
        self.generator = Generator(self.shape, config.latent_dim, config.width)
        self.discriminator = Discriminator(self.shape, config.width, config.discriminator_norm)
        self.encoder = Encoder(self.shape, config.latent_dim, config.width) if with_encoder else None
        self.locator = Locator(self.shape, config) if with_locator else None
        self.arranged()

    def arranged(self) -> GAN:
        """Put the weights into the memory format that is up to 1.4 times as fast, on CPU and GPU. Returns itself."""
        return self.to(memory_format=torch.channels_last) if len(self.shape) == 3 else self

    def frozen(self) -> GAN:
        """Switch to evaluation mode without gradients, because scoring must not change the weights. Returns itself."""
        return self.eval().requires_grad_(False)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next(self.parameters()).device
