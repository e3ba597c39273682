"""The contract of every detector, in one and two dimensions."""

from __future__ import annotations

import copy
import math
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import QUICK_ENCODER, QUICK_GAN, QUICK_SEARCH, SHAPES, quick, stripes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from torch.utils._python_dispatch import TorchDispatchMode

from anogan.config.detectors import PlacesConfig
from anogan.detectors import DETECTORS, AnoGAN, Detector, LocatorGAN
from anogan.detectors.calibration import hold_out
from anogan.digits.datasets import load_dataset
from anogan.digits.splits import one_vs_rest
from anogan.errors import CalibrationWarning
from anogan.gan.scores import anogan_score, blur, fanogan_score
from anogan.simulators.boards import render
from anogan.simulators.pump import simulate
from anogan.views.base import View
from anogan.views.codes import Codes
from anogan.views.fusion import FOLDS
from anogan.windows import cut_windows

EVERY = sorted(DETECTORS)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_score_depends_on_its_sample_alone(fitted: Detector, data: st.DataObject) -> None:
    """Not on the other rows, their order, their number, an earlier call or the global random state."""
    x = stripes(40, fitted.gan_.shape, seed=7)
    alone = fitted.anomaly_score(x)
    rows = np.array(data.draw(st.lists(st.integers(0, 39), min_size=1, max_size=90)))
    torch.manual_seed(data.draw(st.integers(0, 9)))
    assert np.abs(fitted.anomaly_score(x[rows]) - alone[rows]).max() <= rounding(fitted)


def rounding(detector: Detector) -> float:
    """By how much two scores of one sample may differ."""
    return 1e-5 * float(detector.calibration_scores_.std())


class RoundsByPlace(TorchDispatchMode):
    """A CPU whose products of matrices round every second row down and the others up."""

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        found = func(*args, **kwargs or {})
        if func in (torch.ops.aten.mm.default, torch.ops.aten.addmm.default, torch.ops.aten.bmm.default):
            down = torch.arange(found.shape[-2]) % 2 == 0
            return torch.where(down[:, None], found, found * (1 + torch.finfo(found.dtype).eps))
        return found


def test_a_score_does_not_hang_on_how_a_product_rounds_a_row_at_its_place(fitted: Detector) -> None:
    x = stripes(40, fitted.gan_.shape, seed=7)
    with RoundsByPlace():
        here, one_further = fitted.anomaly_score(x), fitted.anomaly_score(np.roll(x, 1, axis=0))
    assert np.abs(np.roll(one_further, -1) - here).max() <= rounding(fitted)


