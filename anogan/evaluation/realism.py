"""How real generated samples are: one table of distances, each beside what real samples give when they are measured.

Samples are (n, channels, length) or (n, channels, height, width) in any unit; every measure is in units of the training
samples' spread per channel. Samples that overlap each other, as windows with a small stride do, flatter every figure;
held-out samples must not overlap training ones.
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
KEPT, COMPONENTS = 0.95, 50  # share of the variance that the features keep, and at most this many of them
DENSITY_NEIGHBOURS = 5  # a ball around a sample reaches so many (Naeem et al. 2020)
MANIFOLD_NEIGHBOURS = 3  # and so many here (Kynkäänniemi et al. 2019)
JITTER = 0.1  # spreads of noise on a jittered copy
TREES, FOLDS = 100, 5
NEAR = 0.01  # quantile of held-out distances below which a sample is as good as a copy
COPIED, SHARE = 0.5, 0.1  # distance ratio below which, and share of near samples above which, they count as memorised
CONSTANT = 1e-9  # variance, in spreads, of a channel that stands still
FLOOR, JITTERED, GAUSSIAN = "held-out real", "jittered copies", "Gaussian samples"
COLUMNS = (
    *("marginal", "autocorrelation", "cross-correlation", "precision", "recall", "density", "coverage"),
    *("nearest training", "near copies", "discriminative"),
)


class SampleSets(NamedTuple):
    """What a report on generated samples shows.

    Parameters
    ----------
    train, held_out, generated : arrays (n, channels, *size) in any unit
    channels : the channels' names
    transfer : macro-F1 of classifiers trained on recorded and on imitated faults, where there are faults of sensors
    defects : recorded and imitated samples of each defect by name, where there are defects of photos
    """

    train: Samples
    held_out: Samples
    generated: Samples
    channels: tuple[str, ...]
    transfer: pd.DataFrame | None = None
    defects: Mapping[str, tuple[Samples, Samples]] | None = None


def evenly(x: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    """At most this many rows, evenly spaced, so that windows in a row stay as far apart as can be."""
    return x if len(x) <= most else x[np.linspace(0, len(x) - 1, most).round().astype(int)]


@dataclass(frozen=True)
class Space:
    """What the training samples say of units and of the directions in which samples vary."""

    mean: Samples  # (channels, 1, ...)
    spread: Samples
    components: PCA
    kept: int

    @classmethod
    def fit(cls, train: Samples, seed: int) -> Space:
        axes = (0, *range(2, train.ndim))
        mean = np.asarray(train.mean(axis=axes, dtype=np.float64, keepdims=True)[0], dtype=np.float32)
        spread = np.asarray(train.std(axis=axes, dtype=np.float64, keepdims=True)[0], dtype=np.float32)
        spread = np.where(spread > CONSTANT + 1e-6 * np.abs(mean), spread, np.float32(1))
        x = ((evenly(train, MEASURED) - mean) / spread).reshape(min(len(train), MEASURED), -1)
        components = PCA(min(COMPONENTS, *x.shape), svd_solver="randomized", random_state=seed)
        if not x.var(axis=0).max() > CONSTANT:
            raise ValueError("the training samples are all the same")
        share = np.cumsum(components.fit(x).explained_variance_ratio_)
        return cls(mean, spread, components, min(int((share < KEPT).sum()) + 1, len(share)))

    def scale(self, x: Samples) -> Samples:
        """The samples in spreads from the training mean."""
        return np.asarray((x - self.mean) / self.spread, dtype=np.float32)

    def features(self, scaled: Samples) -> Values:
        """(n, kept): the principal components that keep KEPT of the training samples' variance, COMPONENTS at most."""
        found = self.components.transform(scaled.reshape(len(scaled), -1))[:, : self.kept]
        return np.asarray(found, dtype=np.float64)

    def described(self, scaled: Samples) -> Values:
        """(n, kept + channels): the features, and how much of each channel they leave out, for a forest to look at."""
        found, directions = self.features(scaled), self.components.components_[: self.kept]
        left = scaled - (found @ directions + self.components.mean_).reshape(scaled.shape)
        rest = np.sqrt(np.square(left).mean(axis=tuple(range(2, scaled.ndim))))
        return np.concatenate([found, rest], axis=1)


# Distances: 0 where the two sets are the same.


def marginal_distance(a: Samples, b: Samples) -> float:
    """Wasserstein-1 distance of the values (Ramdas et al. 2017), mean over channels, in their unit."""
    pairs = zip(_channels(a), _channels(b), strict=True)
    return float(np.mean([wasserstein_distance(evenly(x, VALUES), evenly(y, VALUES)) for x, y in pairs]))


def _channels(x: Samples) -> Samples:
    """(channels, all values of all samples)."""
    return np.moveaxis(x, 1, 0).reshape(x.shape[1], -1)


