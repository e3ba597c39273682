from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from conftest import QUICK_GAN, stripes

from anogan.config.gan import SearchConfig
from anogan.gan.inversion import ROWS_AT_ONCE, chunks, rows_at_once, search_latent
from anogan.gan.networks import GAN
from anogan.gan.scores import anogan_score
from anogan.gan.training import GANTraining, train

SHAPE = (1, 12, 12)
SEARCH = SearchConfig(steps=150, learning_rate=0.1, patience=0, batch_size=8)


@pytest.fixture(scope="module")
def gan() -> GAN:
    config = dataclasses.replace(QUICK_GAN, width=8, steps=150)
    return train(torch.from_numpy(stripes(64, SHAPE)), GANTraining(SHAPE, config, 0))


def starts(gan: GAN, rows: int, restarts: int = 1) -> torch.Tensor:
    z = torch.randn(restarts, gan.config.latent_dim, generator=torch.Generator().manual_seed(1))
    return z.expand(rows, -1, -1)


def loss_at(gan: GAN, x: torch.Tensor, z: torch.Tensor, config: SearchConfig = SEARCH) -> torch.Tensor:
    with torch.no_grad():
        features, x_hat = gan.discriminator.features, gan.generator(z)
        return anogan_score(config, x, x_hat, features(x), features(x_hat))