def test_nothing_is_made_float64_on_a_device_that_has_none(fitted: Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Apple's "mps"; "meta" stands for it, and its values are zeros once they are on the CPU."""
    if fitted.searches:
        pytest.skip("a search stops by what it finds, and nothing is found on it")
    networks = copy.deepcopy(fitted.gan_).to("meta")
    remembered = fitted.calibration_scores_, fitted.map_scale_, fitted.memory_
    detector = clone(fitted).load_state(networks, *remembered)
    double, cpu = torch.Tensor.double, torch.Tensor.cpu

    def refused(x: torch.Tensor) -> torch.Tensor:
        assert not x.is_meta
        return double(x)

    monkeypatch.setattr(torch.Tensor, "double", refused)
    monkeypatch.setattr(torch.Tensor, "cpu", lambda x: torch.zeros(x.shape) if x.is_meta else cpu(x))
    assert detector.anomaly_score(stripes(5, fitted.gan_.shape)).dtype == np.float64


def test_a_score_does_not_depend_on_the_number_of_threads(fitted: Detector) -> None:
    x = stripes(10, fitted.gan_.shape, seed=8)
    one = fitted.anomaly_score(x)
    torch.set_num_threads(2)
    assert np.abs(fitted.anomaly_score(x) - one).max() <= rounding(fitted)


def test_one_pass_over_any_number_of_rows_says_what_explain_says_unless_z_is_searched(fitted: Detector) -> None:
    assert fitted.searches == (fitted.search is not None)
    if fitted.searches:
        return
    x = stripes(7, fitted.gan_.shape, seed=8)
    expected = fitted.explain(x)
    with torch.no_grad():
        score, x_hat, anomaly_map = (tensor.numpy() for tensor in fitted.one_pass(torch.from_numpy(x)))
    assert np.allclose(score, expected.score, rtol=1e-3, atol=1e-3)
    assert np.allclose(x_hat, expected.reconstruction, atol=1e-5)
    assert np.allclose(anomaly_map, expected.anomaly_map, atol=1e-3)


@pytest.mark.parametrize(("name", "closer"), [("anogan", 10), ("hybrid", 1)])
def test_the_search_takes_no_query_away_from_its_start_and_brings_random_ones_closer(
    name: str, closer: int, shape: tuple[int, ...]
) -> None:
    """A random start is hardly ever the best point; E(x) often is, within so few steps."""
    searching = quick(name).fit(stripes(64, shape))
    x = stripes(12, shape, seed=3)
    start = searching.search
    found = searching.explain(x)
    searching.search = replace(start, steps=0)
    begun = searching.explain(x)
    assert (found.score <= begun.score).all()
    assert (found.score < begun.score).sum() >= closer
    assert (np.ptp(found.reconstruction, axis=0) > 1e-4).any(), "every query got the same reconstruction"


def test_scoring_changes_neither_weights_nor_statistics(fitted: Detector) -> None:
    before = copy.deepcopy(fitted.gan_.state_dict())
    fitted.explain(stripes(5, fitted.gan_.shape, seed=9))
    assert all(torch.equal(before[name], tensor) for name, tensor in fitted.gan_.state_dict().items())


def test_signs_threshold_and_p_value_agree(fitted: Detector) -> None:
    x = stripes(30, fitted.gan_.shape, seed=10)
    score = fitted.anomaly_score(x)
    assert np.array_equal(fitted.score_samples(x), -score)
    assert np.allclose(fitted.decision_function(x), fitted.threshold_ - score)
    flagged = fitted.predict(x) == -1
    assert np.array_equal(flagged, score > fitted.threshold_)
    assert np.array_equal(flagged, fitted.p_value(x) <= fitted.false_alarm_rate)


def test_explanation_is_what_the_single_methods_say(fitted: Detector) -> None:
    x = stripes(6, fitted.gan_.shape, seed=11)
    found = fitted.explain(x)
    assert np.array_equal(found.score, fitted.anomaly_score(x))
    assert np.array_equal(found.reconstruction, fitted.reconstruct(x))
    assert np.array_equal(found.anomaly_map, fitted.anomaly_map(x))
    assert found.reconstruction.shape == found.anomaly_map.shape == x.shape
    anomaly_map = found.anomaly_map * fitted.map_scale_
    if isinstance(fitted, LocatorGAN):
        assert np.allclose(anomaly_map.reshape(len(x), -1).max(1), found.score, rtol=1e-5)
    else:
        difference = blur(torch.from_numpy(np.abs(x - found.reconstruction))).numpy()
        assert np.allclose(anomaly_map, difference, atol=1e-5)


def fused(detector: Detector, terms: dict[str, np.ndarray]) -> np.ndarray:
    """The score that these terms of it make."""
    weights = dict(zip(detector.terms, detector._weights().tolist(), strict=True))
    by_places = isinstance(detector, LocatorGAN)
    return np.max([*terms.values()], axis=0) if by_places else sum(weights[name] * terms[name] for name in terms)


def test_the_score_is_made_of_its_terms(fitted: Detector) -> None:
    found = fitted.explain(stripes(6, fitted.gan_.shape, seed=12))
    assert tuple(found.terms) == fitted.terms
    assert np.allclose(found.score, fused(fitted, found.terms), rtol=1e-4, atol=1e-5)


WEIGHTS: dict[str, Any] = {
    "neighbourgan": lambda d: (1, d.neighbour.code_weight),
    "subspacegan": lambda d: (1, d.subspace.residual_weight, 0),  # no channel is slow
    "locatorgan": lambda d: (d.places.linear_weight * float(d.memory_["explained"]), 1),
    "fanogan": lambda d: (1, d.encoder.feature_weight),
    "anogan": lambda d: (1 - d.search.discrimination_weight, d.search.discrimination_weight),
    "hybrid": lambda d: (1 - d.search.discrimination_weight, d.search.discrimination_weight),
}


def test_the_weights_of_its_views_are_those_of_the_settings(fitted: Detector) -> None:
    (name,) = (name for name, cls in DETECTORS.items() if type(fitted) is cls)
    assert fitted._weights().tolist() == pytest.approx(WEIGHTS[name](fitted))


def test_without_one_of_its_views_it_scores_as_the_others_do(fitted: Detector) -> None:
    x, query = stripes(64, fitted.gan_.shape), stripes(6, fitted.gan_.shape, seed=12)
    training, held_out = hold_out(len(x), fitted.holdout, fitted.random_state)
    terms = fitted.explain(query).terms
    for left_out in fitted.terms:
        others = tuple(name for name in fitted.terms if name != left_out)
        ablated = clone(fitted).set_params(views=others).calibrate(fitted.gan_, x[training], x[held_out])
        found = ablated.explain(query)
        assert tuple(found.terms) == ablated.terms == others
        for name in others:
            assert np.allclose(found.terms[name], terms[name], rtol=1e-4, atol=1e-4)
        assert np.allclose(found.score, fused(fitted, found.terms), rtol=1e-4, atol=1e-4)
        assert ablated.remembered <= fitted.remembered == set(fitted.memory_)


@pytest.mark.parametrize("name", ["anogan", "hybrid", "fanogan"])
def test_residual_and_discrimination_make_the_score_of_the_papers(name: str) -> None:
    """That which the search minimises, and E was trained on."""
    detector, query = quick(name).fit(stripes(64, (1, 12, 12))), stripes(6, (1, 12, 12), seed=12)
    found, features = detector.explain(query), detector.gan_.discriminator.features
    x, x_hat = torch.from_numpy(query), torch.from_numpy(found.reconstruction)
    papers: Any = (anogan_score, detector.search) if detector.searches else (fanogan_score, detector.encoder)
    expected = papers[0](papers[1], x, x_hat, features(x), features(x_hat))
    assert np.allclose(found.score, expected.numpy(), rtol=1e-4)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("change", [lambda own: ("nonsense",), lambda own: own[::-1], lambda own: own[:1] * 2])
def test_views_that_it_does_not_have_in_this_order_are_refused_before_training(name: str, change: Any) -> None:
    own = quick(name).terms
    detector = quick(name, views=change(own))
    assert detector.get_params()["views"] == change(own), "stored as it came"
    with pytest.raises(ValueError, match=f"must be some of {', '.join(own)}, once each and in this order; got "):
        detector.fit(stripes(40, (1, 12, 12)))


def test_a_part_that_only_a_view_needs_is_trained_where_the_view_is_kept() -> None:
    class WithCode(AnoGAN):
        """AnoGAN, which needs no encoder to reconstruct, with a view that does."""

        encoder = QUICK_ENCODER

        @property
        def own_views(self) -> tuple[View, ...]:
            return *super().own_views, Codes()

    for views, trained in (((), True), (("code",), True), (("residual", "discrimination"), False)):
        detector = WithCode(QUICK_GAN, QUICK_SEARCH, views=views, false_alarm_rate=0.1, holdout=0.3, device="cpu")
        detector.fit(stripes(40, (1, 12, 12)))
        assert (detector.gan_.encoder is not None) == trained == ("codes" in detector.memory_)


def test_views_that_count_for_nothing_are_refused() -> None:
    """No channel is slow, so the level has no weight."""
    with pytest.raises(ValueError, match="no view has a weight above 0 with these settings and samples: level"):
        quick("subspacegan", views=("level",)).fit(stripes(64, (2, 50)))


def test_of_a_hundred_held_out_normals_at_most_one_goes_above_one_on_the_map(fitted: Detector) -> None:
    """The scale is the 99 % quantile of their peaks."""
    x = stripes(64, fitted.gan_.shape)  # what it was fitted on
    held_out = x[hold_out(len(x), fitted.holdout, fitted.random_state)[1]]
    assert len(held_out) == len(fitted.calibration_scores_)
    peaks = fitted.anomaly_map(held_out).reshape(len(held_out), -1).max(1)
    assert (peaks > 1).sum() <= math.ceil(len(held_out) / 100)
    if isinstance(fitted, LocatorGAN):  # its samples were measured by the others, its score is the peak
        peaks = fitted.calibration_scores_ / fitted.map_scale_
        assert (peaks > 1).sum() <= math.ceil(len(held_out) / 100)
    assert peaks.max() > 0.999, "the scale is larger than the worst place of all"


@pytest.mark.parametrize("name", EVERY)
def test_same_seed_same_scores_and_other_seed_other_scores(name: str) -> None:
    x, query = stripes(40, (1, 12, 12)), stripes(5, (1, 12, 12), seed=1)
    scores = [quick(name, random_state=seed).fit(x).anomaly_score(query) for seed in (0, 0, 1)]
    assert np.array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])


