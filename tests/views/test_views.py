"""The contract of every view."""

from __future__ import annotations

import copy

import pytest
import torch
from conftest import QUICK_GAN, SHAPES, stripes

from anogan.detectors import DETECTORS
from anogan.gan.networks import GAN
from anogan.gan.training import seeded_init
from anogan.views.base import Memory, View
from anogan.views.codes import Codes
from anogan.views.components import Components
from anogan.views.defects import Defects
from anogan.views.discrimination import Discrimination
from anogan.views.gradients import Gradients
from anogan.views.level import Level
from anogan.views.photo_components import PhotoComponents
from anogan.views.residual import Residual
from anogan.views.unexplained import Unexplained

VIEWS: list[View] = [
    Gradients(),
    Codes(),
    Components(),
    Unexplained(),
    Level(),
    PhotoComponents(),
    Defects(("flip",)),
    Residual("l1"),
    Discrimination("mse"),
]
SHAPE = SHAPES["odd photo"]
X, X_NORMAL, QUERY = (torch.from_numpy(stripes(n, SHAPE, seed)) for seed, n in enumerate((60, 20, 24)))


@pytest.fixture(scope="module")
def gan() -> GAN:
    """Untrained networks: a law that a view keeps does not hang on what they have learnt."""
    with seeded_init(0, "gan"):
        return GAN(SHAPE, QUICK_GAN, with_encoder=True, with_locator=True).frozen()


@pytest.fixture(params=VIEWS, ids=lambda view: type(view).__name__)
def view(request: pytest.FixtureRequest) -> View:
    found: View = request.param
    return found


def test_these_are_the_views_of_all_detectors() -> None:
    assert {type(view) for cls in DETECTORS.values() for view in cls().own_views} == set(map(type, VIEWS))


def memory_of(view: View, gan: GAN) -> Memory:
    memory = view.remember(X, gan)
    return memory | view.measure(X_NORMAL, gan, memory)


def look(view: View, x: torch.Tensor, networks: GAN, gan: GAN, memory: Memory) -> torch.Tensor:
    """Distances of x, with z and x_hat from one set of networks, and the view's own from another."""
    assert networks.encoder is not None
    z = networks.encoder(x)
    return view.distance(x, z, networks.generator(z), gan, memory)


def test_a_distance_depends_on_its_sample_alone(view: View, gan: GAN) -> None:
    memory = memory_of(view, gan)
    distance = look(view, QUERY, gan, gan, memory)
    assert distance.shape in ((len(QUERY),), (len(QUERY), *SHAPE[1:]))
    assert distance.isfinite().all()
    rows = torch.tensor([7, 3, 3, 23])
    assert torch.allclose(look(view, QUERY[rows], gan, gan, memory), distance[rows], rtol=1e-4, atol=1e-5)


def test_it_keeps_what_it_says_it_keeps(view: View, gan: GAN) -> None:
    assert set(memory_of(view, gan)) == view.remembered


def test_it_needs_the_parts_that_it_names_and_no_other(view: View, gan: GAN) -> None:
    """Without those that it does not name it sees the same."""
    left = copy.deepcopy(gan)
    for part in {"encoder", "locator"} - view.needs:
        setattr(left, part, None)
    distance = look(view, QUERY, gan, left, memory_of(view, left))
    assert torch.equal(distance, look(view, QUERY, gan, gan, memory_of(view, gan)))
    for part in view.needs:
        without = copy.deepcopy(gan)
        setattr(without, part, None)
        with pytest.raises(AssertionError, match=f"refuses networks without an? {part}"):
            look(view, QUERY, gan, without, memory_of(view, without))


@pytest.mark.parametrize("made", [Gradients(), Components(), Level(), PhotoComponents()], ids=lambda view: view.name)
def test_views_of_the_sample_itself_take_nothing_from_the_gan(made: View, gan: GAN) -> None:
    broken = copy.deepcopy(gan)
    for weights in broken.parameters():
        weights.fill_(torch.nan)
    distance = look(made, QUERY, broken, broken, memory_of(made, broken))
    assert torch.equal(distance, look(made, QUERY, gan, gan, memory_of(made, gan)))


def test_its_weight_is_the_one_it_was_given_or_a_share_of_it(view: View, gan: GAN) -> None:
    assert 0 <= float(view.weigh(memory_of(view, gan))) <= view.weight == 1
