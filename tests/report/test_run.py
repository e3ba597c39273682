"""The report of a canned run directory: complete, self-contained, and every number out of the run's files."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import pandas as pd
import pytest

from anogan.config.runs import DigitRunConfig
from anogan.errors import RunError
from anogan.files import write_bytes, write_json, write_text
from anogan.pictures.drawing import heatmap, picture, png, tile
from anogan.report import figures
from anogan.report.run import GALLERY, write_report
from anogan.runs.directory import Run

CLASSES = ("a", "b", "c")


def canned(folder: Path) -> Run:
    """A run of class a with two detectors, scores from a random generator."""
    rng = np.random.default_rng(0)
    run = Run.create(folder / "canned", DigitRunConfig(data="letters", normal="a"))
    for step in range(50, 301, 50):
        line = {"stage": "gan", "step": step, "loss_d": 1.0, "loss_g": 1.0 + step / 100, "d_real": 0.6, "d_fake": 0.4}
        run.log(line | ({"diversity": 0.8, "reconstruction": 0.05} if step % 100 == 0 else {}))
    run.log({"stage": "encoder", "step": 50, "loss_e": 0.4, "reconstruction": 0.1})
    write_bytes(run.path / "samples" / "step-000300.png", png(tile(rng.uniform(-1, 1, (4, 1, 6, 6)))))
    tables, results = [], {}
    for name in ("fanogan", "anogan"):
        label = np.repeat(CLASSES, 20)
        table = pd.DataFrame({"detector": name, "row": range(60), "class": label, "anomalous": (label != "a") * 1})
        table["score"] = rng.standard_normal(60) + 2 * table["anomalous"]
        table["verdict"] = np.where(table.score > 1.5, "anomaly", "normal")
        tables.append(table)
        results[name] = {
            "auroc": 0.91234,
            "auroc_ci": [0.9, 0.93],
            "auprc": 0.95,
            "auprc_ci": [0.9, 0.97],
            "fpr95": 0.25,
            "fpr95_ci": [0.1, 0.4],
            "per_class": {"b": 0.91, "c": 0.92},
            "n_test": 60,
            "n_normal": 20,
            "n_calibration": 99,
            "threshold": 1.5,
            "false_alarm_rate": {"promised": 0.01, "achieved": 0.05},
            "detection_rate": 0.7,
            "seconds_per_image": 0.001,
            "search_steps": 200 if name == "anogan" else 0,
        }
        stream, n = io.BytesIO(), len(GALLERY)
        arrays = {key: rng.uniform(-1, 1, (n, 1, 6, 6)).astype(np.float32) for key in ("x", "reconstruction")}
        arrays |= {"anomaly_map": np.ones((n, 1, 6, 6), np.float32), "score": np.ones(n), "p_value": np.full(n, 0.02)}
        np.savez(stream, kind=np.array(list(GALLERY)), label=np.array(["b"] * n), **arrays)
        write_bytes(run.path / "gallery" / f"{name}.npz", stream.getvalue())
    write_text(run.path / "scores.csv", pd.concat(tables).to_csv(index=False))
    write_json(run.path / "results.json", {"notice": "Made <up>.", "detectors": results})
    return run


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    assert write_report(canned(folder), folder / "out") == folder / "out" / "index.html"
    return folder / "out"


def test_the_page_asks_for_nothing_from_outside(report: Path) -> None:
    page = (report / "index.html").read_text()
    links = re.findall(r"""(?:src|href|url\()\s*=?\s*["']?([^"'\s)>]+)""", page)
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in links)
    assert "<script" not in page
    assert "@import" not in page


def test_the_page_tells_the_runs_numbers_and_escapes_its_text(report: Path) -> None:
    page = (report / "index.html").read_text()
    for said in ("0.9123", "0.9000", "25.0&nbsp;%", "70.0&nbsp;%", "1 of 20", "99", "Made &lt;up&gt;.", "step 300"):
        assert said in page
    for kind in GALLERY:
        assert kind.capitalize() in page


def test_every_figure_is_on_the_page_and_beside_it(report: Path) -> None:
    names = {file.stem for file in (report / "figures").iterdir()}
    assert names == {
        *("losses", "discriminator", "diversity", "reconstruction", "encoder"),
        *("roc", "precision_recall", "per_class", "scores_fanogan", "scores_anogan"),
    }
    page = (report / "index.html").read_text()
    for name in names:
        svg = (report / "figures" / f"{name}.svg").read_text()
        assert svg in page
        assert "currentColor" in svg
        assert (report / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_tables_are_beside_the_page(report: Path) -> None:
    detectors = pd.read_csv(report / "detectors.csv", index_col="detector")
    assert detectors.loc["fanogan", "auroc"] == pytest.approx(0.91234)
    assert detectors.loc["anogan", "search_steps"] == 200
    assert pd.read_csv(report / "per_class.csv", index_col="class").loc["c", "anogan"] == 0.92
    assert len(pd.read_csv(report / "scores.csv")) == 120


def test_the_same_run_gives_the_same_report(report: Path, tmp_path: Path) -> None:
    run = Run(report.parent / "canned")
    write_report(run, tmp_path)
    assert (tmp_path / "index.html").read_bytes() == (report / "index.html").read_bytes()


def test_a_run_that_was_only_trained_has_a_report_too(tmp_path: Path) -> None:
    run = canned(tmp_path)
    (run.path / "results.json").unlink()
    page = write_report(run, tmp_path / "out").read_text()
    assert "trained, not yet scored" in page
    assert "Adversarial losses" in page


def test_a_collapse_is_said_at_the_top(tmp_path: Path) -> None:
    run = canned(tmp_path)
    run.log({"stage": "gan", "step": 350, "diversity": 0.1})
    page = write_report(run, tmp_path / "out").read_text()
    assert "the generator has collapsed" in page.split("<main>")[0]


def test_damaged_results_are_named(tmp_path: Path) -> None:
    run = canned(tmp_path)
    (run.path / "results.json").write_text(json.dumps({})[:1])
    with pytest.raises(RunError, match=r"results\.json cannot be read"):
        write_report(run, tmp_path / "out")


@pytest.mark.parametrize("name", [r"$\foo$", "a$b$c", "50 % & <b>"])
def test_a_name_of_any_characters_is_drawn_as_it_is_written(name: str) -> None:
    table = pd.DataFrame({"class": ["a", name] * 20, "anomalous": [0, 1] * 20, "score": np.arange(40.0)})
    svg, picture, _ = figures.render(figures.histograms(table, 20.0))
    assert f">{escape(name)}</text>" in svg
    assert picture.startswith(b"\x89PNG")


def test_a_logarithmic_axis_has_plain_numbers() -> None:
    search = pd.DataFrame({"start": "cold", "steps": [1, 2], "seconds_per_image": [0.001, 0.2], "auroc": [0.8, 0.9]})
    svg, _, _ = figures.render(figures.search_cost(search))
    assert ">10</text>" in svg
    assert "mathdefault" not in svg


def test_pictures_are_exact() -> None:
    x = np.array([[[-1.0, 0.0, 1.0]]], np.float32)
    assert picture(x)[0, :, 0].tolist() == [0, 128, 255]
    assert tile(np.zeros((5, 1, 4, 3), np.float32)).shape == (2 * 6 - 2, 3 * 5 - 2, 3)


def test_the_heatmaps_scale_is_fixed() -> None:
    """A map's colours do not depend on what else is on it: black at 0, brighter with the value, full at 2."""
    quiet, loud = np.full((1, 2, 2), 0.5, np.float32), np.array([[[0.5, 5.0], [0.0, 2.0]]], np.float32)
    assert np.array_equal(heatmap(quiet)[0, 0], heatmap(loud)[0, 0])
    assert np.array_equal(heatmap(loud)[0, 1], heatmap(loud)[1, 1])
    assert heatmap(loud)[1, 0].sum() < 10
