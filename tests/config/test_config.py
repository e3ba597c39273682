from __future__ import annotations

import json

import pytest

from anogan.config.presets import PRESETS
from anogan.config.runs import DigitRunConfig
from anogan.config.serialise import differing_keys, from_dict, to_dict


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_saved_config_is_read_back_as_it_was(name: str) -> None:
    saved = json.loads(json.dumps(to_dict(PRESETS[name])))
    assert from_dict(DigitRunConfig, saved) == PRESETS[name]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(extra=1), r"missing or unknown: config\.extra"),
        (lambda c: c.pop("seed"), r"missing or unknown: config\.seed"),
        (lambda c: c["gan"].pop("width"), r"missing or unknown: config\.gan\.width"),
        (lambda c: c["gan"].update(width="wide"), r"config\.gan\.width: expected int, got 'wide'"),
        (lambda c: c["gan"].update(width=True), r"config\.gan\.width"),
        (lambda c: c["gan"].update(learning_rate=True), r"config\.gan\.learning_rate: expected float, got True"),
        (lambda c: c["gan"].update(learning_rate=float("nan")), r"gan\.learning_rate must be > 0, got nan"),
        (lambda c: c["gan"].update(betas=[0.5]), r"config\.gan\.betas"),
        (lambda c: c["encoder"].update(mode="zzz"), r"config\.encoder\.mode"),
        (lambda c: c.update(gan=3), r"config\.gan"),
    ],
)
def test_an_unknown_key_or_a_wrong_type_is_an_error_that_names_it(change, message: str) -> None:
    saved = json.loads(json.dumps(to_dict(DigitRunConfig())))
    change(saved)
    with pytest.raises(ValueError, match=message):
        from_dict(DigitRunConfig, saved)


def test_an_integer_stands_for_a_number_with_a_point() -> None:
    saved = to_dict(DigitRunConfig())
    saved["gan"]["learning_rate"] = 1
    assert isinstance(from_dict(DigitRunConfig, saved).gan.learning_rate, float)


def test_differing_settings_are_named() -> None:
    one, other = to_dict(DigitRunConfig()), to_dict(DigitRunConfig(seed=3))
    other["gan"]["width"] = 5
    assert differing_keys(one, other) == ["gan.width", "seed"]


def test_the_notebook_preset_is_fifty_epochs_of_all_digits() -> None:
    notebook = PRESETS["notebook"]
    assert (notebook.data, notebook.normal, notebook.holdout) == ("mnist", "all", 0)
    assert notebook.gan.steps * notebook.gan.batch_size == pytest.approx(50 * 60_000, abs=128)
    assert (notebook.gan.learning_rate, notebook.gan.betas) == (2e-4, (0.5, 0.999))
    assert (notebook.gan.latent_dim, notebook.gan.width) == (100, 128)


def test_a_detector_needs_held_out_samples() -> None:
    with pytest.raises(ValueError, match=r"holdout must be in \(0, 1\) to calibrate a detector, got 0"):
        DigitRunConfig(holdout=0)


def test_the_papers_preset_is_the_papers() -> None:
    papers = PRESETS["papers"]
    assert (papers.search.steps, papers.search.discrimination_weight, papers.search.residual) == (500, 0.1, "l1")
    encoder = papers.encoder
    assert (encoder.mode, encoder.feature_weight, encoder.residual, encoder.erase) == ("izi_f", 1.0, "mse", 0.0)
