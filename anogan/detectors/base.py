"""The scikit-learn face all detectors share. A detector is a way x -> z -> x_hat, a list of views, and a rule."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import ClassVar, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from anogan.config.gan import AugmentName, GANConfig, SearchConfig
from anogan.detectors.calibration import Floats, hold_out, p_values, threshold_at
from anogan.detectors.estimator import OutlierEstimator
from anogan.gan.inversion import OnRows, chunks
from anogan.gan.networks import GAN, Shape, check_shape
from anogan.gan.scores import blur
from anogan.gan.stages import Parts, train_stages
from anogan.gan.training import GANTraining, OnLog, train
from anogan.views.base import Memory, View
from anogan.views.fusion import Rule, Score

FEWEST = 16  # training samples
IMAGE_CHANNELS = (1, 3, 4)  # channels that images usually have
MAP_QUANTILE = 0.99  # of the largest residual of each held-out normal sample: a good part stays below 1


class Explanation(NamedTuple):
    """What a detector says of x (n, *shape): A(x) and its terms by name (n,), x_hat and the anomaly map (n, *shape)."""

    score: Floats
    terms: dict[str, Floats]
    reconstruction: NDArray[np.float32]
    anomaly_map: NDArray[np.float32]


class Judged(NamedTuple):
    """What scores mean: how rare they are among held-out normal samples (n,) in (0, 1], and whether they are above the
    threshold (n,)."""

    p_value: Floats
    anomaly: NDArray[np.bool_]


def resolve_device(device: str) -> torch.device:
    """'auto' is the accelerator where there is one, else the CPU. Raises `ValueError` on one that cannot be used."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(1, device=found).cpu()
    except (RuntimeError, AssertionError) as error:
        why = str(error).splitlines()[0]
        raise ValueError(f"expected a device such as auto, cpu or cuda:0, got {device!r}: {why}") from None
    return found


def check_samples(X: ArrayLike, shape: Shape | None = None) -> Tensor:
    """X as float32 tensor (n, channels, *size); raises `ValueError` saying what came and what was expected."""
    x = np.asarray(X)
    expected = f"(n, {', '.join(map(str, shape))})" if shape else "(n, channels, *size)"
    if x.dtype.kind not in "fiu":
        raise ValueError(f"expected numbers in [-1, 1], got dtype {x.dtype}")
    if x.ndim < 3 or len(x) == 0 or (shape and x.shape[1:] != shape):
        raise ValueError(f"expected samples of shape {expected}, got {x.shape}")
    if x.ndim == 4 and x.shape[3] in IMAGE_CHANNELS and x.shape[1] not in IMAGE_CHANNELS:
        raise ValueError(f"expected the channels before rows and columns, {expected}, got {x.shape}")
    check_shape(x.shape[1:])
    low, high = x.min(), x.max()  # NaN where there is one
    if not (low >= -1 and high <= 1):
        if not np.isfinite(x).all():
            raise ValueError(f"expected finite numbers, got NaN or infinity in {int((~np.isfinite(x)).sum())} places")
        raise ValueError(f"expected values in [-1, 1], got [{low:.4g}, {high:.4g}]")
    return torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))


