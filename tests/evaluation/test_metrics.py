from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from anogan.evaluation.metrics import (
    METRICS,
    aupro,
    auroc,
    balanced_subset,
    bootstrap_interval,
    fpr_at_tpr,
    pixel_auroc,
)


def test_auroc_is_the_chance_that_an_anomaly_scores_higher() -> None:
    rng = np.random.default_rng(0)
    y, score = rng.integers(0, 2, 60), rng.standard_normal(60)
    pairs = [(a > b) for a in score[y == 1] for b in score[y == 0]]
    assert auroc(y, score) == pytest.approx(np.mean(pairs))


def test_fpr_at_tpr_of_known_scores() -> None:
    y = np.array([0] * 4 + [1] * 20)
    score = np.array([0.1, 0.2, 1.5, 5.5, *range(1, 21)])
    assert fpr_at_tpr(y, score) == 0.25, "2 and above catches 19 of 20"
    assert fpr_at_tpr(y, score, 1.0) == 0.5


def test_aupro_of_a_map_worked_by_hand() -> None:
    mask, defective = np.zeros((3, 4), bool), np.zeros((3, 4), np.float32)
    mask[0, 0] = mask[1, 1] = mask[0, 3] = True  # a defect of two pixels that touch at a corner, and one of one pixel
    defective[0, 0], defective[1, 1], defective[2, 3], defective[0, 3] = 9, 8, 7, 6
    good = np.array([[5.0]], np.float32)  # with the nine good pixels of the other photo ten
    # Overlap .5 up to a tenth of the good pixels flagged, 1 from there on.
    assert aupro([mask, np.zeros((1, 1), bool)], [defective, good]) == pytest.approx((0.05 + 0.1 + 0.1) / 0.3)
    # 0 is the third value of good pixels: at .25 the curve is 1 already.
    assert aupro([mask, np.zeros((1, 1), bool)], [defective, good], limit=0.25) == pytest.approx((0.05 + 0.15) / 0.25)


@pytest.mark.parametrize("limit", [0.05, 0.3, 1.0])
def test_a_constant_map_has_the_aupro_of_chance(limit: float) -> None:
    masks = [np.eye(8, dtype=bool), np.zeros((8, 8), bool)]
    assert aupro(masks, [np.full((8, 8), 0.5, np.float32)] * 2, limit) == pytest.approx(limit / 2)


def test_aupro_depends_on_the_achieved_shares_of_good_pixels_where_values_are_tied() -> None:
    """Against the definition: a point of the curve for each value, straight lines between them."""
    rng = np.random.default_rng(4)
    masks = [np.zeros((12, 12), bool) for _ in range(4)]
    masks[0][2:5, 3:9] = masks[0][8, 8] = masks[1][6:, :2] = True
    maps = [(rng.integers(0, 6, (12, 12)) + 2 * mask).astype(np.float32) for mask in masks]
    regions = [maps[0][2:5, 3:9], maps[0][8, 8], maps[1][6:, :2]]
    good = np.concatenate([one[~mask] for mask, one in zip(masks, maps, strict=True)])
    levels = np.unique(np.concatenate([good, *map(np.ravel, regions)]))[::-1]
    x = np.array([0, *((good >= level).mean() for level in levels)])
    y = np.array([0, *(np.mean([(region >= level).mean() for region in regions]) for level in levels)])
    fine = np.linspace(0, 0.3, 100_001)
    expected = np.interp(fine, x + 1e-12 * np.arange(len(x)), y).mean()
    assert aupro(masks, maps) == pytest.approx(expected, abs=1e-4)


def test_the_bootstrap_interval_covers_the_truth_about_as_often_as_promised() -> None:
    rng = np.random.default_rng(1)
    y, hits = np.repeat([0, 1], 60), 0
    for seed in range(100):
        score = rng.standard_normal(120) + y
        low, high = bootstrap_interval(lambda y, s: s[y == 1].mean() - s[y == 0].mean(), y, score, seed=seed)
        hits += low <= 1 <= high
    assert 88 <= hits <= 99


def test_every_draw_of_the_bootstrap_has_as_many_anomalies_as_the_data() -> None:
    y = np.repeat([0, 1], [30, 10])
    assert bootstrap_interval(lambda y, s: float(y.mean()), y, np.arange(40.0), seed=0) == (0.25, 0.25)


def test_the_bootstrap_interval_of_a_mean_is_that_of_95_percent() -> None:
    score = np.random.default_rng(5).standard_normal(400)
    y = np.repeat([0, 1], 200)
    low, high = bootstrap_interval(lambda y, s: float(s[y == 1].mean()), y, score, seed=0, draws=2000)
    expected = 2 * 1.96 * score[y == 1].std() / np.sqrt(200)
    assert high - low == pytest.approx(expected, rel=0.06)


def test_every_metric_prefers_a_perfect_score_and_is_deterministic() -> None:
    y, perfect = np.repeat([0, 1], 20), np.arange(40.0)
    assert (METRICS["auroc"](y, perfect), METRICS["auprc"](y, perfect), METRICS["fpr95"](y, perfect)) == (1, 1, 0)
    assert bootstrap_interval(auroc, y, perfect, seed=0) == (1, 1)


def test_the_metrics_take_any_scikit_learn_outlier_detector() -> None:
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.standard_normal((50, 3)), rng.standard_normal((20, 3)) + 6])
    forest = IsolationForest(random_state=0).fit(x[:50])
    assert auroc(np.repeat([0, 1], [50, 20]), -forest.score_samples(x)) > 0.95


def test_the_subset_is_half_normal_and_half_all_other_classes_in_equal_parts() -> None:
    label = np.random.default_rng(3).integers(0, 10, 5000)
    y = (label != 3).astype(np.int64)
    rows = balanced_subset(label, y, 300, seed=0)
    counts = np.bincount(label[rows])
    assert len(rows) == len(set(rows)) >= 300
    assert counts[3] == len(rows) / 2
    assert set(np.delete(counts, 3)) == {len(rows) / 18}
    assert np.array_equal(rows, balanced_subset(label, y, 300, seed=0))


def test_the_auroc_of_pixels_is_that_of_all_of_them_together() -> None:
    masks = [np.array([[True, False], [False, False]]), np.array([[True, False, False]])]
    maps = [np.array([[4, 1], [2, 3]], dtype=np.float32), np.array([[2.5, 0, 5]], dtype=np.float32)]
    # The defective pixel of the first is above 4 of the 5 good ones, that of the second above 3.
    assert pixel_auroc(masks, maps) == pytest.approx(0.7)


def test_a_subset_larger_than_the_data_is_all_of_them_once() -> None:
    label = np.array([0, 0, 0, 1, 1, 2])
    rows = balanced_subset(label, (label > 0).astype(np.int64), 100, seed=0)
    assert rows.tolist() == [0, 1, 2, 3, 4, 5]


def test_a_seed_decides_the_bootstrap_interval() -> None:
    stream = np.random.default_rng(0)
    y, score = np.repeat([0, 1], 30), stream.standard_normal(60)
    first, again, other = (bootstrap_interval(auroc, y, score, seed=seed, draws=50) for seed in (0, 0, 1))
    assert first == again != other
