"""What all detectors share. A detector is a way x -> z -> x_hat, a list of views, and a rule."""

from __future__ import annotations

import math
import warnings
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from anogan.detectors.calibration import Floats, hold_out, threshold_at
from anogan.detectors.estimator import Estimator
from anogan.gan.device import resolve_device
from anogan.gan.inversion import OnRows, chunks
from anogan.gan.networks import GAN
from anogan.gan.scores import blur
from anogan.gan.stages import Parts, train_stages
from anogan.gan.training import GANTraining, OnLog, train
from anogan.views.base import Memory, View
from anogan.views.fusion import Rule, Score

FEWEST = 16  # training samples
MAP_QUANTILE = 0.99  # of the largest residual of each held-out normal sample: a good part stays below 1


class Explanation(NamedTuple):
    """What a detector says of x (n, *shape): A(x) and its terms by name (n,), x_hat and the anomaly map (n, *shape)."""

    score: Floats
    terms: dict[str, Floats]
    reconstruction: NDArray[np.float32]
    anomaly_map: NDArray[np.float32]


@dataclass(eq=False, repr=False)
class Detector(Estimator):
    """Base of the GAN detectors: a scikit-learn outlier detector.

    Parameters
    ----------
    gan
        Settings of the GAN and its training. `get_params` and `set_params` know each setting of this and other groups
        as well: `gan__width`, `encoder__steps`, ...
    sample_shape
        Shape (channels, length) or (channels, height, width) of one sample. It lets X be flat, (n, features), as
        scikit-learn's scalers and pipelines have it. -1 stands for one side that follows from the number of features.
        None: X must be (n, *shape).
    views
        Names of those of its views that are kept, in their order; () keeps all.
    false_alarm_rate
        Share of normal samples that may be flagged, in (0, 1).
    holdout
        Share of X that is kept from training to set the threshold, in (0, 1).
    random_state
        A seed >= 0, or what `fit` draws a seed from: a `RandomState`, or NumPy's global one (None).
    device
        'auto', 'cpu', 'cuda', ...

    Attributes
    ----------
    gan_
        The networks, which several detectors may share.
    calibration_scores_, threshold_, offset_
        Sorted scores of the samples held out, the score above which a sample is flagged, and -threshold_.
    map_scale_, memory_
        Scale of the anomaly maps, and what the views remember of normal samples.
    random_state_
        The seed that was used.
    n_features_in_, feature_names_in_
        As in scikit-learn: the columns of a flat X, or the channels of other samples; the names of the columns of a
        DataFrame.
    """

    title: ClassVar[str] = ""  # what reports call it; its class's name unless given
    run_settings: ClassVar[Mapping[str, str]] = {}  # parameter -> settings of a run that it takes, if named otherwise

    def _encode(self, x: Tensor) -> Tensor:
        """Map x (n, *shape) to z (n, latent_dim) in one pass."""
        assert self.gan_.encoder is not None, "calibrate() refuses networks without an encoder"
        z: Tensor = self.gan_.encoder(x)
        return z

    def _invert(self, x_all: Tensor, on_rows: OnRows | None) -> Iterator[Tensor]:
        """Map x (n, *shape) to z (rows, latent_dim), chunk after chunk, the last one padded."""
        for x, count in chunks(x_all, self.gan_.device):
            yield self._encode(x)
            if on_rows:
                on_rows(count)

    def _draw(self, z: Tensor) -> Tensor:
        """Map z to x_hat."""
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
        return tuple(view for view in self.own_views if not self.views or view.name in self.views)

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
        """Train on normal samples and set the threshold on those held out.

        Parameters
        ----------
        X
            Normal samples (n, channels, *size) in [-1, 1], or flat ones (n, features) where `sample_shape` is given.
        y
            Is ignored.
        on_log
            Is told the number of a training step and its metrics, now and then.

        Raises
        ------
        ValueError
            Where X or a parameter cannot be used.
        TrainingDivergedError
            Where the training fails.

        Warns
        -----
        UserWarning
            Where X looks like images without an axis of channels, which would be taken for windows of sensors.
        """
        self._begin(X)
        x = self._samples(X)
        if x.dim() == 3 and x.shape[1] == x.shape[2] and self.sample_shape is None:
            said = f"X {tuple(x.shape)} is taken for windows of {x.shape[1]} sensors; images are (n, 1, height, width)"
            warnings.warn(said, stacklevel=3)
        training_rows, held_out = hold_out(len(x), self.holdout, self.random_state_)
        if len(training_rows) < FEWEST or not len(held_out):
            raise ValueError(f"expected at least {FEWEST} samples to train on and one sample held out, got {len(x)}")
        x_train = x[training_rows].to(resolve_device(self.device))
        adversarial = GANTraining(x.shape[1:], self.gan, self.random_state_, x_train.device)
        gan = train_stages(adversarial, self.parts, lambda _, stage: train(x_train, stage, on_log, self.augment))
        return self._calibrate(gan, x_train.cpu().numpy(), x[held_out].numpy())

    def check_parameters(self) -> None:
        super().check_parameters()
        if self.views and self.terms != tuple(self.views):
            choices = ", ".join(view.name for view in self.own_views)
            raise ValueError(
                f"views of {type(self).__name__} must be some of {choices}, once each and in this order; got "
                f"{', '.join(self.views)}"
            )

    def calibrate(self, gan: GAN, X: ArrayLike, X_normal: ArrayLike, on_rows: OnRows | None = None) -> Self:
        """Take networks that are trained already, and calibrate on held-out samples.

        Parameters
        ----------
        gan
            Networks trained on X. Several detectors may share them.
        X
            Normal samples (n, *shape) in [-1, 1] that the networks were trained on. The views remember them.
        X_normal
            Normal samples (m, *shape) that nothing was trained on. The threshold comes from their scores.
        on_rows
            Called with the number of held-out samples that have just been scored.
        """
        self._begin(X)
        return self._calibrate(gan, X, X_normal, on_rows)

    def _calibrate(self, gan: GAN, X: ArrayLike, X_normal: ArrayLike, on_rows: OnRows | None = None) -> Self:
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
        """Return scores (n,) and highest map values (n,) of held-out samples, as those of new ones will be."""
        normal = self.explain(X_normal, on_rows)
        return normal.score, normal.anomaly_map.reshape(len(normal.score), -1).max(1).astype(np.float64)

    def remember(self, X: ArrayLike) -> None:
        """Recompute what the views remember of training samples X (n, *shape); what was measured stays."""
        x = self._samples(X, self.gan_.shape)
        for view in self._kept_views:
            self._keep(view.remember(x, self.gan_))

    def measure(self, X_normal: ArrayLike) -> None:
        """Recompute what is measured on held-out samples X_normal (n, *shape); what the views remember stays."""
        x = self._samples(X_normal, self.gan_.shape)
        for view in self._kept_views:
            self._keep(view.measure(x, self.gan_, self.memory_))
        if self.rule.remembered:
            self._keep(self.rule.measure(self._distances(X_normal)))

    def _keep(self, memory: Memory) -> None:
        self.memory_ |= {name: tensor.to(self.gan_.device) for name, tensor in memory.items()}

    def load_state(self, gan: GAN, calibration_scores: Floats, map_scale: float, memory: Memory) -> Self:
        """Take networks, calibration and memory from an earlier fit; the threshold follows from the scores."""
        self.check_parameters()
        if set(memory) != self.remembered or not all(tensor.isfinite().all() for tensor in memory.values()):
            expected, got = ", ".join(sorted(self.remembered)), ", ".join(sorted(memory))
            raise ValueError(f"expected a memory of finite {expected}; got {got}")
        if calibration_scores.ndim != 1 or not len(calibration_scores) or not np.isfinite(calibration_scores).all():
            raise ValueError("calibration scores must be finite numbers (n,)")
        self.gan_ = gan.frozen()
        self.n_features_in_ = math.prod(gan.shape) if self.sample_shape else gan.shape[0]
        if not hasattr(self, "random_state_"):  # neither fitted nor calibrated before
            self.random_state_ = self._seed()
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
        """Yield x, the number of its rows that are no padding, z and x_hat of one chunk after another."""
        check_is_fitted(self, "gan_")
        x_all = self._samples(X, self.gan_.shape)
        for (x, count), z in zip(chunks(x_all, self.gan_.device), self._invert(x_all, on_rows), strict=True):
            yield x, count, z, self._draw(z)

    @torch.no_grad()
    def _passes(self, X: ArrayLike, on_rows: OnRows | None = None) -> Iterator[tuple[Tensor, Tensor, Score]]:
        """Yield x, x_hat and score of one chunk after another, without padding."""
        for x, count, z, x_hat in self._drawn(X, on_rows):
            total, terms, places = self._score(x, z, x_hat)
            kept = Score(total[:count], terms[:, :count], None if places is None else places[:count])
            yield x[:count], x_hat[:count], kept

    def explain(self, X: ArrayLike, on_rows: OnRows | None = None) -> Explanation:
        """Compute score, terms, reconstruction and anomaly map in one pass.

        Parameters
        ----------
        X
            Samples (n, *shape) in [-1, 1], or flat ones (n, features) where `sample_shape` is given.
        on_rows
            Called with the number of samples that have just been inverted.

        Returns
        -------
        Explanation
        """
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
        """Compute A(x) (n,), x_hat and the anomaly map (n, *shape) of all rows at once.

        A graph is traced from this. Detectors that search have no such pass.
        """
        z = self._encode(x)
        x_hat = self._draw(z)
        score = self._score(x, z, x_hat)
        return score.total, x_hat, self._map(x, x_hat, score)

    def compare(self, X: ArrayLike) -> tuple[Floats, dict[str, Floats]]:
        """Compute A(x) (n,) and its terms by name, each (n,)."""
        return self._joined([score for _, _, score in self._passes(X)])

    def _joined(self, scores: list[Score]) -> tuple[Floats, dict[str, Floats]]:
        total = torch.cat([score.total for score in scores]).cpu().double()  # some accelerators have no float64
        terms = torch.cat([score.terms for score in scores], dim=1).cpu().double()
        return total.numpy(), dict(zip(self.terms, terms.numpy(), strict=True))

    def reconstruct(self, X: ArrayLike) -> NDArray[np.float32]:
        """Reconstruct samples by the generator: x_hat = G(z).

        Parameters
        ----------
        X
            Samples (n, *shape) in [-1, 1], or flat ones (n, features) where `sample_shape` is given.

        Returns
        -------
        array (n, *shape) in [-1, 1]
        """
        return np.concatenate([x_hat[:count].cpu().numpy() for _, count, _, x_hat in self._drawn(X)])

    def anomaly_map(self, X: ArrayLike) -> NDArray[np.float32]:
        """Compute how odd each place is, on a scale fixed at calibration.

        Where no view tells it of places, it is |x - G(z)|, blurred: blurring keeps misplaced parts and lets the thin
        seams along every edge fade.

        Parameters
        ----------
        X
            Samples (n, *shape) in [-1, 1], or flat ones (n, features) where `sample_shape` is given.

        Returns
        -------
        array (n, *shape), 1 = the worst place of a normal sample
        """
        return self.explain(X).anomaly_map