@pytest.mark.parametrize("name", EVERY)
def test_fit_leaves_the_global_random_state_alone(name: str) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    quick(name).fit(stripes(40, (1, 12, 12)))
    assert torch.equal(before, torch.get_rng_state())


def test_clone_repr_and_pickle_work(fitted: Detector) -> None:
    fresh = clone(fitted)
    assert fresh.get_params() == fitted.get_params()
    assert type(fitted).__name__ in repr(fitted)
    with pytest.raises(NotFittedError):
        fresh.predict(stripes(2, fitted.gan_.shape))
    x = stripes(4, fitted.gan_.shape, seed=2)
    pickled = pickle.loads(pickle.dumps(fitted))
    assert np.abs(pickled.anomaly_score(x) - fitted.anomaly_score(x)).max() <= rounding(fitted)


def test_networks_can_be_shared() -> None:
    x = stripes(64, SHAPES["square"])
    first = quick("hybrid").fit(x)
    second = quick("fanogan").calibrate(first.gan_, x[20:], x[:20])
    assert second.gan_.generator is first.gan_.generator
    assert len(second.calibration_scores_) == 20


def test_a_detector_that_needs_an_encoder_refuses_networks_without_one() -> None:
    x = stripes(64, (1, 12, 12))
    networks = quick("anogan").fit(x).gan_
    with pytest.raises(ValueError, match="needs networks with a trained encoder"):
        quick("fanogan").calibrate(networks, x, x)


