"""A trained run of any kind is loaded by one name, and scores what its kind looks at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import photo_model
import pytest
from conftest import quick, recording, stripes

import anogan
from anogan.errors import BundleError
from anogan.runs import bundle
from anogan.runs.bundle import Bundle

SHAPE = (1, 16, 16)


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    detector = quick("fanogan").fit(stripes(64, SHAPE))
    bundle.save(tmp_path / "digits" / "bundle", detector.gan_, {"fanogan": detector}, "digits", {"data": "stripes"})
    return tmp_path / "digits"


def test_images_are_scored_as_arrays_of_bytes_or_floats(digits: Path) -> None:
    model = anogan.load(digits, device="cpu")
    assert isinstance(model, anogan.DigitModel)
    x = stripes(5, SHAPE, seed=3)
    table = model.score(x)
    assert np.array_equal(table["score"], model.detector.anomaly_score(x))
    assert np.array_equal(table["p_value"], model.detector.p_value(x))
    assert (table["verdict"] == np.where(model.detector.predict(x) < 0, "anomaly", "normal")).all()
    as_bytes = np.rint((x + 1) * 127.5).astype(np.uint8)
    assert model.score(as_bytes)["score"].tolist() == model.score(as_bytes / np.float32(127.5) - 1)["score"].tolist()
    x[1] = 2
    assert model.score(x)["verdict"].tolist()[1] == "error"
    with pytest.raises(ValueError, match=r"got images \(5, 1, 8, 8\), expected \(n, 1, 16, 16\)"):
        model.score(np.zeros((5, 1, 8, 8)))


def test_sensors_are_scored_as_file_table_or_recording(pump_run: Path, tmp_path: Path) -> None:
    model = anogan.load(pump_run, device="cpu")
    assert isinstance(model, anogan.SensorModel)
    table = recording(400, seed=5)
    table.loc[200:, "flow"] += 30
    table.to_csv(tmp_path / "day.csv", index=False)
    scored = [model.score(source) for source in (tmp_path / "day.csv", str(tmp_path / "day.csv"), table)]
    scored.append(model.score(model.read(tmp_path / "day.csv")))
    assert scored[0].alarms
    assert len(scored[0].table) == 400
    for other in scored[1:]:
        assert other.table["score"].equals(scored[0].table["score"])
        assert [alarm.peak for alarm in other.alarms] == [alarm.peak for alarm in scored[0].alarms]


def test_photos_are_scored_as_files_or_folders(tmp_path: Path) -> None:
    model = anogan.load(photo_model.save_model(tmp_path / "run"), device="cpu")
    assert isinstance(model, anogan.PhotoModel)
    good, bad = (photo_model.write(tmp_path / "new" / f"{bad}.png", 3, bad) for bad in (False, True))
    (tmp_path / "new" / "broken.png").write_text("no photo")
    table = model.score(tmp_path / "new").set_index("file")
    assert table["verdict"].tolist()[1:] == ["anomaly", "error"]
    assert table.loc["True.png", "regions"] >= 1
    assert "not a readable image" in table.loc["broken.png", "error"]
    assert model.score([good, str(bad)])["score"].tolist() == table["score"].tolist()[:2]
    assert model.score(str(good))["score"].tolist() == table["score"].tolist()[:1]
    with pytest.raises(ValueError, match="holds no image file"):
        model.score(tmp_path / "run")


def test_a_kind_does_not_load_the_runs_of_another(digits: Path, pump_run: Path) -> None:
    for model in (anogan.SensorModel, anogan.PhotoModel):
        with pytest.raises(BundleError, match="was trained on stripes, not on"):
            model.load(Bundle.open(digits))
    with pytest.raises(BundleError, match="not on a data set of images"):
        anogan.DigitModel.load(Bundle.open(pump_run))
    with pytest.raises(ValueError, match="no detector 'knn'"):
        anogan.load(digits, "knn")
