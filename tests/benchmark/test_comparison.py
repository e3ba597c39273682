"""Differences between detectors are taken cell by cell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from anogan.benchmark.comparison import compare, summarise


def table(difference: float, spread: float = 0.0, classes: int = 10) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = []
    for label in range(classes):
        easy = rng.uniform(0.6, 0.95)  # classes differ far more than detectors do
        for seed in (0, 1):
            cell = {"data": "d", "protocol": "p", "class": str(label), "seed": seed, "n_test": 10_000}
            rows.append(cell | {"detector": "ours", "auroc": easy + difference + rng.normal(0, spread)})
            rows.append(cell | {"detector": "theirs", "auroc": easy})
    return pd.DataFrame(rows)


def test_a_small_gain_on_every_class_is_seen_through_the_spread_of_the_classes() -> None:
    (row,) = compare(table(0.004, spread=0.001), "ours").to_dict("records")
    assert row["against"] == "theirs"
    assert row["low"] <= 0.004 <= row["high"]
    assert row["low"] > 0
    assert row["won"] == row["classes"] == 10
    assert row["p"] < 0.01


def test_no_difference_is_none() -> None:
    assert compare(table(0.0), "ours")["p"].item() == 1
    noisy = compare(table(0.0, spread=0.01), "ours").iloc[0]
    assert noisy["low"] < 0 < noisy["high"]
    assert noisy["p"] > 0.05


def test_the_sign_follows_the_reference_and_unmatched_cells_do_not_count() -> None:
    cells = table(0.004)
    lone = cells[(cells["detector"] == "theirs") | (cells["class"] != "3")]
    (row,) = compare(lone, "theirs").to_dict("records")
    assert row["difference"] == pytest.approx(-0.004)
    assert row["classes"] == 9
    assert compare(lone, "absent").empty


def test_a_pair_that_was_scored_on_other_images_is_marked() -> None:
    cells = table(0.004)
    assert compare(cells, "ours")["same_images"].item()
    fewer = cells.assign(n_test=cells["n_test"].where(cells["detector"] == "ours", 2000))
    assert not compare(fewer, "ours")["same_images"].item()
    assert summarise(with_other_columns(fewer))["n_test_high"].tolist() == [10_000, 2000]


def with_other_columns(cells: pd.DataFrame) -> pd.DataFrame:
    """All that a summary takes."""
    others = ["auprc", "fpr95", "auroc_low", "auroc_high", "false_alarm_achieved", "train_seconds", "score_seconds"]
    return cells.assign(**dict.fromkeys(others, 0.0))


def test_a_gain_and_a_loss_on_every_class_are_equally_unlikely() -> None:
    """Ten classes of one sign: 2 of the 1,024 patterns of signs are as extreme."""
    for reference in ("ours", "theirs"):
        assert compare(table(0.004, spread=0.001), reference)["p"].item() == pytest.approx(2 / 1024)


def test_the_spread_is_the_standard_deviation_of_a_sample_of_seeds() -> None:
    cells = table(0.0, classes=1).assign(auroc=lambda t: t["seed"].map({0: 0.8, 1: 0.9}))
    summary = summarise(with_other_columns(cells))
    assert summary["auroc"].tolist() == pytest.approx([0.85, 0.85])
    assert summary["auroc_sd"].tolist() == pytest.approx([np.sqrt(0.005)] * 2)
