"""Faults put into good data: what is counted is what live scoring would have said, and chance stands beside it."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import photo_model
import pytest
from conftest import quick, recording, stripes

from anogan.cli import main
from anogan.config.runs import PhotoRunConfig, SensorRunConfig
from anogan.errors import DataUnavailableError, RunError, SampleError, TrainingWarning
from anogan.evaluation.trials import NOTHING, cells_of, fill, parse_kinds, parse_severities, smallest_caught, summarise
from anogan.photos.model import PhotoModel
from anogan.photos.sensitivity import KINDS, Part, PhotoTrials, examples, good_parts, seen
from anogan.pictures.verdicts import Region
from anogan.runs import bundle
from anogan.runs.bundle import Bundle
from anogan.runs.directory import Run
from anogan.sensors.healthy import prepare
from anogan.sensors.model import SensorModel
from anogan.sensors.sensitivity import KINDS as SENSOR_KINDS
from anogan.sensors.sensitivity import SensorTrials, amount, healthy_parts, in_spreads
from anogan.sensors.training import scores_of
from anogan.simulators.boards import write_folder


@pytest.fixture(scope="module")
def trials(pump_run: Path) -> SensorTrials:
    return SensorTrials(healthy_parts(pump_run, SensorModel.load(Bundle.open(pump_run), device="cpu"), None), repeats=2)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of photos and, in good/, some that it has not seen."""
    folder = photo_model.save_model(tmp_path_factory.mktemp("photos"))
    for seed in range(200, 212):
        photo_model.write(folder / "good" / f"{seed}.png", seed)
    return folder


@pytest.fixture(scope="module")
def drawn(photos: Path) -> PhotoTrials:
    return PhotoTrials(good_parts(photos, PhotoModel.load(Bundle.open(photos), device="cpu"), photos / "good"))


# Sensors.


def test_at_severity_0_a_trial_says_what_its_stretch_says_without_a_fault(trials: SensorTrials) -> None:
    chance = {trial["stretch"]: trial["delay"] for trial in trials.cell(NOTHING, 0)["trials"]}
    for kind in SENSOR_KINDS:
        cell = trials.cell(kind, 0.0)
        assert cell["auroc"] == pytest.approx(0.5)
        assert [chance[trial["stretch"]] for trial in cell["trials"]] == [trial["delay"] for trial in cell["trials"]]


@pytest.mark.parametrize("kind", ["bias", "dropout", "decoupling"])
def test_a_trial_is_scored_as_the_same_faulty_recording_would_be(trials: SensorTrials, kind: str) -> None:
    for trial in (0, 5):
        begun, channel = trials.turns[trial]
        values = trials.faulty(trial, kind, 0.7)
        differs = (values != begun.rows.values) & ~(np.isnan(values) & np.isnan(begun.rows.values))
        assert not differs[: trials.lead].any()
        assert not np.delete(differs, channel, axis=1).any()
        watched = begun.model.score(replace(begun.rows, values=values))
        score, alarm = trials.follow(begun, values)
        assert np.array_equal(score, watched.table["score"].to_numpy()[trials.lead :])
        began = [int(one.start - begun.rows.time[trials.lead]) for one in watched.alarms]
        assert next((row for row in began if row >= 0), None) == alarm


def test_a_strong_fault_is_caught_the_oftener_the_stronger_it_is(trials: SensorTrials) -> None:
    cells = [trials.cell("drift", severity) for severity in (0.02, 0.3, 1.0)]
    table = summarise(trials, [trials.cell(NOTHING, 0), *cells])
    assert table["auroc"].is_monotonic_increasing
    assert table["rate"].iloc[-1] > table["rate"].iloc[1] >= table["rate"].iloc[0]
    assert (table["low"] <= table["rate"]).all()
    assert (table["rate"] <= table["high"]).all()


def test_every_channel_takes_its_turn(trials: SensorTrials) -> None:
    channels = [trial["channel"] for trial in trials.cell("bias", 0.5)["trials"]]
    assert {channels.count(name) for name in trials.names} == {2}


def test_the_detector_has_not_seen_the_rows_it_scores(pump_run: Path) -> None:
    model = SensorModel.load(Bundle.open(pump_run), device="cpu")
    config = Run(pump_run).config
    assert isinstance(config, SensorRunConfig)
    healthy, score = prepare(config, model.read(Path(config.data))), []
    models = [part.model for part in healthy_parts(pump_run, model, None)]
    for fitted, fold in zip(models, healthy.folds, strict=True):
        score += scores_of(fitted.scorer, fold.parts, healthy.block)
    before = model.detector.calibration_scores_
    assert np.abs(np.sort(np.concatenate(score)) - before).max() <= 1e-4 * before.std()


