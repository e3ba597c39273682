"""Rules that combine several views into one score.

A rule takes the distances of n samples in all views, (views, n) or (views, n, height, width), and the weight of each
view. It stores what it measures on held-out normal samples.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from anogan.gan.scores import blur, passes_of_blur
from anogan.views.base import Memory

SMALLEST_SPREAD = 1e-6  # of a view
SMALLEST_PLACE = 1e-3  # spread of a view at a place, and peak; samples lie in [-1, 1]
FOLDS = 5  # of held-out samples


class Score(NamedTuple):
    """A(x) of n samples, and its parts."""

    total: Tensor  # (n,)
    terms: Tensor  # (views, n), unweighted
    places: Tensor | None = None  # (n, height, width), where A(x) is the highest of them


class Rule(ABC):
    """A rule that turns distances into a score. `remembered` names the tensors that `measure` returns."""

    remembered: ClassVar[frozenset[str]] = frozenset()

    def measure(self, distances: Tensor) -> Memory:
        """Return what the rule stores of held-out normal samples; nothing unless overridden."""
        return {}

    @abstractmethod
    def score(self, distances: Tensor, weights: Tensor, memory: Memory) -> Score:
        """Compute A(x) from the distances in all views and the weights (views,)."""


class Sum(Rule):
    """Weighted sum of the distances, unscaled (AnoGAN, f-AnoGAN)."""

    def score(self, distances: Tensor, weights: Tensor, memory: Memory) -> Score:
        return Score((weights[:, None] * distances).sum(0), distances)


class StandardisedSum(Rule):
    """Weighted sum of distances, each standardised by its mean and spread over held-out normal samples."""

    remembered = frozenset({"centre", "spread"})

    def measure(self, distances: Tensor) -> Memory:
        spread = distances.std(1, correction=0).clamp_min(SMALLEST_SPREAD)
        return {"centre": distances.mean(1), "spread": spread}  # (views,)

    def score(self, distances: Tensor, weights: Tensor, memory: Memory) -> Score:
        standard = (distances - memory["centre"][:, None]) / memory["spread"][:, None]
        return Score((weights[:, None] * standard).sum(0), standard)


@dataclass(frozen=True)
class HighestPlace(Rule):
    """The highest value over all views and places.

    Each view is standardised by its mean and spread at that place over held-out normal samples, smoothed, and divided
    by the `quantile` of its peaks on those samples.
    """

    quantile: float

    remembered = frozenset({"centre", "spread", "limit"})

    def measure(self, distances: Tensor) -> Memory:
        passes = passes_of_blur(distances.shape[2:], 1.0)
        centre = blur(distances.mean(1)[None], passes)[0]  # (views, height, width)
        spread = blur(distances.var(1, correction=0)[None], 9 * passes)[0].sqrt().clamp_min(SMALLEST_PLACE)
        peaks = _standardised(distances, centre, spread).flatten(2).amax(2)  # (views, n)
        limit = peaks.quantile(self.quantile, dim=1).clamp_min(SMALLEST_PLACE)
        return {"centre": centre, "spread": spread, "limit": limit}

    def score(self, distances: Tensor, weights: Tensor, memory: Memory) -> Score:
        scales = (weights / memory["limit"])[:, None, None, None]
        places = _standardised(distances, memory["centre"], memory["spread"]) * scales
        peaks = places.flatten(2).amax(2)
        return Score(peaks.amax(0), peaks, places.amax(0))

    def crossed(self, distances: Tensor, weights: Tensor) -> Tensor:
        """Score held-out samples (n,), each fold measured by the other folds (cross-conformal prediction: Vovk 2015).

        A sample that is anomalous at one place widens the spread there. Measured with itself it would score lower than
        the next sample of its kind.
        """
        scores = distances.new_empty(distances.shape[1])
        for fold in torch.arange(len(scores)).tensor_split(min(FOLDS, len(scores))):
            rest = torch.ones(len(scores), dtype=torch.bool).index_fill(0, fold, False)
            memory = self.measure(distances[:, rest] if rest.any() else distances)
            scores[fold] = self.score(distances[:, fold], weights, memory).total
        return scores


def _standardised(distances: Tensor, centre: Tensor, spread: Tensor) -> Tensor:
    return blur((distances - centre[:, None]) / spread[:, None], passes_of_blur(distances.shape[2:], 1.0))
