"""What reports/visual shows is what its committed CSV file says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from anogan.photos.folders import LabelledPhoto
from experiments import visual_page
from experiments.benchmark import with_table
from experiments.visual import (
    DATA,
    OURS,
    OUT,
    SEEDS,
    WITHOUT_LOCATOR,
    Found,
    components,
    gaussian,
    measure,
    training_seconds,
)
from experiments.visual_development import FILE as DEVELOPMENT

ROOT = Path(__file__).parents[2]


def test_the_tables_are_those_of_the_committed_figures() -> None:
    results = pd.read_csv(ROOT / OUT / "results.csv")
    names = {"elpv_mono": "solar-cells-elpv-mono", "kolektorsdd": "commutators-kolektorsdd"}
    for data, name in names.items():
        table = visual_page.table(results[results["data"] == data])
        assert (ROOT / OUT / "tables" / f"{name}.csv").read_text() == table.to_csv(index=False), name
    chosen = visual_page.development(pd.read_csv(ROOT / DEVELOPMENT))
    assert (ROOT / OUT / "tables" / "development.csv").read_text() == chosen.to_csv(index=False)


def test_the_guide_shows_the_committed_figures_beside_the_best_baselines() -> None:
    page = (ROOT / visual_page.GUIDE).read_text()
    table = visual_page.guide_table(pd.read_csv(ROOT / OUT / "results.csv"))
    assert with_table(page, table) == page, "run: python -m experiments.visual_page FOLDER"
    cells, commutators = (line.split(" | ") for line in table.splitlines()[2:])
    assert cells[3] == cells[4] == "–", "no masks, no figures of pixels"
    assert not set(OURS) & {commutators[2].split(": ")[1], commutators[4].split(": ")[1]}


def test_ours_stand_there_with_three_seeds_and_baselines_beside_them() -> None:
    results = pd.read_csv(ROOT / OUT / "results.csv")
    for data in DATA:
        seeds = results[results["data"] == data].groupby("detector")["seed"].nunique()
        assert (seeds[list(OURS)] == len(SEEDS)).all()
        assert (seeds.drop(list(OURS)) == 1).all()
        assert {"mean grey level", "per-pixel Gaussian, maximum", "5 nearest oriented gradients"} <= set(seeds.index)


def test_figures_of_known_scores_are_known() -> None:
    photos = [LabelledPhoto(Path(f"{i}.png"), "good" if i < 6 else "crack", None) for i in range(10)]
    score = np.arange(10, dtype=np.float64)
    flagged = score > 4
    row = measure(photos, Found(score, None, flagged, 1.0), 0)
    assert row["auroc"] == 1
    assert row["false_alarms"] == pytest.approx(1 / 6)
    assert row["caught"] == 1
    assert "pixel_auroc" not in row


def test_baselines_find_a_dot_on_plain_photos() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 0.1, (60, 32, 32)).astype(np.float32)
    test = rng.normal(0, 0.1, (4, 32, 32)).astype(np.float32)
    test[1, 10:14, 20:24] += 1
    for maps in (gaussian(x, test), components(x, test, 10)):
        peak = np.unravel_index(maps.argmax(), maps.shape)
        assert peak[0] == 1
        assert abs(peak[1] - 11.5) <= 2
        assert abs(peak[2] - 21.5) <= 2


def test_training_seconds_are_of_what_a_detector_uses() -> None:
    stages = {"gan": 100.0, "locator": 300.0, "calibrate locatorgan": 9.0}
    assert {name: training_seconds(name, stages, 5.0) for name in OURS} == {
        "locatorgan": 405,
        "without the components": 405,
        WITHOUT_LOCATOR: 5,
    }


def test_test_photos_of_items_that_were_trained_on_are_counted() -> None:
    rows = [("train/good/a0.png", "a", 0), ("train/good/b0.png", "b", 0), ("test/good/c0.png", "c", 0)]
    rows += [("test/crack/a1.png", "a", 1), ("test/crack/a2.png", "a", 1), ("test/crack/c1.png", "c", 1)]
    said = visual_page.shared_items(pd.DataFrame(rows, columns=["file", "item", "label"]))
    assert said.startswith("2 of the 3 cracked test segments, and 0 of the 1 good ones, are of items")
