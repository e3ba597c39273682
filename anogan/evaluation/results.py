"""Results of an evaluation: metrics of each detector and a gallery of samples, written into the run."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anogan.detectors import Detector
from anogan.evaluation.metrics import METRICS, auroc, bootstrap_interval
from anogan.files import Json, write_bytes, write_json
from anogan.runs.directory import Run

GALLERY = 8  # samples of each kind kept for the report


def write_results(run: Run[Any], results: Mapping[Any, Json], notice: str = "") -> Json:
    """Write results.json, whose presence means that the run has been evaluated."""
    first = next(iter(results.values()))
    summary = {
        "kind": run.config.kind,
        **{name: value for name, value in run.config.about.items() if name != "value_range"},
        "notice": notice,
        "detectors": results,
        "seconds": run.seconds,
        "false_alarm_rate": first["false_alarm_rate"],
    }
    write_json(run.path / "results.json", summary)
    return summary


def summarise(detector: Detector, table: pd.DataFrame, classes: Sequence[str], seed: int) -> Json:
    """Compute the metrics of a labelled table of scores."""
    y, score = table["anomalous"].to_numpy(), table["score"].to_numpy()
    flagged = (table["verdict"] == "anomaly").to_numpy()
    summary: Json = {}
    for name, metric in METRICS.items():
        summary[name] = metric(y, score)
        summary[f"{name}_ci"] = list(bootstrap_interval(metric, y, score, seed=seed))
    normal = y == 0
    summary["per_class"] = {
        name: auroc(y[normal | member], score[normal | member])
        for name in classes
        if (member := (table["class"] == name).to_numpy() & ~normal).any()
    }
    return summary | {
        "n_test": len(y),
        "n_normal": int(normal.sum()),
        "n_calibration": len(detector.calibration_scores_),
        "threshold": detector.threshold_,
        "false_alarm_rate": {"promised": detector.false_alarm_rate, "achieved": float(flagged[normal].mean())},
        "detection_rate": float(flagged[~normal].mean()),
    }


Shown = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]  # input, reconstruction, anomaly map


def save_gallery(run: Run[Any], name: str, shown: Callable[[int], Shown], table: pd.DataFrame) -> None:
    """Save inputs, reconstructions and maps of the rows that a reader wants to see, as one npz file."""
    order = np.argsort(-table["score"].to_numpy(), kind="stable")  # highest first
    y, flagged = (table["anomalous"] == 1).to_numpy()[order], (table["verdict"] == "anomaly").to_numpy()[order]
    quiet = order[~y & ~flagged]
    picked = {
        "most anomalous": order[y & flagged][:GALLERY],
        "false alarms": order[~y & flagged][:GALLERY],
        "misses": order[y & ~flagged][::-1][:GALLERY],
        "typical normals": quiet[len(quiet) // 2 :][:GALLERY],
    }
    rows = np.concatenate(list(picked.values()))
    x, reconstruction, anomaly_map = (np.stack(parts) for parts in zip(*map(shown, rows), strict=True))
    stream = io.BytesIO()
    np.savez_compressed(
        stream,
        kind=np.concatenate([[kind] * len(index) for kind, index in picked.items()]),
        x=x,
        reconstruction=reconstruction,
        anomaly_map=anomaly_map,
        score=table["score"].to_numpy()[rows],
        p_value=table["p_value"].to_numpy()[rows],
        label=table["class"].to_numpy(dtype=str)[rows],
    )
    write_bytes(run.path / "gallery" / f"{name}.npz", stream.getvalue())
