"""Every detector is an estimator of scikit-learn: its own checks, pipelines and searches run on it."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pytest
from conftest import QUICK_ENCODER, QUICK_GAN, QUICK_LOCATOR, QUICK_SEARCH, quick, stripes
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils import estimator_html_repr, get_tags
from sklearn.utils.estimator_checks import check_estimator

from anogan.config.gan import GANConfig
from anogan.detectors import DETECTORS, AnoGAN, Detector, FAnoGAN
from anogan.runs import bundle
from anogan.runs.bundle import Bundle

EVERY = sorted(DETECTORS)
SHAPE = (1, 8, 8)
X, QUERY = stripes(40, SHAPE), stripes(6, SHAPE, seed=1)

TOO_FEW = "feeds fewer samples than it takes to train on some and hold out others"
RANGE = "feeds values outside [-1, 1]; a scaler before it takes them to this range"
STEPS = "a Pipeline fits its own steps, and has not their attributes"
WIDTHS = "feeds 3 features, which are no photo"
ALONE = {
    "check_parameters_default_constructible": "wants numbers and strings as defaults; groups of settings are frozen",
    "check_estimators_nan_inf": TOO_FEW,
} | dict.fromkeys(
    (
        "check_classifier_data_not_an_array",
        "check_dict_unchanged",
        "check_dont_overwrite_parameters",
        "check_estimators_dtypes",
        "check_estimators_fit_returns_self",
        "check_estimators_overwrite_params",
        "check_estimators_pickle",
        "check_f_contiguous_array_estimator",
        "check_fit2d_1sample",
        "check_fit2d_predict1d",
        "check_fit_check_is_fitted",
        "check_fit_idempotent",
        "check_methods_sample_order_invariance",
        "check_methods_subset_invariance",
        "check_n_features_in",
        "check_n_features_in_after_fitting",
        "check_outliers_fit_predict",
        "check_outliers_train",
        "check_pipeline_consistency",
        "check_positive_only_tag_during_fit",
        "check_readonly_memmap_input",
    ),
    RANGE,
)
PHOTOS_ALONE = ALONE | dict.fromkeys(("check_dtype_object", "check_fit_score_takes_y"), WIDTHS)
AFTER_A_SCALER = dict.fromkeys(
    ("check_classifier_data_not_an_array", "check_estimators_nan_inf", "check_n_features_in_after_fitting"), TOO_FEW
) | dict.fromkeys(
    ("check_dont_overwrite_parameters", "check_estimators_overwrite_params", "check_outliers_train"), STEPS
)


def tiny(name: str, **changes: Any) -> Detector:
    """A detector that is trained in a moment: it learns nothing."""
    groups = {"gan": QUICK_GAN, "encoder": QUICK_ENCODER, "search": QUICK_SEARCH, "locator": QUICK_LOCATOR}
    params = DETECTORS[name]().get_params(deep=False)
    small = {group: replace(config, steps=2) for group, config in groups.items() if group in params}
    return quick(name, **small | {"holdout": 0.1, "false_alarm_rate": 0.4, "sample_shape": (1, -1)} | changes)


class AsPhoto(TransformerMixin, BaseEstimator):
    """Features (n, few) -> (n, 64), over and over."""

    def fit(self, X: np.ndarray, y: object = None) -> Self:
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        return np.tile(X, 64)[:, : math.prod(SHAPE)]


def scaled(detector: Detector, *steps: Any) -> Pipeline:
    return make_pipeline(MinMaxScaler((-1, 1), clip=True), *steps, detector)


SEARCHING = ("anogan", "hybrid")  # for seconds


@pytest.mark.parametrize("name", EVERY)
def test_alone_it_passes_scikit_learns_checks_but_for_those_that_leave_its_range(name: str) -> None:
    photos = name == "locatorgan"
    check(tiny(name, sample_shape=(1, 2, 2) if photos else (1, -1)), PHOTOS_ALONE if photos else ALONE)


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SEARCHING)) for name in EVERY])
def test_after_a_scaler_it_passes_scikit_learns_checks(name: str) -> None:
    if name == "locatorgan":
        check(scaled(tiny(name, sample_shape=SHAPE), AsPhoto()), AFTER_A_SCALER | {"check_fit2d_1feature": TOO_FEW})
    else:
        check(scaled(tiny(name)), AFTER_A_SCALER)


def check(estimator: Any, expected_failures: dict[str, str]) -> None:
    """All checks in one test: pytest takes longer to write the tracebacks of those that fail than all of them run."""
    found = check_estimator(estimator, expected_failed_checks=expected_failures, on_skip=None, on_fail=None)
    assert [(result["check_name"], result["exception"]) for result in found if result["status"] == "failed"] == []
    assert {result["check_name"] for result in found if result["status"] == "xfail"} == set(expected_failures)
    assert sum(result["status"] == "passed" for result in found) >= 18


def flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1)


@pytest.fixture(scope="module", params=EVERY)
def pair(request: pytest.FixtureRequest) -> tuple[Detector, Detector]:
    """A detector of samples with a shape, and the same of flat ones."""
    return tiny(request.param, sample_shape=None).fit(X), tiny(request.param, sample_shape=SHAPE).fit(flat(X))


def test_flat_samples_are_scored_as_samples_with_a_shape(pair: tuple[Detector, Detector]) -> None:
    shaped, flattened = pair
    assert np.array_equal(flattened.calibration_scores_, shaped.calibration_scores_)
    expected = shaped.explain(QUERY)
    for x in (flat(QUERY), QUERY):
        found = flattened.explain(x)
        assert np.array_equal(found.score, expected.score)
        assert np.array_equal(found.anomaly_map, expected.anomaly_map)
        assert np.array_equal(flattened.reconstruct(x), expected.reconstruction)
        assert found.anomaly_map.shape == QUERY.shape
        assert np.array_equal(flattened.predict(x), shaped.predict(QUERY))
    again = clone(flattened).calibrate(flattened.gan_, flat(X), flat(X[:9]))
    assert np.array_equal(again.anomaly_score(QUERY), again.anomaly_score(flat(QUERY)))


def test_features_are_counted_as_scikit_learn_counts_them(pair: tuple[Detector, Detector]) -> None:
    shaped, flattened = pair
    assert (shaped.n_features_in_, flattened.n_features_in_) == (1, 64)
    assert not hasattr(flattened, "feature_names_in_")
    with pytest.raises(ValueError, match=r"X has 60 features, but \w+ is expecting 64 features as input"):
        flattened.predict(flat(QUERY)[:, :60])


def test_tags_say_which_samples_are_accepted(pair: tuple[Detector, Detector]) -> None:
    shaped, flattened = (get_tags(detector) for detector in pair)
    assert shaped.estimator_type == flattened.estimator_type == "outlier_detector"
    assert (shaped.input_tags.two_d_array, flattened.input_tags.two_d_array) == (False, True)
    assert shaped.input_tags.three_d_array == ("locator" not in pair[0].needs)
    assert not flattened.input_tags.three_d_array
    assert get_tags(FAnoGAN(sample_shape=(2, 50))).input_tags.three_d_array


def test_flat_samples_without_a_shape_are_refused_and_told_how_to_give_it(pair: tuple[Detector, Detector]) -> None:
    with pytest.raises(ValueError, match=r"\(n, 1, 8, 8\), got \(6, 64\); flat .* sample_shape=\(1, 8, 8\)"):
        pair[0].predict(flat(QUERY))
    with pytest.raises(ValueError, match=r"\(n, channels, \*size\), got \(40, 64\); flat samples need their shape"):
        clone(pair[0]).fit(flat(X))


@pytest.mark.parametrize("shape", [SHAPE, (1, 8, -1)])
@pytest.mark.parametrize("x", [X[:, :, :7], X[:, 0], X[:, :, 0], flat(X)[:, :60]])
def test_samples_of_another_shape_are_refused(x: np.ndarray, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected samples of shape \(n, 1, 8, (8|-1)\), got \(40, "):
        tiny("fanogan", sample_shape=shape).fit(x)


@pytest.mark.parametrize("shape", [64, (64,), (1, 8, 8, 1), (1, 8.0, 8), "flat"])
def test_a_shape_that_is_none_is_refused(shape: Any) -> None:
    with pytest.raises(ValueError, match=r"sample_shape must be \(channels, length\) or .* got"):
        tiny("fanogan", sample_shape=shape).fit(flat(X))


def test_names_of_columns_are_kept_and_compared() -> None:
    table = pd.DataFrame(flat(X), columns=[f"pixel {i}" for i in range(64)])
    detector = tiny("fanogan", sample_shape=SHAPE).fit(table)
    assert list(detector.feature_names_in_) == list(table.columns)
    assert np.array_equal(detector.anomaly_score(table[:5]), detector.anomaly_score(X[:5]))
    with pytest.raises(ValueError, match="feature names should match those that were passed during fit"):
        detector.predict(table.rename(columns={"pixel 3": "pixel 99"}))
    assert not hasattr(detector.fit(X), "feature_names_in_")


@pytest.mark.parametrize("name", EVERY)
def test_settings_of_groups_are_parameters(name: str) -> None:
    detector = DETECTORS[name]()
    plain, deep = detector.get_params(deep=False), detector.get_params()
    assert set(plain) == set(name for name in deep if "__" not in name)
    for setting in (name for name in deep if "__" in name):
        group, _, field = setting.partition("__")
        assert deep[setting] == getattr(plain[group], field)
    assert deep["gan__width"] == detector.gan.width
    assert clone(detector).get_params() == deep
    assert clone(detector).set_params(**deep).get_params() == deep
    other = clone(detector).set_params(gan__width=7, holdout=0.2)
    assert other.get_params() == deep | {"gan": replace(detector.gan, width=7), "gan__width": 7, "holdout": 0.2}
    assert DETECTORS[name]().gan == detector.gan, "a default has been changed"


def test_settings_that_need_each_other_are_set_together_and_on_top_of_their_group() -> None:
    detector = FAnoGAN().set_params(gan__loss="wgan_gp", gan__discriminator_norm="none", gan=GANConfig(width=8))
    assert detector.gan == GANConfig(width=8, loss="wgan_gp", discriminator_norm="none")


@pytest.mark.parametrize("name", ["nonsense", "gan__nonsense", "nonsense__width", "holdout__width"])
def test_an_unknown_parameter_is_refused_and_nothing_is_changed(name: str) -> None:
    detector = FAnoGAN()
    with pytest.raises(
        ValueError, match=rf"Invalid parameter '{name}' for estimator FAnoGAN\(.*Valid parameters are: \["
    ):
        detector.set_params(gan__width=5, **{name: 1})
    assert detector.get_params() == FAnoGAN().get_params()


def test_a_fit_changes_no_parameter_and_ignores_y() -> None:
    detector = tiny("fanogan", sample_shape=list(SHAPE))
    before = detector.get_params(deep=False)
    scores = detector.fit(X).anomaly_score(QUERY)
    assert all(value is before[name] for name, value in detector.get_params(deep=False).items())
    assert np.array_equal(detector.fit(X, np.arange(40) % 2).anomaly_score(QUERY), scores)
    assert np.array_equal(detector.fit_predict(X, y=["any"] * 40), detector.predict(X))


@pytest.mark.parametrize("name", ["anogan", "fanogan"])
def test_one_seed_is_drawn_from_a_random_state_and_decides_the_fit(name: str) -> None:
    state = np.random.RandomState(5)
    first, second = (tiny(name, sample_shape=None, random_state=state).fit(X) for _ in range(2))
    assert first.random_state_ != second.random_state_
    again = tiny(name, sample_shape=None, random_state=first.random_state_).fit(X)
    assert again.random_state_ == first.random_state_
    assert np.array_equal(again.explain(QUERY).score, first.explain(QUERY).score)
    assert not np.array_equal(second.anomaly_score(QUERY), first.anomaly_score(QUERY))


def test_without_a_random_state_the_seed_comes_from_the_global_one() -> None:
    np.random.seed(3)
    first = tiny("fanogan", random_state=None).fit(flat(X)).random_state_
    second = tiny("fanogan", random_state=None).fit(flat(X)).random_state_
    np.random.seed(3)
    assert tiny("fanogan", random_state=None).fit(flat(X)).random_state_ == first != second


def test_a_bundle_holds_the_seed_that_was_used_and_the_shape(tmp_path: Path) -> None:
    detector = tiny("anogan", sample_shape=SHAPE, random_state=np.random.RandomState(1)).fit(flat(X))
    bundle.save(tmp_path / "bundle", detector.gan_, {"anogan": detector}, "digits", {})
    loaded = Bundle.open(tmp_path).detector(device="cpu")
    assert loaded.random_state == loaded.random_state_ == detector.random_state_
    assert loaded.sample_shape == SHAPE
    assert loaded.n_features_in_ == 64
    assert np.allclose(loaded.anomaly_score(flat(QUERY)), detector.anomaly_score(QUERY), rtol=1e-5)


def test_a_pipeline_scales_detects_and_is_pickled() -> None:
    counts = np.rint(7.5 * flat(X) + 8)  # 0 to 16
    pipeline = scaled(tiny("fanogan", sample_shape=SHAPE)).fit(counts)
    x = np.vstack([counts[:5], counts[:5] + 40])  # clipped
    assert pipeline.predict(x).shape == (10,)
    assert np.array_equal(pickle.loads(pickle.dumps(pipeline)).score_samples(x), pipeline.score_samples(x))
    assert len(pipeline.set_output(transform="pandas").fit(counts)[-1].feature_names_in_) == 64


@pytest.mark.parametrize("scoring", ["roc_auc", lambda detector, X, y: -detector.anomaly_score(X).mean()])
@pytest.mark.parametrize(
    ("name", "grid"),
    [
        ("fanogan", {"gan__width": [4, 5], "encoder__erase": [0.0, 0.5]}),
        ("anogan", {"gan__width": [4, 5], "search__steps": [0, 2]}),
    ],
)
def test_a_grid_of_settings_is_searched(name: str, grid: dict[str, list[Any]], scoring: Any) -> None:
    """It is trained on normal samples, and scored on others that are labelled: 1 normal, -1 anomalous."""
    x, y = np.vstack([flat(X), flat(QUERY), -np.abs(flat(QUERY))]), np.repeat([1, 1, -1], [40, 6, 6])
    folds = [(np.arange(40), np.arange(40, 52))]
    detector = tiny(name, sample_shape=SHAPE)
    search = GridSearchCV(detector, grid, scoring=scoring, cv=folds, refit=False, error_score="raise").fit(x, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert clone(detector).set_params(**search.best_params_).get_params().items() >= search.best_params_.items()
    prefixed = {f"{name}__{setting}": values[:1] for setting, values in grid.items()}
    if callable(scoring):
        return
    inside = GridSearchCV(scaled(detector), prefixed, scoring=scoring, cv=folds, refit=False, error_score="raise")
    assert inside.fit(x, y).best_params_ == {setting: values[0] for setting, values in prefixed.items()}


def test_a_notebook_shows_it_fitted_or_not_whatever_its_parameters_are() -> None:
    fitted = tiny("fanogan", sample_shape=SHAPE).fit(X)
    for detector in (FAnoGAN(), FAnoGAN(views=("nonsense",)), AnoGAN(random_state=None), fitted, scaled(fitted)):
        assert "AnoGAN" in estimator_html_repr(detector)
        assert "AnoGAN" in repr(detector)
        assert set(dir(detector)) >= {"fit", "predict"}
