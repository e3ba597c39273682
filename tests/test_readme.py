"""What the README shows works as shown."""

from __future__ import annotations

import re
import shlex
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from conftest import QUICK_ENCODER, QUICK_GAN, quick

import anogan
from anogan import bundle, cli
from anogan.baselines import BASELINES
from anogan.benchmark import METHODS
from anogan.config import PRESETS
from anogan.data import DATASETS, load_dataset, one_vs_rest
from anogan.detectors import DETECTORS
from experiments.benchmark import OUT, readme_table, with_table

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


@pytest.mark.filterwarnings("ignore::anogan.errors.CalibrationWarning")  # few digits, for speed
def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(import anogan.*?)```", README, re.S)
    digits = one_vs_rest(load_dataset("digits"), "3")
    detector = quick("neighbourgan").fit(digits.x_train)
    bundle.save(tmp_path / "runs/demo/bundle", detector.gan_, {"neighbourgan": detector}, {})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(DATASETS, "mnist", DATASETS["digits"])
    small = {"gan": QUICK_GAN, "encoder": QUICK_ENCODER, "holdout": 0.5}
    monkeypatch.setattr(anogan, "NeighbourGAN", partial(DETECTORS["neighbourgan"], **small), raising=False)
    found: dict = {}
    exec(code, found)
    assert len(found["scores"]) == len(found["p_values"]) == len(digits.x_test)
    assert found["maps"].shape == (16, 1, 28, 28)


def test_every_command_and_preset_shown_exists() -> None:
    blocks = "".join(re.findall(r"```sh\n(.*?)```", README, re.S))
    shown = re.findall(r"^(?:\w+ \| )?anogan (.*?)(?:\s+#.*)?$", blocks, re.M)
    assert {line.split()[0] for line in shown} == set(cli.COMMANDS)
    for line in shown:
        command, *options = shlex.split(line)
        (cli.parse_train if command == "train" else lambda o, c=command: cli.parse(c, o))(options)
    presets = README.partition("| preset ")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", presets, re.M) == list(PRESETS)


def test_every_detector_to_compare_is_named() -> None:
    names = re.findall(r"`([\w-]+)`", README.partition("(`--detectors`): ")[2].partition("\n\n")[0])
    assert names == [*METHODS, *BASELINES]


def test_links_lead_somewhere() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "experiments" / "LOG.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_results_table_is_the_one_of_the_committed_figures() -> None:
    results = pd.read_csv(ROOT / OUT / "results.csv", dtype={"class": str})
    assert with_table(README, readme_table(results)) == README, "run: python -m experiments.benchmark"
