from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from conftest import QUICK_ENCODER, QUICK_GAN, stripes

from anogan.config.gan import EncoderConfig, EncoderMode, GANConfig
from anogan.errors import TrainingDivergedError
from anogan.gan import training as loops
from anogan.gan.training import (
    Batches,
    EncoderTraining,
    GANTraining,
    encoder_loss,
    erase,
    random_stream,
    train,
    update_average,
)

SHAPE = (1, 12, 12)
X = torch.from_numpy(stripes(48, SHAPE))


def weights(module: torch.nn.Module) -> torch.Tensor:
    return torch.cat([tensor.flatten().double() for tensor in module.state_dict().values()])


def gan(**changes: object) -> GANTraining:
    return GANTraining(SHAPE, dataclasses.replace(QUICK_GAN, **changes), seed=0)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ema": 0.9},
        {"loss": "hinge", "discriminator_norm": "spectral"},
        {"loss": "wgan_gp", "discriminator_norm": "none", "critic_steps": 2},
    ],
    ids=["dcgan", "ema", "hinge", "wgan_gp"],
)
def test_interrupted_and_resumed_training_equals_uninterrupted_bit_for_bit(changes: dict) -> None:
    whole = train(X, gan(**changes))
    first = gan(**changes, steps=7)
    train(X, first)
    second = gan(**changes)
    second.load_state_dict(first.state_dict(), first.step)
    assert torch.equal(weights(train(X, second)), weights(whole))


def test_encoder_training_resumes_bit_for_bit() -> None:
    networks = train(X, gan())
    config = dataclasses.replace(QUICK_ENCODER, erase=0.3)
    whole = train(X, EncoderTraining(networks, config, 0))
    first = EncoderTraining(networks, dataclasses.replace(config, steps=9), 0)
    train(X, first)
    second = EncoderTraining(networks, config, 0)
    second.load_state_dict(first.state_dict(), first.step)
    assert torch.equal(weights(train(X, second)), weights(whole))


def test_encoder_training_leaves_generator_and_discriminator_alone() -> None:
    networks = train(X, gan())
    before = weights(networks)
    trained = train(X, EncoderTraining(networks, QUICK_ENCODER, 0))
    assert torch.equal(weights(networks), before)
    assert torch.equal(weights(trained.generator), weights(networks.generator))
    assert torch.equal(weights(trained.discriminator), weights(networks.discriminator))


def test_the_first_step_is_the_one_derived_by_hand() -> None:
    """One discriminator update on real and fake, then one of the generator, the same fakes before the new judge."""
    training, reference = gan(steps=1), gan(steps=1)
    train(X, training)
    stream = random_stream(0, "gan", 0)
    networks = reference.gan.train()
    z = torch.randn(16, QUICK_GAN.latent_dim, generator=stream)
    real = X[Batches(len(X), 16, 0)(0)]
    with torch.no_grad():
        fake = copy.deepcopy(networks.generator)(z)
    logits = networks.discriminator(real), networks.discriminator(fake)
    loss = torch.nn.functional.binary_cross_entropy_with_logits
    (loss(logits[0], torch.ones(16)) + loss(logits[1], torch.zeros(16))).backward()
    reference.optimisers["discriminator"].step()
    networks.generator.zero_grad()
    loss(networks.discriminator(networks.generator(z)), torch.ones(16)).backward()
    reference.optimisers["generator"].step()
    assert torch.allclose(weights(training.gan.generator), weights(networks.generator), atol=1e-6)
    assert torch.allclose(weights(training.gan.discriminator), weights(networks.discriminator), atol=1e-6)


def test_every_row_is_used_once_per_epoch_and_the_order_changes() -> None:
    batches = Batches(10, 4, seed=1)
    rows = torch.cat([batches(step) for step in range(5)])
    assert sorted(rows[:10].tolist()) == sorted(rows[10:].tolist()) == list(range(10))
    assert rows[:10].tolist() != rows[10:].tolist()


def test_a_batch_may_be_larger_than_the_data() -> None:
    assert sorted(Batches(3, 7, seed=0)(0).tolist())[:2] == [0, 0]


def test_the_averaged_generator_is_the_exponential_moving_average() -> None:
    average, network = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    expected = 0.9 * average.weight.detach() + 0.1 * network.weight.detach()
    update_average(average, network, 0.9)
    assert torch.allclose(average.weight, expected)


def test_averaging_changes_the_result_but_not_the_training() -> None:
    plain, averaged = gan(), gan(ema=0.9)
    one, two = train(X, plain), train(X, averaged)
    assert torch.equal(weights(plain.gan), weights(averaged.gan))
    assert not torch.equal(weights(one.generator), weights(two.generator))


def test_divergence_is_an_error_that_names_the_step_and_the_losses() -> None:
    with pytest.raises(TrainingDivergedError, match=r"at step \d+: loss_d"):
        train(X, gan(learning_rate=1e30))


def test_the_log_tells_losses_and_beliefs() -> None:
    lines: list[tuple[int, dict[str, float]]] = []
    train(X, gan(steps=120), lambda step, metrics: lines.append((step, metrics)))
    assert [step for step, _ in lines] == [50, 100, 120]
    assert set(lines[0][1]) == {"loss_d", "loss_g", "d_real", "d_fake"}
    assert all(0 <= line["d_real"] <= 1 and 0 <= line["d_fake"] <= 1 for _, line in lines)


