"""Quality control end to end on rendered boards, by the command, with the files that a factory has."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from anogan.cli import main
from anogan.errors import RunError, SampleError, TrainingWarning
from anogan.evaluation.metrics import aupro, pixel_auroc
from anogan.photos.folders import find_photos, read_mask
from anogan.photos.model import PhotoModel
from anogan.runs.bundle import Bundle
from anogan.simulators.boards import write_folder

pytestmark = pytest.mark.filterwarnings("ignore:the generator has collapsed")
FEW = "--size 32 --gan.steps 30 --gan.width 8 --locator.steps 60 --false-alarm-rate 0.1 --threads 1"


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos") / "boards"
    write_folder(folder, good=60, test_good=12, each=3, size=48)
    return folder


@pytest.fixture(scope="module")
def trained(boards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("trained") / "run"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)
        assert main.run_command(f"train --data {boards} {FEW} --out {run}".split()) == 0
    return run


def test_good_photos_train_a_model_and_labelled_ones_evaluate_it(trained: Path, boards: Path) -> None:
    results = json.loads((trained / "results.json").read_text())["detectors"]["locatorgan"]
    assert results["n_test"] == 24
    assert results["n_calibration"] == 15
    assert set(results["per_class"]) == {"missing", "scratch", "shifted", "stain"}
    assert 0 <= results["aupro"] <= 1
    assert results["pixel_auroc"] > 0.6
    table = pd.read_csv(trained / "scores.csv")
    assert (table["verdict"] == "anomaly").equals(table["regions"] > 0)
    model = PhotoModel.load(Bundle.open(trained), device="cpu")
    assert model.framing.shape == (3, 32, 32)
    files = "bundle checkpoint config.json env.json gallery metrics.jsonl results.json samples scores.csv seconds.json"
    assert {file.name for file in trained.iterdir()} == set(files.split())
    said = list(model.inspect_files([Path(table["file"][0])]))
    assert not isinstance(said[0], SampleError)
    assert said[0].score == pytest.approx(table["score"][0], rel=1e-4)


def test_a_report_is_made_of_the_run(trained: Path, tmp_path: Path) -> None:
    assert main.run_command(["report", str(trained), "--out", str(tmp_path)]) == 0
    page = (tmp_path / "index.html").read_text()
    assert "tells defective parts from good ones" in page
    assert "Pixel AUROC" in page


def test_tiles_of_large_photos_are_learnt_and_stitched(boards: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main.run_command(f"train --data {boards} {FEW} --tiles --overlap 0.5 --out {run}".split()) == 0
    model = PhotoModel.load(Bundle.open(run), device="cpu")
    photo = boards / "test" / "good" / "000.png"
    photo = photo if photo.exists() else next((boards / "test" / "good").iterdir())
    (said,) = model.inspect_files([photo])
    assert not isinstance(said, SampleError)
    assert said.map.shape == (48, 48)


def test_grey_photos_of_several_sizes_and_a_broken_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    folder = tmp_path / "good"
    folder.mkdir()
    for i in range(44):
        size = (40, 60) if i % 3 else (42, 58)
        Image.fromarray(rng.integers(90, 160, size, np.uint8)).save(folder / f"{i:02d}.{'png' if i % 2 else 'jpg'}")
    (folder / "broken.png").write_text("no image")
    whole = (folder / "00.jpg").read_bytes()
    (folder / "half.jpg").write_bytes(whole[: len(whole) // 2])
    run = tmp_path / "run"
    words = f"train --data {folder} {FEW} --augment flip brightness --seed 3 --out {run}"
    assert main.run_command(words.split()) == 0
    said = capsys.readouterr().err
    assert "broken.png is left out: not a readable image" in said
    assert PhotoModel.load(Bundle.open(run), device="cpu").framing.shape == (1, 21, 32)
    assert not (run / "results.json").exists(), "there is nothing to evaluate"


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_every_photo_cut_short_is_named_whether_held_out_or_not(
    ending: str, boards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "good"
    folder.mkdir()
    for i, path in enumerate(sorted((boards / "train" / "good").iterdir())):
        target = folder / f"{path.stem}.{ending}"
        Image.open(path).save(target)
        if i < 16:
            target.write_bytes(target.read_bytes()[: target.stat().st_size // 2])
    run = tmp_path / "run"
    assert main.run_command(f"train --data {folder} {FEW} --out {run}".split()) == 0
    said = capsys.readouterr().err
    assert said.count("is left out: damaged") == 16
    held_out = len(PhotoModel.load(Bundle.open(run), device="cpu").detector.calibration_scores_)
    assert 9 <= held_out <= 15


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        ("--data EMPTY", ValueError, "holds no photo"),
        ("--data FEW", SampleError, "expected at least 17 photos of good parts, got 3"),
        ("--data missing/folder", ValueError, "missing/folder is not a folder"),
        ("--data FEW --crop 1 2 3", main.UsageError, "crop must be LEFT TOP WIDTH HEIGHT"),
        ("--data BOARDS --crop 40 0 32 32", SampleError, "expected at least 16 samples to train on"),
        ("--data BOARDS --crop 0 0 40 20 --augment rotate90", ValueError, "rotate90 needs square samples"),
    ],
)
def test_what_cannot_be_trained_on_is_one_clear_line(
    words: str, error: type[Exception], said: str, boards: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "few").mkdir()
    for i in range(3):
        Image.new("L", (32, 32)).save(tmp_path / "few" / f"{i}.png")
    names = {"EMPTY": tmp_path / "empty", "FEW": tmp_path / "few", "BOARDS": boards}
    for word, path in names.items():
        words = words.replace(word, str(path))
    with pytest.raises(error, match=said):
        main.run_command(f"train {words} --size 32 --out {tmp_path / 'run'}".split())


def test_another_training_does_not_overwrite_a_run(trained: Path, boards: Path) -> None:
    with pytest.raises(RunError, match="other settings"):
        main.run_command(f"train --data {boards} {FEW} --seed 1 --out {trained}".split())


def test_a_mask_of_another_size_goes_by_its_majority(tmp_path: Path) -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[10:20, 20:40] = 1
    Image.fromarray(mask).save(tmp_path / "m.png")
    read = read_mask(tmp_path / "m.png", (20, 20))
    assert read.sum() == 50
    assert read[5:10, 10:20].all()


def test_the_layout_says_what_is_good_and_where_masks_are(boards: Path, tmp_path: Path) -> None:
    folder = find_photos(boards)
    assert len(folder.good) == 60
    assert {photo.kind for photo in folder.test} == {"good", "missing", "scratch", "shifted", "stain"}
    assert all((photo.mask is not None) == (photo.kind != "good") for photo in folder.test)


def test_figures_of_pixels_are_those_of_known_maps() -> None:
    masks = [np.zeros((20, 20), bool) for _ in range(2)]
    masks[0][2:4, 2:4] = True
    masks[0][10:20, 10:20] = True
    perfect = [mask.astype(np.float32) for mask in masks]
    assert pixel_auroc(masks, perfect) == 1
    assert aupro(masks, perfect) == pytest.approx(1)
    half = [perfect[0].copy(), perfect[1]]
    half[0][2:4, 2:4] = -1  # the small defect is missed; it counts as much as the large one
    assert aupro(masks, half) == pytest.approx(0.5)
    assert pixel_auroc(masks, half) > 0.95
