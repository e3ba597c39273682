"""scikit-learn's conventions for an outlier detector, without importing it before it is asked for.

Importing scikit-learn takes a third of the time to a first score, which needs nothing of it.
"""

from __future__ import annotations

import inspect
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray


class OutlierEstimator:
    """What `BaseEstimator` and `OutlierMixin` give: parameters are the constructor's arguments, stored unchanged."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name; none of them has parameters of its own."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> Self:
        """Change parameters; raises `ValueError` on an unknown one, naming the choices."""
        known = list(inspect.signature(type(self)).parameters)
        for name, value in params.items():
            if name not in known:
                raise ValueError(f"{type(self).__name__} has no parameter {name!r}; choose from {', '.join(known)}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self)).parameters
        changed = {name: value for name, value in self.get_params().items() if value != defaults[name].default}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in changed.items())})"

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import Tags, TargetTags

        return Tags(estimator_type="outlier_detector", target_tags=TargetTags(required=False))

    def fit_predict(self, X: ArrayLike, y: object = None) -> NDArray[np.int64]:
        """-1 anomaly, +1 normal (n,), of the samples that it is fitted on."""
        predicted: NDArray[np.int64] = self.fit(X).predict(X)  # type: ignore[attr-defined]
        return predicted

    def check_fitted(self, attribute: str) -> None:
        """Raise scikit-learn's `NotFittedError` unless `fit` has set `attribute`."""
        if not hasattr(self, attribute):
            from sklearn.exceptions import NotFittedError

            raise NotFittedError(f"this {type(self).__name__} is not fitted yet; call fit first")
