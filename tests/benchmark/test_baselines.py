"""Every baseline has scikit-learn's face and tells stripes from noise."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import stripes

from anogan.benchmark.baselines import BASELINES
from anogan.evaluation.metrics import auroc


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_a_baseline_ranks_noise_above_stripes_and_scores_every_row_alone(name: str) -> None:
    shape = (1, 20, 20)
    x = np.concatenate([stripes(40, shape, seed=1), stripes(40, shape, seed=2)[:, :, ::-1].transpose(0, 1, 3, 2)])
    y = np.repeat([0, 1], 40)
    detector = BASELINES[name](0).fit(stripes(150, shape))
    score = -detector.score_samples(x)
    assert score.shape == (80,)
    assert auroc(y, score) > 0.95
    assert np.allclose(-detector.score_samples(x[50:53]), score[50:53], rtol=1e-3, atol=1e-5)