DEMOS = {
    "neighbourgan": lambda: one_vs_rest(load_dataset("digits"), "3").x_test[:300],
    "subspacegan": lambda: cut_windows(np.tanh(stats.zscore(simulate(900, 0).iloc[:, 1:9].to_numpy())).T, 20)[::3],
    "locatorgan": lambda: np.stack([render(seed, 32)[0].transpose(2, 0, 1) / 127.5 - 1 for seed in range(120)]),
}


@pytest.mark.parametrize("name", DEMOS)
def test_no_verdict_on_what_the_demos_show_changes_with_the_batch(name: str) -> None:
    x = DEMOS[name]().astype(np.float32)
    detector = quick(name, false_alarm_rate=0.5).fit(x[::2])  # many scores near the threshold
    new = x[1::2][:80]
    verdicts = detector.predict(new)
    assert set(verdicts) == {-1, 1}
    assert np.array_equal(detector.predict(new[::-1])[::-1], verdicts)
    assert np.array_equal([detector.predict(one[None])[0] for one in new], verdicts)


BAD = {
    "NaN": (lambda x: np.where(x > 0.7, np.nan, x), "NaN or infinity in"),
    "range": (lambda x: x * 200, r"values in \[-1, 1\], got \[-"),
    "shape": (lambda x: x[:, :, :5], r"shape \(n, 1, 12, 12\), got"),
    "rank": (lambda x: x[0], r"expected samples of shape"),
    "empty": (lambda x: x[:0], r"0 sample\(s\) \(shape=\(0, 1, 12, 12\)\)"),
    "text": (lambda x: x.astype(str), "not compatible with arrays of bytes/strings"),
    "dates": (lambda x: x.astype("datetime64[s]"), "expected numbers in"),
}


