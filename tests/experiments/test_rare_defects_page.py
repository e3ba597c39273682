"""What reports/rare_defects shows is what its committed CSV files say, and the protocol keeps its word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import stripes

from experiments import rare_defects, rare_faults_page
from experiments.rare_defects import AUGMENTED, DRAWS, OURS, OUT, SEEDS
from experiments.visual import DATA

ROOT = Path(__file__).parents[2]
SHAPE = (1, 32, 32)


def test_the_tables_are_those_of_the_committed_figures() -> None:
    results = pd.read_csv(ROOT / OUT / "results.csv")
    for case, name in (("elpv_mono", "solar-cells"), ("kolektorsdd", "commutators")):
        expected = rare_faults_page.table(results[results["case"] == case], "auroc")
        written = pd.read_csv(ROOT / OUT / "tables" / f"{name}.csv", dtype=str)
        assert written["AUROC"].tolist() == expected["AUROC"].tolist(), name
        assert written["learned from"].tolist() == expected["learned from"].tolist()


def test_every_draw_of_every_seed_is_there() -> None:
    results = pd.read_csv(ROOT / OUT / "results.csv")
    for case in DATA:
        part = results[(results["case"] == case) & (results["learned from"] == OURS)]
        assert sorted(zip(part["seed"], part["draw"], strict=True)) == [
            (seed, draw) for seed in SEEDS for draw in range(DRAWS)
        ]


@pytest.mark.parametrize("items", [False, True])
def test_no_photo_of_a_defect_stands_on_both_sides(tmp_path: Path, items: bool) -> None:
    names = [f"{i:02}.png" for i in range(30)]
    for name in names:
        (tmp_path / "test" / "hole").mkdir(parents=True, exist_ok=True)
        (tmp_path / "test" / "good").mkdir(exist_ok=True)
        (tmp_path / "test" / "hole" / name).touch()
    manifest = pd.DataFrame({"file": [f"test/hole/{name}" for name in names]})
    if items:
        manifest["item_in_train"] = [int(i % 3 == 0) for i in range(30)]
    manifest.to_csv(tmp_path / "manifest.csv", index=False)
    teach, test = rare_defects.sides(tmp_path)
    assert not set(teach) & set(test)
    assert sorted(path.name for path in teach + test) == names
    assert len(teach) == (10 if items else 15)


def test_what_is_made_is_half_of_what_is_shown_of_defects() -> None:
    x, augmented, good = (stripes(n, SHAPE, seed=n) for n in (20, 50, 30))
    kept, shown = rare_defects.with_recorded(x, augmented, good)
    assert kept is good
    assert np.array_equal(shown[:50], augmented)
    assert np.array_equal(shown[50:70], x)
    assert len(shown) == 100


def test_good_photos_are_jittered_like_the_copies() -> None:
    rng = np.random.default_rng(0)
    x = rare_defects.jittered(stripes(20, SHAPE), rng, n=AUGMENTED)
    assert len(x) == AUGMENTED
    assert np.abs(x).max() <= 1
    assert len(np.unique(x.reshape(AUGMENTED, -1), axis=0)) == AUGMENTED


def test_a_network_learns_a_bright_block_and_is_judged_on_photos_it_has_not_seen() -> None:
    def some(seed: int) -> tuple[np.ndarray, np.ndarray]:
        good, defective = stripes(40, SHAPE, seed=seed), stripes(40, SHAPE, seed=seed + 1)
        defective[:, :, 8:20, 8:20] = 1
        return good, defective

    network = rare_defects.learn(*some(0), seed=0)
    x, y = np.concatenate(some(10)), np.repeat([0, 1], 40)
    assert rare_defects.judge(network, x, y)["auroc"] > 0.95
    assert rare_defects.figures(y, np.zeros(80), 0.0) == {"auroc": 0.5, "macro_f1": pytest.approx(1 / 3, abs=1e-6)}
