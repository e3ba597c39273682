"""One self-contained HTML report of a run with its figures and tables, made from the run directory alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from anogan.config.serialise import to_dict
from anogan.detectors import detector_class, detector_names
from anogan.errors import RunError
from anogan.files import Json, write_bytes, write_text
from anogan.gan.health import health_warnings
from anogan.pictures.drawing import heatmap, picture, png
from anogan.report import figures
from anogan.report.page import Captioned, data_uri, draw, write_page
from anogan.report.sensitivity import in_brief
from anogan.runs.directory import Run

GALLERY = {
    "most anomalous": "The anomalies with the highest scores.",
    "false alarms": "Normal images that were flagged.",
    "misses": "Anomalies that were not flagged, the lowest scores first.",
    "typical normals": "Normal images of middling score: their maps must be dark.",
}


@dataclass(frozen=True)
class Shown:
    """One sample in a gallery: three pictures and the detector's verdict."""

    pictures: list[tuple[str, str]]  # what it is, data URI
    label: str
    score: float
    p_value: float


def _read_json(path: Path) -> Json:
    try:
        value: Json = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    return value


def title_of(detector: str) -> str:
    """Return what a report calls a detector: its title, or its name if the package that offered it is gone."""
    if detector not in detector_names():
        return detector
    cls = detector_class(detector)
    return cls.title or cls.__name__


def training_figures(run: Run[Any]) -> list[Captioned]:
    """Return the figures of a run's training, with captions."""
    gan = [line for line in run.metrics if line["stage"] == "gan"]
    encoder = [line for line in run.metrics if line["stage"] == "encoder"]
    locator = [line for line in run.metrics if line["stage"] == "locator"]
    drawings = []
    if gan:
        losses = {"loss_d": "discriminator", "loss_g": "generator"}
        beliefs = {"d_real": "D(x), real", "d_fake": "D(G(z)), generated"}
        drawings += [
            ("losses", "Adversarial losses.", figures.curves(gan, losses, "loss")),
            (
                "discriminator",
                "What the discriminator believes: a probability of being real. Near 0.5 for both, it cannot tell.",
                figures.curves(gan, beliefs, "mean of the sigmoid", ylim=(0, 1)),
            ),
            (
                "diversity",
                "Spread of 64 fixed samples over the spread of the data: 1 is as varied as the data, 0 a collapse.",
                figures.curves(gan, {"diversity": "generated / real"}, "diversity", ylim=(0, None)),
            ),
            (
                "reconstruction",
                "How well a search of 30 steps reproduces held-out normal images.",
                figures.curves(gan, {"reconstruction": "held-out normals"}, "mean squared error", ylim=(0, None)),
            ),
        ]
    if encoder:
        names = {"loss_e": "training loss", "reconstruction": "held-out mean squared error"}
        drawings.append(("encoder", "Encoder training.", figures.curves(encoder, names, "loss", ylim=(0, None))))
    if locator:
        names = {"loss_l": "finding (cross-entropy)", "loss_r": "repairing (mean squared error)"}
        caption = "Locator training: finding pseudo-defects in good photos, and repairing them."
        drawings.append(("locator", caption, figures.curves(locator, names, "loss", ylim=(0, None))))
    return drawings


def score_figures(scores: pd.DataFrame, results: Json) -> list[Captioned]:
    """Return the figures of a run's scores, with captions."""
    drawings = [
        ("roc", "ROC curves: further to the upper left is better.", figures.roc(scores, results)),
        ("precision_recall", "Precision-recall curves.", figures.precision_recall(scores, results)),
        ("per_class", "AUROC per anomalous class: which anomalies are hard.", figures.per_class(results)),
    ]
    for name, table in scores.groupby("detector", sort=False):
        caption = f"Scores of {title_of(str(name))}: normal in blue, every held-out class in orange."
        drawings.append((f"scores_{name}", caption, figures.histograms(table, results[name]["threshold"])))
    return drawings