def test_a_spread_is_the_channels_own_and_a_severity_is_told_in_its_unit(trials: SensorTrials) -> None:
    seen = trials.history[:, 2]
    assert trials.spread(2) == pytest.approx(1.4826 * np.median(np.abs(seen - np.median(seen))))
    assert trials.spread(3) == pytest.approx(0.07)  # of a channel that was always 7
    assert amount("bias", 0.5, 0.2) == ("offset", "0.6")
    assert amount("delay", 0.5, 0.2) == ("rows late", "15")
    assert amount("unheard of", 0.5, 0.2) == ("severity", "0.5")
    assert in_spreads("bias", 0.5) == "offset 3 spreads"
    assert in_spreads("gain", 0.5) == "movement, times 3"
    assert all(amount(kind, 0.5, 1.0)[0] != "severity" for kind in SENSOR_KINDS)


def test_too_few_healthy_rows_or_an_alarm_in_all_of_them_is_one_clear_line(pump_run: Path, tmp_path: Path) -> None:
    model = SensorModel.load(Bundle.open(pump_run), device="cpu")
    recording(250).to_csv(tmp_path / "few.csv", index=False)
    with pytest.raises(SampleError, match=r"expected 300 healthy rows without a gap.*got 250"):
        SensorTrials(healthy_parts(pump_run, model, tmp_path / "few.csv"))
    always = replace(model, rule=replace(model.rule, threshold=-1e9, release=-1e9, usual=-1e9))
    (part,) = healthy_parts(pump_run, model, _written(recording(700, 8), tmp_path / "alarm.csv"))
    with pytest.raises(SampleError, match="an alarm is on in all 2 healthy stretches"):
        SensorTrials([part._replace(model=always)])


def test_a_gap_is_in_no_stretch(pump_run: Path, tmp_path: Path) -> None:
    model = SensorModel.load(Bundle.open(pump_run), device="cpu")
    table = recording(900, 8).astype({"t": float})
    table.loc[450:, "t"] += 500
    found = SensorTrials(healthy_parts(pump_run, model, _written(table, tmp_path / "gap.csv")), repeats=1)
    assert found.usable
    assert {float(np.diff(one.rows.time).max()) for one in found.usable} == {1.0}


# The command.


def _written(table: pd.DataFrame, path: Path) -> Path:
    table.to_csv(path, index=False)
    return path


def _sensitivity(run: Path, *options: str) -> int:
    return main.run_command(["sensitivity", str(run), "--device", "cpu", "--threads", "1", *options])


def _tables(out: Path) -> dict[str, bytes]:
    files = [out / "cells.csv", out / "trials.csv", *sorted((out / "tables").glob("*.csv"))]
    return {file.name: file.read_bytes() for file in files}


