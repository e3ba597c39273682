"""Alarms keep their budget on healthy rows, and begin and end as the rule says."""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import replace

import numpy as np
import pytest

from anogan.budgets import in_words, per_second
from anogan.config.runs import AlarmConfig
from anogan.config.serialise import from_dict, to_dict
from anogan.errors import CalibrationWarning
from anogan.sensors.alarms import Alarm, AlarmRule, AlarmTracker, gumbel_quantile, peaks_borne, persistent

RULE = AlarmRule(2.0, 1.0, 0.5, 3, 50, 1.0, "1/day", 0.9, 0.95, 0.5, (0.5, 1.0, 1.5, 2.0))


def tracked(score: list[float], rule: AlarmRule = RULE, parts: int = 1) -> list[tuple[int, object, object]]:
    """Row, start and end of every change."""
    return [(row, alarm.start, alarm.end) for row, alarm in followed(score, rule, parts)]


def followed(score: list[float], rule: AlarmRule = RULE, parts: int = 1) -> list[tuple[int, Alarm]]:
    """Row and alarm of every change, the rows given in `parts` to trackers that inherit each other's state."""
    changes, tracker, rows = [], AlarmTracker(rule, ("a", "b")), np.arange(len(score))
    for part in np.array_split(rows, parts):
        successor = AlarmTracker(rule, ("a", "b"))
        successor.restore(json.loads(json.dumps(tracker.state())))
        tracker = successor
        found = tracker.push(part.tolist(), np.array(score)[part], np.tile([0.25, 0.75], (len(part), 1)))
        changes += [(int(part[row]), alarm) for row, alarm in found]
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
    assert followed(score, parts=parts) == followed(score)


