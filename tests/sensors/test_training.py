"""From a healthy recording to a model, and from the model to scores: causal, live equal to batch, nothing lost."""

from __future__ import annotations

import copy
import json
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import faulty, quick, recording, stripes

from anogan.cli import main
from anogan.config.presets import SENSORS
from anogan.config.runs import AlarmConfig, SensorConfig, SensorRunConfig
from anogan.errors import BundleError, CalibrationWarning, SampleError
from anogan.runs import bundle
from anogan.runs.bundle import Bundle
from anogan.runs.directory import Run
from anogan.sensors.healthy import Healthy, Part, block_of, hold_out_stretches, parts_of, prepare
from anogan.sensors.model import SensorModel
from anogan.sensors.recordings import GAP, Recording, read_recording
from anogan.sensors.scoring import Clock, fill
from anogan.sensors.training import recalibrate, scores_of, usual_of

CONFIG = replace(
    SENSORS,
    sensors=SensorConfig(time_column="t", window=12, smoothing=8),
    alarm=AlarmConfig(budget="1/hour", block=60),
)


def read(table: pd.DataFrame, folder: Path) -> Recording:
    table.to_csv(folder / "rows.csv", index=False)
    return read_recording(folder / "rows.csv", "t")


@pytest.fixture
def trained(pump_run: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(pump_run, tmp_path / "copy"))


@pytest.fixture(scope="module")
def model(pump_run: Path) -> SensorModel:
    return SensorModel.load(Bundle.open(pump_run))


def test_a_run_keeps_its_settings_and_a_model_survives_the_disk(trained: Path, model: SensorModel) -> None:
    config = Run(trained).config
    assert isinstance(config, SensorRunConfig)
    assert (config.gan, config.sensors, config.alarm) == (CONFIG.gan, CONFIG.sensors, CONFIG.alarm)
    assert model.channels == ("flow", "pressure", "noise", "still")
    assert (model.step, model.slow, model.smoothing, model.time_column) == (1.0, 12, 8.0, "t")
    assert model.detector.gan_.shape == (8, 12)
    assert model.detector.get_params()["slow"]
    assert len(model.usual.residual) == 8
    assert model.rule.block == 60


def test_a_fault_raises_one_alarm_that_names_its_channel(model: SensorModel, tmp_path: Path) -> None:
    watched = model.score(read(faulty(), tmp_path))
    inside = [alarm for alarm in watched.alarms if 400 <= alarm.start < 430]
    assert len(inside) == 1
    assert inside[0].end is not None
    assert 580 <= inside[0].end < 600 + 12 * 12  # as long as the slow scale shows it
    assert next(iter(inside[0].shares)) in ("pressure", "flow")
    assert inside[0].kind == "sudden"
    flagged = watched.table["alarm"].to_numpy() > 0
    assert flagged[430:580].all()
    assert flagged[:400].mean() < 0.2
    assert watched.table["p_value"].iloc[430:580].max() < 0.05
    assert watched.table["score"].isna().to_numpy()[:11].all()
    assert watched.table[list(model.channels)].sum(axis=1).iloc[20:].to_numpy() == pytest.approx(1)


def test_an_alarm_that_goes_on_at_the_end_is_told_as_it_stands_there(model: SensorModel, tmp_path: Path) -> None:
    before, after = (model.score(read(faulty()[:end], tmp_path)).alarms[-1] for end in (450, 560))
    assert before.end is after.end is None
    assert before.start == after.start
    assert before.shares != after.shares


