"""How real generated samples are: one table of distances, next to the values that real samples reach.

Samples are (n, channels, length) or (n, channels, height, width) in any unit. Every measure is in units of the training
samples' spread per channel. Overlapping samples, such as windows with a small stride, make every measure look too good;
held-out samples must not overlap training samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.spatial.distance import cdist
from scipy.stats import wasserstein_distance
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import NearestNeighbors

Samples = NDArray[np.float32]
Values = NDArray[np.float64]

FEWEST_MEASURED, MEASURED = 20, 1000  # samples of each kind, evenly spaced where there are more
VALUES = 200_000  # of a channel, whose distribution is compared
VARIANCE_KEPT, COMPONENTS = 0.95, 50  # share of the variance that the features keep, and at most this many of them
DENSITY_NEIGHBOURS = 5  # a ball around a sample reaches so many (Naeem et al. 2020)
MANIFOLD_NEIGHBOURS = 3  # and so many here (Kynkäänniemi et al. 2019)
JITTER = 0.1  # spreads of noise on a jittered copy
TREES, FOLDS = 100, 5
COPY_QUANTILE = 0.01  # quantile of held-out distances below which a sample is as good as a copy
COPIED, SHARE = 0.5, 0.1  # distance ratio below which, and share of near samples above which, they count as memorised
CONSTANT = 1e-9  # variance, in spreads, of a channel that stands still
FLOOR, JITTERED, GAUSSIAN = "held-out real", "jittered copies", "Gaussian samples"
COLUMNS = (
    *("marginal", "autocorrelation", "cross-correlation", "precision", "recall", "density", "coverage"),
    *("nearest training", "near copies", "discriminative"),
)


class SampleSets(NamedTuple):
    """The samples of a report on generated samples, as arrays (n, channels, *size) in any unit.

    `transfer` has the macro-F1 of classifiers trained on recorded and on imitated faults of sensors, `defects` recorded
    and imitated samples of each defect of photos, by name.
    """

    train: Samples
    held_out: Samples
    generated: Samples
    channels: tuple[str, ...]
    transfer: pd.DataFrame | None = None
    defects: Mapping[str, tuple[Samples, Samples]] | None = None


def evenly(x: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    """Take at most `most` rows, evenly spaced, so that neighbouring windows are as far apart as possible."""
    return x if len(x) <= most else x[np.linspace(0, len(x) - 1, most).round().astype(int)]


@dataclass(frozen=True)
class Space:
    """Units and main directions of variation of the training samples."""

    mean: Samples  # (channels, 1, ...)
    spread: Samples
    components: PCA
    kept: int

    @classmethod
    def fit(cls, train: Samples, seed: int) -> Space:
        """Fit to training samples. Raises `ValueError` if they are all the same."""
        axes = (0, *range(2, train.ndim))
        mean = np.asarray(train.mean(axis=axes, dtype=np.float64, keepdims=True)[0], dtype=np.float32)
        spread = np.asarray(train.std(axis=axes, dtype=np.float64, keepdims=True)[0], dtype=np.float32)
        spread = np.where(spread > CONSTANT + 1e-6 * np.abs(mean), spread, np.float32(1))
        x = ((evenly(train, MEASURED) - mean) / spread).reshape(min(len(train), MEASURED), -1)
        components = PCA(min(COMPONENTS, *x.shape), svd_solver="randomized", random_state=seed)
        if not x.var(axis=0).max() > CONSTANT:
            raise ValueError("the training samples are all the same")
        share = np.cumsum(components.fit(x).explained_variance_ratio_)
        return cls(mean, spread, components, min(int((share < VARIANCE_KEPT).sum()) + 1, len(share)))

    def scale(self, x: Samples) -> Samples:
        """Express samples in spreads from the training mean."""
        return np.asarray((x - self.mean) / self.spread, dtype=np.float32)

    def features(self, scaled: Samples) -> Values:
        """Project on the principal components that hold a share VARIANCE_KEPT of the training variance, (n, kept)."""
        projected = self.components.transform(scaled.reshape(len(scaled), -1))[:, : self.kept]
        return np.asarray(projected, dtype=np.float64)

    def described(self, scaled: Samples) -> Values:
        """Return `features` and how much of each channel they leave out, (n, kept + channels), for a forest."""
        features, directions = self.features(scaled), self.components.components_[: self.kept]
        left = scaled - (features @ directions + self.components.mean_).reshape(scaled.shape)
        rest = np.sqrt(np.square(left).mean(axis=tuple(range(2, scaled.ndim))))
        return np.concatenate([features, rest], axis=1)


# Distances: 0 where the two sets are the same.


def marginal_distance(a: Samples, b: Samples) -> float:
    """Compute the Wasserstein-1 distance of the values (Ramdas et al. 2017), averaged over channels, in their unit."""
    pairs = zip(_channels(a), _channels(b), strict=True)
    return float(np.mean([wasserstein_distance(evenly(x, VALUES), evenly(y, VALUES)) for x, y in pairs]))


def _channels(x: Samples) -> Samples:
    """Reshape to (channels, all values of all samples)."""
    return np.moveaxis(x, 1, 0).reshape(x.shape[1], -1)


def autocorrelation(x: Samples) -> list[Values]:
    """Compute the autocorrelation along each axis, (channels, size // 2), for lags 1, 2, ... (Box and Jenkins 1970).

    Each sample is centred on its own mean, so that its level has no effect.
    """
    centred = x - x.mean(axis=tuple(range(2, x.ndim)), keepdims=True)
    curves = []
    for axis in range(2, x.ndim):
        size = x.shape[axis]
        rows = [np.moveaxis(channel, axis - 1, -1) for channel in np.moveaxis(centred, 1, 0)]
        power = [np.square(np.abs(rfft(row, next_fast_len(2 * size), axis=-1))) for row in rows]
        summed = np.stack([p.reshape(-1, p.shape[-1]).mean(axis=0, dtype=np.float64) for p in power])
        lags = np.arange(size // 2 + 1)
        product = irfft(summed, next_fast_len(2 * size), axis=-1)[:, lags] / (size - lags)
        still = product[:, :1] < CONSTANT
        curves.append(np.where(still, 0, product[:, 1:] / np.where(still, 1, product[:, :1])))
    return curves


def autocorrelation_distance(a: Samples, b: Samples) -> float:
    """Compute the mean absolute difference of autocorrelations up to half a sample (Liao et al. 2020)."""
    pairs = zip(autocorrelation(a), autocorrelation(b), strict=True)
    return float(np.mean([np.abs(x - y).mean() for x, y in pairs]))


def correlation(x: Samples) -> Values:
    """Compute Pearson's correlation of simultaneous values, (channels, channels); 0 with a constant channel."""
    values = _channels(x).astype(np.float64)
    covariance = np.atleast_2d(np.cov(values))
    spread = np.sqrt(np.diag(covariance))
    moves = spread > CONSTANT
    scale = np.where(moves, spread, 1)
    return np.where(np.outer(moves, moves), covariance / np.outer(scale, scale), np.eye(len(spread)))


def correlation_distance(a: Samples, b: Samples) -> float:
    """Compute the mean absolute difference of the channels' correlations (Liao et al. 2020); NaN for one channel."""
    if a.shape[1] == 1:
        return float("nan")
    apart = ~np.eye(a.shape[1], dtype=bool)
    return float(np.abs(correlation(a) - correlation(b))[apart].mean())


# Fidelity and variety: shares, 1 at best.


def density_coverage(real: Values, generated: Values) -> tuple[float, float]:
    """Compute density and coverage of generated features with respect to real ones (Naeem et al. 2020).

    A ball around every real sample reaches its fifth neighbour. Density is the mean number of balls that contain a
    generated sample, divided by five (1: as dense as real; may be more). Coverage is the share of balls that contain a
    generated sample.
    """
    k = DENSITY_NEIGHBOURS
    radius = np.partition(cdist(real, real), k, axis=1)[:, k]  # the nearest is the sample itself
    inside = cdist(generated, real) <= radius
    return float(inside.sum(axis=1).mean() / k), float(inside.any(axis=0).mean())


def precision_recall(real: Values, generated: Values) -> tuple[float, float]:
    """Compute precision and recall of generated features (Kynkäänniemi et al. 2019).

    Precision is the share of generated samples inside the real manifold, recall the share of real samples inside the
    generated manifold. A manifold is the union of balls around its samples that reach their third neighbours.
    """
    return _inside(generated, real), _inside(real, generated)


def _inside(sample: Values, manifold: Values) -> float:
    own = torch.cdist(torch.from_numpy(manifold), torch.from_numpy(manifold))
    radius = own.kthvalue(MANIFOLD_NEIGHBOURS + 1, dim=1).values  # the nearest is the sample itself
    distance = torch.cdist(torch.from_numpy(sample), torch.from_numpy(manifold))
    return float((distance <= radius).any(1).double().mean())


# Memorisation.


def nearest(memory: Values, *sets: Values) -> list[Values]:
    """Return the distances (n,) of each set's features to the nearest row of memory."""
    index = NearestNeighbors(n_neighbors=1).fit(memory)
    return [index.kneighbors(x)[0][:, 0] for x in sets]


def copying(held_out: Values, generated: Values) -> tuple[float, float]:
    """Compare distances to the nearest training sample of generated samples with those of held-out samples.

    Returns the ratio of their medians (Meehan et al. 2020 compare the same two), and the share of generated samples
    below the COPY_QUANTILE quantile of the held-out ones.
    """
    floor = float(np.median(held_out))
    ratio = float(np.median(generated)) / floor if floor > 0 else float("nan")
    return ratio, float((generated < np.quantile(held_out, COPY_QUANTILE)).mean())


def memorisation(table: pd.DataFrame) -> dict[str, str]:
    """Return a warning for each row of `compare` whose samples look like copies of training samples.

    They do if their median distance is below COPIED of that of held-out samples, or if more than a share SHARE of them
    is nearer than the COPY_QUANTILE quantile of held-out samples; by chance this share is as large. It may be false:
    held-out samples from another time or machine are farther away than new ones, and samples of only the commonest kind
    are nearer. Look at the coverage and at the samples.
    """
    warnings = {}
    for row in table.to_dict("records"):
        ratio, share = row["nearest training"], row["near copies"]
        if ratio < COPIED or share > SHARE:
            warnings[str(row["samples"])] = (
                f"Memorised, it seems: {row['samples']}. Their distance to the nearest training sample is {ratio:.2f} "
                f"of what it is for held-out real samples, and {share:.0%} of them are nearer than "
                f"{1 - COPY_QUANTILE:.0%} of those are (by chance {COPY_QUANTILE:.0%})."
            )
    return warnings


# What a classifier makes of them.


def discriminative_score(real: Values, generated: Values, seed: int) -> float:
    """Compute |accuracy - 0.5| of a random forest that separates real from generated samples, cross-validated.

    0: it cannot; 0.5: it always can (Yoon et al. 2019, here with a forest instead of a recurrent network).
    """
    n = min(len(real), len(generated))
    x, y = np.concatenate([real[:n], generated[:n]]), np.repeat([0, 1], n)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    return abs(float(cross_val_score(_forest(seed), x, y, cv=folds).mean()) - 0.5)


def _forest(seed: int) -> RandomForestClassifier:
    return RandomForestClassifier(TREES, min_samples_leaf=2, random_state=seed)


def tstr(train: Mapping[str, Samples], test: Mapping[str, Samples], seed: int) -> float:
    """Train a random forest on synthetic samples by label, and return its macro-F1 on real ones (Esteban et al. 2017).

    With real training samples it gives the value that synthetic ones could reach at best.
    """
    if set(train) != set(test):
        raise ValueError(f"expected the same labels to train and test on, got {sorted(train)} and {sorted(test)}")
    labels = sorted(train)
    space = Space.fit(np.concatenate([evenly(train[label], MEASURED // len(labels)) for label in labels]), seed)
    x, x_test = ([evenly(given[label], MEASURED) for label in labels] for given in (train, test))
    y, y_test = (np.repeat(range(len(labels)), [len(part) for part in parts]) for parts in (x, x_test))
    forest = _forest(seed).set_params(class_weight="balanced")
    forest.fit(space.described(space.scale(np.concatenate(x))), y)
    predicted = forest.predict(space.described(space.scale(np.concatenate(x_test))))
    return float(f1_score(y_test, predicted, average="macro"))


# All of it.


def jittered(train: Samples, n: int, rng: np.random.Generator) -> Samples:
    """Return n training samples with Gaussian noise of JITTER spreads: nearly perfect, and nothing new."""
    x = evenly(train, n)
    spread = train.std(axis=(0, *range(2, train.ndim)), dtype=np.float64, keepdims=True)
    return np.asarray(x + JITTER * spread * rng.standard_normal(x.shape, dtype=np.float32), dtype=np.float32)


def gaussian(train: Samples, n: int, rng: np.random.Generator) -> Samples:
    """Draw n samples from the Gaussian with the mean and covariance of (at most MEASURED) training samples.

    Sums of these samples with Gaussian weights have exactly that covariance in any dimension, without a decomposition.
    """
    x = evenly(train, MEASURED).reshape(min(len(train), MEASURED), -1)
    mean = x.mean(axis=0)
    weights = rng.standard_normal((n, len(x)), dtype=np.float32) / np.sqrt(np.float32(len(x) - 1))
    return np.asarray(mean + weights @ (x - mean), dtype=np.float32).reshape(n, *train.shape[1:])


def compare(train: Samples, held_out: Samples, candidates: Mapping[str, Samples], seed: int) -> pd.DataFrame:
    """Return a row of COLUMNS for every candidate, by name in `samples`, and three rows for comparison.

    `held-out real` shows what real samples reach. `jittered copies` and `Gaussian samples` are the cheapest generators.
    Distances, precision, recall, density and coverage are relative to training samples, `nearest training` to all of
    them. The forest separates candidates from held-out samples, and held-out from training samples. The features are
    fitted on every other training sample, and the comparison is with the rest, which the features have not seen either.
    All rows have the same number of samples, because the values depend on it: MEASURED, or as many as there are.
    """
    _check(train, {FLOOR: held_out, **candidates})
    if taken := {FLOOR, JITTERED, GAUSSIAN} & set(candidates):
        raise ValueError(f"a candidate cannot be called {', '.join(sorted(taken))}")
    fitted, others = train[::2], train[1::2]
    n = min(MEASURED, *map(len, (others, held_out, *candidates.values())))
    rng = np.random.default_rng(seed)
    rows = {FLOOR: held_out, JITTERED: jittered(train, n, rng), GAUSSIAN: gaussian(others, n, rng)}
    space = Space.fit(fitted, seed)
    real, floor = (space.scale(evenly(x, n)) for x in (others, held_out))
    real_features, memory = space.features(real), space.features(space.scale(train))
    (usual,) = nearest(memory, space.features(floor))
    measured = []
    for name, samples in {**candidates, **rows}.items():
        x = space.scale(evenly(samples, n))
        features = space.features(x)
        other = real if name == FLOOR else floor
        measured.append(
            (
                name,
                *(marginal_distance(real, x), autocorrelation_distance(real, x), correlation_distance(real, x)),
                *(*precision_recall(real_features, features), *density_coverage(real_features, features)),
                *copying(usual, *nearest(memory, features)),
                discriminative_score(space.described(other), space.described(x), seed),
            )
        )
    return pd.DataFrame(measured, columns=["samples", *COLUMNS])


def _check(train: Samples, others: Mapping[str, Samples]) -> None:
    least = {"training samples": 2 * FEWEST_MEASURED}
    for name, x in {"training samples": train, **others}.items():
        if x.shape[1:] != train.shape[1:] or x.ndim not in (3, 4):
            raise ValueError(
                f"expected (channels, length) or (channels, height, width) of one size, got {x.shape[1:]} of {name}"
            )
        if len(x) < least.get(name, FEWEST_MEASURED):
            raise ValueError(f"expected at least {least.get(name, FEWEST_MEASURED)} {name}, got {len(x)}")
        if not np.isfinite(x).all():
            raise ValueError(f"{name}: every value must be a finite number")
