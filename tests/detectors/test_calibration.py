from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anogan.detectors.calibration import hold_out, p_values, threshold_at
from anogan.errors import CalibrationWarning


def test_p_value_counts_calibration_scores_at_least_as_high() -> None:
    assert p_values(np.array([1.0, 2, 3]), np.array([0.5, 2, 3.5])).tolist() == [1.0, 0.75, 0.25]


@given(
    st.lists(st.floats(-5, 5), min_size=20, max_size=60),
    st.floats(0.06, 0.9),
    st.lists(st.floats(-6, 6), min_size=1, max_size=20),
)
def test_above_the_threshold_means_p_at_most_the_rate(scores: list, rate: float, queries: list) -> None:
    calibration, asked = np.array(scores), np.array(queries + scores)
    flagged = asked > threshold_at(calibration, rate)
    assert np.array_equal(flagged, p_values(calibration, asked) <= rate)


@pytest.mark.parametrize("n", [9, 59, 99, 999])
def test_threshold_and_p_values_agree_where_the_rate_lies_beside_a_possible_p_value(n: int) -> None:
    calibration = np.arange(float(n))
    for possible in np.arange(1, n + 1) / (n + 1):
        for rate in (possible, np.nextafter(possible, 0), np.nextafter(possible, 1)):
            if rate >= 1 / (n + 1):
                flagged = calibration > threshold_at(calibration, rate)
                assert np.array_equal(flagged, p_values(calibration, calibration) <= rate)


def test_the_false_alarm_rate_is_kept_on_average() -> None:
    rng = np.random.default_rng(0)
    achieved = [(rng.standard_normal(500) > threshold_at(rng.standard_normal(200), 0.05)).mean() for _ in range(300)]
    assert np.mean(achieved) == pytest.approx(0.05, abs=0.005)


def test_too_few_scores_warn_and_give_the_largest() -> None:
    with pytest.warns(CalibrationWarning, match="promises 0.091 instead; hold out at least 99"):
        assert threshold_at(np.arange(10.0), 0.01) == 9


def test_ninety_nine_scores_are_enough_for_one_percent() -> None:
    assert threshold_at(np.arange(99.0), 0.01) == 98


@given(st.integers(2, 300), st.floats(0, 0.9), st.integers(0, 5))
def test_held_out_rows_are_disjoint_from_training_rows_and_complete(n: int, share: float, seed: int) -> None:
    training, held_out = hold_out(n, share, seed)
    assert sorted([*training, *held_out]) == list(range(n))
    assert len(held_out) == round(share * n)


def test_the_seed_decides_which_rows_are_held_out() -> None:
    first, again, other = (hold_out(100, 0.3, seed)[1].tolist() for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("rate", [-1.0, 0.0, 1.0, 2.0, float("nan")])
def test_a_rate_outside_zero_and_one_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match=r"false_alarm_rate must be in \(0, 1\), got"):
        threshold_at(np.arange(10.0), rate)
