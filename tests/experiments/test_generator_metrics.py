"""What the measures of a generator say of samples whose quality is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from anogan.digits.datasets import load_dataset
from anogan.evaluation.realism import precision_recall
from anogan.pictures.files import to_unit_range
from experiments.generator_metrics import (
    features,
    frechet_distance,
    kernel_distance,
    nearest_distances,
    train_classifier,
)

RNG = np.random.default_rng(0)
REAL, MORE = RNG.normal(size=(2, 600, 8))


def test_the_frechet_distance_is_that_of_the_gaussians() -> None:
    a, b = REAL @ RNG.normal(size=(8, 8)), MORE @ RNG.normal(size=(8, 8)) + 1
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    expected = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(cov_a + cov_b - 2 * np.real(sqrtm(cov_a @ cov_b)))
    assert frechet_distance(a, b) == pytest.approx(expected)
    assert frechet_distance(a, a + 3) == pytest.approx(8 * 9), "a shift alone"
    assert frechet_distance(a * [0, *[1] * 7], a * [0, *[1] * 7]) == pytest.approx(0, abs=1e-6), "a dead feature"


def test_the_kernel_distance_is_unbiased() -> None:
    draws = [kernel_distance(*RNG.normal(size=(2, 50, 8))) for _ in range(200)]
    assert abs(np.mean(draws)) < 3 * np.std(draws) / np.sqrt(len(draws))
    assert kernel_distance(REAL, MORE + 1) > 10 * np.std(draws)


def test_the_kernel_distance_of_a_few_points_is_that_worked_by_hand() -> None:
    a, b = (np.repeat([[first], [second]], 2, axis=1).astype(float) for first, second in ((0, 1), (1, 2)))
    within_a, within_b, between = 1, 27, (1 + 1 + 8 + 27) / 4  # (product + 1)^3
    assert kernel_distance(a, b) == pytest.approx(within_a + within_b - 2 * between)


def test_a_ball_reaches_the_third_neighbour() -> None:
    real = np.array([[0.0], [1.0], [2.0], [3.0]])  # the third neighbour of 0 is 3 away, the second 2
    generated = np.array([[-2.5], [-3.5], [-4.0], [-9.0]])
    precision, _ = precision_recall(real, generated)
    assert precision == 0.25


@pytest.mark.parametrize(
    ("generated", "precision", "recall"),
    [(MORE, 0.9, 0.9), (MORE * 0.2, 0.99, 0.0), (np.r_[MORE[:300], MORE[300:] + 50], 0.45, 0.85)],
    ids=["as varied as real", "one kind only", "half of it wrong"],
)
def test_precision_is_fidelity_and_recall_is_variety(generated: np.ndarray, precision: float, recall: float) -> None:
    found = precision_recall(REAL, generated)
    assert found == (pytest.approx(precision, abs=0.1), pytest.approx(recall, abs=0.15))


def test_a_copy_is_at_distance_zero() -> None:
    x = torch.rand(20, 1, 6, 6)
    assert nearest_distances(x[:5], x).max() < 1e-3
    assert nearest_distances(x[:5] + 0.1, x) == pytest.approx(0.6, abs=1e-3)


def test_the_classifier_knows_the_classes_and_its_features_tell_them_apart() -> None:
    digits = load_dataset("digits")
    x, x_test = (torch.from_numpy(to_unit_range(images)) for images in (digits.x_train, digits.x_test))
    label, label_test = (torch.from_numpy(labels).long() for labels in (digits.label_train, digits.label_test))
    classifier = train_classifier(x, label, seed=0, epochs=10)
    assert (classifier(x_test).argmax(1) == label_test).double().mean() > 0.9
    threes, others = features(classifier, x[label == 3]), features(classifier, x[label == 8])
    same = features(classifier, x_test[label_test == 3])
    assert frechet_distance(threes, same) < frechet_distance(threes, others) / 3