def autocorrelation(x: Samples) -> list[Values]:
    """Along each axis, (channels, size // 2): the mean product of two values 1, 2, ... places apart, as a share of the
    variance (Box and Jenkins 1970). Within a sample, about its own mean: how it moves, not where it stands."""
    centred = x - x.mean(axis=tuple(range(2, x.ndim)), keepdims=True)
    found = []
    for axis in range(2, x.ndim):
        size = x.shape[axis]
        rows = [np.moveaxis(channel, axis - 1, -1) for channel in np.moveaxis(centred, 1, 0)]
        power = [np.square(np.abs(rfft(row, next_fast_len(2 * size), axis=-1))) for row in rows]
        summed = np.stack([p.reshape(-1, p.shape[-1]).mean(axis=0, dtype=np.float64) for p in power])
        lags = np.arange(size // 2 + 1)
        product = irfft(summed, next_fast_len(2 * size), axis=-1)[:, lags] / (size - lags)
        still = product[:, :1] < CONSTANT
        found.append(np.where(still, 0, product[:, 1:] / np.where(still, 1, product[:, :1])))
    return found


def autocorrelation_distance(a: Samples, b: Samples) -> float:
    """Mean absolute difference of the autocorrelations up to half the sample (Liao et al. 2020); for images along
    columns and rows."""
    pairs = zip(autocorrelation(a), autocorrelation(b), strict=True)
    return float(np.mean([np.abs(x - y).mean() for x, y in pairs]))


def correlation(x: Samples) -> Values:
    """(channels, channels): Pearson's correlation of the values at one place, 0 with a channel that stands still."""
    values = _channels(x).astype(np.float64)
    covariance = np.atleast_2d(np.cov(values))
    spread = np.sqrt(np.diag(covariance))
    moves = spread > CONSTANT
    scale = np.where(moves, spread, 1)
    return np.where(np.outer(moves, moves), covariance / np.outer(scale, scale), np.eye(len(spread)))


def correlation_distance(a: Samples, b: Samples) -> float:
    """Mean absolute difference of the channels' correlations (Liao et al. 2020); NaN where there is one channel."""
    if a.shape[1] == 1:
        return float("nan")
    apart = ~np.eye(a.shape[1], dtype=bool)
    return float(np.abs(correlation(a) - correlation(b))[apart].mean())


# Fidelity and variety: shares, 1 at best.


def density_coverage(real: Values, generated: Values) -> tuple[float, float]:
    """Density and coverage of generated features with respect to real ones (Naeem et al. 2020).

    A ball around every real sample reaches its fifth neighbour. Density is the mean number of balls that a generated
    sample lies in, divided by five (1: as dense as real; may be more); coverage is the share of balls that hold a
    generated sample.
    """
    k = DENSITY_NEIGHBOURS
    radius = np.partition(cdist(real, real), k, axis=1)[:, k]  # the nearest is the sample itself
    inside = cdist(generated, real) <= radius
    return float(inside.sum(axis=1).mean() / k), float(inside.any(axis=0).mean())


def precision_recall(real: Values, generated: Values) -> tuple[float, float]:
    """Share of generated samples inside the manifold of real ones, and of real ones inside that of the generated; a
    manifold is a ball around every sample that reaches its third neighbour (Kynkäänniemi et al. 2019)."""
    return _inside(generated, real), _inside(real, generated)


def _inside(sample: Values, manifold: Values) -> float:
    own = torch.cdist(torch.from_numpy(manifold), torch.from_numpy(manifold))
    radius = own.kthvalue(MANIFOLD_NEIGHBOURS + 1, dim=1).values  # the nearest is the sample itself
    distance = torch.cdist(torch.from_numpy(sample), torch.from_numpy(manifold))
    return float((distance <= radius).any(1).double().mean())


# Memorisation.


def nearest(memory: Values, *sets: Values) -> list[Values]:
    """Distance (n,) of every sample's features in the sets to its nearest in memory."""
    index = NearestNeighbors(n_neighbors=1).fit(memory)
    return [index.kneighbors(x)[0][:, 0] for x in sets]


def copying(held_out: Values, generated: Values) -> tuple[float, float]:
    """Of distances to the nearest training sample: the generated samples' median as a share of the held-out ones'
    (Meehan et al. 2020 compare the same two), and the share of them below the held-out ones' NEAR quantile."""
    floor = float(np.median(held_out))
    ratio = float(np.median(generated)) / floor if floor > 0 else float("nan")
    return ratio, float((generated < np.quantile(held_out, NEAR)).mean())


def memorisation(table: pd.DataFrame) -> dict[str, str]:
    """A warning for each row of `compare` that memorised: its median distance is below COPIED of the held-out samples',
    or more than SHARE of it is nearer than all but NEAR of those are. By chance the share is NEAR.

    Held-out samples from another time or machine are farther away than new ones would be, and samples of the commonest
    kind alone are nearer: both may be warned of without a copy among them. Look at coverage and at the samples.
    """
    found = {}
    for row in table.to_dict("records"):
        ratio, share = row["nearest training"], row["near copies"]
        if ratio < COPIED or share > SHARE:
            found[str(row["samples"])] = (
                f"Memorised, it seems: {row['samples']}. Their distance to the nearest training sample is {ratio:.2f} "
                f"of what it is for held-out real samples, and {share:.0%} of them are nearer than {1 - NEAR:.0%} of "
                f"those are (by chance {NEAR:.0%})."
            )
    return found


# What a classifier makes of them.


def discriminative_score(real: Values, generated: Values, seed: int) -> float:
    """|accuracy - 0.5| of a random forest that tells real from generated samples, cross-validated, as many of both: 0 =
    it cannot, 0.5 = it always can (Yoon et al. 2019, with a forest in place of their recurrent network)."""
    n = min(len(real), len(generated))
    x, y = np.concatenate([real[:n], generated[:n]]), np.repeat([0, 1], n)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    return abs(float(cross_val_score(_forest(seed), x, y, cv=folds).mean()) - 0.5)


def _forest(seed: int) -> RandomForestClassifier:
    return RandomForestClassifier(TREES, min_samples_leaf=2, random_state=seed)


def tstr(train: Mapping[str, Samples], test: Mapping[str, Samples], seed: int) -> float:
    """Macro-F1 on real test samples by label of a random forest trained on given ones by label: train on synthetic,
    test on real (Esteban et al. 2017). With real training samples it is what there is to reach."""
    if set(train) != set(test):
        raise ValueError(f"expected the same labels to train and test on, got {sorted(train)} and {sorted(test)}")
    labels = sorted(train)
    space = Space.fit(np.concatenate([evenly(train[label], MEASURED // len(labels)) for label in labels]), seed)
    x, x_test = ([evenly(given[label], MEASURED) for label in labels] for given in (train, test))
    y, y_test = (np.repeat(range(len(labels)), [len(part) for part in parts]) for parts in (x, x_test))
    forest = _forest(seed).set_params(class_weight="balanced")
    forest.fit(space.described(space.scale(np.concatenate(x))), y)
    found = forest.predict(space.described(space.scale(np.concatenate(x_test))))
    return float(f1_score(y_test, found, average="macro"))


# All of it.


def jittered(train: Samples, n: int, rng: np.random.Generator) -> Samples:
    """n training samples with Gaussian noise of JITTER spreads: near perfect, and nothing new."""
    x = evenly(train, n)
    spread = train.std(axis=(0, *range(2, train.ndim)), dtype=np.float64, keepdims=True)
    return np.asarray(x + JITTER * spread * rng.standard_normal(x.shape, dtype=np.float32), dtype=np.float32)


def gaussian(train: Samples, n: int, rng: np.random.Generator) -> Samples:
    """n samples of the Gaussian with the mean and covariance of (at most MEASURED) training samples. Sums of these with
    Gaussian weights have exactly that covariance, in any dimension, and no matrix needs to be taken apart."""
    x = evenly(train, MEASURED).reshape(min(len(train), MEASURED), -1)
    mean = x.mean(axis=0)
    weights = rng.standard_normal((n, len(x)), dtype=np.float32) / np.sqrt(np.float32(len(x) - 1))
    return np.asarray(mean + weights @ (x - mean), dtype=np.float32).reshape(n, *train.shape[1:])


def compare(train: Samples, held_out: Samples, candidates: Mapping[str, Samples], seed: int) -> pd.DataFrame:
    """A row of COLUMNS for every candidate, by name in `samples`, and three rows to read them by.

    `held-out real` is the floor: what real samples give in the generated ones' place. `jittered copies` and `Gaussian
    samples` are the cheapest generators there are. Distances, precision, recall, density and coverage are to training
    samples, `nearest training` to all of them; the forest tells the samples from held-out real ones, and held-out from
    training ones for the floor. The features are those of every other training sample and the comparison is with the
    rest, which sees them as unseen samples do. Every row is of the same number of samples, on which the figures depend:
    MEASURED, or as many as there are.
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
    found = []
    for name, samples in {**candidates, **rows}.items():
        x = space.scale(evenly(samples, n))
        features = space.features(x)
        other = real if name == FLOOR else floor
        found.append(
            (
                name,
                *(marginal_distance(real, x), autocorrelation_distance(real, x), correlation_distance(real, x)),
                *(*precision_recall(real_features, features), *density_coverage(real_features, features)),
                *copying(usual, *nearest(memory, features)),
                discriminative_score(space.described(other), space.described(x), seed),
            )
        )
    return pd.DataFrame(found, columns=["samples", *COLUMNS])


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
