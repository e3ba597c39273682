"""The scikit-learn face of a detector: its parameters, the samples it accepts, and its scores."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections import defaultdict
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_array, check_random_state, validate_data
from torch import Tensor

from anogan.config.gan import AugmentName, GANConfig, SearchConfig
from anogan.detectors.calibration import Floats, p_values
from anogan.gan.networks import Shape, check_shape

IMAGE_CHANNELS = (1, 3, 4)  # channels that images usually have
RandomState = int | np.random.RandomState | None


class Judged(NamedTuple):
    """What scores mean.

    `p_value` (n,) in (0, 1] is how rare they are among held-out normal samples; `anomaly` (n,) is whether they are
    above the threshold.
    """

    p_value: Floats
    anomaly: NDArray[np.bool_]


def check_values(x: NDArray[Any]) -> NDArray[Any]:
    """Return x; raise `ValueError` where it holds anything but numbers in [-1, 1]."""
    if x.dtype.kind not in "fiu":
        raise ValueError(f"expected numbers in [-1, 1], got dtype {x.dtype}")
    low, high = x.min(), x.max()  # NaN where there is one
    if not (low >= -1 and high <= 1):
        if not np.isfinite(x).all():
            raise ValueError(f"expected finite numbers, got NaN or infinity in {int((~np.isfinite(x)).sum())} places")
        raise ValueError(f"expected values in [-1, 1], got [{low:.4g}, {high:.4g}]")
    return x


def _fits(sides: Shape, shape: Shape) -> bool:
    """Tell whether a sample has this shape, in which -1 stands for any side."""
    return len(sides) == len(shape) and all(b in (a, -1) for a, b in zip(sides, shape, strict=True))


@dataclass(eq=False, repr=False)
class Estimator(OutlierMixin, BaseEstimator):
    """A scikit-learn outlier detector of samples. `Detector` describes its parameters."""

    needs: ClassVar[frozenset[str]] = frozenset({"encoder"})  # parts besides the GAN that x -> z -> x_hat takes
    searches: ClassVar[bool] = False  # z is searched for sample by sample, rather than x -> z in one pass of `_encode`

    gan: GANConfig = GANConfig()
    _: KW_ONLY
    sample_shape: Shape | None = None
    views: tuple[str, ...] = ()
    false_alarm_rate: float = 0.01
    holdout: float = 0.1
    random_state: RandomState = 0
    device: str = "auto"

    @property
    def search(self) -> SearchConfig | None:
        """Settings of the search for z; a parameter of a detector that `searches`."""
        return None

    @property
    def augment(self) -> tuple[AugmentName, ...]:
        """Changes that leave a normal sample normal; a parameter of a detector that knows some."""
        return ()

    # Parameters and samples.

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return parameters by name; with `deep` also each setting of its groups, as `gan__width`."""
        params: dict[str, Any] = super().get_params(deep)
        groups = {name: vars(group) for name, group in params.items() if deep and dataclasses.is_dataclass(group)}
        return params | {f"{name}__{key}": value for name, group in groups.items() for key, value in group.items()}

    def set_params(self, **params: Any) -> Self:
        """Change parameters, or settings of its groups by names such as `gan__width`.

        Raises `ValueError` where a name is unknown or a setting cannot be used.
        """
        valid = list(self.get_params())
        if unknown := sorted(params.keys() - valid):
            raise ValueError(f"Invalid parameter {unknown[0]!r} for estimator {self}. Valid parameters are: {valid!r}.")
        changes: dict[str, dict[str, Any]] = defaultdict(dict)
        for name in [name for name in params if "__" in name]:
            group, _, setting = name.partition("__")
            changes[group][setting] = params.pop(name)
        for group, settings in changes.items():
            params[group] = dataclasses.replace(params.get(group, getattr(self, group)), **settings)
        super().set_params(**params)
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = self.sample_shape is not None
        tags.input_tags.three_d_array = "locator" not in self.needs and len(self.sample_shape or (1, 1)) == 2
        return tags

    def _seed(self) -> int:
        """Return `random_state` where it is a seed, else draw one from it."""
        seed = self.random_state
        return int(seed) if isinstance(seed, int | np.integer) else int(check_random_state(seed).randint(2**31))

    def _begin(self, X: ArrayLike) -> None:
        """Check the parameters; set what a fit knows before it trains: its seed, number and names of the features."""
        self.check_parameters()
        self.random_state_ = self._seed()
        validate_data(self, X, skip_check_array=True)

    def _samples(self, X: ArrayLike, shape: Shape | None = None) -> Tensor:
        """Return X (n, *shape) or (n, features) as float32 (n, *shape), or raise `ValueError`."""
        x = check_array(X, dtype="numeric", allow_nd=True, ensure_all_finite=False, ensure_min_features=2)
        wanted = shape or self.sample_shape
        said = ", ".join(map(str, wanted or ("channels", "*size")))
        expected = f"expected samples of shape (n, {said}), got {x.shape}"
        if x.ndim == 2 and not self.sample_shape:
            raise ValueError(f"{expected}; flat samples need their shape, as in sample_shape={wanted or (1, 28, 28)}")
        if x.ndim == 2 and wanted:
            validate_data(self, X, reset=False, skip_check_array=True)  # number and names of features are those of fit
            with suppress(ValueError):
                x = x.reshape(len(x), *wanted)
        sides = x.shape[1:]
        if len(sides) < 2 or (wanted and not _fits(sides, wanted)):
            raise ValueError(expected)
        if len(sides) == 3 and sides[2] in IMAGE_CHANNELS and sides[0] not in IMAGE_CHANNELS:
            raise ValueError(f"{expected}; channels come before rows and columns")
        check_shape(sides)
        return torch.from_numpy(np.require(check_values(x), np.float32, ["C", "W"]))

    def check_parameters(self) -> None:
        """Raise `ValueError` where one of them cannot be used."""
        for name in ("false_alarm_rate", "holdout"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise ValueError(f"{name} must be in (0, 1), got {value!r}")
        seed = self.random_state
        whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool) and seed >= 0
        if not whole and not isinstance(seed, np.random.RandomState | None):
            raise ValueError(f"random_state must be a whole number >= 0, a RandomState or None, got {seed!r}")
        sides = np.asarray(self.sample_shape or (1, -1))
        if sides.shape not in ((2,), (3,)) or sides.dtype.kind != "i":
            expected = "(channels, length) or (channels, height, width)"
            raise ValueError(f"sample_shape must be {expected} of one sample, got {self.sample_shape!r}")

    # Scores.

    @abstractmethod
    def compare(self, X: ArrayLike) -> tuple[Floats, dict[str, Floats]]:
        """Compute A(x) (n,) and its terms by name, each (n,)."""

    def anomaly_score(self, X: ArrayLike) -> Floats:
        """Compute the anomaly score A(x).

        Parameters
        ----------
        X
            Samples (n, *shape) in [-1, 1], or flat ones (n, features) where `sample_shape` is given.

        Returns
        -------
        array (n,), higher = more anomalous
        """
        return self.compare(X)[0]

    def score_samples(self, X: ArrayLike) -> Floats:
        """Compute -A(x), which has scikit-learn's sign.

        Parameters
        ----------
        X
            Samples (n, *shape) in [-1, 1], or flat ones (n, features) where `sample_shape` is given.

        Returns
        -------
        array (n,), higher = more normal
        """
        score: Floats = -self.anomaly_score(X)
        return score

    def decision_function(self, X: ArrayLike) -> Floats:
        """Compute how far `score_samples` is above the threshold's.

        Parameters
        ----------
        X
            Samples (n, *shape) in [-1, 1], or flat ones (n, features) where `sample_shape` is given.

        Returns
        -------
        array (n,), negative = anomaly
        """
        decision: Floats = self.score_samples(X) - self.offset_
        return decision

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """Decide which samples are anomalies.

        Parameters
        ----------
        X
            Samples (n, *shape) in [-1, 1], or flat ones (n, features) where `sample_shape` is given.

        Returns
        -------
        array (n,): -1 anomaly, +1 normal
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def judge(self, score: Floats) -> Judged:
        """Tell what scores A(x) (n,) mean."""
        return Judged(p_values(self.calibration_scores_, score), score > self.threshold_)

    def p_value(self, X: ArrayLike) -> Floats:
        """Compute conformal p-values: how rare scores this high are among held-out normal samples.

        Parameters
        ----------
        X
            Samples (n, *shape) in [-1, 1], or flat ones (n, features) where `sample_shape` is given.

        Returns
        -------
        array (n,) in (0, 1]
        """
        return self.judge(self.anomaly_score(X)).p_value