@pytest.mark.parametrize("seed", range(4))
def test_live_and_batch_scores_are_equal_bit_for_bit(model: SensorModel, tmp_path: Path, seed: int) -> None:
    """However the rows arrive, and though the monitor is stopped and started again between any two of them."""
    table = faulty(seed + 20).astype({"t": float})
    stream = np.random.default_rng(seed)
    table.loc[stream.integers(0, 1000, 30), "flow"] = np.nan
    table.loc[700:, "t"] += 500  # a gap
    table.loc[[300, 301, 900], "t"] -= 50  # late
    rows = read(table, tmp_path)
    whole = model.scorer().push(rows.time, rows.values)
    cuts = np.sort(stream.integers(0, 1000, 40))
    scorer, scores, shares = model.scorer(), [], []
    for time, values in zip(np.split(rows.time, cuts), np.split(rows.values, cuts), strict=True):
        successor = model.scorer()
        successor.restore(json.loads(json.dumps(scorer.state(), allow_nan=False)))
        scorer = successor
        part = scorer.push(time, values)
        scores.append(part.score)
        shares.append(part.shares)
    assert np.array_equal(np.concatenate(scores), whole.score, equal_nan=True)
    assert np.array_equal(np.concatenate(shares), whole.shares, equal_nan=True)
    assert np.isnan(whole.score[[300, 301, 900]]).all()
    assert np.isnan(whole.score[700:711]).all()
    assert np.isfinite(whole.score[711])
    assert len(scorer.rows) == 12 * 12 - 1
    assert (scorer.clock.late, scorer.clock.gaps, scorer.seen) == (3, 1, 1000)
    assert scorer.missing == int(np.isnan(rows.values).sum())


@pytest.mark.parametrize("t", [11, 100, 200, 450, 998])
def test_a_score_does_not_know_the_rows_after_it(model: SensorModel, tmp_path: Path, t: int) -> None:
    rows = read(faulty(), tmp_path)
    changed = rows.values.copy()
    changed[t + 1 :] += 1e6
    before, after = model.scorer().push(rows.time, rows.values), model.scorer().push(rows.time, changed)
    assert np.array_equal(before.score[: t + 1], after.score[: t + 1], equal_nan=True)
    assert before.score[-1] != after.score[-1]


def test_a_score_looks_back_to_the_slow_scales_first_row_and_no_further(model: SensorModel, tmp_path: Path) -> None:
    unsmoothed = replace(model, smoothing=1.0)
    rows = read(faulty(), tmp_path)
    before = unsmoothed.scorer().push(rows.time, rows.values).score
    for first, seen in ((501 - 144, False), (502 - 144, True)):
        changed = rows.values.copy()
        changed[first - 1] += 1
        assert (unsmoothed.scorer().push(rows.time, changed).score[500] != before[500]) == seen


def test_until_the_slow_scale_is_full_scores_count_in_proportion_to_the_rows(
    model: SensorModel, tmp_path: Path
) -> None:
    rows = read(recording(400, 3), tmp_path)
    first = np.repeat(rows.values[:12].mean(0, keepdims=True), 12 * 11, axis=0)
    padded = np.concatenate([first, rows.values])
    led, alone = (replace(model, smoothing=1.0).scorer() for _ in range(2))
    led.warm_up = 0
    full = led.push(np.arange(len(padded), dtype=float), padded).score[12 * 11 + 11 :]
    share = np.minimum(np.arange(12, 401) / 144, 1)
    expected = model.usual.score + share * (full - model.usual.score)
    assert alone.push(rows.time, rows.values).score[11:] == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_few_healthy_rows_have_no_slow_scale(tmp_path: Path) -> None:
    few, many = (prepare(CONFIG, read(recording(n), tmp_path)) for n in (1151, 1152))
    assert (few.slow, many.slow) == (1, 12)
    assert (few.x.shape[1], many.x.shape[1]) == (4, 8)
    assert len(many.every) == 1152 - 11  # as many samples as rows with a score


def test_a_clock_that_is_set_back_is_believed_after_a_while() -> None:
    clock = Clock(1.0)
    starts, late = clock.push(np.concatenate([np.arange(100.0), np.arange(50.0, 80.0)]))
    assert starts[0]
    assert starts.sum() == 2
    assert np.flatnonzero(late).tolist() == list(range(100, 100 + GAP))
    assert np.flatnonzero(starts).tolist() == [0, 100 + GAP]


