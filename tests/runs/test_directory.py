from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import QUICK_ENCODER, QUICK_GAN, stripes

from anogan.config.runs import DigitRunConfig
from anogan.detectors.calibration import hold_out
from anogan.digits.splits import Split
from anogan.digits.training import Digits, NormalImages
from anogan.errors import BundleError, RunError
from anogan.files import write_bytes, write_json
from anogan.gan.networks import GAN
from anogan.gan.training import GANTraining
from anogan.runs import training as run_training
from anogan.runs.directory import Run


def test_a_run_writes_its_config_and_environment_first(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "r", DigitRunConfig(seed=4))
    assert Run(tmp_path / "r").config == DigitRunConfig(seed=4)
    env = json.loads((run.path / "env.json").read_text())
    assert {"torch", "anogan"} <= set(env["versions"])
    assert not run.finished


def test_other_settings_are_refused_by_name_and_the_same_ones_accepted(tmp_path: Path) -> None:
    Run.create(tmp_path / "r", DigitRunConfig())
    Run.create(tmp_path / "r", DigitRunConfig())
    with pytest.raises(RunError, match=r"other settings \(holdout, seed\)"):
        Run.create(tmp_path / "r", DigitRunConfig(seed=1, holdout=0.2))


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(RunError, match="is not a run directory"):
        Run.create(tmp_path, DigitRunConfig())
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def test_what_is_no_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"config\.json: No such file"):
        Run(tmp_path)
    (tmp_path / "config.json").write_text('{"kind": "digits", "views": [], "data": 3}')
    with pytest.raises(RunError, match="cannot be read"):
        Run(tmp_path)


def test_lines_beyond_the_checkpoint_and_half_lines_are_forgotten(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "r", DigitRunConfig())
    for step in (50, 100, 150):
        run.log({"stage": "gan", "step": step})
    with (run.path / "metrics.jsonl").open("a") as stream:
        stream.write('{"stage": "gan", "st')
    run.forget_after("gan", 100)
    assert run.metrics == [{"stage": "gan", "step": 50}, {"stage": "gan", "step": 100}]


def test_what_was_logged_after_the_checkpoint_is_forgotten_when_training_goes_on_from_it(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "r", DigitRunConfig())
    run.log({"stage": "encoder", "step": 900})
    training = GANTraining((1, 12, 12), run.config.gan, 0)
    training.step = 100
    run.save_checkpoint("gan", training)
    for step in (50, 100, 150):
        run.log({"stage": "gan", "step": step})
    again = GANTraining((1, 12, 12), run.config.gan, 0)
    run.load_checkpoint("gan", again)
    assert again.step == 100
    assert [(line["stage"], line["step"]) for line in run.metrics] == [("encoder", 900), ("gan", 50), ("gan", 100)]


@pytest.mark.filterwarnings("ignore::anogan.errors.TrainingWarning")
def test_networks_learn_from_the_training_rows_and_detectors_are_calibrated_on_those_held_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half and half, so that no count tells the two apart."""
    x, shown = stripes(40, (1, 12, 12)), []

    def watched(rows: torch.Tensor, *args: Any, train: Any = run_training.train) -> GAN:
        shown.append(rows.cpu().numpy())
        return train(rows, *args)

    monkeypatch.setattr(run_training, "train", watched)
    config = DigitRunConfig(
        holdout=0.5,
        seed=3,
        false_alarm_rate=0.1,
        detectors=("fanogan", "neighbourgan"),
        gan=replace(QUICK_GAN, steps=2),
        encoder=replace(QUICK_ENCODER, steps=2),
    )
    labels = np.zeros(40, dtype=np.int64)
    images = NormalImages.of(config, Split(x, x, labels, labels, ("3",)))
    models = Digits().train(Run.create(tmp_path / "r", config), images, device="cpu")
    detectors = {name: model.detector for name, model in models.items()}
    training, held_out = hold_out(40, config.holdout, config.seed)
    assert not set(training) & set(held_out)
    assert len(shown) == 2
    assert all(np.array_equal(rows, x[training]) for rows in shown)
    for detector in detectors.values():
        scores = detector.calibration_scores_
        assert np.allclose(scores, np.sort(detector.anomaly_score(x[held_out])), rtol=1e-4, atol=1e-5)
        assert not np.allclose(scores, np.sort(detector.anomaly_score(x[training])), rtol=1e-2, atol=1e-3)
    # Training samples are what the memory holds: nothing is nearer to one than itself.
    gradients = [detectors["neighbourgan"].explain(x[rows]).terms["gradients"] for rows in (training, held_out)]
    assert np.median(gradients[0]) < np.min(gradients[1])


@pytest.mark.parametrize("content", [b"garbage", b""])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    run = Run.create(tmp_path / "r", DigitRunConfig())
    write_bytes(run.path / "checkpoint" / "gan.safetensors", content)
    with pytest.raises(BundleError, match=r"gan\.safetensors cannot be used .* delete it"):
        run.load_checkpoint("gan", GANTraining((1, 12, 12), run.config.gan, 0))


def test_times_of_a_stage_add_up_over_interruptions(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "r", DigitRunConfig())
    with pytest.raises(KeyboardInterrupt), run.timed("gan"):
        raise KeyboardInterrupt
    write_json(run.path / "seconds.json", {"gan": 100.0})
    with run.timed("gan"):
        pass
    assert 100 <= run.seconds["gan"] < 101


def test_writing_is_whole_or_not_at_all_when_the_disk_is_full(tmp_path: Path) -> None:
    """A real short write: the process may write no file larger than 4 KiB."""
    target = tmp_path / "file.bin"
    target.write_bytes(b"old")
    code = f"""
import resource, signal
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
from anogan.files import write_bytes
try:
    write_bytes(Path({str(target)!r}), b"x" * 100_000)
except OSError as error:
    print("refused", error.errno)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("refused")
    assert target.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["file.bin"]


def test_json_has_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