class Detector(OutlierEstimator):
    """Base of the GAN detectors. After `fit`: `gan_` (shared networks), `calibration_scores_`, `threshold_`,
    `offset_` (= -threshold_), `map_scale_`, `memory_`.

    Parameters: `gan`, a `GANConfig`; `views`, names of those of its views that are kept, in their order, () = all;
    `false_alarm_rate`, share of normal samples that may be flagged; `holdout`, share of X kept from training to set the
    threshold; `random_state`, a seed; `device`, 'auto', 'cpu', 'cuda', ...
    """

    title: ClassVar[str] = ""  # what reports call it; its class's name unless given
    run_settings: ClassVar[Mapping[str, str]] = {}  # parameter -> settings of a run that it takes, if named otherwise
    needs: frozenset[str] = frozenset({"encoder"})  # parts besides the GAN that x -> z -> x_hat takes; each a parameter
    search: SearchConfig | None = None  # a parameter of a detector that searches for z
    augment: tuple[AugmentName, ...] = ()  # changes that leave a normal sample normal
    searches: bool = False  # z is searched for sample by sample, rather than x -> z in one pass of `_encode`
    gan: GANConfig
    views: tuple[str, ...]
    false_alarm_rate: float
    holdout: float
    random_state: int
    device: str

    def _encode(self, x: Tensor) -> Tensor:
        """x (n, *shape) -> z (n, latent_dim) in one pass."""
        assert self.gan_.encoder is not None, "calibrate() refuses networks without an encoder"
        z: Tensor = self.gan_.encoder(x)
        return z

    def _invert(self, x_all: Tensor, on_rows: OnRows | None) -> Iterator[Tensor]:
        """x (n, *shape) -> z (rows, latent_dim), chunk after chunk, the last one padded."""
        for x, count in chunks(x_all, self.gan_.device):
            yield self._encode(x)
            if on_rows:
                on_rows(count)

    def _draw(self, z: Tensor) -> Tensor:
        """z -> x_hat."""
        x_hat: Tensor = self.gan_.generator(z)
        return x_hat

    # Views.

    @property
    @abstractmethod
    def own_views(self) -> tuple[View, ...]:
        """The views that it is made of."""

    @property
    @abstractmethod
    def rule(self) -> Rule:
        """How they become one score."""

    @property
    def _kept_views(self) -> tuple[View, ...]:
        """Those that `views` names."""
        kept = tuple(view for view in self.own_views if not self.views or view.name in self.views)
        if self.views and tuple(view.name for view in kept) != tuple(self.views):
            choices = ", ".join(view.name for view in self.own_views)
            raise ValueError(
                f"views of {type(self).__name__} must be some of {choices}, once each and in this order; got "
                f"{', '.join(self.views)}"
            )
        return kept

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of its views: what its score is made of."""
        return tuple(view.name for view in self._kept_views)

    @property
    def remembered(self) -> frozenset[str]:
        """Names of the tensors in `memory_`."""
        return self.rule.remembered.union(*(view.remembered for view in self._kept_views))

    @property
    def parts(self) -> Parts:
        """What is trained besides the GAN, for x_hat and for its views, and how."""
        needed = self.needs.union(*(view.needs for view in self._kept_views))
        return {name: getattr(self, name) for name in needed}

    def _weights(self) -> Tensor:
        """Weights of its views (views,)."""
        weights = [torch.as_tensor(view.weigh(self.memory_), device=self.gan_.device) for view in self._kept_views]
        return torch.stack(weights)

    def _look(self, x: Tensor, z: Tensor, x_hat: Tensor) -> Tensor:
        """Distances in each of its views (views, n) or (views, n, height, width)."""
        return torch.stack([view.distance(x, z, x_hat, self.gan_, self.memory_) for view in self._kept_views])

    def _score(self, x: Tensor, z: Tensor, x_hat: Tensor) -> Score:
        return self.rule.score(self._look(x, z, x_hat), self._weights(), self.memory_)

    @torch.no_grad()
    def _distances(self, X: ArrayLike) -> Tensor:
        """Distances of all X in each of its views."""
        return torch.cat([self._look(x, z, x_hat)[:, :count] for x, count, z, x_hat in self._drawn(X)], dim=1)

    # Fitting.

    @torch.enable_grad()
    def fit(self, X: ArrayLike, y: object = None, *, on_log: OnLog | None = None) -> Self:
        """Train on normal samples X (n, channels, *size) in [-1, 1] and set the threshold on those held out.

        Raises `ValueError` on bad X or a bad parameter, `TrainingDivergedError` when the training fails. Warns where X
        looks like images without an axis of channels, which would be taken for windows of sensors.
        """
        self.check_parameters()
        x = check_samples(X)
        if x.dim() == 3 and x.shape[1] == x.shape[2]:
            said = f"X {tuple(x.shape)} is taken for windows of {x.shape[1]} sensors; images are (n, 1, height, width)"
            warnings.warn(said, stacklevel=3)
        training_rows, held_out = hold_out(len(x), self.holdout, self.random_state)
        if len(training_rows) < FEWEST or not len(held_out):
            raise ValueError(f"expected at least {FEWEST} samples to train on and one to hold out, got {len(x)} in all")
        x_train = x[training_rows].to(resolve_device(self.device))
        adversarial = GANTraining(x.shape[1:], self.gan, self.random_state, x_train.device)
        gan = train_stages(adversarial, self.parts, lambda _, stage: train(x_train, stage, on_log, self.augment))
        return self.calibrate(gan, x_train.cpu().numpy(), x[held_out].numpy())

    def check_parameters(self) -> None:
        """Raise `ValueError` where one of them cannot be used."""
        for name in ("false_alarm_rate", "holdout"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise ValueError(f"{name} must be in (0, 1), got {value!r}")
        seed = self.random_state
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise ValueError(f"random_state must be a whole number >= 0, got {seed!r}")
        _ = self.terms  # refuses names of views that it does not have

    def calibrate(self, gan: GAN, X: ArrayLike, X_normal: ArrayLike, on_rows: OnRows | None = None) -> Self:
        """Take networks trained on X, which several detectors may share, and calibrate on normal samples X_normal that
        none of them was trained on."""
        for part in self.parts:
            if getattr(gan, part) is None:
                raise ValueError(f"{type(self).__name__} needs networks with a trained {part}")
        self.gan_, self.map_scale_ = gan.frozen(), 1.0
        self.memory_: Memory = {}
        self.remember(X)
        self.measure(X_normal)
        if not self._weights().any():
            raise ValueError(f"no view has a weight above 0 with these settings and samples: {', '.join(self.terms)}")
        score, peaks = self._held_out(X_normal, on_rows)
        return self.load_state(gan, score, float(max(np.quantile(peaks, MAP_QUANTILE), 1e-6)), self.memory_)

    def _held_out(self, X_normal: ArrayLike, on_rows: OnRows | None) -> tuple[Floats, Floats]:
        """Scores (n,) and highest map values (n,) of held-out samples, as those of new ones will be."""
        normal = self.explain(X_normal, on_rows)
        return normal.score, normal.anomaly_map.reshape(len(normal.score), -1).max(1).astype(np.float64)

    def remember(self, X: ArrayLike) -> None:
        """Recompute the part of `memory_` that comes from training samples X (n, *shape); the scales from held-out ones
        stay."""
        x = check_samples(X, self.gan_.shape)
        for view in self._kept_views:
            self._keep(view.remember(x, self.gan_))

    def measure(self, X_normal: ArrayLike) -> None:
        """Recompute the part of `memory_` that comes from held-out samples X_normal (n, *shape); that from training
        samples stays."""
        x = check_samples(X_normal, self.gan_.shape)
        for view in self._kept_views:
            self._keep(view.measure(x, self.gan_, self.memory_))
        if self.rule.remembered:
            self._keep(self.rule.measure(self._distances(X_normal)))

    def _keep(self, memory: Memory) -> None:
        self.memory_ |= {name: tensor.to(self.gan_.device) for name, tensor in memory.items()}

    def load_state(self, gan: GAN, calibration_scores: Floats, map_scale: float, memory: Memory) -> Self:
        """Take networks, calibration and memory from an earlier fit; the threshold follows from the scores."""
        if set(memory) != self.remembered or not all(tensor.isfinite().all() for tensor in memory.values()):
            expected, got = ", ".join(sorted(self.remembered)), ", ".join(sorted(memory))
            raise ValueError(f"expected a memory of finite {expected}; got {got}")
        if calibration_scores.ndim != 1 or not len(calibration_scores) or not np.isfinite(calibration_scores).all():
            raise ValueError("calibration scores must be finite numbers (n,)")
        self.gan_ = gan.frozen()
        self.n_features_in_ = int(np.prod(gan.shape))
        self.map_scale_ = map_scale
        self.memory_ = {}
        self._keep(memory)
        self.calibration_scores_ = np.sort(calibration_scores)
        self.threshold_ = threshold_at(self.calibration_scores_, self.false_alarm_rate)
        self.offset_ = -self.threshold_
        return self

    # Scoring.

    @torch.no_grad()
    def _drawn(self, X: ArrayLike, on_rows: OnRows | None = None) -> Iterator[tuple[Tensor, int, Tensor, Tensor]]:
        """x, the number of its rows that are no padding, z and x_hat of one chunk after another."""
        self.check_fitted("gan_")
        x_all = check_samples(X, self.gan_.shape)
        for (x, count), z in zip(chunks(x_all, self.gan_.device), self._invert(x_all, on_rows), strict=True):
            yield x, count, z, self._draw(z)

    @torch.no_grad()
    def _passes(self, X: ArrayLike, on_rows: OnRows | None = None) -> Iterator[tuple[Tensor, Tensor, Score]]:
        """x, x_hat and score of one chunk after another, without padding."""
        for x, count, z, x_hat in self._drawn(X, on_rows):
            total, terms, places = self._score(x, z, x_hat)
            kept = Score(total[:count], terms[:, :count], None if places is None else places[:count])
            yield x[:count], x_hat[:count], kept

    def explain(self, X: ArrayLike, on_rows: OnRows | None = None) -> Explanation:
        """Score, its terms, reconstruction and anomaly map of X (n, *shape) in one pass."""
        scores, x_hats, maps = [], [], []
        for x, x_hat, score in self._passes(X, on_rows):
            scores.append(score)
            x_hats.append(x_hat.cpu().numpy())
            maps.append(self._map(x, x_hat, score).cpu().numpy())
        return Explanation(*self._joined(scores), np.concatenate(x_hats), np.concatenate(maps))

    def _map(self, x: Tensor, x_hat: Tensor, score: Score) -> Tensor:
        places = blur((x - x_hat).abs()) if score.places is None else score.places[:, None].expand_as(x)
        return places / self.map_scale_

    def one_pass(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A(x) (n,), x_hat and the anomaly map (n, *shape) of any number of rows at once, for a graph to be traced
        from; of detectors that do not search."""
        z = self._encode(x)
        x_hat = self._draw(z)
        score = self._score(x, z, x_hat)
        return score.total, x_hat, self._map(x, x_hat, score)

    def compare(self, X: ArrayLike) -> tuple[Floats, dict[str, Floats]]:
        """A(x) (n,) and its terms by name, each (n,)."""
        return self._joined([score for _, _, score in self._passes(X)])

    def _joined(self, scores: list[Score]) -> tuple[Floats, dict[str, Floats]]:
        total = torch.cat([score.total for score in scores]).cpu().double()  # some accelerators have no float64
        terms = torch.cat([score.terms for score in scores], dim=1).cpu().double()
        return total.numpy(), dict(zip(self.terms, terms.numpy(), strict=True))

    def anomaly_score(self, X: ArrayLike) -> Floats:
        """A(x) (n,), higher = more anomalous."""
        return self.compare(X)[0]

    def score_samples(self, X: ArrayLike) -> Floats:
        """-A(x) (n,), scikit-learn's sign: higher = more normal."""
        return -self.anomaly_score(X)

    def decision_function(self, X: ArrayLike) -> Floats:
        """score_samples(X) - offset_ (n,), negative = anomaly."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """-1 anomaly, +1 normal (n,)."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def judge(self, score: Floats) -> Judged:
        """What scores A(x) (n,) mean."""
        return Judged(p_values(self.calibration_scores_, score), score > self.threshold_)

    def p_value(self, X: ArrayLike) -> Floats:
        """Conformal p-value (n,) in (0, 1]: how rare a score this high is among held-out normal samples."""
        return self.judge(self.anomaly_score(X)).p_value

    def reconstruct(self, X: ArrayLike) -> NDArray[np.float32]:
        """G(z) (n, *shape) in [-1, 1]."""
        return np.concatenate([x_hat[:count].cpu().numpy() for _, count, _, x_hat in self._drawn(X)])

    def anomaly_map(self, X: ArrayLike) -> NDArray[np.float32]:
        """Scores of places (n, *shape), or |x - G(z)| blurred where the detector has none, on a scale fixed at
        calibration: 1 = the worst place of a normal sample.

        Blurring keeps misplaced parts and lets the thin seams along every edge fade."""
        return self.explain(X).anomaly_map