def test_the_search_recovers_generated_samples(gan: GAN) -> None:
    z_true = torch.randn(20, gan.config.latent_dim, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        x = gan.generator(z_true)
    begin = starts(gan, 20)
    z, _ = search_latent(gan, x, begin, SEARCH)
    assert (loss_at(gan, x, z) < 0.25 * loss_at(gan, x, begin[:, 0])).float().mean() > 0.9


def test_the_search_is_adam_on_every_row_by_itself(gan: GAN) -> None:
    """Against torch's Adam on one row, its best point kept."""
    x = torch.from_numpy(stripes(3, SHAPE, seed=4))
    config = dataclasses.replace(SEARCH, steps=25)
    found, _ = search_latent(gan, x, starts(gan, 3), config)
    for row in range(3):
        z = starts(gan, 1)[0].clone().requires_grad_()
        adam = torch.optim.Adam([z], lr=config.learning_rate)
        best, best_z = float("inf"), z
        for _ in range(config.steps + 1):
            features, x_hat = gan.discriminator.features, gan.generator(z)
            loss = anogan_score(config, x[row : row + 1], x_hat, features(x[row : row + 1]), features(x_hat))
            if loss.item() < best:
                best, best_z = loss.item(), z.detach().clone()
            adam.zero_grad()
            loss.sum().backward()
            adam.step()
        assert torch.allclose(found[row], best_z[0], atol=1e-3)


def test_more_restarts_never_end_higher(gan: GAN) -> None:
    x = torch.from_numpy(stripes(12, SHAPE, seed=6))
    config = dataclasses.replace(SEARCH, steps=10)
    one, _ = search_latent(gan, x, starts(gan, 12, 4)[:, :1], config)
    four, updates = search_latent(gan, x, starts(gan, 12, 4), config)
    assert (loss_at(gan, x, four, config) <= loss_at(gan, x, one, config) * (1 + 1e-5)).all()
    assert torch.equal(updates, torch.full((12,), 40.0))


def test_the_best_of_all_points_visited_is_returned_where_the_search_goes_astray(gan: GAN) -> None:
    x = torch.from_numpy(stripes(SEARCH.batch_size, SHAPE, seed=6))  # a slot for every row
    config = dataclasses.replace(SEARCH, steps=20, learning_rate=3.0)
    visited: list[torch.Tensor] = []
    hook = gan.generator.register_forward_hook(lambda module, args, output: visited.append(args[0].detach().clone()))
    found, _ = search_latent(gan, x, starts(gan, len(x)), config)
    hook.remove()
    losses = torch.stack([loss_at(gan, x, z, config) for z in visited])
    assert len(losses) == config.steps + 1
    assert (losses[-1] > 1.01 * losses.amin(0)).any(), "the last point was the best of every row"
    assert torch.allclose(loss_at(gan, x, found, config), losses.amin(0), rtol=1e-5)


def test_no_steps_scores_the_start_itself(gan: GAN) -> None:
    x = torch.from_numpy(stripes(3, SHAPE))
    z, updates = search_latent(gan, x, starts(gan, 3), dataclasses.replace(SEARCH, steps=0))
    assert torch.equal(z, starts(gan, 3)[:, 0])
    assert (updates == 0).all()


def test_a_row_that_has_converged_leaves_before_the_others(gan: GAN) -> None:
    """Rows that start at their own optimum stop after the patience; the rest search on."""
    z_true = torch.randn(4, gan.config.latent_dim, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        x = gan.generator(z_true)
    begin = torch.cat([z_true[:2, None], starts(gan, 2)])
    config = dataclasses.replace(SEARCH, patience=5, tolerance=0.01)
    _, updates = search_latent(gan, x, begin, config)
    assert updates[:2].max() <= 8 < updates[2:].min()


def test_rows_stop_after_the_patience_where_no_gain_is_large_enough(gan: GAN) -> None:
    x = torch.from_numpy(stripes(6, SHAPE, seed=3))
    config = dataclasses.replace(SEARCH, patience=5, tolerance=0.99)
    _, updates = search_latent(gan, x, starts(gan, 6), config)
    assert (updates == 5).all()


@pytest.mark.parametrize(("rows", "restarts"), [(21, 2), (SEARCH.batch_size + 1, 1)])
def test_every_row_is_searched_and_reported_once(gan: GAN, rows: int, restarts: int) -> None:
    """Also one that waits alone for a slot."""
    seen: list[int] = []
    x = torch.from_numpy(stripes(rows, SHAPE))
    begin = starts(gan, rows, restarts)
    _, updates = search_latent(gan, x, begin, dataclasses.replace(SEARCH, steps=3), seen.append)
    assert sum(seen) == rows * restarts
    assert (updates == 3 * restarts).all()


def test_memory_is_bounded_by_the_batch_size(gan: GAN) -> None:
    widths = set()
    hook = gan.generator.register_forward_hook(lambda module, args, output: widths.add(len(args[0])))
    search_latent(gan, torch.from_numpy(stripes(30, SHAPE)), starts(gan, 30), dataclasses.replace(SEARCH, steps=4))
    hook.remove()
    assert widths == {SEARCH.batch_size}


def test_chunks_are_full_and_padded() -> None:
    x = torch.arange(ROWS_AT_ONCE + 3, dtype=torch.float32)[:, None]
    parts = list(chunks(x, torch.device("cpu")))
    assert [(len(part), count) for part, count in parts] == [(ROWS_AT_ONCE, ROWS_AT_ONCE), (ROWS_AT_ONCE, 3)]
    assert torch.equal(torch.cat([part[:count] for part, count in parts]), x)


def test_a_chunk_is_as_long_as_its_own_shape_allows_and_where_it_was_asked_for() -> None:
    shape = (2, 40, 41)  # neither the most nor the fewest rows, and not a whole number of them
    rows = ROWS_AT_ONCE * 28 * 28 // math.prod(shape)
    assert rows_at_once(shape) == rows
    (first, count), (last, left) = chunks(torch.zeros(rows + 1, *shape), torch.device("meta"))
    assert (len(first), count, len(last), left) == (rows, rows, rows, 1)
    assert first.device.type == last.device.type == "meta"


def test_a_single_large_photo_does_not_cost_as_much_as_a_whole_chunk_of_digits() -> None:
    assert rows_at_once((1, 28, 28)) == rows_at_once((8, 20)) == ROWS_AT_ONCE
    assert rows_at_once((3, 128, 128)) == rows_at_once((1, 512, 512)) == 8
    (part, count), *_ = chunks(torch.zeros(3, 5), torch.device("cpu"), (1, 128, 128))
    assert (len(part), count) == (8, 3)
