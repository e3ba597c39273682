"""An exported model says what Python says, from pixels or rows to the verdict, without torch and this package."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import quick, recording, stripes
from PIL import Image

from anogan.cli import main
from anogan.detectors import LocatorGAN
from anogan.errors import ExportError, SampleError
from anogan.photos.model import PhotoModel, about_photos, tail_levels
from anogan.pictures.files import read_photo, to_unit_range
from anogan.pictures.framing import Framing
from anogan.pictures.verdicts import Inspection
from anogan.runs import bundle
from anogan.runs.bundle import Bundle
from anogan.sensors.model import SensorModel
from anogan.sensors.scoring import fill

needed = [name for name in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(needed), reason=f"the extra 'onnx' is not installed: {', '.join(needed)}")
if not needed:
    import onnx
    import onnxruntime

    from anogan.export import parity
    from anogan.export.export import export, graph_of
    from anogan.export.graph import OUTPUTS, SampleGraph
    from anogan.export.parity import inputs_of
    from anogan.export.photos import LUMINANCE, PhotoGraph, usual_size
    from anogan.export.sensors import SensorGraph

GUIDE = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text()
COMPARED_SAMPLES = 0 if needed else parity.COMPARED_SAMPLES
SIDE = 16  # pixels of a sample of the tiny models of photos


@pytest.fixture(scope="module", autouse=True)
def few_samples() -> Iterator[None]:
    """Three batches are compared and two rounds are timed, for speed."""
    with pytest.MonkeyPatch.context() as patch:
        if not needed:
            patch.setattr(parity, "COMPARED_SAMPLES", 72)
            patch.setattr(parity, "ROUNDS", 2)
        yield


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run on images and model.onnx, exported by the command; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("images")
    run = save_samples(folder / "run", "fanogan")
    assert main.run_command(["export", str(run), "--onnx", str(folder / "model.onnx")]) == 0
    return folder


def save_samples(folder: Path, name: str, shape: tuple[int, ...] = (1, 28, 28)) -> Path:
    detector = quick(name).fit(stripes(64, shape))
    bundle.save(folder / "bundle", detector.gan_, {name: detector}, "digits", {"data": "stripes"})  # type: ignore[dict-item]
    return folder


def locator(channels: int, **changes: Any) -> LocatorGAN:
    return quick("locatorgan", **changes).fit(stripes(40, (channels, SIDE, SIDE)))  # type: ignore[return-value]


def save_photos(folder: Path, detector: LocatorGAN, framing: Framing, data: str = "photos") -> Path:
    maps = detector.anomaly_map(stripes(20, framing.shape, seed=1))
    model = PhotoModel(detector, framing, tail_levels(maps), maps.max((1, 2, 3)).astype(np.float64))
    about = {"data": data, "photos": about_photos({"locatorgan": model})}
    bundle.save(folder / "bundle", detector.gan_, {"locatorgan": detector}, "photos", about)
    return folder


def exported(run: Path, file: Path, **options: Any) -> Any:
    export(Bundle.open(run), graph_of(Bundle.open(run), **options), file)
    return onnxruntime.InferenceSession(file)


def said(session: Any, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(OUTPUTS, session.run(list(OUTPUTS), inputs), strict=True))


def pixels(n: int, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Bytes (n, *shape) of stripes, every second sample with a block in it."""
    x = np.rint((stripes(n, shape, seed) + 1) * 127.5).astype(np.uint8)
    x[1::2, ..., 4:11, 5:12] = 250
    return x


@pytest.mark.slow
@pytest.mark.parametrize("name", ["neighbourgan", "fanogan", "subspacegan"])
def test_samples_get_pythons_verdicts_in_batches_of_any_size(name: str, images: Path, tmp_path: Path) -> None:
    """Images as bytes, anything else as floats."""
    shape = (2, 50) if name == "subspacegan" else (1, 28, 28)
    if name == "fanogan":
        run, session = images / "run", onnxruntime.InferenceSession(images / "model.onnx")
    else:
        run = save_samples(tmp_path / "run", name, shape)
        session = exported(run, tmp_path / "model.onnx")
    detector = Bundle.open(run).detector(device="cpu")
    for n in (1, 7, 64):
        x = pixels(n, shape, seed=n)
        unit = to_unit_range(x)
        got, expected = said(session, x=x if len(shape) == 3 else unit), detector.explain(unit)
        assert got["score"] == pytest.approx(expected.score, rel=1e-3, abs=1e-3)
        assert got["p_value"] == pytest.approx(detector.p_value(unit), abs=0.06)  # of 19, one more or less
        assert np.array_equal(got["anomaly"], detector.predict(unit) == -1)
        assert np.allclose(got["anomaly_map"], expected.anomaly_map, atol=1e-4)
        assert np.allclose(got["reconstruction"], expected.reconstruction, atol=1e-5)
    assert got["threshold"] == detector.threshold_
    assert got["anomaly"].any()


