"""Imports go one way, and the command line starts without torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "anogan"
LAYERS = """errors estimator budgets config configfile parallel threads files data faults parts layers networks losses
scoring neighbours augment training locating inversion synthesis calibration alarms health detectors evaluation
comparison quality realism baselines bundle signals healthy inspection imitation runs images pipeline maintenance
qualitycontrol machine streaming verdicts sorting watching export sensitivity benchmark reporting monitor
serving options cli commands __main__"""
ORDER = LAYERS.split()
MODULES = sorted(PACKAGE.rglob("*.py"))


def layer(module: str) -> int:
    return ORDER.index(module.split(".")[1])


def imports(file: Path) -> list[str]:
    """What a module imports from the package when it is loaded; imports inside functions are not its layer's."""
    found = []
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "anogan":
            bare = node.module == "anogan"
            found += [f"anogan.{alias.name}" for alias in node.names] if bare else [node.module]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.startswith("anogan.")]
    return found


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_module_imports_only_from_layers_to_its_left(file: Path) -> None:
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    if parts == ("__init__",):
        return
    own = ORDER.index(parts[0])
    for module in imports(file):
        assert layer(module) <= own, f"{file.name} imports {module}"


def test_the_contributors_read_the_same_layers() -> None:
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text()
    assert text.partition("`errors →")[2].partition("`")[0].replace("→", "").split() == ORDER[1:]


def test_the_package_and_its_command_line_are_imported_without_torch() -> None:
    code = "import sys, anogan, anogan.cli; print([m for m in ('torch', 'sklearn', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_exists() -> None:
    import anogan

    assert all(getattr(anogan, name) is not None for name in anogan.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        anogan.nothing  # noqa: B018
