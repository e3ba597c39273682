"""Laws of the rules that make one score of several views."""

from __future__ import annotations

import pytest
import torch

from anogan.views.fusion import HighestPlace, Rule, StandardisedSum, Sum

SAMPLES = {"sample by sample": (3, 40), "place by place": (3, 40, 9, 12)}
RULES: list[tuple[Rule, str]] = [
    (Sum(), "sample by sample"),
    (StandardisedSum(), "sample by sample"),
    (HighestPlace(0.9), "place by place"),
]


@pytest.fixture(params=RULES, ids=lambda pair: type(pair[0]).__name__)
def ruled(request: pytest.FixtureRequest) -> tuple[Rule, torch.Tensor, torch.Tensor]:
    """A rule, distances of held-out samples, and distances of others."""
    rule, kind = request.param
    stream = torch.Generator().manual_seed(0)
    held_out, others = (torch.randn(SAMPLES[kind], generator=stream) * 3 + 1 for _ in range(2))
    return rule, held_out, others


def test_a_view_left_out_changes_nothing_for_the_others(
    ruled: tuple[Rule, torch.Tensor, torch.Tensor],
) -> None:
    rule, held_out, others = ruled
    weights, kept = torch.tensor([1.0, 0.5, 2.0]), torch.tensor([0, 2])
    whole = rule.score(others, weights, rule.measure(held_out))
    part = rule.score(others[kept], weights[kept], rule.measure(held_out[kept]))
    assert torch.allclose(part.terms, whole.terms[kept], atol=1e-5)
    expected = whole.terms[kept].amax(0) if whole.places is not None else weights[kept] @ whole.terms[kept]
    assert torch.allclose(part.total, expected, atol=1e-5)


def test_it_keeps_what_it_says_it_keeps(ruled: tuple[Rule, torch.Tensor, torch.Tensor]) -> None:
    rule, held_out, _ = ruled
    assert set(rule.measure(held_out)) == rule.remembered


def test_a_standardised_sum_is_zero_on_average_and_does_not_see_the_unit_of_a_view() -> None:
    distances, rule = torch.randn(2, 50, generator=torch.Generator().manual_seed(1)), StandardisedSum()
    weights, unit = torch.tensor([1.0, 3.0]), torch.tensor([[1.0], [100.0]])
    score = rule.score(distances, weights, rule.measure(distances))
    assert score.total.mean().abs() < 1e-5
    assert torch.allclose(score.terms.std(1, correction=0), torch.ones(2))
    again = rule.score(distances * unit + 7, weights, rule.measure(distances * unit + 7))
    assert torch.allclose(again.total, score.total, atol=1e-3)


def test_the_highest_place_is_the_highest_of_all_views_and_places() -> None:
    distances, rule = torch.randn(2, 30, 8, 8, generator=torch.Generator().manual_seed(2)), HighestPlace(0.9)
    memory = rule.measure(distances)
    score = rule.score(distances, torch.ones(2), memory)
    assert score.places is not None
    assert torch.equal(score.total, score.places.flatten(1).amax(1))
    assert torch.equal(score.total, score.terms.amax(0))
    assert [int((term > 1).sum()) for term in score.terms] == [3, 3], "a tenth of the peaks is above their limit"


def test_a_held_out_sample_that_is_odd_at_a_place_scores_higher_when_measured_by_the_others() -> None:
    distances, rule = torch.randn(1, 30, 8, 8, generator=torch.Generator().manual_seed(3)), HighestPlace(0.9)
    distances[0, 4, 2:5, 2:5] += 30
    own = rule.score(distances, torch.ones(1), rule.measure(distances)).total
    crossed = rule.crossed(distances, torch.ones(1))
    assert crossed[4] > 1.5 * own[4]
    assert rule.crossed(distances[:, :1], torch.ones(1)).shape == (1,), "one sample alone measures itself"