FRAMINGS = {
    "whole, cropped": ((1, SIDE, SIDE), (9, 4, 40, 44), None, (51, 55)),
    "as large as a sample": ((3, SIDE, SIDE), (), None, (SIDE, SIDE)),
    "tiles": ((3, SIDE, SIDE), (), 0.25, (41, 50)),
}


@pytest.mark.slow
@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)
def test_photos_get_pythons_verdicts_maps_and_reconstructions(framing: tuple[Any, ...], tmp_path: Path) -> None:
    shape, crop, overlap, (height, width) = framing
    detector = locator(shape[0], augment=("flip",) if crop else ())
    run = save_photos(tmp_path / "run", detector, Framing(shape, crop, overlap))
    session = exported(run, tmp_path / "model.onnx", photo_size=(width, height))
    photos = np.moveaxis(pixels(4, (3, height, width), seed=2), 1, 3)
    photos[..., 1] //= 2  # a colour, so that grey is a choice
    files = [tmp_path / f"{i}.png" for i in range(len(photos))]
    for file, photo in zip(files, photos, strict=True):
        Image.fromarray(photo).save(file)
    model = PhotoModel.load(Bundle.open(run), device="cpu")
    expected = model.inspect([read_photo(file, shape[0]) for file in files])
    got = said(session, photo=photos)
    for i, one in enumerate(expected):
        assert isinstance(one, Inspection)
        assert got["score"][i] == pytest.approx(one.score, rel=1e-4)
        assert (got["p_value"][i], got["anomaly"][i]) == (one.p_value, one.anomaly)
        assert np.allclose(got["anomaly_map"][i], one.map, atol=1e-4)
        assert np.allclose(got["reconstruction"][i], one.reconstruction, atol=1e-5)


@pytest.mark.slow
def test_a_live_stream_gets_the_scores_of_the_monitor(pump_run: Path, tmp_path: Path) -> None:
    session = exported(pump_run, tmp_path / "model.onnx")
    model = SensorModel.load(Bundle.open(pump_run), device="cpu")
    table = recording(300, seed=4)
    table.loc[250:, "pressure"] += 2
    table.loc[160:190, "flow"] = np.nan
    values = table[list(model.channels)].to_numpy()
    expected = model.scorer().push(table["t"].to_numpy(float), values).score
    length = int(session.get_modelmeta().custom_metadata_map["rows"])
    assert length == 144
    average = expected[198:199]
    for row in range(199, 300):
        got = said(session, rows=values[None, row - length + 1 : row + 1], average=average)
        average = got["score"]
        assert average == pytest.approx(expected[row], rel=1e-4)
        assert got["anomaly"] == (expected[row] > model.rule.threshold)
    assert got["anomaly"].all()


def test_missing_rows_are_filled_as_in_python(pump_run: Path) -> None:
    graph = graph_of(Bundle.open(pump_run))
    assert isinstance(graph, SensorGraph)
    stream = np.random.default_rng(0)
    rows = stream.standard_normal((5, graph.length, 3))
    rows[stream.random(rows.shape) < 0.7] = np.nan
    filled = graph._filled(torch.from_numpy(rows)).numpy()
    assert np.array_equal(filled, np.stack([fill(one, np.zeros(3)) for one in rows]))


def test_every_colour_becomes_pillows_grey() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), np.uint8)
    weighed = (torch.from_numpy(colours).float() * torch.tensor(LUMINANCE)).sum(2)
    expected = np.asarray(Image.fromarray(colours).convert("L"))
    assert np.array_equal(((weighed + 32768) / 65536).floor().numpy(), expected)


