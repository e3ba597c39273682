"""The introductory notebook runs, and its committed outputs are small, whole and of no particular machine."""

from __future__ import annotations

import copy
import os
import re
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="needs nbclient to run a notebook")
nbclient = pytest.importorskip("nbclient", reason="needs nbclient to run a notebook")

FILE = Path(__file__).parents[2] / "experiments" / "gan_anogan.ipynb"
NOTEBOOK = nbformat.read(FILE, as_version=4)
DRAWS = re.compile(r"plt\.show\(\)|^sheet\(|display\(", re.M)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # those of Jupyter's own are not ours
def test_every_cell_runs_with_few_steps_and_without_a_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    settings = {"ANOGAN_QUICK": "1", "ANOGAN_DATA": str(tmp_path / "none"), "OMP_NUM_THREADS": "1"}
    for name, value in (settings | {"PYTHONPATH": str(FILE.parent.parent), "IPYTHONDIR": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)
    ran = nbclient.NotebookClient(copy.deepcopy(NOTEBOOK), timeout=300, resources={"metadata": {"path": tmp_path}})
    done = ran.execute(env=dict(os.environ))
    assert [cell.execution_count for cell in done.cells if cell.cell_type == "code"] == list(range(1, 1 + len(code())))


def code() -> list:
    return [cell for cell in NOTEBOOK.cells if cell.cell_type == "code"]


def test_it_was_committed_as_it_ran_from_top_to_bottom() -> None:
    assert [cell.execution_count for cell in code()] == list(range(1, len(code()) + 1))
    for cell in code():
        kinds = [output.output_type for output in cell.outputs]
        assert "error" not in kinds
        if DRAWS.search(cell.source):
            shown = [output for output in cell.outputs if "image/png" in output.get("data", {})]
            assert shown, f"nothing is shown below: {cell.source[:60]}"


def test_its_outputs_are_small_and_tell_nothing_of_the_machine() -> None:
    text = FILE.read_text()
    assert len(text) < 1_500_000
    assert not re.search(r"/(home|root|work|tmp|usr)/", text)


def test_it_ran_in_less_than_ten_minutes() -> None:
    (output,) = code()[-1].outputs
    assert float(re.findall(r"([\d.]+) minutes", output.text)[0]) < 10
