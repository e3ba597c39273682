"""The locator finds and repairs what was never shown to it; pseudo-defects are where their masks say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import QUICK_GAN, QUICK_LOCATOR, stripes

from anogan.config.gan import LocatorConfig
from anogan.evaluation.metrics import pixel_auroc
from anogan.gan.locator import LocatorTraining, rise_and_fall
from anogan.gan.networks import GAN, Locator
from anogan.gan.pseudo_defects import VISIBLE, spoil
from anogan.gan.training import GANTraining, train
from anogan.photos.faults import DEFECTS, apply

SHAPE = (1, 32, 32)
X = torch.from_numpy(stripes(48, SHAPE))


@pytest.fixture(scope="module")
def gan() -> GAN:
    return train(X, GANTraining(SHAPE, QUICK_GAN, 0))


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 48, 64)])
def test_the_mask_is_where_a_pixel_has_visibly_changed(shape: tuple[int, ...]) -> None:
    x = torch.from_numpy(stripes(64, shape))
    spoiled, mask = spoil(x, x, torch.Generator().manual_seed(0))
    assert torch.equal(mask > 0, (spoiled - x).abs().amax(1) > VISIBLE)
    assert spoiled.abs().max() <= 1
    share = (mask.flatten(1).amax(1) > 0).float().mean()
    assert 0.5 < share < 0.95, "some photos stay good"
    assert mask.mean() < 0.2
    again, _ = spoil(x, x, torch.Generator().manual_seed(0))
    assert torch.equal(again, spoiled)


def test_the_learning_rate_rises_and_falls_to_nothing() -> None:
    rates = [rise_and_fall(progress, 0.1) for progress in np.linspace(0, 1, 101)]
    assert rates[0] == 0
    assert max(rates) == pytest.approx(1)
    assert rates.index(max(rates)) == 10
    assert rates[-1] == pytest.approx(0)


def test_training_finds_kinds_of_defects_it_was_not_shown_and_repairs_them(gan: GAN) -> None:
    """All but blur, which changes next to nothing in smooth stripes."""
    untrained = LocatorTraining(gan, QUICK_LOCATOR, 0).result()
    trained = train(X, LocatorTraining(gan, LocatorConfig(steps=500, batch_size=16), 0))
    good = stripes(24, SHAPE, seed=9)
    found, errors = [], []
    for networks in (untrained, trained):
        locator = networks.locator
        assert locator is not None
        places, error = [], []
        for kind in sorted(set(DEFECTS) - {"blur"}):
            rng = np.random.default_rng(0)
            changed = np.stack([apply(kind, x, 0.8, rng)[0] for x in good])
            with torch.no_grad():
                x_hat = locator.generator(locator.encoder(torch.from_numpy(changed)))
                maps = locator.places(torch.from_numpy(changed), x_hat).numpy()
            places.append(pixel_auroc([(a != b).any(0) for a, b in zip(changed, good, strict=True)], list(maps)))
            error.append(float((x_hat - torch.from_numpy(good)).square().mean()))
        found.append(np.mean(places))
        errors.append(np.mean(error))
    # .935 to .965 over five seeds and three kinds of arithmetic: experiments.visual_development.
    assert found[1] > 0.88
    assert found[1] > found[0] + 0.2
    assert errors[1] < 0.5 * errors[0]


def test_an_interrupted_training_ends_bit_for_bit_like_an_uninterrupted_one(gan: GAN) -> None:
    whole = train(X, LocatorTraining(gan, QUICK_LOCATOR, 0))
    first = LocatorTraining(gan, QUICK_LOCATOR, 0)

    def interrupt(step: int, metrics: dict[str, float]) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("anogan.gan.training.LOG_EVERY", 20)
        with pytest.raises(KeyboardInterrupt):
            train(X, first, interrupt)
    assert first.step == 20
    second = LocatorTraining(gan, QUICK_LOCATOR, 0)
    second.load_state_dict(first.state_dict(), first.step)
    resumed = train(X, second)
    assert whole.locator is not None
    assert resumed.locator is not None
    for name, tensor in whole.locator.state_dict().items():
        assert torch.equal(tensor, resumed.locator.state_dict()[name]), name


def test_the_shared_networks_stay_as_they_were(gan: GAN) -> None:
    before = {name: tensor.clone() for name, tensor in gan.state_dict().items()}
    after = train(X, LocatorTraining(gan, QUICK_LOCATOR, 0)).state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_signals_are_refused() -> None:
    with pytest.raises(ValueError, match="a locator needs photos"):
        Locator((2, 50), QUICK_GAN)
