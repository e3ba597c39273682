"""Alarms keep their budget on healthy rows, and begin and end as the rule says."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest

from anogan.alarms import AlarmRule, AlarmTracker, gumbel_quantile, in_words, per_second, persistent
from anogan.config import AlarmConfig
from anogan.errors import CalibrationWarning

RULE = AlarmRule(2.0, 1.0, 0.5, 3, 50, 1.0, "1/day", (0.5, 1.0, 1.5, 2.0))


def tracked(score: list[float], rule: AlarmRule = RULE, parts: int = 1) -> list[tuple[int, object, object]]:
    """Row, start and end of every change, the rows given in `parts` to trackers that inherit each other's state."""
    changes, tracker, rows = [], AlarmTracker(rule, ("a", "b")), np.arange(len(score))
    for part in np.array_split(rows, parts):
        successor = AlarmTracker(rule, ("a", "b"))
        successor.restore(json.loads(json.dumps(tracker.state())))
        tracker = successor
        found = tracker.push(part.tolist(), np.array(score)[part], np.tile([0.25, 0.75], (len(part), 1)))
        changes += [(int(part[row]), alarm.start, alarm.end) for row, alarm in found]
    return changes


def test_a_budget_is_a_rate() -> None:
    assert per_second("1/day") == per_second("7 per week") == per_second("2 per 2 days") == 1 / 86_400
    assert per_second("0.5/hour") == 0.5 / 3600
    for wrong in ("", "1", "one a week", "0/day", "1/fortnight", "-1/day"):
        with pytest.raises(ValueError, match="such as 1/week"):
            per_second(wrong)


def test_a_time_span_is_said_in_its_largest_unit() -> None:
    assert [in_words(s) for s in (1, 5400, 86_400, 1209600.0, 0.5)] == [
        "1 second",
        "1.5 hours",
        "1 day",
        "2 weeks",
        "0.5 seconds",
    ]


def test_a_persistent_score_is_what_all_of_the_last_rows_exceed() -> None:
    score = np.array([5.0, 1.0, 4.0, 3.0, np.nan, 9.0, 8.0, 7.0])
    assert persistent(score, 3).tolist()[2:4] == [1.0, 1.0]
    assert np.isnan(persistent(score, 3)[[0, 1, 4, 5, 6]]).all()
    assert persistent(score, 3)[7] == 7.0


def test_an_alarm_needs_rows_in_a_row_to_begin_and_to_end() -> None:
    assert tracked([3, 3, 0, 3, 3, 0]) == []
    assert tracked([0, 3, 3, 3, 1.5, 0, 0, 1.5, 0, 0, 0, 0]) == [(3, 3, None), (10, 3, 10)]
    # Between release and threshold an alarm lasts; a row without a score changes nothing.
    assert tracked([3, 3, np.nan, 3, 1.5, 1.5, 1.5, np.nan, 1.5]) == [(3, 3, None)]


@pytest.mark.parametrize("parts", [2, 5, 11])
def test_what_is_remembered_across_parts_is_enough(parts: int) -> None:
    score = [0, 3, 3, 3, 1.5, 0, 0, 1.5, 0, 0, 0, 3, 3, 3, 3.0]
    assert tracked(score, parts=parts) == tracked(score)


def test_an_alarm_tells_its_peak_its_rarity_and_its_channels() -> None:
    tracker = AlarmTracker(RULE, ("a", "b"))
    score = np.array([0, 3, 3, 3, 9, 0, 0, 0.0])
    shares = np.tile([0.25, 0.75], (8, 1))
    (_, begun), (_, ended) = tracker.push(list("abcdefgh"), score, shares)
    assert (begun.peak, ended.peak) == (3, 9)
    assert ended.p_value == 1 / 5
    assert (ended.start, ended.end) == ("d", "h")
    assert list(ended.shares) == ["b", "a"]
    assert ended.named() == "b 75 %, a 25 %"


def test_a_rise_over_many_windows_is_slow_and_one_within_a_few_sudden() -> None:
    sudden = np.concatenate([np.zeros(1500), np.linspace(0, 3.0, 30), np.full(10, 3.0)])
    slow = np.concatenate([np.zeros(100), np.linspace(0.0, 3.0, 140)])
    kinds = []
    for score in (sudden, slow):
        tracker = AlarmTracker(RULE, ("a",))
        changes = tracker.push(list(range(len(score))), score, np.ones((len(score), 1)))
        kinds.append(changes[0][1].kind)
    assert kinds == ["sudden", "slow"]


@pytest.mark.parametrize("seed", range(3))
def test_on_healthy_rows_that_are_alike_alarms_keep_the_promise(seed: int) -> None:
    """Autocorrelated rows: a threshold made row by row would break its promise many times over."""
    stream = np.random.default_rng(seed)
    noise = stream.standard_normal(400_000)
    score = np.convolve(noise, np.ones(40) / 40**0.5, "same")
    config = AlarmConfig(budget="1/hour", block=200)
    rule = AlarmRule.calibrate([score[:100_000]], 200, 1.0, config)
    test = score[100_000:]
    changes = AlarmTracker(rule, ("a",)).push(list(range(len(test))), test, np.ones((len(test), 1)))
    begun = sum(alarm.end is None for _, alarm in changes)
    achieved = begun / len(test)
    assert rule.promised <= per_second("1/hour") * 1.001
    assert 0.4 <= achieved / rule.promised <= 2


def test_too_few_healthy_rows_promise_less_and_say_so() -> None:
    score = np.random.default_rng(0).standard_normal(1000)
    with pytest.warns(CalibrationWarning, match="16.7 minutes of held-out healthy rows cannot support 1/week"):
        rule = AlarmRule.calibrate([score], 100, 1.0, AlarmConfig())
    assert rule.threshold > max(rule.peaks)
    assert rule.promised == pytest.approx(1 / 1100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert AlarmRule.calibrate([score], 100, 1.0, AlarmConfig("10/hour")).promised <= 10 / 3600


def test_without_a_whole_block_there_is_no_rule() -> None:
    with pytest.raises(ValueError, match="at least one healthy block of 100 rows"):
        AlarmRule.calibrate([np.zeros(99), np.full(200, np.nan)], 100, 1.0, AlarmConfig())


def test_a_rule_survives_as_json() -> None:
    assert AlarmRule.from_dict(json.loads(json.dumps(RULE.to_dict()))) == RULE
    assert replace(RULE, threshold=0.4).promised > RULE.promised


def test_a_quantile_of_peaks_is_extrapolated_by_the_law_of_maxima() -> None:
    """Maxima of exponential scores follow Gumbel's law; few of them tell how high the rarest of very many will be."""
    scores = np.random.default_rng(0).exponential(size=(40_000, 50))
    peaks = scores.max(1)
    assert gumbel_quantile(peaks[:200], 0.9999) == pytest.approx(np.quantile(peaks, 0.9999), rel=0.15)
    assert gumbel_quantile(np.full(5, 2.0), 0.99) == 2
