"""Runs of the format before this one are refused, with how to convert them; converted ones score as before."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import anogan
from conftest import QUICK_GAN, quick, stripes

from anogan.config.presets import STARTS
from anogan.config.runs import KindName, RunConfig
from anogan.errors import BundleError, RunError
from anogan.runs import bundle
from anogan.runs.bundle import Bundle
from anogan.runs.convert import convert
from anogan.runs.directory import Run

X = stripes(64, (1, 12, 12))
NEW = {  # could not be told to format 1
    "neighbour": ("directions", "cell"),
    "subspace": ("quantile", "shrinkage"),
    "places": ("quantile",),
    "locator": ("warm_up", "spoiled", "foreign", "drawn", "defect_weight"),
    "sensors": ("reach",),
    "alarm": ("confidence", "usual_quantile", "slow_rise"),
}
KEYS = {"digits": None, "sensors": "signal", "photos": "photo"}  # what told the kind in format 1


def rewrite(file: Path, content: dict[str, Any], seal: bool = False) -> None:
    if seal:
        content["sha256"] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    file.write_text(json.dumps(content))


def aged(content: dict[str, Any], kind: str) -> dict[str, Any]:
    """Settings, or what a bundle says of its data, as format 1 had them."""
    names = {kind: KEYS[kind] or kind}
    content = older(content)
    return {"normal": "all"} | {names.get(name, name): value for name, value in content.items() if name != "kind"}


def older(settings: dict[str, Any]) -> dict[str, Any]:
    """Groups of settings without what could not be told."""
    return {
        group: {name: value for name, value in found.items() if name not in NEW[group]} if group in NEW else found
        for group, found in settings.items()
        if group != "views"
    }


@pytest.fixture(params=sorted(KEYS))
def kind(request: pytest.FixtureRequest) -> KindName:
    kind: KindName = request.param
    return kind


@pytest.fixture(params=[1, 2])
def version(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture
def old(tmp_path: Path, kind: KindName, version: int) -> Path:
    """A run of an earlier format. The second told the kind, but not all settings."""
    run = tmp_path / "run"
    Run.create(run, STARTS[kind])
    detector = quick("fanogan").fit(X)
    about = {"data": "stripes", kind: {"step": 1.0}} | ({"normal": "all"} if kind == "digits" else {})
    bundle.save(run / "bundle", detector.gan_, {"fanogan": detector}, kind, about)
    saved, manifest = (json.loads((run / name).read_text()) for name in ("config.json", "bundle/bundle.json"))
    del saved["views"], manifest["sha256"]
    for name in ("views", "sample_shape"):
        del manifest["detectors"]["fanogan"]["params"][name]
    if version == 1:
        saved, manifest["about"] = aged(saved, kind), aged(manifest["about"], kind)
        del manifest["kind"]
    if "alarm" in saved:
        saved["alarm"] = {name: value for name, value in saved["alarm"].items() if name not in NEW["alarm"]}
    rewrite(run / "config.json", saved)
    rewrite(run / "bundle" / "bundle.json", manifest | {"format": version}, seal=True)
    return run


def test_an_old_run_is_refused_and_says_how_to_convert_it(old: Path, version: int) -> None:
    with pytest.raises(RunError, match=f"convert it with: anogan convert {old}"):
        Run(old)
    with pytest.raises(BundleError, match=f"has format {version}; .* anogan convert {old}"):
        Bundle.open(old).detector()


def test_a_converted_run_has_its_kind_its_settings_and_its_scores(old: Path, kind: KindName) -> None:
    assert convert(old) == [old / "config.json", old / "bundle" / "bundle.json"]
    expected: RunConfig = STARTS[kind] if kind != "digits" else Run[Any](old).config
    assert (Run[Any](old).config, Bundle.open(old).kind) == (expected, kind)
    about = Bundle.open(old).about
    assert about[kind] == {"step": 1.0} | ({"reach": 6.0} if kind == "sensors" else {})
    assert ("normal" in about) == (kind == "digits")
    scores = quick("fanogan").fit(X).anomaly_score(X[:9])
    assert np.array_equal(Bundle.open(old).detector(device="cpu").anomaly_score(X[:9]), scores)
    assert convert(old) == [], "nothing is left to convert"


def test_what_is_no_run_of_the_old_format_is_left_as_it_is(old: Path, kind: KindName, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="holds no trained model"):
        convert(tmp_path)
    saved = json.loads((old / "config.json").read_text())
    rewrite(old / "config.json", saved | {"surprise": 1})
    with pytest.raises(RunError, match=r"config\.json cannot be converted: missing or unknown: config"):
        convert(old)
    assert json.loads((old / "config.json").read_text())["surprise"] == 1
    rewrite(old / "config.json", saved)
    manifest = json.loads((old / "bundle" / "bundle.json").read_text())
    rewrite(old / "bundle" / "bundle.json", manifest | {"about": {}})
    with pytest.raises(BundleError, match="has been changed since it was written"):
        convert(old)


@pytest.mark.parametrize("content", ["[]", "no JSON", "{}"])
def test_what_is_damaged_is_said_in_one_line(old: Path, content: str) -> None:
    for file in (old / "bundle" / "bundle.json", old / "config.json"):
        file.write_text(content)
        done = anogan("convert", old)
        assert done.returncode == 2
        assert done.stderr.startswith("anogan: ")
        assert done.stderr.count("\n") == 1


def test_a_converted_photo_model_has_todays_parameters(tmp_path: Path) -> None:
    detector = quick("locatorgan", augment=("flip",)).fit(stripes(64, (1, 16, 16)))
    bundle.save(tmp_path / "bundle", detector.gan_, {"locatorgan": detector}, "photos", {"photos": {}})
    file = tmp_path / "bundle" / "bundle.json"
    manifest = json.loads(file.read_text())
    params = older(manifest["detectors"]["locatorgan"]["params"])
    params["harmless"] = params.pop("augment")
    del params["sample_shape"]
    manifest["detectors"]["locatorgan"]["params"] = params
    manifest |= {"format": 1, "about": {"photo": {}}}
    del manifest["kind"], manifest["sha256"]
    rewrite(file, manifest, seal=True)
    assert convert(tmp_path) == [file]
    assert Bundle.open(tmp_path).detector(device="cpu").get_params() == detector.get_params()


def test_the_command_names_what_it_has_written(old: Path) -> None:
    assert anogan("convert", old).stdout.split() == [f"{old}/config.json", f"{old}/bundle/bundle.json"]
    assert anogan("convert", old).stdout == f"{old} already has this version's format\n"


def test_a_run_of_another_kind_is_refused_by_what_it_is(tmp_path: Path) -> None:
    Run.create(tmp_path / "run", STARTS["photos"])
    with pytest.raises(RunError, match="of kind photos, not sensors"):
        Run.of(tmp_path / "run", type(STARTS["sensors"]))


def test_a_bundle_of_a_kind_nobody_knows_is_refused(tmp_path: Path) -> None:
    detector = quick("fanogan", gan=QUICK_GAN).fit(X)
    bundle.save(tmp_path / "bundle", detector.gan_, {"fanogan": detector}, "plates", {})  # type: ignore[arg-type]
    with pytest.raises(BundleError, match="is of kind 'plates'"):
        Bundle.open(tmp_path).detector()