def test_tiles_in_the_graph_are_those_of_the_framing() -> None:
    framing = Framing((3, SIDE, SIDE), overlap=0.25)
    model = PhotoModel(locator(3), framing, np.linspace(0, 1, 121), np.ones(1))
    graph = PhotoGraph(model, (41, 50))
    photo = np.random.default_rng(0).uniform(-1, 1, (3, 41, 50)).astype(np.float32)
    tiles = graph._tiles(torch.from_numpy(photo)[None])
    assert np.array_equal(tiles, framing.samples(photo))
    assert graph.parts == 16
    assert graph.reach == (43, 52)  # what is missing is there by reflection
    stitched = graph._stitched(tiles)[0].numpy()
    assert np.allclose(stitched, photo, atol=1e-6)


def test_a_score_as_high_as_a_held_out_one_counts_it_and_is_no_anomaly_at_the_threshold() -> None:
    detector = quick("fanogan").fit(stripes(64, (1, 28, 28)))
    scores = np.concatenate([detector.calibration_scores_, np.nextafter(detector.calibration_scores_, np.inf), [-9, 9]])
    _, p_value, _, anomaly, *_ = SampleGraph(detector).judged(torch.from_numpy(scores), torch.empty(0), torch.empty(0))
    expected = SampleGraph(detector).told(scores, np.empty(0), np.empty(0))
    assert np.array_equal(p_value, expected.p_value)
    assert np.array_equal(anomaly, expected.anomaly)
    assert 0 < expected.anomaly.sum() < len(scores)


def test_the_file_tells_what_made_it_and_how_close_it_is_but_not_where(images: Path) -> None:
    about = onnxruntime.InferenceSession(images / "model.onnx").get_modelmeta().custom_metadata_map
    assert about["bundle_sha256"] == Bundle.open(images / "run").digest
    assert float(about["max_difference_score"]) <= float(about["tolerance"])
    assert (about["kind"], about["detector"], about["compared"]) == ("digits", "fanogan", "72")
    assert about["input"] == "x: uint8 0-255, (n, 1, 28, 28)"
    content = (images / "model.onnx").read_bytes()
    assert b"graph.py" not in content
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    assert sorted(path.name for path in images.iterdir()) == ["model.onnx", "run"]


