"""A saved model scores as before, and a damaged or forged one is refused."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from conftest import QUICK_GAN, quick, stripes
from safetensors.torch import load, save_file

from anogan.config.runs import KindName
from anogan.errors import BundleError
from anogan.gan.networks import GAN
from anogan.runs import bundle
from anogan.runs.bundle import Bundle

X = stripes(64, (1, 12, 12))
NAMES = ("fanogan", "neighbourgan", "anogan", "hybrid")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "bundle"
    hybrid = quick("hybrid").fit(X)
    detectors = {name: quick(name).calibrate(hybrid.gan_, X[20:], X[:20]) for name in NAMES}
    bundle.save(folder, hybrid.gan_, detectors, "digits", {"data": "stripes"})
    return folder


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    target = tmp_path / "bundle"
    target.mkdir()
    for file in saved.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return target


@pytest.mark.parametrize("name", NAMES)
def test_a_loaded_detector_scores_as_the_one_saved(saved: Path, name: str) -> None:
    original = quick(name).calibrate(Bundle.open(saved).gan(), X[20:], X[:20])
    loaded = Bundle.open(saved.parent).detector(name, device="cpu")
    query = stripes(9, (1, 12, 12), seed=5)
    rounding = 1e-5 * original.calibration_scores_.std()  # sums are taken as the memory lies
    assert np.abs(loaded.anomaly_score(query) - original.anomaly_score(query)).max() <= rounding
    assert np.array_equal(loaded.p_value(query), original.p_value(query))
    assert abs(loaded.threshold_ - original.threshold_) <= rounding
    assert loaded.map_scale_ == pytest.approx(original.map_scale_, rel=1e-5)
    assert loaded.get_params() == original.get_params()


def test_a_detector_of_fewer_views_is_loaded_with_these_and_remembers_nothing_of_the_others(tmp_path: Path) -> None:
    original = quick("neighbourgan", views=("gradients",)).fit(X)
    bundle.save(tmp_path / "bundle", original.gan_, {"neighbourgan": original}, "digits", {})
    loaded, query = Bundle.open(tmp_path).detector(device="cpu"), stripes(9, (1, 12, 12), seed=5)
    assert loaded.get_params() == original.get_params()
    assert loaded.terms == ("gradients",)
    assert set(loaded.memory_) == {"gradients", "centre", "spread"}
    assert np.array_equal(loaded.anomaly_score(query), original.anomaly_score(query))


def test_the_first_detector_is_the_default_and_another_name_is_refused(saved: Path) -> None:
    assert type(Bundle.open(saved).detector()).__name__ == "FAnoGAN"
    with pytest.raises(ValueError, match="choose from fanogan, neighbourgan, anogan, hybrid"):
        Bundle.open(saved).detector("knn")


def test_no_file_of_a_bundle_is_a_pickle(saved: Path) -> None:
    assert {file.suffix for file in saved.iterdir()} == {".safetensors", ".json"}


def test_any_flipped_byte_is_noticed(copy: Path) -> None:
    for file in sorted(copy.iterdir()):
        original = file.read_bytes()
        for position in np.linspace(0, len(original) - 2, 12).astype(int):
            damaged = bytearray(original)
            damaged[position] ^= 0x10
            file.write_bytes(damaged)
            with pytest.raises(BundleError, match=str(file.parent)):
                Bundle.open(copy).detector("neighbourgan")  # the one that reads every file
        file.write_bytes(original)
    Bundle.open(copy).detector("neighbourgan")


@pytest.mark.parametrize("file", ["bundle.json", "generator.safetensors", "encoder.safetensors"])
def test_a_missing_or_truncated_file_is_named(copy: Path, file: str) -> None:
    content = (copy / file).read_bytes()
    (copy / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(BundleError, match=file):
        Bundle.open(copy).detector()
    (copy / file).unlink()
    with pytest.raises(BundleError, match=file):
        Bundle.open(copy).detector()


def reseal(folder: Path, change) -> None:
    """Forge bundle.json with hashes that fit, as an attacker could."""
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest.pop("sha256")
    change(manifest)
    manifest["files"] = {file: bundle._sha256((folder / file).read_bytes()) for file in manifest["files"]}
    (folder / "bundle.json").write_text(json.dumps(manifest | {"sha256": bundle._seal(manifest)}))


EDITED = {
    "false-alarm rate": lambda m: m["detectors"]["fanogan"]["params"].update(false_alarm_rate=0.5),
    "map scale": lambda m: m["detectors"]["fanogan"].update(map_scale=1e3),
    "what it was trained on": lambda m: m["about"].update(data="circles"),
}


@pytest.mark.parametrize("what", sorted(EDITED))
def test_a_manifest_that_was_edited_by_hand_is_refused(copy: Path, what: str) -> None:
    manifest = json.loads((copy / "bundle.json").read_text())
    EDITED[what](manifest)
    (copy / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="has been changed since it was written"):
        Bundle.open(copy).detector()


def test_a_manifest_nested_without_end_is_refused(copy: Path) -> None:
    (copy / "bundle.json").write_text("[" * 100_000)
    with pytest.raises(BundleError, match=r"bundle\.json cannot be read"):
        Bundle.open(copy).detector()


FORGED = {
    "huge": lambda m: m["gan"].update(width=10**6),
    "negative": lambda m: m["gan"].update(width=-1),
    "key": lambda m: m["gan"].update(surprise=1),
    "shape": lambda m: m.update(shape=[1, 20, 20]),
    "no shape": lambda m: m.update(shape="none"),
    "parameter": lambda m: m["detectors"]["fanogan"]["params"].update(surprise=1),
    "no parameter": lambda m: m["detectors"]["fanogan"]["params"].pop("holdout"),
    "rate": lambda m: m["detectors"]["fanogan"]["params"].update(false_alarm_rate="often"),
    "truth for a number": lambda m: m["detectors"]["fanogan"]["params"].update(random_state=True),
    "scale": lambda m: m["detectors"]["fanogan"].pop("map_scale"),
    "format": lambda m: m.update(format=99),
    "extra": lambda m: m.update(extra=1),
}


def test_a_memory_without_one_of_its_parts_is_refused(copy: Path) -> None:
    file = copy / "neighbourgan.memory.safetensors"
    memory = load(file.read_bytes())
    memory.pop("codes")
    save_file(memory, file)
    reseal(copy, lambda manifest: None)
    with pytest.raises(BundleError, match="expected a memory of finite centre, codes"):
        Bundle.open(copy).detector("neighbourgan")


def test_a_parameter_of_another_type_is_named(copy: Path) -> None:
    reseal(copy, lambda m: m["detectors"]["fanogan"]["params"]["encoder"].update(erase="much"))
    with pytest.raises(BundleError, match=r"fanogan\.encoder\.erase: expected float, got 'much'"):
        Bundle.open(copy).detector()


@pytest.mark.parametrize("kind", sorted(FORGED))
def test_a_forged_manifest_is_refused(copy: Path, kind: str) -> None:
    reseal(copy, FORGED[kind])
    with pytest.raises(BundleError, match=r"bundle\.json|safetensors"):
        Bundle.open(copy).detector()


def test_tensors_of_other_types_or_values_are_refused(copy: Path) -> None:
    file = copy / "generator.safetensors"
    tensors = load(file.read_bytes())
    name = next(name for name, tensor in tensors.items() if tensor.dtype == torch.float32)
    for change, message in ((lambda t: t.half(), "does not fit"), (lambda t: t * torch.nan, "NaN or infinity")):
        save_file(tensors | {name: change(tensors[name])}, file)
        reseal(copy, lambda manifest: None)
        with pytest.raises(BundleError, match=message):
            Bundle.open(copy).detector()


MEMORY = {"neighbourgan.memory.safetensors"}  # of detectors


def stopping_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """The process ends when it is about to change what is where for the step-th time."""
    left = iter(range(step, -1, -1))

    def stopped(change):
        def changed(*args, **options):
            if next(left, 0) == 0:
                raise KeyboardInterrupt
            return change(*args, **options)

        return changed

    monkeypatch.setattr(Path, "rename", stopped(Path.rename))
    monkeypatch.setattr(shutil, "rmtree", stopped(shutil.rmtree))


def test_wherever_saving_is_stopped_twice_a_whole_model_is_found(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.fsync", lambda file: None)  # there are many files
    gan, steps, found = Bundle.open(saved).gan("cpu"), range(6), []
    files = {file.name for file in saved.iterdir()} - MEMORY
    for first, second in itertools.product(steps, steps):
        run = tmp_path / f"{first}-{second}"
        for number, step in enumerate((99, first, second, 99)):
            with pytest.MonkeyPatch.context() as patched, contextlib.suppress(KeyboardInterrupt):
                stopping_at(patched, step)
                bundle.save(run / "bundle", gan, {}, "digits", {"number": number})
            found.append(Bundle.open(run).about["number"])
            assert {file.name for file in bundle.find(run).iterdir()} == files
            assert found[-1] <= number
        assert found[-1] == 3, "a save that is not stopped puts everything in order"
        assert [path.name for path in run.iterdir()] == ["bundle"]
    assert found.count(0) > found.count(2) > 0


def test_a_run_whose_save_was_stopped_is_recalibrated_where_its_bundle_belongs(copy: Path) -> None:
    copy.rename(copy.with_name("bundle.old"))
    assert bundle.find(copy.parent) == bundle.find(copy) == copy.with_name("bundle.old")
    assert bundle.home(copy.parent) == bundle.home(copy) == copy
    assert bundle.is_there(copy.parent)
    assert not bundle.is_there(copy.parent / "elsewhere")


def test_a_folder_without_a_model_says_how_to_train_one(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="train one with: anogan train"):
        Bundle.open(tmp_path).detector()


def test_a_bundle_without_detectors_still_generates(tmp_path: Path) -> None:
    gan = quick("anogan").fit(X).gan_
    bundle.save(tmp_path / "bundle", gan, {}, "digits", {})
    assert Bundle.open(tmp_path).gan().generator(torch.zeros(2, QUICK_GAN.latent_dim)).shape == (2, 1, 12, 12)
    with pytest.raises(BundleError, match="can only generate"):
        Bundle.open(tmp_path).detector()


def test_a_run_is_called_what_its_folder_is_called(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "pump-seed0")
    names = {"pump-seed0": "pump-seed0", "pump-seed0/bundle": "pump-seed0", "demo-sensors/run": "demo-sensors"}
    names |= {"demo-sensors/run/bundle/": "demo-sensors", "link": "link", "other/../pump": "pump"}
    assert {path: bundle.run_name(tmp_path / path) for path in names} == names


def test_what_a_model_looks_at_is_what_it_was_saved_with(tmp_path: Path) -> None:
    gan = GAN((1, 12, 12), QUICK_GAN)
    for kind in get_args(KindName):
        bundle.save(tmp_path / kind, gan, {}, kind, {})
        assert Bundle.open(tmp_path / kind).kind == kind


def test_a_digest_tells_bundles_apart_and_stays(saved: Path, tmp_path: Path) -> None:
    gan = GAN((1, 12, 12), QUICK_GAN)
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        bundle.save(tmp_path / name, gan, {}, "digits", {"seed": seed})
    one, same, other = (Bundle.open(tmp_path / name).digest for name in ("one", "same", "other"))
    assert one == same != other
    assert one == Bundle.open(tmp_path / "one").digest
    assert len(one) == 64


def test_the_manifest_holds_no_device_and_no_network(saved: Path) -> None:
    """A model trained on a graphics card is loaded where there is none."""
    entries = Bundle.open(saved).manifest["detectors"]
    for name in NAMES:
        params = set(entries[name]["params"])
        assert params == set(quick(name).get_params(deep=False)) - {"device", "gan"}


def test_saving_leaves_nothing_beside_the_bundle_and_replaces_what_lay_there(tmp_path: Path) -> None:
    gan = GAN((1, 12, 12), QUICK_GAN)
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle.part").mkdir()
    for file in ("bundle/stray.txt", "bundle.part/stray.txt"):
        (tmp_path / file).write_text("left over")
    for seed in (1, 2):
        bundle.save(tmp_path / "bundle", gan, {}, "digits", {"seed": seed})
        assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
        assert Bundle.open(tmp_path).about == {"seed": seed}
        assert not (tmp_path / "bundle/stray.txt").exists()


def test_the_seal_does_not_hang_on_the_order_of_keys(copy: Path) -> None:
    manifest = json.loads((copy / "bundle.json").read_text())
    turned = {name: manifest[name] for name in reversed(manifest)}
    (copy / "bundle.json").write_text(json.dumps(turned))
    assert Bundle.open(copy).detector().threshold_


def test_people_can_read_the_threshold(saved: Path) -> None:
    entries = Bundle.open(saved).manifest["detectors"]
    assert {name: entries[name]["threshold"] for name in NAMES} == {
        name: Bundle.open(saved).detector(name).threshold_ for name in NAMES
    }


def test_a_bundle_of_another_format_says_which_one_it_has(copy: Path) -> None:
    manifest = json.loads((copy / "bundle.json").read_text())
    (copy / "bundle.json").write_text(json.dumps(manifest | {"format": 99}))
    with pytest.raises(BundleError, match="has format 99; this version reads format"):
        Bundle.open(copy).detector()


def test_a_parameter_that_is_a_tuple_comes_back_as_one(tmp_path: Path) -> None:
    detector = quick("locatorgan", augment=("flip",)).fit(stripes(64, (1, 16, 16)))
    bundle.save(tmp_path / "bundle", detector.gan_, {"locatorgan": detector}, "photos", {})
    assert Bundle.open(tmp_path).detector(device="cpu").augment == ("flip",)
