from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from anogan.evaluation import METRICS, auroc, balanced_subset, bootstrap_interval, fpr_at_tpr


def test_auroc_is_the_chance_that_an_anomaly_scores_higher() -> None:
    rng = np.random.default_rng(0)
    y, score = rng.integers(0, 2, 60), rng.standard_normal(60)
    pairs = [(a > b) for a in score[y == 1] for b in score[y == 0]]
    assert auroc(y, score) == pytest.approx(np.mean(pairs))


def test_fpr_at_tpr_of_known_scores() -> None:
    y = np.array([0] * 4 + [1] * 20)
    score = np.array([0.1, 0.2, 0.3, 5.5, *range(1, 21)])
    assert fpr_at_tpr(y, score) == 0.25


def test_the_bootstrap_interval_covers_the_truth_about_as_often_as_promised() -> None:
    rng = np.random.default_rng(1)
    y, hits = np.repeat([0, 1], 60), 0
    for seed in range(100):
        score = rng.standard_normal(120) + y
        low, high = bootstrap_interval(lambda y, s: s[y == 1].mean() - s[y == 0].mean(), y, score, seed=seed)
        hits += low <= 1 <= high
    assert 88 <= hits <= 99


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
