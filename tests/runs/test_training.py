"""The detectors of a run have its settings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from anogan.config.presets import DEFAULT
from anogan.runs.training import make_detectors


def test_each_detector_keeps_those_of_its_views_that_are_named() -> None:
    config = replace(DEFAULT, detectors=("neighbourgan", "fanogan"), views=("discrimination", "code", "residual"))
    kept = {name: detector.terms for name, detector in make_detectors(config, "cpu").items()}
    assert kept == {"neighbourgan": ("code",), "fanogan": ("residual", "discrimination")}
    everything = make_detectors(replace(config, views=()), "cpu")
    assert everything["neighbourgan"].terms == ("gradients", "code")


def test_a_detector_without_any_of_them_is_refused_and_so_is_a_view_that_none_has() -> None:
    config = replace(DEFAULT, detectors=("neighbourgan", "fanogan"))
    with pytest.raises(ValueError, match="fanogan has none of the views code; its views are residual, discrimination"):
        make_detectors(replace(config, views=("code",)), "cpu")
    with pytest.raises(ValueError, match="no chosen detector has a view 'level'; choose from gradients, code, resid"):
        make_detectors(replace(config, views=("code", "residual", "level")), "cpu")
