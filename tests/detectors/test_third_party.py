"""A detector in a package of its own is trained, scored, reported and served like those of anogan."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import refusal
from PIL import Image
from served_models import PNG, server_of

import anogan as package
from anogan.cli import main
from anogan.detectors import detector_class, detector_names

SOURCE = """
from dataclasses import dataclass

from anogan import FAnoGAN
from anogan.gan.scores import blur
from anogan.views.base import View


@dataclass(frozen=True)
class WorstConfig:
    weight: float = 2.0


class WorstPlace(View):
    name = "worst"

    def __init__(self, config):
        self.weight = config.weight

    def distance(self, x, z, x_hat, gan, memory):
        return blur((x - x_hat).abs()).flatten(1).amax(1)


@dataclass(eq=False, repr=False)
class WithWorstPlace(FAnoGAN):
    title = "f-AnoGAN with the worst place"

    worst: WorstConfig = WorstConfig()

    @property
    def own_views(self):
        return *super().own_views, WorstPlace(self.worst)
"""
TRAIN = "train --preset digits --normal 3 --gan.steps 30 --gan.width 8 --encoder.steps 30 --threads 1 --detectors"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package beside anogan that offers two detectors, one of which is none."""
    (tmp_path / "worst_place.py").write_text(SOURCE)
    info = tmp_path / "worst_place-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: worst-place\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[anogan.detectors]\nworstplace = worst_place:WithWorstPlace\nno = worst_place:WorstPlace\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "worst_place", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::anogan.errors.TrainingWarning")
def test_a_detector_of_another_package_is_trained_scored_reported_and_served(
    installed: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run_command([*TRAIN.split(), "worstplace", "fanogan", "--out", "model"]) == 0
    assert "worstplace: threshold" in capsys.readouterr().out
    params = json.loads((tmp_path / "model/bundle/bundle.json").read_text())["detectors"]["worstplace"]["params"]
    assert params["worst"] == {"weight": 2.0}
    assert main.run_command(["score", "model", "digits"]) == 0
    scores = pd.read_csv(tmp_path / "model/scores.csv")
    ours = scores[scores["detector"] == "worstplace"]
    fitted = package.load("model", device="cpu").detector
    assert fitted.terms == ("residual", "discrimination", "worst")
    kappa = fitted.encoder.feature_weight
    expected = ours["residual"] + kappa * ours["discrimination"] + 2 * ours["worst"]
    assert np.allclose(ours["score"], expected, rtol=1e-4)
    assert main.run_command(["report", "model", "--out", "report"]) == 0
    assert "f-AnoGAN with the worst place" in (tmp_path / "report/index.html").read_text()
    Image.new("L", (28, 28), 100).save("a.png")
    with server_of(tmp_path / "model") as (client, _):
        answer = client.post("/models/model/score", content=Path("a.png").read_bytes(), headers=PNG).json()
    result, x = answer["results"][0], np.full((1, 1, 28, 28), 100 / 127.5 - 1)
    assert result["score"] == pytest.approx(fitted.anomaly_score(x)[0], rel=1e-4)


def test_names_are_those_of_anogan_then_those_that_packages_offer(installed: None) -> None:
    assert detector_names()[-2:] == ["no", "worstplace"]
    assert detector_class("worstplace").title == "f-AnoGAN with the worst place"
    with pytest.raises(ValueError, match="worst_place:WorstPlace, which is offered as detector 'no', is no subclass"):
        detector_class("no")


def test_a_name_that_nobody_offers_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    said = refusal("train", "--data", "gone.csv", "--detectors", "worstplace", cwd=tmp_path)
    assert "unknown detector 'worstplace'; choose from neighbourgan, " in said
