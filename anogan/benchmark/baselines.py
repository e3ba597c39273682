"""Baselines that a GAN has to beat: classical outlier detectors of images, as scikit-learn estimators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import OneClassSVM
from torch import Tensor
from torch.nn.functional import normalize

from anogan.config.presets import DEFAULT
from anogan.detectors.calibration import Floats
from anogan.gan.scores import blur
from anogan.views.gradients import oriented_gradients
from anogan.views.nearest import nearest, neighbour_distance

QUERIES_AT_ONCE = 500  # queries compared with the memory at once
SVM_ROWS = 6000  # a support-vector machine on more takes hours


def blurred(x: Tensor) -> Tensor:
    """Return blurred brightness as unit vectors (n, d)."""
    return normalize((blur(x) + 1).flatten(1), dim=1)


class CosineNeighbours(OutlierMixin, BaseEstimator):
    """Mean cosine distance to the k nearest training samples after `view`, which maps (n, *shape) to unit vectors."""

    def __init__(self, view: Callable[[Tensor], Tensor], k: int) -> None:
        self.view = view
        self.k = k

    def _see(self, X: ArrayLike) -> list[Tensor]:
        return [self.view(part) for part in torch.from_numpy(np.asarray(X, np.float32)).split(QUERIES_AT_ONCE)]

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        self.memory_ = torch.cat(self._see(X))
        return self

    def score_samples(self, X: ArrayLike) -> Floats:
        return -torch.cat([self._distance(part) for part in self._see(X)]).double().numpy()

    def _distance(self, seen: Tensor) -> Tensor:
        return nearest(seen, self.memory_, self.k)[0].mean(1)


class GradientNeighbours(CosineNeighbours):
    """NeighbourGAN without the GAN: its view of oriented gradients alone, which needs no network."""

    def __init__(self, k: int = DEFAULT.neighbour.neighbours) -> None:
        super().__init__(oriented_gradients, k)

    def _distance(self, seen: Tensor) -> Tensor:
        return neighbour_distance(seen, self.memory_, self.k)


class PixelNeighbour(OutlierMixin, BaseEstimator):
    """Euclidean distance to the nearest training sample."""

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        self.memory_ = torch.from_numpy(flat(X))
        return self

    def score_samples(self, X: ArrayLike) -> Floats:
        parts = torch.from_numpy(flat(X)).split(QUERIES_AT_ONCE)
        return -torch.cat([torch.cdist(part, self.memory_).amin(1) for part in parts]).double().numpy()


class PCAResidual(OutlierMixin, BaseEstimator):
    """Distance to the subspace of the first principal components."""

    def __init__(self, n_components: int = 30, random_state: int = 0) -> None:
        self.n_components = n_components
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        self.pca_ = PCA(self.n_components, random_state=self.random_state).fit(flat(X))
        return self

    def score_samples(self, X: ArrayLike) -> Floats:
        x = flat(X)
        error = x - self.pca_.inverse_transform(self.pca_.transform(x))
        distance: Floats = np.linalg.norm(error, axis=1).astype(np.float64)
        return -distance


def flat(X: ArrayLike) -> NDArray[np.float32]:
    """Reshape (n, *shape) to (n, d)."""
    x = np.asarray(X, np.float32)
    return x.reshape(len(x), -1)


class SmallOneClassSVM(OneClassSVM):
    """A one-class support-vector machine trained on a random part of a large training set."""

    def fit(self, X: NDArray[np.float32], y: object = None, sample_weight: object = None) -> Self:
        rows = np.random.default_rng(len(X)).permutation(len(X))[:SVM_ROWS]
        super().fit(X[np.sort(rows)])
        return self


# Name -> estimator for a seed.
BASELINES: dict[str, Callable[[int], Any]] = {
    "default-without-gan": lambda seed: GradientNeighbours(),
    "raw-knn": lambda seed: PixelNeighbour(),
    "pca": lambda seed: PCAResidual(random_state=seed),
    "isolation-forest": lambda seed: make_pipeline(FunctionTransformer(flat), IsolationForest(random_state=seed)),
    "one-class-svm": lambda seed: make_pipeline(FunctionTransformer(flat), SmallOneClassSVM(nu=0.1)),
    "blurred-cosine-knn": lambda seed: CosineNeighbours(blurred, 5),
    "oriented-gradient-knn": lambda seed: CosineNeighbours(oriented_gradients, 5),
}
