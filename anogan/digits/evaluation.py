"""Evaluation of a run on the labelled test set of its image data set."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anogan.config.runs import DigitRunConfig
from anogan.detectors import Detector, Explanation
from anogan.digits.splits import Split
from anogan.evaluation.metrics import balanced_subset
from anogan.evaluation.results import save_gallery, summarise, write_results
from anogan.files import Json, write_text
from anogan.runs.bundle import Bundle
from anogan.runs.directory import Run
from anogan.runs.training import Stage, row_counter, silent, starts


def evaluate_run(
    run: Run[DigitRunConfig],
    split: Split,
    *,
    subset: int = 306,
    device: str = "auto",
    stage: Stage = silent,
    notice: str = "",
) -> Json:
    """Score the test set with every detector of the run. Writes scores.csv, gallery/ and, last, results.json.

    Detectors with an encoder score all rows. Detectors that search score a fixed subset of about `subset` rows, half of
    them normal and half from the anomalous classes in equal parts (0 = all rows).
    """
    tables, results = [], {}
    bundle = Bundle.open(run.path)
    for name in run.config.detectors:
        detector = bundle.detector(name, device)
        rows = np.arange(len(split.x_test))
        if detector.searches and 0 < subset < len(rows):
            rows = balanced_subset(split.label_test, split.y_test, subset, run.config.seed)
        begin = time.monotonic()
        with run.timed(f"score {name}"), stage(f"score {name}", starts(detector) * len(rows)) as update:
            explanation = detector.explain(split.x_test[rows], row_counter(update))
        seconds = time.monotonic() - begin
        table = _score_table(name, detector, explanation, split, rows)
        tables.append(table)
        results[name] = summarise(detector, table, split.classes, run.config.seed) | {
            "seconds_per_image": seconds / len(rows),
            "search_steps": detector.search.steps if detector.search else 0,
        }
        shown = list(zip(split.x_test[rows], explanation.reconstruction, explanation.anomaly_map, strict=True))
        save_gallery(run, name, shown.__getitem__, table)
    scores = pd.concat(tables, ignore_index=True)
    write_text(run.path / "scores.csv", scores.to_csv(index=False, float_format="%.6g"))
    return write_results(run, results, notice)


def _score_table(
    name: str, detector: Detector, explanation: Explanation, split: Split, rows: NDArray[np.intp]
) -> pd.DataFrame:
    judged = detector.judge(explanation.score)
    return pd.DataFrame(
        {
            "detector": name,
            "row": rows,
            "class": [split.classes[label] for label in split.label_test[rows]],
            "anomalous": split.y_test[rows],
            "score": explanation.score,
            "p_value": judged.p_value,
            "verdict": np.where(judged.anomaly, "anomaly", "normal"),
            **explanation.terms,
        }
    )