def test_an_alarm_tells_its_peak_its_rarity_and_its_channels() -> None:
    tracker = AlarmTracker(RULE, ("a", "b"))
    score = np.array([0, 3, 3, 3, 9, 0, 0, 0.0])
    shares = np.tile([0.25, 0.75], (8, 1))
    (_, begun), (_, ended) = tracker.push(list("abcdefgh"), score, shares)
    assert (begun.peak, ended.peak) == (3, 9)
    assert begun.p_value == ended.p_value == 1 / 5
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
    assert rule.promised == pytest.approx(np.log(11 / 10) / 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert AlarmRule.calibrate([score], 100, 1.0, AlarmConfig("10/hour")).promised <= 10 / 3600


def test_a_budget_is_kept_with_confidence_where_there_are_blocks_enough() -> None:
    """Independent peaks: in nine of ten calibrations the chance of another one above the threshold is at most asked."""
    stream, share = np.random.default_rng(0), 0.1
    for n in (22, 60):  # the fewest that are enough, (1 - .1) ** 22 < .1, and more
        k = peaks_borne(n, share, 0.9)
        assert k is not None
        rates = stream.beta(k + 1, n - k, 20_000)
        assert (rates <= share).mean() >= 0.89
        more = stream.beta(k + 2, n - k - 1, 20_000)
        assert (more <= share).mean() < 0.89
    assert peaks_borne(22, share, 0.9) == 0
    assert peaks_borne(21, share, 0.9) is peaks_borne(5, share, 0.9) is None


def test_what_is_sure_is_at_most_the_budget_and_more_than_what_is_true_on_average() -> None:
    score = np.random.default_rng(1).standard_normal(40_000)
    rule = AlarmRule.calibrate([score], 100, 1.0, AlarmConfig("2/hour", persist=1))
    assert rule.promised < rule.at_most <= per_second("2/hour")
    assert replace(rule, threshold=float(np.nextafter(max(rule.peaks), -np.inf))).promised < rule.promised
    assert replace(rule, threshold=-10.0).at_most == np.inf


def test_too_few_blocks_for_confidence_warn_only_where_they_promise_too_little_even_on_average() -> None:
    score = np.random.default_rng(2).standard_normal(3000)
    promised = -np.log1p(-1 / 31) / 100 * 3600  # an hour, of 30 blocks
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rule = AlarmRule.calibrate([score], 100, 1.0, AlarmConfig(f"{promised * 1.01:.4f}/hour"))
    assert rule.threshold >= max(rule.peaks)
    with pytest.warns(CalibrationWarning):
        rule = AlarmRule.calibrate([score], 100, 1.0, AlarmConfig(f"{promised * 0.99:.4f}/hour"))
    assert rule.threshold >= max(rule.peaks)


def test_too_few_blocks_for_confidence_do_not_leave_the_threshold_to_the_luck_of_the_highest() -> None:
    """Blocks just enough for the budget on average: their highest peak keeps it in 63 of 100 calibrations."""
    stream, n, seconds = np.random.default_rng(0), 40, 100
    share = -math.expm1(-1 / n)
    scores = stream.exponential(size=(200, n * seconds))
    config = AlarmConfig(f"1/{n * seconds} seconds", persist=1)
    rules = [AlarmRule.calibrate([score], seconds, 1.0, config) for score in scores]
    highest = np.array([max(rule.peaks) for rule in rules])
    thresholds = np.array([rule.threshold for rule in rules])
    chance, of_highest = (-np.expm1(seconds * np.log1p(-np.exp(-x))) for x in (thresholds, highest))
    assert (thresholds >= highest).all()
    assert chance.mean() < 0.9 * of_highest.mean()
    assert (chance <= share).mean() > (of_highest <= share).mean() + 0.02


def test_calibration_counts_what_would_be_an_alarm_and_nothing_else() -> None:
    """Rows that last across the edge of two blocks and a row without a score do; two high rows alone do not."""
    score = np.random.default_rng(3).uniform(size=2000)
    score[[198, 199, 201]], score[200] = 9, np.nan  # the edge of the second block
    score[[500, 501]] = 50
    with pytest.warns(CalibrationWarning):
        rule = AlarmRule.calibrate([score], 100, 1.0, AlarmConfig())
    assert [peak for peak in rule.peaks if peak > 1] == [9]
    changes = AlarmTracker(replace(rule, threshold=5.0), ("a",)).push(list(range(2000)), score, np.ones((2000, 1)))
    assert [alarm.start for _, alarm in changes if alarm.end is None] == [201]


def test_a_block_that_is_not_whole_does_not_count() -> None:
    """Fewer rows have a lower peak, and so would lower the threshold."""
    score = np.random.default_rng(0).uniform(1, 2, 350)
    score[310:] = 0
    rule = AlarmRule.calibrate([score], 100, 1.0, AlarmConfig("20/hour"))
    assert len(rule.peaks) == 3
    assert min(rule.peaks) > 1


def test_an_alarm_may_end_halfway_from_the_threshold_to_where_most_healthy_rows_are() -> None:
    score = np.random.default_rng(0).standard_normal(5000)
    rule = AlarmRule.calibrate([score], 100, 1.0, AlarmConfig("20/hour", persist=1))
    assert rule.usual == pytest.approx(np.quantile(score, 0.95))
    assert rule.release == pytest.approx((rule.threshold + rule.usual) / 2)
    assert rule.usual < rule.release < rule.threshold


def test_a_rise_that_is_calm_for_single_rows_alone_has_begun_long_ago() -> None:
    rises = []
    for calm in (2, 3):  # of every ten rows; three in a row are calm
        score = np.tile([0.0] * calm + [1.0] * (10 - calm), 30)
        score[-3:] = 3
        changes = AlarmTracker(RULE, ("a",)).push(list(range(300)), score, np.ones((300, 1)))
        rises.append((changes[0][1].rise, changes[0][1].kind))
    assert rises == [(300, "slow"), (7, "sudden")]


def test_an_alarms_p_value_is_that_of_what_lasted_in_its_first_block() -> None:
    rule = replace(RULE, threshold=0.7, release=0.1, usual=0.1, block=10)
    score = np.array([0.0, 0.9, 0.9, 0.9, 9.0, 9.0, 1.2, 1.2, 1.2, *[1.2] * 10, *[9.0] * 5])
    changes = AlarmTracker(rule, ("a",)).push(list(range(len(score))), score, np.ones((len(score), 1)))
    tracker = AlarmTracker(rule, ("a",))
    tracker.push(list(range(len(score))), score, np.ones((len(score), 1)))
    alarm = tracker.ongoing()
    assert changes[0][1].p_value == rule.p_value(0.9) == 4 / 5
    assert alarm
    assert (alarm.peak, alarm.p_value) == (9, rule.p_value(1.2))
    assert alarm.p_value == 3 / 5


def test_without_a_whole_block_there_is_no_rule() -> None:
    with pytest.raises(ValueError, match="at least one healthy block of 100 rows"):
        AlarmRule.calibrate([np.zeros(99), np.full(200, np.nan)], 100, 1.0, AlarmConfig())


def test_a_rule_survives_as_json() -> None:
    assert from_dict(AlarmRule, json.loads(json.dumps(to_dict(RULE)))) == RULE
    assert replace(RULE, threshold=0.4).promised > RULE.promised


def test_a_quantile_of_peaks_is_extrapolated_by_the_law_of_maxima() -> None:
    """Maxima of exponential scores follow Gumbel's law; few of them tell how high the rarest of very many will be."""
    scores = np.random.default_rng(0).exponential(size=(40_000, 50))
    peaks = scores.max(1)
    assert gumbel_quantile(peaks[:200], 1e-4) == pytest.approx(np.quantile(peaks, 0.9999), rel=0.2)
    assert gumbel_quantile(np.full(5, 2.0), 0.01) == 2


@pytest.mark.parametrize(("n", "share"), [(3, 0.02), (6, 0.003), (30, 0.001)])
def test_an_extrapolated_threshold_is_exceeded_as_often_as_asked_on_average(n: int, share: float) -> None:
    """Over many calibrations of few peaks, which know neither where peaks lie nor how much they vary."""
    stream = np.random.default_rng(4)
    factor = gumbel_quantile(np.array([-1.0, 1.0] * (n // 2) + [0.0] * (n % 2)), share)
    factor /= np.array([-1.0, 1.0] * (n // 2) + [0.0] * (n % 2)).std()
    peaks = stream.gumbel(5, 2, size=(60_000, n))
    far = (peaks.mean(1) + factor * peaks.std(1) - 5) / 2
    assert -np.expm1(-np.exp(-far)).mean() == pytest.approx(share, rel=0.1)


def test_an_alarm_names_at_most_three_channels_of_a_twentieth_or_more() -> None:
    alarm = Alarm(1, 0, None, 3.0, 0.2, "sudden", 1.0, {"a": 0.5, "b": 0.25, "c": 0.05, "d": 0.05})
    assert alarm.named() == "a 50 %, b 25 %, c 5 %"
    assert alarm.named(1) == "a 50 %"
    assert replace(alarm, shares={"a": 0.951, "b": 0.049}).named() == "a 95 %"


def test_a_change_says_which_alarm_of_which_model_has_begun_or_ended() -> None:
    begun = Alarm(7, "noon", None, 3.0, 0.2, "sudden", 1.0, {"a": 1.0})
    told = begun.change("pump")
    assert (told["id"], told["model"], told["change"]) == ("pump-7-begin", "pump", "begin")
    assert begun.to_dict().items() <= told.items()
    told = replace(begun, end="one").change("pump")
    assert (told["id"], told["change"], told["end"]) == ("pump-7-end", "end", "one")


def test_an_ongoing_alarm_is_a_copy_of_how_it_stands() -> None:
    tracker = AlarmTracker(RULE, ("a", "b"))
    assert tracker.ongoing() is None
    tracker.push([0, 1, 2], np.full(3, 3.0), np.tile([1.0, 0.0], (3, 1)))
    before = tracker.ongoing()
    tracker.push([3, 4], np.full(2, 5.0), np.tile([0.0, 1.0], (2, 1)))
    after = tracker.ongoing()
    assert before is not None
    assert after is not None
    assert (before.peak, list(before.shares)) == (3.0, ["a", "b"])
    assert (after.peak, list(after.shares)) == (5.0, ["b", "a"])
    assert after.shares == pytest.approx({"b": 10 / 13, "a": 3 / 13}, abs=1e-4)


def test_alarms_are_counted_from_one_and_each_needs_its_rows_anew() -> None:
    """A row above the threshold right after an alarm is the first, and so is one below the release level in it."""
    changes = followed([3, 3, 3, 0, 0, 0, 3, 3, 0, 3, 3, 3, 0, 0, 1.5, 0, 0, 0])
    assert [(row, alarm.number, alarm.end is None) for row, alarm in changes] == [
        (2, 1, True),
        (5, 1, False),
        (11, 2, True),
        (17, 2, False),
    ]


def test_a_score_at_a_level_is_not_beyond_it() -> None:
    at = RULE.threshold, RULE.release, RULE.usual
    assert tracked([at[0]] * 9) == []
    assert len(tracked([3, 3, 3, *[at[1]] * 9])) == 1
    (_, alarm), *_ = followed([*[at[2]] * 20, 3, 3, 3])
    assert alarm.rise == 23, "never below what is usual"


def test_a_rise_of_half_a_block_is_slow() -> None:
    quiet = [0.0] * 5
    (_, slow), *_ = followed([*quiet, *[1.0] * 22, 3, 3, 3])
    (_, sudden), *_ = followed([*quiet, *[1.0] * 21, 3, 3, 3])
    assert (slow.rise, slow.kind) == (25, "slow")
    assert (sudden.rise, sudden.kind) == (24, "sudden")


def test_after_an_alarm_a_rise_counts_from_its_end() -> None:
    *_, (_, second) = followed([3, 3, 3, 0, 0, 0, 1, 1, 3, 3, 3])
    assert (second.number, second.rise) == (2, 5)


def test_seconds_are_rows_times_the_step() -> None:
    """The same rows ten seconds apart, and a tenth of the budget, ask for the same threshold."""
    score = np.random.default_rng(0).standard_normal(5000)
    apart = AlarmRule.calibrate([score], 100, 10.0, AlarmConfig("2/hour", persist=1))
    close = AlarmRule.calibrate([score], 100, 1.0, AlarmConfig("20/hour", persist=1))
    assert (apart.threshold, apart.budget) == (close.threshold, "2/hour")
    assert apart.promised == pytest.approx(close.promised / 10)
    assert apart.at_most == pytest.approx(close.at_most / 10)
    (_, alarm), *_ = followed([0, 0, 0, 1, 1, 3, 3, 3], replace(RULE, step=10.0))
    assert alarm.rise == 50
    with pytest.warns(CalibrationWarning) as warned:
        rule = AlarmRule.calibrate([score[:1000]], 100, 10.0, AlarmConfig())
    (warning,) = warned
    assert str(warning.message) == (
        "2.78 hours of held-out healthy rows cannot support 1/week by themselves: they promise one false alarm in "
        f"{in_words(1 / rule.promised)}; the threshold is extrapolated beyond what they promise; "
        "hold out at least 1 week"
    )


def test_the_first_block_of_an_alarm_is_as_many_rows_as_a_block() -> None:
    """What lasts for three rows in it decides how rare the alarm is, what has lasted one row later does not."""
    rule = replace(RULE, threshold=0.7, release=0.1, usual=0.1, block=4)
    for rows, rarest in ((1, 9.0), (2, 0.9)):  # of .9 from the beginning on, before three of 9
        *_, (_, alarm) = followed([0.9] * (2 + rows) + [9.0] * 3 + [0.0] * 3, rule)
        assert alarm.p_value == rule.p_value(rarest)


def test_channels_share_what_is_above_zero_alone() -> None:
    rule = replace(RULE, threshold=0.2, release=-1.0, usual=-2.0)
    tracker = AlarmTracker(rule, ("a", "b"))
    score = np.array([0.5, 0.5, 0.25, -0.5, 0.25])
    shares = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    tracker.push([0, 1, 2, 3, 4], score, shares)
    alarm = tracker.ongoing()
    assert alarm is not None
    assert alarm.shares == {"a": 0.5, "b": 0.5}, "of .25 each"


def test_channels_of_equal_share_keep_their_order() -> None:
    names = tuple("abcdefghijklmnopqrstuvwxyz")
    tracker = AlarmTracker(RULE, names)
    tracker.push([0, 1, 2], np.full(3, 3.0), np.full((3, 26), 1 / 26))
    alarm = tracker.ongoing()
    assert alarm is not None
    assert tuple(alarm.shares) == names
    assert set(alarm.shares.values()) == {0.0385}, "a hundredth of a per cent is enough"
