"""The main job on a data set with classes: train on the normal ones, evaluate on all."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from anogan import parallel
from anogan.config.detectors import DetectorName
from anogan.config.runs import DigitRunConfig
from anogan.detectors import Detector, Explanation
from anogan.detectors.base import FEWEST
from anogan.detectors.calibration import hold_out, p_values
from anogan.digits.splits import Split
from anogan.evaluation.metrics import balanced_subset
from anogan.evaluation.results import save_gallery, summarise, write_results
from anogan.files import write_text
from anogan.pictures.drawing import sheets
from anogan.runs import bundle
from anogan.runs.bundle import Bundle
from anogan.runs.directory import Run
from anogan.runs.training import Stage, row_counter, silent, starts, train_networks


def normal_rows(config: DigitRunConfig, split: Split) -> tuple[torch.Tensor, torch.Tensor]:
    """Training and held-out normal samples; raises `ValueError` when the class is too small."""
    training, held_out = hold_out(len(split.x_train), config.holdout, config.seed)
    if len(training) < FEWEST or (config.detectors and not len(held_out)):
        raise ValueError(
            f"normal class {config.normal!r} of {config.data} has {len(split.x_train)} training images; "
            f"expected at least {FEWEST} to train on and one to hold out"
        )
    x = torch.from_numpy(split.x_train)
    return x[training], x[held_out]


def train_run(
    run: Run[DigitRunConfig],
    split: Split,
    *,
    device: str = "auto",
    checkpoint_seconds: float = 20.0,
    stage: Stage = silent,
) -> Mapping[DetectorName, Detector]:
    """Train GAN and encoder from wherever the run stands, calibrate its detectors, write the bundle.

    Of several processes all train and the first does the rest. Warnings and errors as in `train_networks`.
    """
    config = run.config
    x, x_held_out = normal_rows(config, split)
    gan, detectors = train_networks(
        run,
        x,
        x_held_out,
        device=device,
        checkpoint_seconds=checkpoint_seconds,
        stage=stage,
        on_samples=sheets(run.path / "samples"),
    )
    if parallel.rank():
        return {}
    for name, detector in detectors.items():
        with run.timed(f"calibrate {name}"), stage(f"calibrate {name}", starts(detector) * len(x_held_out)) as update:
            detector.calibrate(gan, x.numpy(), x_held_out.numpy(), row_counter(update))
    bundle.save(run.path / "bundle", gan, detectors, config.kind, config.about)
    return detectors


# Scoring a labelled test set.


def evaluate_run(
    run: Run[DigitRunConfig],
    split: Split,
    *,
    subset: int = 306,
    device: str = "auto",
    stage: Stage = silent,
    notice: str = "",
) -> dict[str, Any]:
    """Score the test set with every detector of the run; write scores.csv, gallery/ and, last, results.json.

    Encoder detectors score all rows; detectors that search score a fixed subset of about `subset` rows, half normal
    and half from the anomalous classes in equal parts (0 = all rows).
    """
    tables, results = [], {}
    for name in run.config.detectors:
        detector = Bundle.open(run.path).detector(name, device)
        rows = np.arange(len(split.x_test))
        if detector.searches and 0 < subset < len(rows):
            rows = balanced_subset(split.label_test, split.y_test, subset, run.config.seed)
        begin = time.monotonic()
        with run.timed(f"score {name}"), stage(f"score {name}", starts(detector) * len(rows)) as update:
            found = detector.explain(split.x_test[rows], row_counter(update))
        seconds = time.monotonic() - begin
        table = _score_table(name, detector, found, split, rows)
        tables.append(table)
        results[name] = summarise(detector, table, split.classes, run.config.seed) | {
            "seconds_per_image": seconds / len(rows),
            "search_steps": detector.search.steps if detector.search else 0,
        }
        shown = list(zip(split.x_test[rows], found.reconstruction, found.anomaly_map, strict=True))
        save_gallery(run, name, shown.__getitem__, table)
    scores = pd.concat(tables, ignore_index=True)
    write_text(run.path / "scores.csv", scores.to_csv(index=False, float_format="%.6g"))
    return write_results(run, results, notice)


def _score_table(
    name: str, detector: Detector, found: Explanation, split: Split, rows: NDArray[np.intp]
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "detector": name,
            "row": rows,
            "class": [split.classes[label] for label in split.label_test[rows]],
            "anomalous": split.y_test[rows],
            "score": found.score,
            "p_value": p_values(detector.calibration_scores_, found.score),
            "verdict": np.where(found.score > detector.threshold_, "anomaly", "normal"),
            **found.terms,
        }
    )