@pytest.mark.parametrize("kind", sorted(BAD))
def test_bad_samples_are_refused_with_what_came_and_what_was_expected(kind: str) -> None:
    spoil, message = BAD[kind]
    x = stripes(40, (1, 12, 12))
    detector = quick("fanogan").fit(x)
    with pytest.raises(ValueError, match=message):
        detector.predict(spoil(x))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in ("false_alarm_rate", "holdout") for value in (-0.5, 0.0, 1.0, 2.0)),
        *(("random_state", value) for value in (-1, 0.5, True, np.random.default_rng(0))),
    ],
)
def test_a_bad_parameter_is_refused_by_fit_and_stored_before(name: str, value: object) -> None:
    detector = quick("anogan", **{name: value})
    assert detector.get_params()[name] is value
    with pytest.raises(ValueError, match=f"{name} must be .*, got"):
        detector.fit(stripes(40, (1, 12, 12)))


def test_fitting_works_where_gradients_are_off() -> None:
    with torch.no_grad():
        detector = quick("fanogan").fit(stripes(40, (1, 12, 12)))
    assert np.isfinite(detector.anomaly_score(stripes(2, (1, 12, 12)))).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_images_whose_channels_come_last_are_refused(channels: int) -> None:
    x = np.moveaxis(stripes(40, (channels, 12, 12)), 1, -1)
    with pytest.raises(ValueError, match=rf"12, {channels}\); channels come before rows and columns"):
        quick("fanogan").fit(x)


def test_images_without_an_axis_of_channels_are_told() -> None:
    with pytest.warns(UserWarning, match="taken for windows of 12 sensors; images are"):
        quick("anogan").fit(stripes(40, (12, 12)))


def test_a_hybrid_with_restarts_is_refused() -> None:
    with pytest.raises(ValueError, match="restarts of a hybrid must be 1, for it starts at"):
        quick("hybrid", search=replace(QUICK_SEARCH, restarts=2)).fit(stripes(40, (1, 12, 12)))


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 16 samples"):
        quick("anogan").fit(stripes(10, (1, 12, 12)))


def test_a_rate_the_held_out_rows_cannot_support_is_said() -> None:
    with pytest.warns(CalibrationWarning, match="12 held-out normal samples cannot support"):
        quick("fanogan", false_alarm_rate=0.01).fit(stripes(40, (1, 12, 12)))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "floor"), [("fanogan", 0.95), ("anogan", 0.85), ("hybrid", 0.9)])
def test_detectors_tell_real_digits_apart(name: str, floor: float) -> None:
    """scikit-learn's digits, 0 normal: AUROC on its own test split."""
    from anogan.config.gan import EncoderConfig, GANConfig, SearchConfig

    split = one_vs_rest(load_dataset("digits"), "0")
    gan, encoder = GANConfig(width=16, steps=300, batch_size=32), EncoderConfig(steps=300, batch_size=32)
    steps = {"anogan": SearchConfig(steps=60, learning_rate=0.1), "hybrid": SearchConfig(steps=10)}
    taken = {"search": steps[name]} if name in steps else {}
    taken |= {"encoder": encoder} if name != "anogan" else {}
    detector = DETECTORS[name](gan, **taken, holdout=0.3, false_alarm_rate=0.05, device="cpu").fit(split.x_train)
    rows = slice(0, 200)
    assert roc_auc_score(split.y_test[rows], detector.anomaly_score(split.x_test[rows])) > floor


def line(n: int, seed: int, off: float = 0.0) -> np.ndarray:
    """Samples (n, 2, 8) whose second channel is minus the first, but for `off` and noise."""
    rng = np.random.default_rng(seed)
    level = rng.uniform(-0.5, 0.5, (n, 1, 1))
    x = np.concatenate([level, off - level], axis=1).repeat(8, axis=2)
    return (x + 0.02 * rng.standard_normal(x.shape)).astype(np.float32)


