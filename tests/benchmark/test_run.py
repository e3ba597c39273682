"""The benchmark: leak-free, resumable, and one table for GANs and baselines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import QUICK_ENCODER, QUICK_GAN
from scipy.stats import spearmanr

from anogan.benchmark import run as benchmark
from anogan.benchmark.baselines import BASELINES
from anogan.benchmark.comparison import summarise
from anogan.benchmark.run import METHODS, Method, choose_methods, run_benchmark
from anogan.cli.main import run_command
from anogan.config.detectors import NeighbourConfig
from anogan.config.gan import SearchConfig
from anogan.config.runs import DigitRunConfig
from anogan.detectors import FAnoGAN, NeighbourGAN
from anogan.detectors.calibration import hold_out
from anogan.digits.datasets import load_dataset
from anogan.digits.splits import leave_one_out, one_vs_rest
from anogan.errors import RunError

QUICK = DigitRunConfig(gan=QUICK_GAN, encoder=QUICK_ENCODER, data="digits")
PROMISED = ["data", "protocol", "class", "detector", "seed", "auroc", "auprc", "fpr95", "false_alarm_promised"]
PROMISED += ["false_alarm_achieved", "train_seconds", "score_seconds"]


@pytest.fixture(autouse=True)
def quick_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("default", "fanogan"):
        monkeypatch.setitem(METHODS, name, Method(METHODS[name].detector, QUICK))


def run(folder: Path, methods: list[str], classes: str = "8", seeds: tuple[int, ...] = (17,), **rest: object):
    return run_benchmark(folder, "digits", "one_vs_rest", methods, classes, seeds, **rest)


def test_the_table_has_the_promised_columns_and_a_row_per_cell(tmp_path: Path) -> None:
    told = []
    methods = ["default", "fanogan", "pca"]
    run(tmp_path, methods, classes="8,3", seeds=(17, 18), on_cells=lambda done, total: told.append((done, total)))
    table = pd.read_csv(tmp_path / "results.csv", dtype={"class": str})
    assert list(table.columns) == PROMISED
    assert len(table) == 12
    assert set(zip(table["class"], table["seed"], strict=True)) == {("8", 17), ("8", 18), ("3", 17), ("3", 18)}
    assert told[0] == (0, 12)
    assert told[-1] == (12, 12)
    assert table["auroc"].between(0, 1).all()
    details = pd.read_csv(tmp_path / "details.csv")
    assert ((details["auroc_low"] <= table["auroc"]) & (table["auroc"] <= details["auroc_high"])).all()
    summary = summarise(run(tmp_path, methods, classes="8,3", seeds=(17, 18))).set_index("detector")
    assert summary.loc["pca", "auroc"] == pytest.approx(table[table.detector == "pca"]["auroc"].mean(), abs=1e-4)
    by_seed = table[table.detector == "fanogan"].groupby("seed")["auroc"].mean()
    assert summary.loc["fanogan", "auroc_sd"] == pytest.approx(by_seed.std(), abs=1e-4)


def test_a_finished_cell_is_never_run_again_and_an_interruption_keeps_the_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, real = [], benchmark.run_job

    def counting(job, *rest):
        if len(jobs) == 1:
            raise KeyboardInterrupt
        jobs.append(job)
        return real(job, *rest)

    monkeypatch.setattr(benchmark, "run_job", counting)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, ["pca"], classes="3,8")
    assert len(pd.read_csv(tmp_path / "results.csv")) == 1
    monkeypatch.setattr(benchmark, "run_job", lambda job, *rest: jobs.append(job) or real(job, *rest))
    run(tmp_path, ["pca"], classes="3,8")
    run(tmp_path, ["pca"], classes="3,8")
    assert [job.label for job in jobs] == ["3", "8"]


@pytest.mark.slow
def test_a_method_added_later_shares_the_networks_trained_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = run(tmp_path / "together", ["default", "fanogan"]).drop(columns=["train_seconds", "score_seconds"])
    run(tmp_path / "apart", ["default"])
    monkeypatch.setattr(benchmark, "train", None)
    monkeypatch.setattr(benchmark, "train", None)
    apart = run(tmp_path / "apart", ["fanogan"])
    assert (apart["train_seconds"] > 0.1).all(), "the time it took then is told"
    pd.testing.assert_frame_equal(apart.drop(columns=["train_seconds", "score_seconds"]), together, atol=1e-4)


def test_results_of_other_settings_are_not_mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, ["default"])
    other = DigitRunConfig(gan=QUICK_GAN, encoder=QUICK_ENCODER, data="digits", false_alarm_rate=0.2)
    monkeypatch.setitem(METHODS, "default", Method("neighbourgan", other))
    with pytest.raises(RunError, match=r"default\.false_alarm_rate"):
        run(tmp_path, ["default"])


@pytest.mark.slow
def test_detectors_that_search_score_a_balanced_subset_and_others_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METHODS, "anogan", Method("anogan", replace(QUICK, search=SearchConfig(steps=2))))
    run(tmp_path, ["anogan", "fanogan"], subset=40)
    n_test = pd.read_csv(tmp_path / "details.csv", index_col="detector")["n_test"]
    everything = len(one_vs_rest(load_dataset("digits"), "8").x_test)
    assert n_test["fanogan"] == everything
    assert 40 <= n_test["anogan"] < 60 < everything
    run(tmp_path, ["fanogan"], subset=80)
    with pytest.raises(RunError, match=r"anogan\.subset"):
        run(tmp_path, ["anogan"], subset=80)


def test_the_ablation_without_the_gan_trains_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "train", None)
    run(tmp_path, [*BASELINES])
    assert not (tmp_path / "networks").exists()


def test_the_ablation_without_the_gan_ranks_as_the_default_whose_code_counts_nothing(tmp_path: Path) -> None:
    split = one_vs_rest(load_dataset("digits"), "8")
    nothing = NeighbourConfig(code_weight=0.0)
    without = NeighbourGAN(QUICK_GAN, QUICK_ENCODER, nothing, holdout=0.5, false_alarm_rate=0.1).fit(split.x_train)
    x = split.x_train[hold_out(len(split.x_train), 0.5, 0)[0]]
    alone = BASELINES["default-without-gan"](0).fit(x).score_samples(split.x_test)
    assert spearmanr(without.score_samples(split.x_test), alone).statistic > 0.9999


def test_training_calibration_and_test_rows_are_disjoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}

    def calibrate(self, gan, x, x_normal, *rest):
        seen.update(train=x, calibration=x_normal)
        return original(self, gan, x, x_normal, *rest)

    original = FAnoGAN.calibrate
    monkeypatch.setattr(FAnoGAN, "calibrate", calibrate)
    run(tmp_path, ["fanogan"])
    split = one_vs_rest(load_dataset("digits"), "8")
    rows = [{row.tobytes() for row in x} for x in (seen["train"], seen["calibration"], split.x_test)]
    assert sum(map(len, rows[:2])) == len(split.x_train)
    assert not rows[0] & rows[1]
    assert not (rows[0] | rows[1]) & rows[2]


@pytest.mark.slow
def test_processes_give_the_table_of_one(tmp_path: Path) -> None:
    alone = run(tmp_path / "one", ["pca", "oriented-gradient-knn"], classes="3,8")
    together = run(tmp_path / "two", ["pca", "oriented-gradient-knn"], classes="3,8", workers=2)
    columns = [name for name in alone.columns if not name.endswith("_seconds")]
    pd.testing.assert_frame_equal(alone[columns], together[columns])


def test_leave_one_out_is_the_mirror_image_of_one_vs_rest() -> None:
    images = load_dataset("digits")
    inside, outside = one_vs_rest(images, "4"), leave_one_out(images, "4")
    assert np.array_equal(inside.y_test, 1 - outside.y_test)
    assert len(inside.x_train) + len(outside.x_train) == len(images.x_train)


def test_an_unknown_detector_is_answered_with_the_choices() -> None:
    with pytest.raises(ValueError, match=r"unknown detector .magic.; choose from default, .*oriented-gradient"):
        choose_methods("default, magic")
    assert choose_methods("pca, default,pca") == ["pca", "default"]


@pytest.mark.slow
def test_two_dask_workers_give_the_table_of_one_process(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    options = ["--data", "digits", "--classes", "3,8", "--seeds", "0,1", "--detectors", "pca,raw-knn"]
    assert run_command(["benchmark", *options, "--out", str(tmp_path / "alone")]) == 0
    with distributed.LocalCluster(2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster:
        dask = ["--scheduler", cluster.scheduler_address, "--out", str(tmp_path / "dask")]
        assert run_command(["benchmark", *options, *dask]) == 0
        with distributed.Client(cluster) as client:
            done = client.run(lambda dask_worker: dask_worker.state.executed_count)
    assert len(done) == 2
    assert sum(done.values()) >= 4, "classes times seeds"
    alone, dask = (pd.read_csv(tmp_path / name / "results.csv") for name in ("alone", "dask"))
    seconds = ["train_seconds", "score_seconds"]
    pd.testing.assert_frame_equal(dask.drop(columns=seconds), alone.drop(columns=seconds))


def test_a_scheduler_that_does_not_answer_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("anogan.cli.commands.benchmark.TIMEOUT", 1)
    with pytest.raises(ValueError, match="no Dask scheduler answers at tcp:"):
        run_command(["benchmark", "--out", str(tmp_path), "--data", "digits", "--scheduler", "tcp://127.0.0.1:1"])