def test_what_was_interrupted_goes_on_and_comes_to_the_same_tables(
    pump_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--kinds", "bias,stuck_at", "--severities", "0.1,0.6,1", "--repeats", "2"]
    for name in ("whole", "again"):
        assert _sensitivity(pump_run, *options, "--out", str(tmp_path / name)) == 0
    assert _tables(tmp_path / "whole") == _tables(tmp_path / "again")
    cell, made = SensorTrials.cell, []

    def killed(self: SensorTrials, kind: str, severity: float, *rest: object) -> dict:
        made.append((kind, severity))
        if len(made) == 4:
            raise KeyboardInterrupt
        return cell(self, kind, severity, *rest)

    monkeypatch.setattr(SensorTrials, "cell", killed)
    parted = ["--out", str(tmp_path / "parted")]
    with pytest.raises(KeyboardInterrupt):
        _sensitivity(pump_run, *options, *parted)
    assert _sensitivity(pump_run, *options, *parted) == 0
    assert made == cells_of(["bias", "stuck_at"], [0.1, 0.6, 1.0])[:4] + made[3:4] + made[5:]
    assert len(made) == 8  # one was begun twice
    assert _tables(tmp_path / "parted") == _tables(tmp_path / "whole")
    with pytest.raises(RunError, match=r"was made with other settings \(seed\); choose another --out"):
        _sensitivity(pump_run, *options, *parted, "--seed", "1")
    assert "stuck at" in capsys.readouterr().out


def test_the_page_and_the_report_of_the_run_show_the_smallest_fault_caught(pump_run: Path, tmp_path: Path) -> None:
    out = pump_run / "sensitivity"
    try:
        assert _sensitivity(pump_run, "--kinds", "bias", "--severities", "0.05,1", "--repeats", "2") == 0
        page = (out / "index.html").read_text()
        units = pd.read_csv(out / "tables" / "smallest-fault-caught-on-each-channel.csv")
        assert main.run_command(["report", str(pump_run), "--out", str(tmp_path)]) == 0
    finally:
        for file in sorted(out.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        out.rmdir()
    assert "that the run had held out" in page
    assert list(units) == ["fault", "flow", "pressure", "noise", "still"]
    report = (tmp_path / "index.html").read_text()
    assert "How small a fault is caught" in report
    assert "pump.csv: trained on healthy operation</h1>" in report
    assert "normal all" not in report
    assert "not yet scored" not in report
    assert "Smallest severity caught".lower() in report.lower()
    assert (tmp_path / "figures" / "sensitivity.png").exists()


def test_what_cannot_be_meant_is_told_in_one_line(pump_run: Path, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"unknown kind of fault 'scratch'; choose from spike, drift"):
        _sensitivity(pump_run, "--kinds", "bias,scratch")
    with pytest.raises(ValueError, match="unknown kind of fault 'bias'; choose from scratch"):
        _sensitivity(photos, "--kinds", "bias", "--data", str(photos / "good"))
    for severities in ("0,0.5", "0.5,1.5", "-0.1", "nan"):
        with pytest.raises(ValueError, match="above 0 and at most 1"):
            _sensitivity(pump_run, "--severities=" + severities)
    with pytest.raises(ValueError, match="--severities must be numbers"):
        parse_severities("strong")
    with pytest.raises(ValueError, match="--duration is for faults of sensors"):
        _sensitivity(photos, "--duration", "5")
    with pytest.raises(RunError, match=r"no config.json, which says what was held out; give good data with --data"):
        _sensitivity(photos)
    digits = quick("fanogan").fit(stripes(80, (1, 28, 28)))
    bundle.save(tmp_path / "bundle", digits.gan_, {"fanogan": digits}, "digits", {"data": "digits"})
    with pytest.raises(ValueError, match="was trained on digits; there are faults for recordings and photos of parts"):
        _sensitivity(tmp_path)


def test_a_recording_that_is_gone_or_has_changed_is_told(pump_run: Path, tmp_path: Path) -> None:
    data = Path(Run(pump_run).config.data)
    model, before = SensorModel.load(Bundle.open(pump_run), device="cpu"), data.read_bytes()
    try:
        recording(3300).to_csv(data, index=False)
        with pytest.raises(SampleError, match="has changed since training; give healthy rows with --data"):
            healthy_parts(pump_run, model, None)
        data.unlink()
        with pytest.raises(DataUnavailableError, match="no longer exists; give good data with --data"):
            healthy_parts(pump_run, model, None)
    finally:
        data.write_bytes(before)


# What tables say.


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ({0.1: 0.2, 0.5: 0.9, 1.0: 1.0}, 0.5),
        ({0.1: 0.95, 0.5: 0.8, 1.0: 1.0}, 1.0),  # by luck at 0.1
        ({1.0: 1.0, 0.1: 0.9}, 0.1),
        ({0.1: 1.0, 1.0: 0.89}, math.nan),
    ],
)
def test_the_smallest_severity_caught_is_that_from_which_on_it_stays_caught(
    rates: dict[float, float], expected: float
) -> None:
    assert smallest_caught(pd.Series(rates)) == pytest.approx(expected, nan_ok=True)


def test_kinds_and_severities_are_taken_once_each_severities_in_order() -> None:
    assert parse_severities("1,0.5, 0.5,0.02") == [0.02, 0.5, 1.0]
    assert parse_kinds("blob, stain,blob", KINDS) == ["blob", "stain"]
    assert parse_kinds("all", KINDS) == list(KINDS)


# Photos.


def test_a_defect_is_the_same_at_every_severity_and_none_at_0(drawn: PhotoTrials) -> None:
    for kind in KINDS:
        none, faint, full = (drawn.made(3, kind, severity) for severity in (0.0, 0.5, 1.0))
        assert np.array_equal(none.photo, none.good)
        assert not none.mask.any()
        half, whole = faint.photo - faint.good, full.photo - full.good
        assert half == pytest.approx(whole / 2, abs=1e-5)