def test_missing_values_take_the_last_one() -> None:
    rows = np.array([[np.nan, 1.0], [2.0, np.nan], [np.nan, np.nan], [3.0, 4.0]])
    assert fill(rows, np.array([9.0, 8.0])).tolist() == [[9, 1], [2, 1], [2, 1], [3, 4]]


def test_held_out_rows_come_after_those_trained_on_in_every_part() -> None:
    training, held_out = hold_out_stretches(3000, 0.3, 20)
    assert len(training) == len(held_out) == 2
    trained_on, kept = (np.concatenate([np.arange(3000)[rows] for rows in part]) for part in (training, held_out))
    assert sorted([*trained_on, *kept]) == list(range(3000))
    assert len(kept) == 900
    assert kept.max() == 2999


def test_a_window_spans_no_gap_and_no_held_out_row(tmp_path: Path) -> None:
    table = recording(1200)
    table.loc[500:, "t"] += 100
    config = replace(CONFIG, sensors=replace(CONFIG.sensors, window=20))
    healthy = prepare(config, read(table, tmp_path))
    assert len(healthy.x) == 840 - 2 * 19
    assert len(healthy.x_held_out) == 360  # the rows before a held-out stretch fill its first window
    assert [len(healthy.without(fold)) for fold in (0, 2)] == [1004, 1004]
    assert len(healthy.every) == 1200 - 2 * 19
    assert healthy.x.shape[1:] == (4, 20)
    assert float(healthy.x[:, 3].abs().max()) == 0  # a channel that never changes


@pytest.fixture(scope="module")
def healthy(pump_run: Path, model: SensorModel) -> Healthy:
    config = Run(pump_run).config
    assert isinstance(config, SensorRunConfig)
    return prepare(config, model.read(Path(config.data)))


def test_thresholds_come_from_scores_as_they_are_in_the_middle_of_a_recording(
    model: SensorModel, healthy: Healthy, pump_run: Path
) -> None:
    """The slow scale of a held-out stretch's first rows shows the rows before them, as it does live."""
    unsmoothed = replace(model, smoothing=1.0)
    rows = model.read(pump_run.parent / "pump.csv")
    live = unsmoothed.scorer().push(rows.time, rows.values).score
    _, held_out = hold_out_stretches(3000, 0.3, 12)
    assert len(held_out) == len(healthy.folds) == 3
    for stretch, fold in zip(held_out, healthy.folds, strict=True):
        (score,) = scores_of(unsmoothed.scorer, fold.parts, healthy.block)
        assert score == pytest.approx(live[stretch], rel=1e-4, abs=1e-4)
        assert torch.equal(fold.x, healthy.every[stretch.start - 11 : stretch.stop - 11])
        assert len(fold.own) == len(fold.x) - 11


def test_where_nothing_stands_before_healthy_rows_the_first_ones_do_not_count_while_a_block_is_left(
    model: SensorModel, tmp_path: Path
) -> None:
    table = recording(1000, 4).astype({"t": float})
    table.loc[500:, "t"] += 500  # a gap
    table.loc[800:, "t"] += 500
    rows = read(table, tmp_path)
    _, second, third = parts_of(rows, slice(450, 1000), before=156)
    assert (len(second.time), second.before, second.first(144, 60)) == (300, 0, 144)
    assert (third.first(144, 56), third.first(144, 57)) == (144, 0)
    first = parts_of(rows, slice(450, 1000), before=156)[0]
    assert (len(first.time), first.before, first.first(144, 60)) == (206, 156, 156)
    live = model.scorer().push(second.time, second.values).score
    counted, short = (scores_of(model.scorer, [second], block)[0] for block in (60, 200))
    assert np.array_equal(counted, live[144:])
    assert np.array_equal(short, live[11:])  # less from the usual score than a full one, as live