@pytest.mark.slow
def test_the_same_model_gives_the_same_file(images: Path, tmp_path: Path) -> None:
    exported(images / "run", tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == (images / "model.onnx").read_bytes()


class Wrong:
    """An exported model with one output changed."""

    def __init__(self, session: Any, output: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
        self.session, self.output, self.change = session, output, change

    def run(self, names: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        found = dict(zip(names, self.session.run(names, inputs), strict=True))
        return list((found | {self.output: self.change(found[self.output])}).values())


WRONG: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "score": lambda score: score + 1,
    "p_value": lambda p: p + 1e-12,
    "anomaly": np.logical_not,
    "anomaly_map": lambda places: places * np.nan,
    "reconstruction": lambda x_hat: x_hat + np.float32(0.01),
}


@pytest.mark.parametrize("output", WRONG)
def test_a_model_that_differs_is_not_written(
    output: str, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Wrong(onnxruntime.InferenceSession(images / "model.onnx"), output, WRONG[output])
    (tmp_path / "model.onnx").write_text("an earlier one")
    monkeypatch.setattr("anogan.export.export._traced", lambda *_: onnx.load(images / "model.onnx"))
    monkeypatch.setattr("anogan.export.export._session", lambda _: session)
    with pytest.raises(ExportError, match="nothing was written"):
        export(Bundle.open(images / "run"), graph_of(Bundle.open(images / "run")), tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_text() == "an earlier one"
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_a_thousand_samples_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "COMPARED_SAMPLES", COMPARED_SAMPLES)
    graph = SampleGraph(quick("fanogan").fit(stripes(64, (1, 28, 28))))
    assert inputs_of(graph) == sum(parity._batches(graph)) == 1000
    assert {1, 7, 64} <= set(parity._batches(graph))


def test_a_detector_that_searches_is_refused_by_naming_one_that_does_not(tmp_path: Path) -> None:
    searching, encoding = quick("anogan").fit(stripes(64, (1, 28, 28))), quick("fanogan").fit(stripes(64, (1, 28, 28)))
    bundle.save(
        tmp_path / "bundle", encoding.gan_, {"anogan": searching, "fanogan": encoding}, "digits", {"data": "stripes"}
    )
    with pytest.raises(ValueError, match=r"anogan searches z for every sample, .*; take --detector fanogan"):
        graph_of(Bundle.open(tmp_path))
    assert graph_of(Bundle.open(tmp_path), "fanogan").kind == "digits"
    with pytest.raises(ValueError, match=r"no detector 'hybrid' in .*; choose from anogan, fanogan"):
        graph_of(Bundle.open(tmp_path), "hybrid")
    with pytest.raises(ValueError, match="--photo-size is for models of photos"):
        graph_of(Bundle.open(tmp_path), "fanogan", (64, 64))
    bundle.save(tmp_path / "bundle", searching.gan_, {"anogan": searching}, "digits", {"data": "stripes"})
    with pytest.raises(ValueError, match="train with --detectors fanogan"):
        graph_of(Bundle.open(tmp_path))


def test_photos_have_the_size_of_most_training_photos(tmp_path: Path) -> None:
    detector = locator(1)
    for i, size in enumerate([(40, 41), (41, 40), (40, 41)]):
        Image.new("L", size).save(tmp_path / f"{i}.png")
    (tmp_path / "broken.png").write_text("no photo")
    run = save_photos(tmp_path / "run", detector, Framing((1, SIDE, SIDE)), str(tmp_path))
    assert usual_size(Bundle.open(run)) == (41, 40)
    assert graph_of(Bundle.open(run)).about()["input"] == "photo: uint8 0-255, red green blue, (n, 41, 40, 3)"
    with pytest.raises(SampleError, match="size 90x30 has other proportions than 16x16; crop it"):
        graph_of(Bundle.open(run), photo_size=(90, 30))
    save_photos(tmp_path / "run", detector, Framing((1, SIDE, SIDE)), str(tmp_path / "gone"))
    with pytest.raises(ValueError, match=r"no longer exist .*gone is not a folder\): give --photo-size"):
        graph_of(Bundle.open(run))


BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "anogan"):
            raise ImportError(name + " is not to be needed")
sys.meta_path.insert(0, Blocked())
"""


def test_the_command_shows_one_table(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("anogan.export.export._traced", lambda *_: onnx.load(images / "model.onnx"))
    assert main.run_command(["export", str(images / "run"), "--onnx", str(tmp_path / "again.onnx")]) == 0
    out, err = capfd.readouterr()
    assert re.fullmatch(r"compare: 72 in [\d.]+ s\n", err)
    assert out.splitlines()[0].split() == ["samples", "compared", "72"]
    assert out.splitlines()[-1] == str(tmp_path / "again.onnx")


def test_the_readmes_example_needs_neither_torch_nor_this_package(images: Path, tmp_path: Path) -> None:
    run = images / "run"
    shutil.copy(images / "model.onnx", tmp_path)
    example = next(code for code in re.findall(r"```python.*?\n(.*?)```", GUIDE, re.S) if "onnxruntime" in code)
    assert len(example.splitlines()) <= 10
    x = pixels(64, (1, 28, 28), seed=64)
    np.save(tmp_path / "images.npy", x)
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED + example], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    flagged = np.flatnonzero(Bundle.open(run).detector().predict(to_unit_range(x)) == -1)
    assert [int(line.split()[0]) for line in done.stdout.splitlines()] == flagged.tolist() != []
    assert done.stderr == ""


def test_without_the_extra_the_command_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "anogan.export.export", raising=False)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ValueError, match=re.escape("pip install 'anogan[onnx]'")):
        main.run_command(["export", str(tmp_path), "--onnx", "model.onnx"])


@pytest.mark.slow
def test_the_command_exports_in_a_process_of_its_own(images: Path, tmp_path: Path) -> None:
    """Where nothing has been scored before."""
    command = [sys.executable, "-m", "anogan", "export", str(images / "run"), "--onnx", str(tmp_path / "model.onnx")]
    done = subprocess.run([*command, "--threads", "1"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "verdicts that differ" in done.stdout
    assert (tmp_path / "model.onnx").exists()
