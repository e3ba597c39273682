"""What the README shows works as shown."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import photo_model
import pytest
from conftest import QUICK_ENCODER, QUICK_GAN, quick, recording

import anogan
from anogan.cli import main
from anogan.detectors import DETECTORS
from anogan.digits.datasets import DATASETS, load_dataset
from anogan.digits.splits import one_vs_rest
from anogan.runs import bundle
from experiments.benchmark import OUT, PAGES, readme_table, with_table

ROOT = Path(__file__).parent.parent
README, PORTUGUESE = ((ROOT / name).read_text() for name in ("README.md", "README.pt-BR.md"))


@pytest.mark.filterwarnings("ignore::anogan.errors.CalibrationWarning")  # few digits, for speed
def test_the_python_example_runs(tmp_path: Path, pump_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(import anogan.*?)```", README, re.S)
    digits = one_vs_rest(load_dataset("digits"), "3")
    detector = quick("neighbourgan").fit(digits.x_train)
    bundle.save(tmp_path / "runs/demo/bundle", detector.gan_, {"neighbourgan": detector}, "digits", {})
    (tmp_path / "runs/demo-sensors").mkdir()
    (tmp_path / "runs/demo-sensors/run").symlink_to(pump_run)
    recording(300, seed=3).to_csv(tmp_path / "runs/demo-sensors/watched.csv", index=False)
    photo_model.save_model(tmp_path / "runs/demo-photos/run")
    for i in range(3):
        photo_model.write(tmp_path / f"runs/demo-photos/boards/test/good/{i}.png", i, bad=i == 2)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(DATASETS, "mnist", DATASETS["digits"])
    small = {"gan": QUICK_GAN, "encoder": QUICK_ENCODER, "holdout": 0.5}
    monkeypatch.setattr(anogan, "NeighbourGAN", partial(DETECTORS["neighbourgan"], **small), raising=False)
    found: dict = {}
    exec(code, found)
    assert len(found["scores"]) == len(found["table"]) == len(digits.x_test)
    assert found["maps"].shape == (16, 1, 28, 28)
    assert isinstance(found["alarms"], list)
    assert found["photos"]["file"].tolist() == ["good/0.png", "good/1.png", "good/2.png"]
    assert found["photos"]["verdict"][2] == "anomaly"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.S)


def commands(block: str) -> list[str]:
    """Its lines without their comments."""
    return [re.sub(r"\s+#.*", "", line) for line in block.splitlines()]


def test_both_languages_show_the_same_commands_and_outputs() -> None:
    english, portuguese = ([commands(block) for block in blocks(page, "sh")] for page in (README, PORTUGUESE))
    assert english == portuguese
    assert blocks(README, "text") == blocks(PORTUGUESE, "text")
    python = (re.sub(r"\s+#.*", "", "".join(blocks(page, "python"))) for page in (README, PORTUGUESE))
    assert len(set(python)) == 1


def test_both_languages_list_every_command() -> None:
    for page in (README, PORTUGUESE):
        assert set(re.findall(r"^\| `anogan (\w+)` \|", page, re.M)) == set(main.COMMANDS)
        for line in re.findall(r"`anogan (train .*?)`", page.replace("\n", " ")):
            main.parse_train(shlex.split(line)[1:])


def test_the_set_up_block_is_what_make_does() -> None:
    make, activate = commands(blocks(README, "sh")[0])
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # make runs the tests
    command = [*make.split(), "--dry-run", "--always-make"]
    done = subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "-m venv .venv" in done.stdout
    assert done.stdout.rstrip().endswith("anogan demo")
    assert activate == ". .venv/bin/activate"


FEWER_STEPS = """
import sys
from dataclasses import replace
from anogan.config.runs import PRESETS
whole = PRESETS["digits"]
PRESETS["digits"] = replace(whole, gan=replace(whole.gan, steps=200), encoder=replace(whole.encoder, steps=100))
if sys.orig_argv[-2:] == ["demo", "photos"]:
    from anogan.cli.commands import demo_photos
    whole = demo_photos.CONFIG
    demo_photos.CONFIG = replace(whole, gan=replace(whole.gan, steps=150), locator=replace(whole.locator, steps=150))
"""


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Runs a block as a newcomer would, in an empty folder, and gives what it prints. Nothing is downloaded: the demo
    of digits takes scikit-learn's, as it says. Digits and photos are trained for few steps."""
    folder = tmp_path_factory.mktemp("newcomer")
    (folder / "bin").mkdir()
    command = folder / "bin" / "anogan"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m anogan "$@"\n')
    command.chmod(0o755)
    (folder / "bin" / "sitecustomize.py").write_text(FEWER_STEPS)
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    path = f"{command.parent}:{os.environ['PATH']}"
    env = (
        os.environ
        | nowhere
        | {"PATH": path, "PYTHONPATH": f"{command.parent}:{ROOT}", "ANOGAN_DATA": str(folder / "none")}
    )

    def run(block: str) -> str:
        done = subprocess.run(["sh", "-e", "-c", block], cwd=folder, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.mark.slow
@pytest.mark.parametrize("number", range(3), ids=["digits", "sensors", "photos"])
def test_every_block_runs_and_prints_what_is_shown(shell: Callable[[str], str], number: int) -> None:
    """But for the figures."""
    printed = [skeleton(line) for line in shell(blocks(README, "sh")[1 + number]).splitlines()]
    for line in blocks(README, "text")[number].splitlines():
        begin = skeleton(line.removesuffix("..."))
        assert any(found.startswith(begin) for found in printed), (line, printed)


def skeleton(line: str) -> str:
    return " ".join(re.sub(r"\d[\d.,]*", "#", line).replace("mnist", "digits").split())


def test_links_lead_somewhere() -> None:
    for page in (*ROOT.glob("*.md"), ROOT / "experiments" / "LOG.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_results_table_is_the_one_of_the_committed_figures() -> None:
    tables = [pd.read_csv(ROOT / OUT / f"{name}.csv", dtype={"class": str}) for name in ("results", "details")]
    for name, detectors in PAGES.items():
        page = (ROOT / name).read_text()
        table = readme_table(tables[0].merge(tables[1]), detectors)
        assert with_table(page, table) == page, "run: python -m experiments.benchmark"
