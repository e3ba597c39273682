"""The report of a benchmark: every number out of its CSV files, nothing from outside, the same files the same page."""

from __future__ import annotations

import html
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from anogan.benchmark.comparison import summarise
from anogan.cli.main import run_command
from anogan.errors import RunError
from anogan.report.benchmark import write_benchmark_report

LEVELS = {"default": 0.97, "oriented-gradient-knn": 0.95, "pca": 0.9}


def canned(folder: Path) -> Path:
    """Results of three detectors on two protocols, and the three studies."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for protocol in ("one_vs_rest", "leave_one_out"):
        for label in "0123456789":
            for detector, level in LEVELS.items():
                for seed in (0, 1):
                    value = level + rng.normal(0, 0.005)
                    row = {"data": "mnist", "protocol": protocol, "class": label, "detector": detector, "seed": seed}
                    row |= {"auroc": value, "auprc": value - 0.1, "fpr95": 1 - value, "false_alarm_promised": 0.01}
                    row |= {"false_alarm_achieved": 0.012, "train_seconds": 90, "score_seconds": 2}
                    n_test = 1988 + 12 * seed if detector == "pca" else 10000  # as if it searched
                    details = {"n_train": 5000, "n_calibration": 500, "n_test": n_test}
                    rows.append(row | {"auroc_low": value - 0.01, "auroc_high": value + 0.01} | details)
    table = pd.DataFrame(rows)
    details = ["auroc_low", "auroc_high", "n_train", "n_calibration", "n_test"]
    table.drop(columns=details).to_csv(folder / "results.csv", index=False)
    table[["data", "protocol", "class", "detector", "seed", *details]].to_csv(folder / "details.csv", index=False)
    measures = {"kid": 0.031, "fid": 4.56, "precision": 0.81, "recall": 0.62}
    measures |= {f"{name}_floor": value / 2 for name, value in measures.items()}
    nearest = {"nearest_generated": 5.43, "nearest_held_out": 6.54, "classifier_accuracy": 0.987}
    cell = {"data": "mnist", "class": "3", "seed": 0, "n": 1010}
    pd.DataFrame([cell | measures | nearest]).to_csv(folder / "generator_quality.csv", index=False)
    search = [
        {
            "class": "3",
            "seed": 0,
            "start": start,
            "steps": steps,
            "auroc": 0.8 + steps / 1000,
            "seconds_per_image": cost,
        }
        for start in ("cold", "from the encoder")
        for steps, cost in ((0, 0.001), (5, 0.0043), (100, 0.0871))
    ]
    pd.DataFrame(search).to_csv(folder / "search_steps.csv", index=False)
    parts = [
        cell | {"protocol": "one_vs_rest", "parts": name, "auroc": a} for name, a in (("all", 0.9876), ("none", 0.5432))
    ]
    pd.DataFrame(parts).to_csv(folder / "parts.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return canned(tmp_path_factory.mktemp("benchmark") / "canned")


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return write_benchmark_report(folder, folder.parent / "out").read_text()


def test_every_mean_and_every_study_is_on_the_page(folder: Path, page: str) -> None:
    text = re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))
    cells = [pd.read_csv(folder / f"{name}.csv", dtype={"class": str}) for name in ("results", "details")]
    summary = summarise(cells[0].merge(cells[1]))
    for row in summary.itertuples():
        assert f"{row.auroc:.4f} ± {row.auroc_sd:.4f}" in text
    for said in ("NeighbourGAN (default)", "0.031 / 0.015", "4.56 / 2.28", "5.43 / 6.54", "98.7", "0.9876", "87.10"):
        assert said in text, said
    assert "10 of 10" in text, "the paired comparison"
    assert "1,988–2,000" in text, "how many test images"
    assert "pca (on other images)" in text


def test_the_page_asks_for_nothing_from_outside_and_holds_its_figures(folder: Path, page: str) -> None:
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    for file in (folder.parent / "out" / "figures").glob("*.svg"):
        assert file.read_text() in page
    assert len(list((folder.parent / "out" / "figures").glob("*.svg"))) == 6


def test_the_same_files_give_the_same_page_and_studies_may_be_missing(folder: Path, page: str, tmp_path: Path) -> None:
    assert run_command(["report", str(folder), "--out", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "index.html").read_text() == page
    bare = canned(tmp_path / "bare")
    for name in ("generator_quality", "search_steps", "parts"):
        (bare / f"{name}.csv").unlink()
    assert "How good is the generator?" not in write_benchmark_report(bare, tmp_path / "out").read_text()


def test_damaged_and_empty_tables_are_named(tmp_path: Path) -> None:
    folder = canned(tmp_path / "damaged")
    results = (folder / "results.csv").read_text()
    (folder / "results.csv").write_text(results.splitlines()[0] + "\n")
    with pytest.raises(RunError, match="no finished cell"):
        write_benchmark_report(folder, tmp_path / "out")
    (folder / "results.csv").write_text("")
    with pytest.raises(RunError, match=r"results\.csv cannot be read"):
        write_benchmark_report(folder, tmp_path / "out")