def test_nothing_is_fitted_on_held_out_rows_but_what_is_remembered(tmp_path: Path) -> None:
    table = recording(3000)
    _, held_out = hold_out_stretches(3000, 0.3, 12)
    changed = table.copy()
    for rows in held_out:
        changed.loc[changed.index[rows], "flow"] += 40
    before, after = (prepare(CONFIG, read(one, tmp_path)) for one in (table, changed))
    assert before.scaling == after.scaling
    training = table.drop(index=[i for rows in held_out for i in range(3000)[rows]])
    values = training[["flow", "pressure", "noise"]]
    assert before.scaling.centre[:3] == pytest.approx(values.mean().to_numpy())
    assert before.scaling.spread[:3] == pytest.approx(values.std(ddof=0).to_numpy())


def test_a_model_remembers_all_healthy_rows(model: SensorModel, healthy: Healthy) -> None:
    detector = copy.copy(model.detector)
    detector.memory_ = dict(model.detector.memory_)
    detector.remember(healthy.every.numpy())
    for name in sorted(detector.remembered):  # the small entries of a matrix hold the rounding of its large ones
        again, before = detector.memory_[name], model.detector.memory_[name]
        assert (again - before).abs().max() <= 1e-3 * before.abs().max() + 1e-4, name
    detector.remember(healthy.without(0))
    assert not torch.allclose(detector.memory_["window_mean"], model.detector.memory_["window_mean"], rtol=1e-3)


def test_what_is_usual_is_the_mean_over_held_out_samples() -> None:
    detector, x = quick("fanogan").fit(stripes(64, (2, 50))), stripes(40, (2, 50), 1)
    usual, found = usual_of(detector, x), detector.explain(x)
    assert usual.score == pytest.approx(found.score.mean())
    assert usual.score > 0
    assert usual.residual == pytest.approx(np.square(found.anomaly_map, dtype=np.float64).mean((0, 2)))


def test_recalibration_keeps_how_alarms_begin(model: SensorModel, tmp_path: Path) -> None:
    rows = read(recording(1200, 9), tmp_path)
    asked = replace(model, rule=replace(model.rule, persist=5, block=70))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        adapted = recalibrate(asked, rows)
        short = recalibrate(replace(asked, rule=replace(asked.rule, block=5000)), rows)
    assert (adapted.rule.persist, adapted.rule.block) == (5, 70)
    assert len(adapted.rule.peaks) == (1200 - 144) // 70
    assert (short.rule.persist, short.rule.block) == (5, 2 * 144)  # as long a block does not fit


def test_a_block_is_twice_as_long_as_what_a_score_sees_where_the_rows_allow_it() -> None:
    def block(rows: int, slow: int, **config: int) -> int:
        part = Part(np.arange(float(rows)), np.zeros((rows, 1)))
        return block_of(AlarmConfig(**config), [part], 20, slow, "there is")  # type: ignore[arg-type]

    assert block(5000, 12) == 2 * 20 * 12
    assert block(5000, 1) == 10 * 20
    assert block(319, 12) == 100  # a third of the 300 rows that have a score
    assert block(5000, 12, block=60) == 60
    assert block(60, 1, persist=30) == 30


def test_recalibration_moves_the_thresholds_and_nothing_else(model: SensorModel, tmp_path: Path) -> None:
    shifted = recording(2000, 9)
    shifted["noise"] += 5  # a warmer day
    rows = read(shifted, tmp_path)
    assert model.score(rows).alarms
    before = model.scorer().push(rows.time, rows.values).score
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        adapted = recalibrate(model, rows)
    assert adapted.rule.threshold > model.rule.threshold
    assert adapted.rule.budget == model.rule.budget
    assert np.array_equal(adapted.scorer().push(rows.time, rows.values).score, before, equal_nan=True)
    assert len(adapted.score(rows).alarms) <= 1


