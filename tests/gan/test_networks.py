from __future__ import annotations

import pytest
import torch

from anogan.config.gan import GANConfig
from anogan.gan.networks import GAN, Generator, check_shape


def test_networks_fit_every_shape(shape: tuple[int, ...]) -> None:
    gan = GAN(shape, GANConfig(latent_dim=5, width=4), with_encoder=True)
    z = torch.randn(3, 5)
    x = gan.generator(z)
    assert x.shape == (3, *shape)
    assert x.abs().max() <= 1
    assert gan.discriminator(x).shape == (3,)
    assert gan.discriminator.features(x).shape == (3, gan.discriminator.features.feature_dim)
    assert gan.encoder is not None
    assert gan.encoder(x).shape == z.shape


def test_the_digit_networks_are_the_notebooks() -> None:
    """z of 100 -> 256 x 7 x 7 -> 128 x 14 x 14 -> 1 x 28 x 28, and back to one logit."""
    gan = GAN((1, 28, 28), GANConfig(width=128))
    shapes = [tuple(p.shape) for p in gan.generator.parameters() if p.dim() > 1]
    assert shapes == [(256 * 7 * 7, 100), (256, 128, 4, 4), (128, 1, 4, 4)]
    assert [tuple(p.shape) for p in gan.discriminator.parameters() if p.dim() > 1] == [
        (128, 1, 4, 4),
        (256, 128, 4, 4),
        (1, 256 * 7 * 7),
    ]


@pytest.mark.parametrize("norm", ["none", "batch", "spectral"])
def test_discriminator_norms(norm: str) -> None:
    gan = GAN((1, 16, 16), GANConfig(width=4, discriminator_norm=norm, loss="hinge"))
    names = " ".join(gan.discriminator.state_dict())
    assert ("running_mean" in names) == (norm == "batch")
    assert ("parametrizations" in names) == (norm == "spectral")


def test_spectral_norm_bounds_the_layers() -> None:
    gan = GAN((1, 8, 8), GANConfig(width=4, discriminator_norm="spectral"))
    for _ in range(30):
        gan.discriminator(torch.randn(4, 1, 8, 8))
    assert torch.linalg.matrix_norm(gan.discriminator.head.weight, 2).item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("shape", [(28,), (1, 1), (0, 8, 8), (1, 2, 3, 4)])
def test_impossible_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="sample shape must be"):
        check_shape(shape)


def test_a_frozen_gan_has_no_gradients_and_no_moving_statistics() -> None:
    gan = GAN((1, 8, 8), GANConfig(width=4)).frozen()
    assert not gan.training
    assert not any(parameter.requires_grad for parameter in gan.parameters())


def test_cropping_keeps_the_middle() -> None:
    generator = Generator((1, 9), 3, 4)  # generated as 5 * 2 = 10
    full = generator.net(torch.ones(2, 3))
    assert torch.equal(generator(torch.ones(2, 3)), full[:, :, :9])