def test_photos_are_judged_as_by_inspection_and_chance_is_their_false_alarms(drawn: PhotoTrials) -> None:
    model = drawn.photos[0][0]
    chance, faint = drawn.cell(NOTHING, 0.0), drawn.cell("stain", 0.0)
    assert (chance["auroc"], faint["auroc"]) == pytest.approx((0.5, 0.5))
    assert [t["caught"] for t in faint["trials"]] == 2 * [t["caught"] for t in chance["trials"]]
    cell = drawn.cell("stain", 1.0)
    said = model.inspect([drawn.made(trial, "stain", 1.0).photo for trial in range(drawn.count)])
    assert [trial["caught"] for trial in cell["trials"]] == [one.anomaly for one in said]
    table = summarise(drawn, [chance, faint, cell])
    assert table["auroc"].iloc[2] > 0.9
    assert table["trials"].tolist() == [12, 24, 24]
    assert 0 < table["area"].iloc[2] < 0.5
    assert 0 < table["extent"].iloc[2] <= 32


def test_a_defect_is_found_where_a_box_touches_it(drawn: PhotoTrials) -> None:
    example = drawn.example("stain", 1.0, 0)
    row, column = (int(where[0]) for where in np.nonzero(example.made.mask))
    touching, beside = (Region(column, row - shift, 1, 1, 1, 2.0, 0.01) for shift in (0, 1))  # it is the topmost row
    said = [example.inspection._replace(regions=regions) for regions in ([], [beside], [beside, touching])]
    assert [seen(example.made, one)["found"] for one in said] == [False, False, True]


def test_a_defect_is_drawn_into_the_part_looked_at_alone(drawn: PhotoTrials) -> None:
    model, path = drawn.photos[0]
    cropped = replace(model, framing=replace(model.framing, crop=(8, 4, 20, 20)))
    for kind in KINDS:
        made = PhotoTrials([Part(cropped, [path])]).made(0, kind, 1.0)
        outside = np.ones((32, 32), bool)
        outside[4:24, 8:28] = False
        assert made.mask.any() or kind != "stain"
        assert not made.mask[outside].any()
        assert np.array_equal((made.photo != made.good).any(axis=0), made.mask)


def test_examples_are_of_the_smallest_severity_caught_and_the_largest_that_is_not(
    drawn: PhotoTrials, tmp_path: Path
) -> None:
    cells = fill(tmp_path, {}, drawn, cells_of(["stain"], [0.02, 1.0]))
    rates = summarise(drawn, cells).set_index("severity")["rate"]
    for one in examples(drawn, cells):
        assert one.inspection.anomaly == (one.severity == 1.0) or rates[1.0] < 0.9
        assert one.kind == "stain"


def test_photos_from_a_folder_make_a_page_with_pictures(photos: Path, tmp_path: Path) -> None:
    options = ["--data", str(photos / "good"), "--kinds", "stain,blob", "--severities", "0.05,1", "--repeats", "1"]
    assert _sensitivity(photos, *options, "--out", str(tmp_path)) == 0
    page = (tmp_path / "index.html").read_text()
    assert "What is caught and what is missed" in page
    assert page.count("data:image/png;base64") >= 6
    assert (tmp_path / "figures" / "overview.png").exists()


@pytest.mark.filterwarnings("ignore:the generator has collapsed")
def test_held_out_photos_are_measured_by_the_others_as_when_the_threshold_was_set(tmp_path: Path) -> None:
    boards, run = tmp_path / "boards", tmp_path / "run"
    write_folder(boards, good=44, test_good=0, each=0, size=32)
    words = f"train --data {boards} --size 32 --gan.steps 10 --gan.width 8 --locator.steps 20 --threads 1 --out {run}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)
        assert main.run_command([*words.split(), "--false-alarm-rate", "0.1", "--device", "cpu"]) == 0
    model = PhotoModel.load(Bundle.open(run), device="cpu")
    found = PhotoTrials(good_parts(run, model, None))
    assert isinstance(Run(run).config, PhotoRunConfig)
    assert len(found.score) == len(model.detector.calibration_scores_) == 11
    alone = [model.inspect([drawn])[0].score for drawn in found.kept.values()]
    assert np.mean(alone) < np.mean(found.score)  # what the detector measures by has seen these
    photo = next((boards / "train" / "good").iterdir())
    photo.with_name("more.png").write_bytes(photo.read_bytes())
    for i in range(4):
        photo.with_name(f"another{i}.png").write_bytes(photo.read_bytes())
    with pytest.raises(SampleError, match="has changed since training: 11 photos were held out then, 12 now"):
        good_parts(run, model, None)
