"""The guides say what is so: their commands are ours, their code runs, the site builds and asks no other host."""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import anogan
from anogan.benchmark.baselines import BASELINES
from anogan.benchmark.run import METHODS
from anogan.cli import main
from anogan.config.presets import PRESETS

ROOT = Path(__file__).parent.parent
GUIDES = {path.name: path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))}
SHOWN = re.compile(r"^(?:\w+ \| )?anogan (.*?)(?:\s+#.*)?$", re.M)


def test_every_command_shown_exists_and_every_one_is_shown() -> None:
    shown = [line for text in GUIDES.values() for block in blocks(text, "sh") for line in SHOWN.findall(block)]
    for line in shown:
        command, *options = shlex.split(line)
        (main.parse_train if command == "train" else lambda o, c=command: main.parse(c, o))(options)
    everything = "\n".join(GUIDES.values())
    assert {name for name in main.COMMANDS if f"anogan {name}" in everything} == set(main.COMMANDS)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}(?: title=\"[\w.]+\")?\n(.*?)^```", text, re.S | re.M)


def test_every_preset_and_every_detector_to_compare_is_named() -> None:
    presets = GUIDES["choose.md"].partition("| preset ")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", presets, re.M) == list(PRESETS)
    names = re.findall(r"`([\w-]+)`", GUIDES["choose.md"].partition("(`--detectors`): ")[2].partition("\n\n")[0])
    assert names == [*METHODS, *BASELINES]


@pytest.mark.parametrize("page", [name for name, text in GUIDES.items() if "```python\n" in text])
def test_the_code_of_a_guide_runs(page: str) -> None:
    for block in re.findall(r"^```python\n(.*?)^```", GUIDES[page], re.S | re.M):
        exec(block, {"__name__": page})


@pytest.mark.filterwarnings("ignore::anogan.errors.CalibrationWarning")
def test_the_detector_of_the_guide_works_in_forty_lines(capsys: pytest.CaptureFixture[str]) -> None:
    found: dict = {"__name__": "guide"}
    parts = re.findall(r'^```python title="worst_place.py"\n(.*?)^```', GUIDES["extend.md"], re.S | re.M)
    assert parts[0].count("\n") <= 40
    exec("from __future__ import annotations\n" + "\n".join(parts), found)
    assert "[" in capsys.readouterr().out
    scores = [found["detector"].anomaly_score(found[name]).mean() for name in ("normal", "odd")]
    assert scores[1] > scores[0]


def test_links_lead_somewhere() -> None:
    for name, text in GUIDES.items():
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            assert (ROOT / "docs" / target).exists(), f"{name}: {target}"


def test_the_examples_of_docstrings_are_right() -> None:
    tried = 0
    for module in pkgutil.walk_packages(anogan.__path__, "anogan."):
        if module.name.split(".")[1] in ("serving", "export", "__main__"):  # need extras
            continue
        found = doctest.testmod(importlib.import_module(module.name))
        assert not found.failed, module.name
        tried += found.attempted
    assert tried >= 4


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_asks_no_other_host(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="needs the extra 'docs'")
    pytest.importorskip("mkdocstrings", reason="needs the extra 'docs'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(ROOT / "docs" / "site" / "mkdocs.yml")]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*command, "-d", str(tmp_path / "site")], env=quiet, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert {page.stem for page in pages} >= {Path(name).stem for name in GUIDES}
    for page in [*pages, *(tmp_path / "site").rglob("*.css")]:
        asked = re.findall(
            r"<(?:script|link|img|iframe)[^>]*(?:src|href)=\"(?:https?:)?//[^\"]*|url\(\"?https?:[^)]*",
            page.read_text(),
        )
        assert not [tag for tag in asked if 'rel="canonical"' not in tag], page.name