def test_score_and_recalibrate_as_commands(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    faulty().to_csv(tmp_path / "day2.csv", index=False)
    recording(2000, 9).to_csv(tmp_path / "day3.csv", index=False)
    assert main.run_command(["score", str(trained), str(tmp_path / "day2.csv"), "--fail-on-anomaly"]) == 1
    out = trained / "scored" / "day2"
    page = (out / "index.html").read_text()
    assert "pressure" in page
    assert "<svg" in page
    alarms = pd.read_csv(out / "alarms.csv")
    scores = pd.read_csv(out / "scores.csv")
    assert len(scores) == 1000
    assert set(scores["alarm"].unique()) == {0, *alarms["number"]}
    assert "alarms in 1000 rows" in capsys.readouterr().out
    old = SensorModel.load(Bundle.open(trained)).rule
    with pytest.warns(CalibrationWarning):
        assert main.run_command(["recalibrate", str(trained), str(tmp_path / "day3.csv"), "--budget", "1/day"]) == 0
    assert SensorModel.load(Bundle.open(trained)).rule.budget == "1/day" != old.budget


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns="pressure"), "no column 'pressure'"),
        (lambda table: table.iloc[:0], "holds no row"),
        (lambda table: table.assign(t="yesterday"), "holds no readable time"),
    ],
)
def test_a_recording_that_cannot_be_scored_is_told_in_one_line(
    trained: Path, tmp_path: Path, change: object, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change(recording(100)).to_csv(tmp_path / "bad.csv", index=False)  # type: ignore[operator]
    recording(100).to_csv(tmp_path / "good.csv", index=False)
    assert main.run_command(["score", str(trained), str(tmp_path / "bad.csv"), str(tmp_path / "good.csv")]) == 2
    error = capsys.readouterr().err
    assert any(pd.Series(error.splitlines()).str.contains(message))
    assert (trained / "scored" / "good" / "scores.csv").exists()


def test_no_number_is_too_large_to_be_scored(model: SensorModel, tmp_path: Path) -> None:
    table = recording(400, 3)
    table.loc[300:330, "pressure"] = np.tile([1.7e308, -1.7e308], 16)[:31]
    score = model.score(read(table, tmp_path)).table["score"]
    assert np.isfinite(score[11:]).all()
    assert score[320] > model.rule.threshold


def test_a_dead_sensor_is_told_and_the_others_are_still_watched(model: SensorModel, tmp_path: Path) -> None:
    recording(300).assign(flow=np.nan).to_csv(tmp_path / "dead.csv", index=False)
    rows = model.read(tmp_path / "dead.csv")
    assert rows.notes == ("column 'flow' holds no number",)
    assert np.isfinite(model.score(rows).table["score"]).sum() == 289


def test_one_row_or_rows_out_of_order_are_scored_as_far_as_they_can_be(model: SensorModel, tmp_path: Path) -> None:
    one = model.score(read(recording(1), tmp_path))
    assert one.table["score"].isna().all()
    shuffled = read(recording(300).sample(frac=1, random_state=0), tmp_path)
    assert any("go back in time" in note for note in shuffled.notes)
    assert len(model.score(shuffled).table) == 300


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (recording(1), "has 1 rows, which leave 0 windows"),
        (recording(60), "which leave"),
        (recording(300).assign(flow=[np.nan] * 299 + [1.0]), "'flow' holds no number in the training rows"),
    ],
)
def test_too_little_to_train_on_is_told_before_anything_is_written(
    table: pd.DataFrame, message: str, tmp_path: Path
) -> None:
    table.to_csv(tmp_path / "few.csv", index=False)
    with pytest.raises(SampleError, match=message):
        main.run_command(
            ["train", "--data", str(tmp_path / "few.csv"), "--time-column", "t", "--out", str(tmp_path / "r")]
        )
    assert not (tmp_path / "r").exists()


def test_a_model_of_images_is_not_one_of_signals(tmp_path: Path) -> None:

    detector = quick("fanogan").fit(stripes(80, (1, 28, 28)))
    bundle.save(tmp_path / "bundle", detector.gan_, {"fanogan": detector}, "digits", {"data": "stripes"})
    with pytest.raises(BundleError, match="trained on stripes, not on a recording"):
        SensorModel.load(Bundle.open(tmp_path))