def test_a_channel_that_leaves_the_others_is_far_from_the_subspace() -> None:
    detector = quick("subspacegan").fit(line(200, 0))
    follows, leaves = (detector.explain(line(50, 1, off)).terms for off in (0.0, 0.3))
    for name in detector.terms:  # though either channel alone is within its usual range
        assert np.median(leaves[name]) > np.max(follows[name])


def test_the_level_of_the_slow_channels_counts_where_there_are_such() -> None:
    x, plain = line(200, 0), quick("subspacegan").fit(line(200, 0))
    detector = quick("subspacegan", slow=True).calibrate(plain.gan_, x[:140], x[140:])
    assert detector.memory_["level_mean"].shape == (2 * (x.shape[1] // 2),)
    before = detector.explain(x[:4])
    assert before.score == pytest.approx(sum(before.terms.values()), rel=1e-4, abs=1e-4)
    half = x.shape[1] // 2
    for channels, louder in ((slice(0, half), False), (slice(half, None), True)):
        changed = x[:4].copy()
        changed[:, channels] = 0.95
        level = detector.explain(changed).terms["level"]
        assert (level > before.terms["level"] + 1).all() if louder else np.array_equal(level, before.terms["level"])


@pytest.fixture(scope="module")
def locator() -> LocatorGAN:
    """Tests leave it as it is."""
    return quick("locatorgan", false_alarm_rate=0.25).fit(stripes(64, SHAPES["odd photo"]))  # type: ignore[return-value]


def test_a_held_out_sample_is_measured_by_the_other_folds_like_a_new_one(locator: LocatorGAN) -> None:
    """As many samples as folds: each by all others."""
    x, held_out = stripes(40, locator.gan_.shape), stripes(FOLDS, locator.gan_.shape, seed=1)
    whole = clone(locator).calibrate(locator.gan_, x, held_out)
    new = []
    for row in range(FOLDS):
        others = clone(locator).calibrate(locator.gan_, x, np.delete(held_out, row, axis=0))
        others.memory_["explained"] = whole.memory_["explained"]  # one number, of all of them
        new.append(others.anomaly_score(held_out[[row]])[0])
    assert np.allclose(whole.calibration_scores_, np.sort(new), rtol=1e-3)
    assert np.mean(new) > 1.05 * whole.anomaly_score(held_out).mean(), "it makes no difference here"


def test_what_is_declared_harmless_does_not_change_what_the_locator_says() -> None:
    shape = (1, 32, 32)
    declared = quick("locatorgan", augment=("flip",), places=PlacesConfig(linear_weight=0.0)).fit(stripes(64, shape))
    x = stripes(6, shape, seed=4)
    declared.memory_ |= {"centre": declared.memory_["centre"] * 0, "spread": declared.memory_["spread"] * 0 + 1}
    flipped = declared.explain(x[..., ::-1].copy())
    assert np.allclose(declared.explain(x).terms["locator"], flipped.terms["locator"], rtol=1e-3, atol=1e-3)


def test_the_linear_view_counts_as_much_as_the_components_explain() -> None:
    shape = (1, 28, 28)
    noise = np.random.default_rng(0).uniform(-1, 1, (64, *shape)).astype(np.float32)
    explained = [float(quick("locatorgan").fit(x).memory_["explained"]) for x in (stripes(64, shape), noise)]
    assert explained[0] > 0.8
    assert explained[1] < 0.1


def test_half_as_much_explained_halves_the_linear_view_and_leaves_the_other(locator: LocatorGAN) -> None:
    x, half = stripes(8, locator.gan_.shape, seed=2), copy.deepcopy(locator)
    half.memory_["explained"] = locator.memory_["explained"] / 2
    whole, less = locator.explain(x).terms, half.explain(x).terms
    assert np.allclose(less["linear"], whole["linear"] / 2, rtol=1e-4)
    assert np.allclose(less["locator"], whole["locator"], rtol=1e-4)
    assert np.abs(whole["linear"]).min() > 1e-3