def gallery(file: Path) -> dict[str, list[Shown]]:
    """Return samples by kind, in the order of GALLERY."""
    with np.load(file, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    shown: dict[str, list[Shown]] = {kind: [] for kind in GALLERY}
    for i, kind in enumerate(arrays["kind"]):
        pictures = {
            "input": picture(arrays["x"][i]),
            "reconstruction": picture(arrays["reconstruction"][i]),
            "anomaly map": heatmap(arrays["anomaly_map"][i]),
        }
        uris = [(what, data_uri(png(image))) for what, image in pictures.items()]
        label, score, p_value = arrays["label"][i], arrays["score"][i], arrays["p_value"][i]
        shown[str(kind)].append(Shown(uris, str(label), float(score), float(p_value)))
    return shown


def detector_table(results: Json) -> pd.DataFrame:
    """Return one row per detector: the main metrics with their intervals, as text."""
    rows = []
    for name, result in results.items():
        row: Json = {"detector": name, "images": result["n_test"]}
        for metric in ("auroc", "auprc", "fpr95"):
            row[metric] = result[metric]
            row[f"{metric}_low"], row[f"{metric}_high"] = result[f"{metric}_ci"]
        achieved = result["false_alarm_rate"]["achieved"]
        false_alarms = round(achieved * result["n_normal"])
        interval = binomtest(false_alarms, result["n_normal"]).proportion_ci(method="wilson")
        row |= {
            "false_alarm_promised": result["false_alarm_rate"]["promised"],
            "false_alarm_achieved": achieved,
            "false_alarm_low": interval.low,
            "false_alarm_high": interval.high,
            "false_alarms": false_alarms,
            "normal_images": result["n_normal"],
            "calibration_images": result["n_calibration"],
            "detection_rate": result["detection_rate"],
            "threshold": result["threshold"],
            "search_steps": result["search_steps"],
            "seconds_per_image": result["seconds_per_image"],
        }
        row |= {key: result[key] for key in ("pixel_auroc", "aupro") if key in result}
        rows.append(row)
    return pd.DataFrame(rows)


def _flat(config: Json, prefix: str = "") -> list[tuple[str, str]]:
    rows = []
    for key, value in config.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{key}.")
        else:
            rows.append((prefix + key, ", ".join(map(str, value)) if isinstance(value, list) else str(value)))
    return rows


def write_report(run: Run[Any], out: Path) -> Path:
    """Write index.html, figures/ (SVG, PNG) and tables (CSV) into `out`. Returns the page's path."""
    summary = _read_json(run.path / "results.json")
    drawings = training_figures(run)
    training_names = {name for name, _, _ in drawings}
    galleries, table, classes = {}, pd.DataFrame(), pd.DataFrame()
    if summary:
        results, scores = summary["detectors"], pd.read_csv(run.path / "scores.csv", dtype={"class": str})
        drawings += score_figures(scores, results)
        galleries = {name: gallery(run.path / "gallery" / f"{name}.npz") for name in results}
        table = detector_table(results)
        classes = pd.DataFrame({name: result["per_class"] for name, result in results.items()}).rename_axis("class")
        write_text(out / "detectors.csv", table.to_csv(index=False, float_format="%.6g"))
        write_text(out / "per_class.csv", classes.to_csv(float_format="%.6g"))
        write_bytes(out / "scores.csv", (run.path / "scores.csv").read_bytes())
    drawn = draw(out, drawings)
    samples = sorted((run.path / "samples").glob("*.png"))
    return write_page(
        out,
        "report.html.j2",
        run=run,
        photos=run.config.kind == "photos",
        sensors=run.config.kind == "sensors",
        summary=summary,
        titles={name: title_of(name) for name in (summary or {}).get("detectors", {})},
        kinds=GALLERY,
        table=table.to_dict("records"),
        classes=classes,
        figures=[figure for figure in drawn if figure.name not in training_names],
        training=[figure for figure in drawn if figure.name in training_names],
        galleries=galleries,
        sensitivity=in_brief(run.path / "sensitivity", out),
        warnings=health_warnings([line for line in run.metrics if line["stage"] == "gan"]),
        samples=[(int(file.stem.split("-")[1]), data_uri(file.read_bytes())) for file in thin(samples, 4)],
        settings=_flat(to_dict(run.config)),
        env=_read_json(run.path / "env.json"),
        seconds=run.seconds,
    )


def thin(files: list[Path], count: int) -> list[Path]:
    """Return at most `count` files, evenly spaced, including the last one."""
    if len(files) <= count:
        return files
    return [files[round(i * (len(files) - 1) / (count - 1))] for i in range(count)]
