"""Principal components of windows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anogan.config.detectors import SubspaceConfig
from anogan.views.components import principal_components, t2_and_spe


def test_distances_from_the_components_are_t2_and_spe() -> None:
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.standard_normal((4000, 3)) * [3, 1, 0.5]).float()
    memory = principal_components(x, SubspaceConfig(variance=0.6))  # two of three standardised directions
    both = t2_and_spe(x, memory)
    assert memory["components"].shape == (3, 2)
    assert float(both[0].mean()) == pytest.approx(2, rel=0.01)
    assert float(both[1].mean()) == pytest.approx(1, rel=0.1)
    above = (both > memory["limits"][:, None]).float().mean(1)
    assert above.tolist() == pytest.approx([0.01, 0.01], abs=0.002)
