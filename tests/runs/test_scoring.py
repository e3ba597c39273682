"""Scoring a long source: the same rows as at once, in constant memory, and nothing lost when it is interrupted."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import quick, stripes
from PIL import Image

from anogan.detectors import Detector
from anogan.digits import arrays
from anogan.digits.arrays import ArrayFile, scorer
from anogan.digits.model import DigitModel
from anogan.pictures import files, sources
from anogan.pictures.files import read_photos
from anogan.pictures.sources import PhotoFiles
from anogan.pictures.verdicts import inspector
from anogan.runs import scoring
from anogan.runs.scoring import score_stream

SHAPE = (1, 12, 12)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return quick("neighbourgan").fit(stripes(80, SHAPE))


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (scoring, arrays):
        monkeypatch.setattr(module, "SAMPLES_AT_ONCE", 10)


def save(path: Path, x: np.ndarray) -> Path:
    np.save(path, x)
    return path


def stream(detector: Detector, source: object, out: Path, on_block=lambda rows: None, on_map=None):
    errors: list[tuple[str, str]] = []
    rows = scorer(detector, on_map) if source.column == "row" else inspector(DigitModel.of(detector), on_map)
    counts = score_stream(rows, source, out, "model", on_block, lambda *error: errors.append(error))
    return counts, errors


def test_blocks_give_the_scores_of_all_at_once(detector: Detector, tmp_path: Path) -> None:
    x = stripes(37, SHAPE)
    told: list[int] = []
    out = tmp_path / "deep" / "scores.csv"
    counts, errors = stream(detector, ArrayFile(save(tmp_path / "x.npy", x), SHAPE), out, told.append)
    table = pd.read_csv(out)
    assert table["row"].tolist() == list(range(37))
    assert np.allclose(table["score"], detector.anomaly_score(x), rtol=1e-4)
    assert np.array_equal(table["verdict"] == "anomaly", detector.predict(x) == -1)
    assert sum(counts.values()) == sum(told) == 37
    assert not errors
    assert list(tmp_path.glob("**/*.part")) == []


def test_an_interruption_loses_no_row_and_nothing_is_scored_twice(
    detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ArrayFile(save(tmp_path / "x.npy", stripes(45, SHAPE)), SHAPE)
    stream(detector, source, tmp_path / "whole.csv")
    scored: list[int] = []

    def interrupt(rows: int) -> None:
        scored.append(rows)
        if sum(scored) >= 20:
            raise KeyboardInterrupt

    out = tmp_path / "out.csv"
    with pytest.raises(KeyboardInterrupt):
        stream(detector, source, out, interrupt)
    assert not out.exists(), "a table that is not complete is not there"
    (partial,) = tmp_path.glob("out.csv.*.part")
    partial.write_bytes(partial.read_bytes() + b"20,1.5,0.")  # half a row: the power went
    explained: list[int] = []
    real = type(detector).compare
    monkeypatch.setattr(type(detector), "compare", lambda self, x: explained.append(len(x)) or real(self, x))
    told: list[int] = []
    stream(detector, source, out, told.append)
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert explained == [10, 10, 5]
    assert told == [20, 10, 10, 5]


def test_another_source_or_model_does_not_go_on_with_these_rows(detector: Detector, tmp_path: Path) -> None:
    def interrupt(rows: int) -> None:
        if rows:
            raise KeyboardInterrupt

    first = ArrayFile(save(tmp_path / "x.npy", stripes(30, SHAPE)), SHAPE)
    with pytest.raises(KeyboardInterrupt):
        stream(detector, first, tmp_path / "s.csv", interrupt)
    other = stripes(30, SHAPE)[::-1]
    stream(detector, ArrayFile(save(tmp_path / "y.npy", other), SHAPE), tmp_path / "s.csv")
    assert np.allclose(pd.read_csv(tmp_path / "s.csv")["score"], detector.anomaly_score(other), rtol=1e-4)


def test_another_model_does_not_go_on_with_the_rows_of_the_first(detector: Detector, tmp_path: Path) -> None:
    x, out = stripes(30, SHAPE), tmp_path / "s.csv"
    source, other = ArrayFile(save(tmp_path / "x.npy", x), SHAPE), quick("neighbourgan", random_state=1)

    def interrupt(rows: int) -> None:
        if rows:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stream(detector, source, out, interrupt)
    other.calibrate(detector.gan_, x[15:], x[:15])
    score_stream(scorer(other), source, out, "another model", lambda rows: None, lambda *error: None)
    assert np.allclose(pd.read_csv(out)["score"], other.anomaly_score(x), rtol=1e-4)


@pytest.mark.parametrize("block", [4, 16, 1024])
def test_a_photo_that_is_replaced_before_an_interrupted_scoring_goes_on_is_scored_anew(
    tmp_path: Path, block: int
) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(30)]
    for path in paths:
        Image.new("L", SHAPE[1:], 100).save(path)

    def interrupt(rows: int) -> None:
        if rows:
            raise KeyboardInterrupt

    def brightness(begin: int, names: list[str], samples: Any) -> pd.DataFrame:
        return pd.DataFrame({"file": names, "score": [float(x.mean()) for x in samples], "verdict": "normal"})

    def score(on_block: Any) -> pd.DataFrame:
        source = PhotoFiles(paths, 1, block)
        score_stream(brightness, source, tmp_path / "s.csv", "model", on_block, lambda *error: None)
        return pd.read_csv(tmp_path / "s.csv")

    with pytest.raises(KeyboardInterrupt):
        score(interrupt)
    Image.new("L", SHAPE[1:], 200).save(paths[0])
    os.utime(paths[0], ns=(0, 1))
    told = score(lambda rows: None)
    assert told["score"].tolist() == pytest.approx([200 / 127.5 - 1, *[100 / 127.5 - 1] * 29], abs=1e-5)


@pytest.mark.parametrize("block", [4, 16, 1024])
def test_photos_in_memory_are_bounded_in_bytes_however_large_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    sides = [12, 12, 40, 40, 40, 90, 12, 12, 12, 40]
    paths = [tmp_path / f"{i}.png" for i in range(len(sides))]
    for path, side in zip(paths, sides, strict=True):
        Image.new("L", (side, side)).save(path)
    (tmp_path / "3.png").write_text("no image")
    most, read, real = 4 * 40 * 40, [], read_photos
    monkeypatch.setattr(files, "BYTES", most)

    def reading(some: Any, channels: int) -> Any:
        read.append(list(real(some, channels)))
        return read[-1]

    def rows(begin: int, names: list[str], samples: Any) -> pd.DataFrame:
        return pd.DataFrame({"file": names, "verdict": "normal"})

    monkeypatch.setattr(sources, "read_photos", reading)
    source = PhotoFiles(paths, 1, block)
    score_stream(rows, source, tmp_path / "s.csv", "model", lambda rows: None, lambda *error: None)
    assert pd.read_csv(tmp_path / "s.csv")["file"].tolist() == list(map(str, paths))
    for block in read:
        assert len(block) == 1 or sum(photo.nbytes for photo in block if isinstance(photo, np.ndarray)) <= most
    assert len(read) < len(paths), "small ones are read together"


def test_a_bad_sample_has_a_row_that_says_why(detector: Detector, tmp_path: Path) -> None:
    x = stripes(25, SHAPE)
    x[3, 0, 0, 0], x[14, 0, 5, 5] = np.nan, 7
    counts, errors = stream(detector, ArrayFile(save(tmp_path / "x.npy", x), SHAPE), tmp_path / "s.csv")
    assert counts["error"] == 2
    assert [name for name, _ in errors] == ["3", "14"]
    table = pd.read_csv(tmp_path / "s.csv")
    assert table.loc[3, "error"] == "NaN or infinity"
    assert "expected [-1, 1]" in table.loc[14, "error"]
    assert table["score"].isna().sum() == 2
    (tmp_path / "broken.png").write_text("no image")
    counts, _ = stream(detector, PhotoFiles([tmp_path / "broken.png"], 1), tmp_path / "one.csv")
    assert counts == {"error": 1}, "even where no sample is good"


def test_bytes_are_images_and_maps_go_by_their_row(detector: Detector, tmp_path: Path) -> None:
    pixels = np.rint((stripes(12, SHAPE) + 1) * 127.5).astype(np.uint8)
    files = []
    for i, image in enumerate(pixels):
        files.append(tmp_path / f"{i:02d}.png")
        Image.fromarray(image[0]).save(files[-1])
    maps: dict[int, np.ndarray] = {}
    stream(detector, ArrayFile(save(tmp_path / "x.npy", pixels), SHAPE), tmp_path / "a.csv")

    def keep(row: int, photo: Any, said: Any) -> None:
        maps[row] = said.map

    stream(detector, PhotoFiles(files, 1, 10), tmp_path / "b.csv", on_map=keep)
    arrays, images = pd.read_csv(tmp_path / "a.csv"), pd.read_csv(tmp_path / "b.csv")
    assert np.array_equal(arrays["score"], images["score"])
    assert sorted(maps) == list(range(12))
    expected = detector.anomaly_map(pixels.astype(np.float32) / 127.5 - 1)
    assert np.allclose(maps[11], expected[11].max(0), atol=1e-4)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (np.zeros((4, 1, 12, 11), np.float32), r"has shape \(4, 1, 12, 11\), expected \(n, 1, 12, 12\)"),
        (np.zeros((0, *SHAPE), np.float32), "has shape"),
        (np.zeros((4, *SHAPE), np.int64), "holds int64"),
        (np.array([{"a": 1}], dtype=object), "not a readable NumPy array"),
        (b"PK\x03\x04", "not a readable NumPy array"),
        (b"", "not a readable NumPy array"),
    ],
    ids=["shape", "empty", "whole numbers", "pickle", "zip", "nothing"],
)
def test_a_file_that_is_no_array_of_samples_is_refused_in_one_line(
    tmp_path: Path, content: np.ndarray | bytes, said: str
) -> None:
    file = io.BytesIO()
    if isinstance(content, bytes):
        file.write(content)
    else:
        np.save(file, content, allow_pickle=True)
    (tmp_path / "x.npy").write_bytes(file.getvalue())
    with pytest.raises(ValueError, match=said) as caught:
        ArrayFile(tmp_path / "x.npy", SHAPE)
    assert "\n" not in str(caught.value)
