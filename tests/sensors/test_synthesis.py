"""Generated data: what is imitated is the fault, long recordings have no seams, files say what is in them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import recording
from photo_model import save_model

from anogan.cli import main
from anogan.config.runs import SensorRunConfig
from anogan.config.serialise import from_dict
from anogan.config.synthesis import SynthesisConfig
from anogan.errors import AnoganError, SampleError
from anogan.runs.bundle import Bundle
from anogan.runs.directory import Run
from anogan.sensors.healthy import prepare
from anogan.sensors.model import SensorModel
from anogan.sensors.synthesis import SensorSynthesiser, SyntheticWindows, real_windows

FLOW, PRESSURE, NOISE, STILL = range(4)


@pytest.fixture(scope="module")
def model(pump_run: Path) -> SensorModel:
    return SensorModel.load(Bundle.open(pump_run))


@pytest.fixture(scope="module")
def synthesiser(model: SensorModel) -> SensorSynthesiser:
    return SensorSynthesiser.of(model)


def fault(rows: int = 50, offset: float = 1.5) -> pd.DataFrame:
    """The pressure is too high for the load."""
    table = recording(600, seed=9).iloc[300 : 300 + rows].reset_index(drop=True)
    table["pressure"] += offset
    return table


def fault_windows(synthesiser: SensorSynthesiser, n: int = 200, seed: int = 0, rows: int = 50) -> SyntheticWindows:
    return synthesiser.fault_windows(fault(rows).drop(columns="t").to_numpy(), n, seed)


def test_the_seed_decides_what_is_generated(synthesiser: SensorSynthesiser) -> None:
    for make in (
        lambda seed: synthesiser.normal_windows(20, seed).x,
        lambda seed: synthesiser.recording(200, seed),
        lambda seed: fault_windows(synthesiser, 20, seed).x,
    ):
        assert np.array_equal(make(3), make(3))
        assert not np.array_equal(make(3), make(4))


def test_at_the_recorded_operating_point_and_severity_a_fault_is_as_recorded(model: SensorModel) -> None:
    synthesiser = SensorSynthesiser.of(model, config=SynthesisConfig(max_angle=0.0, severities=(1.0, 1.0)))
    windows, rows = fault_windows(synthesiser, 30).x, fault().drop(columns="t").to_numpy()
    recorded = np.lib.stride_tricks.sliding_window_view(rows, windows.shape[2], axis=0)
    nearest = [np.abs(recorded - x).max((1, 2)).min() for x in windows]
    assert max(nearest) < 1e-3


def test_what_the_fault_leaves_alone_stays_normal_and_the_rest_grows_with_severity(
    synthesiser: SensorSynthesiser,
) -> None:
    faulty = fault_windows(synthesiser, 400)
    normal = synthesiser.normal_windows(400, 0).x
    shift = (faulty.x.mean((0, 2)) - normal.mean((0, 2))) / normal.std((0, 2))
    assert shift[PRESSURE] > 2
    assert abs(shift[NOISE]) < 0.5
    assert np.corrcoef(faulty.severity, faulty.x[:, PRESSURE].mean(1))[0, 1] > 0.8
    assert faulty.severity.min() >= 0.5
    assert faulty.severity.max() <= 2


def test_operating_points_vary_more_than_in_the_recorded_event(synthesiser: SensorSynthesiser) -> None:
    assert fault_windows(synthesiser, 400).x[:, FLOW].mean(1).std() > 0
    one = fault_windows(synthesiser, 400, rows=12).x  # a single window: copies of it would not vary at all
    assert one[:, FLOW].mean(1).std() > 1


def test_fewer_rows_than_a_window_are_refused(synthesiser: SensorSynthesiser) -> None:
    with pytest.raises(SampleError, match="got 5 rows of the fault, expected at least 12"):
        fault_windows(synthesiser, 10, rows=5)


def test_a_long_recording_moves_from_row_to_row_as_its_windows_do(synthesiser: SensorSynthesiser) -> None:
    rows = synthesiser.recording(2000, 0)
    windows = synthesiser.normal_windows(1000, 1).x
    assert rows.shape == (2000, 4)
    steps = np.abs(np.diff(rows, axis=0))[:, :3]
    within = np.moveaxis(np.abs(np.diff(windows, axis=2)), 2, 1).reshape(-1, 4)[:, :3]
    assert (steps.mean(0) < 1.15 * within.mean(0)).all()
    assert (np.quantile(steps, 0.99, axis=0) < 1.3 * np.quantile(within, 0.99, axis=0)).all()
    assert len(np.unique(rows[:, FLOW])) > 1500  # it does not go in circles
    counts: list[int] = []
    synthesiser.recording(200, 0, counts.append)
    assert sum(counts) == 200


def test_a_window_that_is_joined_anywhere_would_be_seen(model: SensorModel, synthesiser: SensorSynthesiser) -> None:
    """The test above can fail: where there is nothing to choose from, rows jump at the seams."""
    joined = SensorSynthesiser.of(model, config=SynthesisConfig(candidates=1)).recording(1000, 0)
    matched = synthesiser.recording(1000, 0)
    assert np.abs(np.diff(joined[:, FLOW])).mean() > 1.15 * np.abs(np.diff(matched[:, FLOW])).mean()


def healthy(run: Path, model: SensorModel) -> torch.Tensor:
    config = Run.of(run, SensorRunConfig).config
    return prepare(config, model.read(Path(config.data))).x


def test_corrected_windows_have_the_mean_and_the_covariance_of_real_ones(
    pump_run: Path, model: SensorModel, synthesiser: SensorSynthesiser
) -> None:
    x = healthy(pump_run, model)
    real = real_windows(x, model.scaling)[:, :3].reshape(len(x), -1)
    plain, corrected = (
        one.normal_windows(4000, 5).x[:, :3].reshape(4000, -1) for one in (synthesiser, SensorSynthesiser.of(model, x))
    )
    spread = real.std(0)

    def apart(x: np.ndarray) -> float:
        return float(np.abs(np.corrcoef(x.T) - np.corrcoef(real.T)).mean())

    assert (np.abs(corrected.mean(0) - real.mean(0)) < 0.15 * spread).all()
    assert np.allclose(corrected.std(0), spread, rtol=0.15)
    assert apart(corrected) < 0.3 * apart(plain)


def test_too_few_windows_correct_nothing(pump_run: Path, model: SensorModel, synthesiser: SensorSynthesiser) -> None:
    few = SensorSynthesiser.of(model, healthy(pump_run, model)[:50])
    assert np.array_equal(few.normal_windows(5, 0).x, synthesiser.normal_windows(5, 0).x)


# As a command.


def sample(run: Path, words: str = "") -> int:
    return main.run_command(f"sample {run} --threads 1 {words}".split())


def test_windows_a_recording_and_faults_are_written_with_labels_and_a_manifest(pump_run: Path, tmp_path: Path) -> None:
    fault().to_csv(tmp_path / "high-pressure.csv", index=False)
    words = f"-n 30 --rows 100 --faults {tmp_path / 'high-pressure.csv'} --out {tmp_path / 'out'}"
    assert sample(pump_run, words) == 0
    windows = pd.read_csv(tmp_path / "out" / "windows.csv")
    assert list(windows) == ["window", "row", "label", "severity", "flow", "pressure", "noise", "still"]
    assert windows.groupby("label")["window"].nunique().to_dict() == {"high-pressure": 30, "normal": 30}
    assert (windows.groupby("window").size() == 12).all()
    assert (windows[windows["label"] == "normal"]["severity"] == 0).all()
    long = pd.read_csv(tmp_path / "out" / "recording.csv")
    assert list(long) == ["time", "flow", "pressure", "noise", "still"]
    assert (len(long), long["time"].iloc[-1]) == (100, 99)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["wanted"]["seed"] == 0
    assert from_dict(SynthesisConfig, manifest["wanted"]["synthesis"]) == SynthesisConfig()
    assert manifest["corrected by recorded rows"]
    fault(offset=1.0).to_csv(tmp_path / "high-pressure.csv", index=False)
    with pytest.raises(AnoganError, match=r"other settings \(faults"):
        sample(pump_run, words)
    assert "torch" in manifest["environment"]["versions"]


def test_a_generated_recording_can_be_scored_by_the_model(pump_run: Path, tmp_path: Path, model: SensorModel) -> None:
    assert sample(pump_run, f"--rows 400 --out {tmp_path / 'out'}") == 0
    frame = pd.read_csv(tmp_path / "out" / "recording.csv").rename(columns={"time": "t"})
    frame.to_csv(tmp_path / "generated.csv", index=False)
    generated = model.read(tmp_path / "generated.csv")
    assert np.isfinite(model.scorer().push(generated.time, generated.values).score[50:]).all()


@pytest.mark.parametrize("format", ["csv", "parquet", "npz"])
def test_every_format_holds_the_same_windows(pump_run: Path, tmp_path: Path, format: str) -> None:
    assert sample(pump_run, f"-n 5 --format {format} --out {tmp_path / 'out'}") == 0
    file = tmp_path / "out" / f"windows.{format}"
    if format == "npz":
        with np.load(file, allow_pickle=False) as stored:
            values = stored["x"].transpose(0, 2, 1).reshape(-1, 4)
            assert stored["channels"].tolist() == ["flow", "pressure", "noise", "still"]
    else:
        table = pd.read_csv(file) if format == "csv" else pd.read_parquet(file)
        values = table[["flow", "pressure", "noise", "still"]].to_numpy()
    model = SensorModel.load(Bundle.open(pump_run))
    expected = SensorSynthesiser.of(model, healthy(pump_run, model)).normal_windows(5, 0)
    assert np.allclose(values, expected.x.transpose(0, 2, 1).reshape(-1, 4), rtol=1e-5)


def test_the_same_again_writes_nothing_and_other_settings_overwrite_nothing(
    pump_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sample(pump_run, f"-n 5 --out {tmp_path}") == 0
    before = (tmp_path / "windows.csv").read_bytes()
    assert sample(pump_run, f"-n 5 --out {tmp_path}") == 0
    assert "already holds" in capsys.readouterr().out
    with pytest.raises(AnoganError, match=r"other settings \(n, seed\); choose another --out"):
        sample(pump_run, f"-n 6 --seed 1 --out {tmp_path}")
    assert (tmp_path / "windows.csv").read_bytes() == before


@pytest.mark.slow
def test_a_report_compares_with_the_runs_own_rows(pump_run: Path, tmp_path: Path) -> None:
    fault().to_csv(tmp_path / "high.csv", index=False)
    assert sample(pump_run, f"-n 50 --faults {tmp_path / 'high.csv'} --report --out {tmp_path / 'out'}") == 0
    page = (tmp_path / "out" / "index.html").read_text()
    learned = pd.read_csv(tmp_path / "out" / "tables" / "does-it-teach-the-faults.csv")
    assert learned["learned from"].tolist() == ["recorded", "jittered", "Gaussian", "generated"]
    assert learned.set_index("learned from").loc["generated"].item() > 0.9
    assert all(name in page for name in ("pressure", "held-out real", "jittered copies", "Gaussian samples"))


def test_a_run_whose_data_are_gone_says_so(pump_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    moved = Path(shutil.copytree(pump_run, tmp_path / "run"))
    config = json.loads((moved / "config.json").read_text())
    (moved / "config.json").write_text(json.dumps(config | {"data": str(tmp_path / "gone.csv")}))
    assert sample(moved, f"-n 5 --out {tmp_path / 'out'}") == 0
    assert "generated rows are not corrected by recorded ones" in capsys.readouterr().err
    with pytest.raises(AnoganError, match=r"gone\.csv, which the run was trained on, no longer exists"):
        sample(moved, f"-n 5 --report --out {tmp_path / 'other'}")


def test_without_a_number_a_thousand_windows_are_written_unless_a_recording_is(pump_run: Path, tmp_path: Path) -> None:
    assert sample(pump_run, f"--out {tmp_path / 'windows'}") == 0
    assert pd.read_csv(tmp_path / "windows" / "windows.csv")["window"].nunique() == 1000
    assert sample(pump_run, f"--rows 50 --out {tmp_path / 'rows'}") == 0
    assert {file.name for file in (tmp_path / "rows").iterdir()} == {"recording.csv", "manifest.json"}


def test_images_are_written_with_their_labels(tmp_path: Path) -> None:
    run = save_model(tmp_path / "run")
    assert sample(run, "-n 4") == 0
    labels = pd.read_csv(run / "generated" / "labels.csv")
    assert labels["label"].tolist() == ["normal"] * 4
    assert all((run / "generated" / file).read_bytes().startswith(b"\x89PNG") for file in labels["file"])
    assert sample(run, f"-n 4 --format npz --out {tmp_path / 'npz'}") == 0
    with np.load(tmp_path / "npz" / "images.npz", allow_pickle=False) as stored:
        assert stored["x"].shape == (4, 1, 16, 16)


def test_a_grid_of_images_is_drawn_where_no_samples_are_and_beside_them_on_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = save_model(tmp_path / "run") / "generated"
    assert sample(tmp_path / "run") == 0
    grid = (out / "generated_photos_grid.png").read_bytes()
    assert [file.name for file in out.iterdir()] == ["generated_photos_grid.png"]
    assert sample(tmp_path / "run", "--seed 1") == 0
    assert (out / "generated_photos_grid.png").read_bytes() != grid
    assert sample(tmp_path / "run", f"-n 2 --out {tmp_path / 'samples'}") == 0
    assert not list((tmp_path / "samples").glob("*.png"))
    assert sample(tmp_path / "run", f"-n 2 --grid 4 --out {tmp_path / 'samples'}") == 0
    assert (tmp_path / "samples" / "generated_photos_grid.png").read_bytes() == grid
    assert "already holds" in capsys.readouterr().out


def test_who_names_a_format_wants_samples(tmp_path: Path) -> None:
    assert sample(save_model(tmp_path / "run"), "--format npz") == 0
    with np.load(tmp_path / "run" / "generated" / "images.npz", allow_pickle=False) as stored:
        assert len(stored["x"]) == 1000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("-n -1", "expected --n of at least 0, got -1"),
        ("--format png", "a model of sensors writes csv or parquet or npz, not png"),
        ("--faults {f}/missing.csv", "missing.csv is not a readable table"),
        ("--faults {f}/short.csv", "has 20 rows, expected at least 50 of the fault"),
        ("--faults {f}/dumb.csv", "pressure"),
        ("--faults {f}/a/one.csv {f}/b/one.csv", "different names"),
        ("--faults {f}/normal.csv", "different names"),
    ],
)
def test_what_cannot_be_made_is_told_in_one_line_and_nothing_is_written(
    pump_run: Path, tmp_path: Path, words: str, message: str
) -> None:
    fault(rows=20).to_csv(tmp_path / "short.csv", index=False)
    fault().drop(columns="pressure").to_csv(tmp_path / "dumb.csv", index=False)
    for name in ("a/one.csv", "b/one.csv", "normal.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        fault().to_csv(tmp_path / name, index=False)
    with pytest.raises((AnoganError, ValueError), match=message):
        sample(pump_run, f"{words.format(f=tmp_path)} --out {tmp_path / 'out'}")
    assert not (tmp_path / "out").exists()
