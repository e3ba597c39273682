"""The commands as a user runs them, on scikit-learn's digits and small networks."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import subprocess
import sys
import time
import typing
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import ENVIRONMENT, anogan, refusal, size
from PIL import Image

from anogan.cli import main
from anogan.cli.commands import data, demo
from anogan.cli.options import vars_of
from anogan.cli.options.help import rare, texts
from anogan.cli.options.others import Data, Demo
from anogan.cli.options.training import Train, TrainPhotos, TrainSensors
from anogan.config.presets import PRESETS
from anogan.config.runs import DigitRunConfig
from anogan.detectors import NeighbourGAN
from anogan.digits import idx
from anogan.digits.datasets import DATASETS, load_dataset
from anogan.digits.splits import one_vs_rest
from anogan.errors import DataUnavailableError

WORDS = """--preset digits --gan.width 8 --gan.steps 100 --gan.batch-size 32 --gan.latent-dim 16 --encoder.steps 50
--encoder.batch-size 32 --search.steps 10 --hybrid.steps 3"""
SMALL = WORDS.split()


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run through train and score, shared; tests only read it or add files."""
    folder = tmp_path_factory.mktemp("runs")
    done = anogan("train", *SMALL, "--out", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "run/bundle"
    done = anogan("score", "run", "digits", "--subset", "36", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    images = load_dataset("digits")
    for i in range(5):
        Image.fromarray(images.x_test[i, 0]).save(folder / f"digit-{i}.png")
    return folder


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["trian"], "unknown command 'trian'; choose from demo, train"),
        (["train", "--gan.stps", "3"], "Unrecognized options: --gan.stps, 3; near: --gan.steps"),
        (["train", "--gan.steps", "many"], "--gan.steps"),
        (["train", "--gan.steps", "0"], "gan.steps must be >= 1, got 0"),
        (["train", "--gan.loss", "magic"], "non_saturating"),
        (["train", "--preset", "magic"], "'default', 'digits', 'papers', 'notebook'"),
        (["train", "--data", "cifar"], "choose from mnist, fashion-mnist, digits"),
        (["train", "--data", "digits", "--normal", "x"], "unknown normal class 'x'"),
        (["data", "cifar"], "choose from mnist, fashion-mnist, digits"),
        (["demo", "cats"], "'cats'"),
        (["demo", "sensors", "--normal", "5"], "--normal and --data-root are for the demo of digits"),
        (["score"], "RUN"),
        (["score", "run"], "nothing to score: give files, a folder, a recording or the name of a data set"),
        (["train", "--data", "missing.csv"], "missing.csv is not a readable table: No such file or directory"),
        (["score", "nowhere", "nothing.png"], "nowhere holds no trained model"),
        (["report", "nowhere"], "is not a run directory"),
        (["sample", "nowhere"], "holds no trained model"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_call_gets_one_clear_line_and_status_2(tmp_path: Path, args: list, expected: str) -> None:
    assert expected in refusal(*args, cwd=tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_line_is_the_same_on_a_terminal_without_box_drawing() -> None:
    command = [sys.executable, "-m", "anogan", "train", "--gan.stps", "3"]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT | {"PYTHONIOENCODING": "ascii"})
    assert done.stderr.startswith("anogan: Unrecognized options: --gan.stps, 3; near: --gan.steps")
    assert done.stderr.count("\n") == 1


def test_help_names_every_command_and_every_command_has_help() -> None:
    done = anogan("--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in main.COMMANDS)
    done = anogan("train", "--help")
    assert done.returncode == 0
    assert "--gan.steps" in done.stdout
    assert anogan("--version").stdout.startswith("anogan ")


def test_a_class_that_is_too_small_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    done = anogan("train", "--data", "digits", "--holdout", "0.95", "--out", "r", cwd=tmp_path)
    assert done.returncode == 2
    assert "has 122 training images; expected at least 16 to train on" in done.stderr
    assert not list(tmp_path.iterdir())


def test_results_and_scores_have_the_promised_form(trained: Path) -> None:
    results = json.loads((trained / "results.json").read_text())
    assert (results["data"], results["normal"]) == ("digits", "3")
    assert list(results["detectors"]) == ["neighbourgan", "fanogan", "anogan", "hybrid"]
    for name, result in results["detectors"].items():
        low, high = result["auroc_ci"]
        assert 0 <= low <= result["auroc"] <= high <= 1
        assert {"auprc", "n_test", "false_alarm_rate", "per_class"} <= set(result)
        assert result["n_test"] == (36 if name in ("anogan", "hybrid") else 599)
    assert results["false_alarm_rate"]["promised"] == 0.05
    assert {"gan", "encoder", "score fanogan"} <= set(results["seconds"])
    scores = pd.read_csv(trained / "scores.csv")
    for name, table in scores.groupby("detector"):
        share = (table.verdict[table.anomalous == 0] == "anomaly").mean()
        assert results["detectors"][name]["false_alarm_rate"]["achieved"] == pytest.approx(share)
        assert ((table.p_value <= 0.05) == (table.verdict == "anomaly")).all()


def test_the_subset_of_a_searching_detector_is_half_normal(trained: Path) -> None:
    scores = pd.read_csv(trained / "scores.csv")
    assert scores[scores.detector == "anogan"].anomalous.mean() == 0.5


def test_files_are_scored_as_the_data_set_is(trained: Path, photos: Path, tmp_path: Path) -> None:
    done = anogan("score", trained, photos, "--out", tmp_path / "s.csv", "--maps", tmp_path / "maps")
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "s.csv")
    assert list(table.columns) == [
        "file",
        "score",
        "p_value",
        "verdict",
        *NeighbourGAN().terms,
        "error",
    ]
    scores = pd.read_csv(trained / "scores.csv")
    expected = scores[(scores.detector == "neighbourgan") & (scores.row < 5)].score
    assert np.allclose(table.score, expected, rtol=1e-5)
    assert sorted(p.name for p in (tmp_path / "maps").iterdir()) == [f"digit-{i}.png.map.png" for i in range(5)]
    assert size(tmp_path / "maps" / "digit-0.png.map.png") == (112, 112)


def test_a_bad_file_gets_its_own_row_and_line_and_the_rest_is_scored(
    trained: Path, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_text("no image")
    Image.new("L", (30, 28)).save(tmp_path / "b.png")
    out = tmp_path / "s.csv"
    done = anogan("score", trained, tmp_path / "a.png", photos, tmp_path / "b.png", "--out", out)
    assert done.returncode == 2
    assert "a.png: not a readable image" in done.stderr
    assert "b.png: size 30x28, expected 28x28" in done.stderr
    table = pd.read_csv(out)
    assert table.verdict.tolist().count("error") == 2
    assert table.score.notna().sum() == 5
    assert anogan("score", trained, photos, tmp_path / "b.png", "--resize", "--out", out).returncode == 0


def test_only_fail_on_anomaly_turns_a_verdict_into_a_status(trained: Path, tmp_path: Path) -> None:
    scores = pd.read_csv(trained / "scores.csv")
    worst = scores[scores.detector == "neighbourgan"].sort_values("score").row.iloc[-1]
    Image.fromarray(load_dataset("digits").x_test[worst, 0]).save(tmp_path / "worst.png")
    arguments = ["score", trained, tmp_path / "worst.png", "--out", tmp_path / "s.csv"]
    assert anogan(*arguments).returncode == 0
    assert pd.read_csv(tmp_path / "s.csv").verdict.tolist() == ["anomaly"]
    assert anogan(*arguments, "--fail-on-anomaly").returncode == 1


def test_an_empty_folder_is_refused(trained: Path, tmp_path: Path) -> None:
    done = anogan("score", trained, tmp_path)
    assert done.returncode == 2
    assert "holds no image file" in done.stderr


def test_a_flipped_byte_in_the_bundle_is_one_line(trained: Path, photos: Path, tmp_path: Path) -> None:
    for file in (trained / "bundle").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = bytearray((tmp_path / "generator.safetensors").read_bytes())
    weights[-5] ^= 1
    (tmp_path / "generator.safetensors").write_bytes(weights)
    done = anogan("score", tmp_path, photos, "--out", tmp_path / "s.csv")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "has been changed since it was written" in done.stderr


def test_pictures_of_samples_depend_on_the_seed_alone(trained: Path, tmp_path: Path) -> None:
    def sheets(name: str, seed: int) -> dict[str, bytes]:
        out = tmp_path / name
        done = anogan("sample", trained, "--out", out, "--interpolations", 2, "--seed", seed)
        assert done.returncode == 0, done.stderr
        return {file.name: file.read_bytes() for file in out.iterdir()}

    first, again, other = sheets("a", 0), sheets("b", 0), sheets("c", 1)
    assert set(first) == {"generated_digits_grid.png", "interpolations.png"}
    assert first == again
    assert all(first[name] != other[name] for name in first)
    assert size(tmp_path / "a" / "generated_digits_grid.png") == (4 * (4 * 30 - 2),) * 2


def test_a_finished_run_is_not_trained_again(trained: Path) -> None:
    before = (trained / "bundle" / "bundle.json").stat().st_mtime
    done = anogan("train", *SMALL, "--out", trained)
    assert done.returncode == 0
    assert "already trained" in done.stdout
    assert (trained / "bundle" / "bundle.json").stat().st_mtime == before
    done = anogan("train", *SMALL, "--seed", "9", "--out", trained)
    assert done.returncode == 2
    assert "other settings (seed)" in done.stderr


def hashes(run: Path) -> dict[str, str]:
    files = [*sorted((run / "bundle").iterdir()), run / "metrics.jsonl", *sorted((run / "samples").iterdir())]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def last_step(run: Path, stage: str) -> int:
    """The last logged step of a stage; a line being written is not counted."""
    file = run / "metrics.jsonl"
    lines = [line for line in file.read_text().split("\n")[:-1]] if file.exists() else []
    return max([json.loads(line)["step"] for line in lines if json.loads(line)["stage"] == stage], default=0)


@pytest.mark.slow
def test_a_training_killed_at_any_moment_resumes_and_ends_bit_for_bit_the_same(tmp_path: Path) -> None:
    """A real process, kill -9 in each stage, no warning given."""
    settings = [*SMALL, "--gan.steps", "400", "--encoder.steps", "300", "--checkpoint-seconds", "0"]
    assert anogan("train", *settings, "--out", "whole", cwd=tmp_path).returncode == 0
    arguments = [sys.executable, "-m", "anogan", "train", *settings, "--out", "killed", "--resume"]
    for stage, step in (("gan", 150), ("encoder", 100)):
        process = subprocess.Popen(arguments, cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while last_step(tmp_path / "killed", stage) < step and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not (tmp_path / "killed" / "bundle").exists()
    done = anogan("train", *settings, "--out", "killed", cwd=tmp_path)
    assert done.returncode == 2
    assert "holds an unfinished run; continue it with --resume" in done.stderr
    done = anogan("train", "--resume", "--out", "killed", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert hashes(tmp_path / "killed") == hashes(tmp_path / "whole")


@pytest.mark.slow
def test_ctrl_c_is_one_line_and_status_130(tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "anogan", "train", *SMALL, "--gan.steps", "100000", "--out", "r"]
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # in the background tests are deaf to it
    process = subprocess.Popen(
        arguments, cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True, preexec_fn=heard
    )
    while last_step(tmp_path / "r", "gan") < 50 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    try:
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "interrupted" in error
    assert "Traceback" not in error


def test_a_diverging_training_is_one_line(tmp_path: Path) -> None:
    done = anogan("train", *SMALL, "--gan.learning-rate", "1e30", "--out", "r", cwd=tmp_path)
    assert done.returncode == 2
    assert "training diverged at step" in done.stderr
    assert "Traceback" not in done.stderr


def small_demo(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    options = main.parse_train(SMALL)
    config = DigitRunConfig(**vars_of(options))
    monkeypatch.setattr(demo, "PRESETS", {"default": demo.PRESETS["default"], "digits": config})
    monkeypatch.chdir(folder)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::anogan.errors.TrainingWarning")
def test_the_demo_falls_back_to_digits_and_says_so_everywhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    def unreachable(root: str | None) -> None:
        raise DataUnavailableError("mnist could not be fetched")

    monkeypatch.setitem(DATASETS, "mnist", unreachable)
    small_demo(monkeypatch, tmp_path)
    assert demo.run(Demo(normal="5")) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1] == "reports/demo/index.html"
    assert "scikit-learn's 1,797 small digits instead" in captured.err
    results = json.loads((tmp_path / "runs/demo/results.json").read_text())
    assert (results["data"], results["normal"]) == ("digits", "5")
    assert "small digits instead" in (tmp_path / "reports/demo/index.html").read_text().split("<h2>")[0]

    # Again: nothing is trained or scored anew. With another digit: the demo's own folder is replaced.
    monkeypatch.setattr("anogan.runs.training.train", lambda *_: pytest.fail("trained again"))
    assert demo.run(Demo(normal="5")) == 0
    monkeypatch.undo()
    monkeypatch.setitem(DATASETS, "mnist", unreachable)
    small_demo(monkeypatch, tmp_path)
    assert demo.run(Demo(normal="6")) == 0
    assert json.loads((tmp_path / "runs/demo/results.json").read_text())["normal"] == "6"


def test_train_without_data_stops_and_says_how_to_get_the_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nowhere = replace(idx.MNIST, fetchers=())
    monkeypatch.setitem(DATASETS, "mnist", lambda root: idx.load_idx(nowhere, str(tmp_path)))
    assert "Put train-images-idx3-ubyte.gz and its three companions into" in refusal("train", cwd=tmp_path)
    assert not list(tmp_path.iterdir())


def test_data_shows_what_is_in_a_set(capsys: pytest.CaptureFixture) -> None:
    assert data.run(Data("digits")) == 0
    assert "1198   599" in capsys.readouterr().out


def test_a_run_without_detectors_trains_the_gan_alone_and_samples(tmp_path: Path) -> None:
    """As the notebook preset does: all classes normal, nothing held out."""
    settings = ["--detectors", "--holdout", "0", "--normal", "all", "--gan.ema", "0.9"]
    done = anogan("train", *SMALL, *settings, "--out", "r", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {file.name for file in (tmp_path / "r/bundle").iterdir()} == {
        "bundle.json",
        "calibration.safetensors",
        "discriminator.safetensors",
        "generator.safetensors",
    }
    assert anogan("sample", "r", cwd=tmp_path).stdout.strip() == "r/generated/generated_digits_grid.png"
    done = anogan("score", "r", "x.png", cwd=tmp_path)
    assert done.returncode == 2
    assert one_vs_rest(load_dataset("digits"), "all").y_test.sum() == 0


def test_output_that_nobody_reads_on_is_no_error() -> None:
    command = [sys.executable, "-m", "anogan", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def help_of(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as end:
        main.run_command(command.split())
    assert end.value.code == 0
    return capsys.readouterr().out


TRAINED = {"train": Train, "train --data pump.csv": TrainSensors, "train --data .": TrainPhotos}


@pytest.mark.parametrize(("command", "cls"), [*main.COMMANDS.items(), *list(TRAINED.items())[1:]])
def test_help_tells_of_every_option_in_one_piece(command: str, cls: type, capsys: pytest.CaptureFixture[str]) -> None:
    shown = " ".join(help_of(f"{command} --help-all", capsys).replace("│", " ").split())
    assert "{None" not in shown
    assert "(default: None)" not in shown
    for option, text in explained(cls):
        assert text, f"{option} is not explained"
        assert text in shown, option


def explained(cls: type) -> Iterator[tuple[str, str]]:
    """What the source says of every option."""
    hints, told = typing.get_type_hints(cls), texts(cls)
    assert rare(cls) <= {f.name for f in fields(cls)} >= {*getattr(cls, "common", ())}
    for name in (f.name for f in fields(cls)):
        yield from explained(hints[name]) if is_dataclass(hints[name]) else [(name, told.get(name, ""))]


@pytest.mark.parametrize("command", TRAINED)
def test_plain_help_shows_what_most_need_and_names_the_rest(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown, everything = (help_of(f"{command} {word}", capsys) for word in ("--help", "--help-all"))
    options, all_options = (
        set(re.findall(r"^\W*--([\w.-]+)", text, re.M)) - {"help-all"} for text in (shown, everything)
    )
    assert {"data", "out", "resume", "seed", "device", "gan.steps"} < options < all_options
    assert len(options) <= 25
    last = shown.splitlines()[-1]
    assert last.startswith("--help-all in place of --help shows the rest: ")
    named = last.partition(": ")[2].replace("--", "").split(", ")
    assert all(f"{name.split('.')[0]}.*" in named or name in named for name in all_options - options)


@pytest.mark.parametrize("command", TRAINED)
def test_plain_help_is_of_what_the_kind_starts_with(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    groups = set(re.findall(r"--(\w+)\.[a-z]", help_of(f"{command} --help", capsys)))
    digits, sensors, photos = {"gan", "encoder", "search"}, {"gan", "encoder"}, {"gan", "locator"}
    assert groups == dict(zip(TRAINED, (digits, sensors, photos), strict=True))[command]


def test_what_plain_help_leaves_out_can_be_set() -> None:
    options = main.parse_train(
        ["--data", "pump.csv", "--detectors", "fanogan", "anogan", "--search.steps", "7", "--gan.ema", "0.9"]
    )
    assert (options.search.steps, options.gan.ema, options.gan.steps) == (7, 0.9, 500)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_chosen(name: str) -> None:
    options = main.parse_train(["--preset", name])
    assert DigitRunConfig(**vars_of(options)) == PRESETS[name]
