from __future__ import annotations

import dataclasses
from contextlib import nullcontext

import pytest
import torch
from conftest import QUICK_ENCODER, QUICK_GAN, stripes

from anogan.gan import health
from anogan.gan.health import HealthMonitor, health_warnings, spread
from anogan.gan.networks import GAN
from anogan.gan.training import EncoderTraining, GANTraining, train

X = torch.from_numpy(stripes(80, (1, 12, 12)))


def test_a_generator_that_ignores_its_latent_is_called_collapsed() -> None:
    monitor = HealthMonitor(X, X[:8], QUICK_GAN.latent_dim, seed=0)
    gan = GANTraining((1, 12, 12), QUICK_GAN, 0).result()
    torch.nn.init.zeros_(gan.generator.net[0].weight)
    measured = monitor.measure(gan)
    assert measured["diversity"] < 0.01
    assert "collapsed" in health_warnings([measured])[0]
    assert health_warnings([{"diversity": 0.9}]) == []


def test_a_discriminator_that_always_knows_is_called_the_winner() -> None:
    line = {"d_real": 0.999, "d_fake": 0.001}
    assert "discriminator has won" in health_warnings([line] * 5)[0]
    assert health_warnings([line] * 4 + [{"d_real": 0.6, "d_fake": 0.4}]) == []


def test_spread_does_not_depend_on_the_size_of_a_sample() -> None:
    x = torch.randn(40, 10)
    assert torch.isclose(torch.tensor(spread(x)), torch.tensor(spread(x.repeat(1, 5))))


def test_measuring_is_deterministic_and_leaves_the_training_alone() -> None:
    training = GANTraining((1, 12, 12), QUICK_GAN, 0)
    monitor = HealthMonitor(X, X[:8], QUICK_GAN.latent_dim, seed=0)
    before = {name: tensor.clone() for name, tensor in training.state_dict().items()}
    assert monitor.measure(training.result()) == monitor.measure(training.result())
    assert all(torch.equal(before[name], tensor) for name, tensor in training.state_dict().items())


def test_reconstruction_is_measured_by_the_encoder_once_there_is_one() -> None:
    monitor = HealthMonitor(X, X[:8], QUICK_GAN.latent_dim, seed=0)
    gan = train(X, GANTraining((1, 12, 12), QUICK_GAN, 0))
    assert set(monitor.measure(gan)) == {"diversity", "reconstruction"}
    assert set(monitor.measure(train(X, EncoderTraining(gan, QUICK_ENCODER, 0)))) == {"reconstruction"}


def test_samples_may_lie_on_another_device_than_the_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with more samples than an accelerator holds; "meta" refuses to be mixed with the CPU as CUDA does."""
    monkeypatch.setattr(torch, "autocast", lambda *arguments, **options: nullcontext())  # which does not know it
    for name in ("__float__", "__bool__", "item"):  # there are no values on it
        real = getattr(torch.Tensor, name)
        monkeypatch.setattr(torch.Tensor, name, lambda x, real=real: real(torch.zeros(())) if x.is_meta else real(x))

    def found(gan: GAN, x: torch.Tensor, starts: torch.Tensor, config: object) -> tuple[torch.Tensor, None]:
        assert x.is_meta
        assert starts.is_meta
        return starts[:, 0], None

    monkeypatch.setattr(health, "search_latent", found)  # its rows stop by what they find
    x = torch.from_numpy(stripes(80, (1, 16, 16)))
    monitor = HealthMonitor(x, x[:8], QUICK_GAN.latent_dim, seed=0)
    training = GANTraining((1, 16, 16), dataclasses.replace(QUICK_GAN, steps=1, ema=0.9), 0, "meta")
    gan = train(x, training, augment=("flip", "rotate90", "brightness"))
    assert monitor.samples(gan).device.type == "meta"
    assert set(monitor.measure(gan)) == {"diversity", "reconstruction"}
    encoded = train(x, EncoderTraining(gan, dataclasses.replace(QUICK_ENCODER, steps=1, erase=0.3), 0))
    assert set(monitor.measure(encoded)) == {"reconstruction"}


def test_the_health_of_a_training_in_half_precision_is_that_of_what_it_gives() -> None:
    monitor = HealthMonitor(X, X[:8], QUICK_GAN.latent_dim, seed=0)
    training = GANTraining((1, 12, 12), dataclasses.replace(QUICK_GAN, precision="bfloat16", steps=3), 0)
    told: list[dict[str, float]] = []
    gan = train(X, training, lambda step, metrics: told.append(monitor.measure(training.result())))
    assert told == [monitor.measure(gan)]