@pytest.mark.parametrize("mode", ["izi", "ziz", "izi_f"])
def test_every_encoder_mode_lowers_its_own_loss(mode: str) -> None:
    networks = train(X, gan())
    training = EncoderTraining(networks, EncoderConfig(mode=mode, steps=60, batch_size=16), 0)

    def loss() -> float:
        with torch.no_grad():
            return encoder_loss(networks, training.encoder, training.config, X, random_stream(0, "t", 0)).mean().item()

    before = loss()
    train(X, training)
    assert loss() < before


def test_erasing_blanks_about_the_share_asked_for_and_nothing_else() -> None:
    x = torch.rand(200, 1, 28, 28) - 0.5
    erased = erase(x, 0.3, random_stream(0, "erase", 0))
    changed = erased != x
    assert changed.float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert set(erased[changed].tolist()) == {-1.0, 1.0}
    assert torch.equal(erase(x, 0.0, random_stream(0, "erase", 0)), x)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, r"gan\.steps must be >= 1, got 0"),
        ({"ema": 1.0}, r"gan\.ema must be in \[0, 1\)"),
        ({"loss": "wgan_gp"}, "discriminator_norm must be 'none' or 'spectral' with wgan_gp"),
        ({"learning_rate": 0.0}, "learning_rate must be > 0"),
    ],
)
def test_bad_settings_say_what_was_expected(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GANConfig(**changes)


def test_bfloat16_is_for_products_alone_and_for_training_alone() -> None:
    exact, rough = gan(steps=5), gan(steps=5, precision="bfloat16")
    one, two = train(X, exact), train(X, rough)
    assert all(parameter.dtype == torch.float32 for parameter in rough.gan.parameters())
    assert not torch.equal(weights(one), weights(two))
    assert torch.allclose(weights(one), weights(two), atol=5e-3)
    found = train(X, EncoderTraining(two, dataclasses.replace(QUICK_ENCODER, steps=5), 0))
    assert found.encoder is not None
    assert found.encoder(X).dtype == found.generator(torch.zeros(1, QUICK_GAN.latent_dim)).dtype == torch.float32


def test_every_update_has_latents_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[torch.Tensor] = []

    def recorded(n: int, latent_dim: int, stream: torch.Generator) -> torch.Tensor:
        drawn.append(torch.randn(n, latent_dim, generator=stream))
        return drawn[-1]

    monkeypatch.setattr(loops, "latents", recorded)
    networks = train(X, gan(loss="wgan_gp", discriminator_norm="none", critic_steps=2, steps=3))
    train(X, EncoderTraining(networks, dataclasses.replace(QUICK_ENCODER, mode="ziz", steps=3), 0))
    together = torch.cat(drawn)
    assert len(together) == (3 * 2 + 3) * 16
    assert len(together.unique(dim=0)) == len(together)


def test_every_update_of_the_critic_sees_the_next_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers: list[int] = []
    rows_of = Batches.__call__
    monkeypatch.setattr(Batches, "__call__", lambda self, step: (numbers.append(step), rows_of(self, step))[1])
    train(X, gan(loss="wgan_gp", discriminator_norm="none", critic_steps=3, steps=4))
    assert numbers == list(range(12))


def test_the_averaged_generator_has_the_statistics_of_the_trained_one() -> None:
    training = gan(ema=0.9, steps=3)
    train(X, training)
    assert training.average is not None
    averaged, trained = dict(training.average.named_buffers()), dict(training.gan.generator.named_buffers())
    assert any(name.endswith("running_var") for name in averaged)
    assert all(torch.equal(averaged[name], trained[name]) for name in trained)


def test_the_gradient_penalty_counts_as_much_as_its_weight_says() -> None:
    def loss(weight: float) -> float:
        told: list[float] = []
        training = gan(loss="wgan_gp", discriminator_norm="none", steps=1, gradient_penalty=weight)
        train(X, training, lambda step, metrics: told.append(metrics["loss_d"]))
        return told[0]

    none, once, twice = loss(0.0), loss(10.0), loss(20.0)
    assert once - none > 0.1
    assert twice - none == pytest.approx(2 * (once - none), rel=1e-3)


@pytest.mark.parametrize(("mode", "asked"), [("izi", False), ("ziz", False), ("izi_f", True)])
def test_the_discriminators_features_count_in_the_mode_named_after_them_alone(mode: EncoderMode, asked: bool) -> None:
    training = EncoderTraining(gan().result(), EncoderConfig(mode=mode), 0)

    def loss() -> torch.Tensor:
        with torch.no_grad():
            return encoder_loss(training.gan, training.encoder, training.config, X, random_stream(0, "t", 0))

    before = loss()
    with torch.no_grad():
        for parameter in training.gan.discriminator.parameters():
            parameter.mul_(2)
    assert torch.allclose(loss(), before) is not asked
    if mode == "izi":
        x_hat = training.gan.generator(training.encoder(X))
        assert torch.allclose(before, (X - x_hat).square().flatten(1).mean(1), atol=1e-6)
