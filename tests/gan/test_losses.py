from __future__ import annotations

import math

import pytest
import torch

from anogan.gan.losses import LOSSES, gradient_penalty

REAL, FAKE = torch.tensor([2.0, 0.0]), torch.tensor([-1.0, 0.5])


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_non_saturating_loss_of_known_logits() -> None:
    expected = -(math.log(sigmoid(2)) + math.log(sigmoid(0))) / 2
    expected -= (math.log(1 - sigmoid(-1)) + math.log(1 - sigmoid(0.5))) / 2
    loss = LOSSES["non_saturating"]
    assert loss.discriminator(REAL, FAKE).item() == pytest.approx(expected, rel=1e-6)
    expected = -(math.log(sigmoid(-1)) + math.log(sigmoid(0.5))) / 2
    assert loss.generator(FAKE).item() == pytest.approx(expected, rel=1e-6)


def test_hinge_loss_of_known_logits() -> None:
    assert LOSSES["hinge"].discriminator(REAL, FAKE).item() == pytest.approx(0.5 + 0.75)
    assert LOSSES["hinge"].generator(FAKE).item() == pytest.approx(0.25)


def test_wasserstein_loss_of_known_logits() -> None:
    assert LOSSES["wgan_gp"].discriminator(REAL, FAKE).item() == pytest.approx(-0.25 - 1)
    assert LOSSES["wgan_gp"].generator(FAKE).item() == pytest.approx(0.25)


def test_logits_far_out_give_finite_losses_and_gradients() -> None:
    logits = torch.tensor([-1e4, 1e4], requires_grad=True)
    loss = LOSSES["non_saturating"].discriminator(logits, logits)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.isfinite()
    assert gradient.isfinite().all()


def test_gradient_penalty_of_a_linear_critic() -> None:
    """D(x) = w.x has gradient w everywhere, so the penalty is (|w| - 1)^2 whatever the points."""
    weight = torch.tensor([[3.0, 4.0]])
    real, fake = torch.randn(5, 1, 2), torch.randn(5, 1, 2)
    penalty = gradient_penalty(lambda x: (x[:, 0] @ weight.T).squeeze(1), real, fake, torch.rand(5))
    assert torch.allclose(penalty, torch.full((5,), 16.0))


def test_gradient_penalty_is_taken_between_real_and_fake() -> None:
    """D(x) = |x|^2 has gradient 2 x, so the penalty tells where it was taken."""
    real, fake = torch.tensor([3.0, 1.0, 2.0]), torch.tensor([-2.0, 5.0, 4.0])
    mix = torch.tensor([0.0, 0.25, 1.0])
    between = torch.tensor([-2.0, 4.0, 2.0])
    penalty = gradient_penalty(lambda x: x.flatten(1).square().sum(1), real.view(3, 1, 1), fake.view(3, 1, 1), mix)
    assert torch.allclose(penalty, (2 * between.abs() - 1).square())


def test_gradient_penalty_teaches_the_critic() -> None:
    """For D(x) = w x the penalty is (w - 1)^2, whose derivative is 2 (w - 1)."""
    weight = torch.tensor(3.0, requires_grad=True)
    x = torch.ones(4, 1, 1)
    penalty = gradient_penalty(lambda x: weight * x.flatten(1).sum(1), x, -x, torch.full((4,), 0.5))
    (gradient,) = torch.autograd.grad(penalty.mean(), weight)
    assert gradient.item() == pytest.approx(4)
