"""Tables of scores on the terminal."""

from __future__ import annotations

from typing import Any

import pandas as pd

from anogan.cli.progress import bar
from anogan.digits.evaluation import evaluate_run
from anogan.digits.splits import Split
from anogan.files import Json
from anogan.runs.directory import Run

PIXELS = {"pixel_auroc": "pixel AUROC", "aupro": "AUPRO"}


def evaluate(run: Run[Any], split: Split, subset: int, device: str, notice: str = "") -> None:
    """Score the labelled test set of a run and print its table."""
    show(evaluate_run(run, split, subset=subset, device=device, stage=bar, notice=notice))


def show(summary: Json) -> None:
    """Print the results of a run as a table."""
    rows = {
        name: {
            "images": f"{result['n_test']}",
            "AUROC": "{:.4f} [{:.4f}, {:.4f}]".format(result["auroc"], *result["auroc_ci"]),
            "AUPRC": f"{result['auprc']:.4f}",
            "FPR at 95 % TPR": f"{result['fpr95']:.4f}",
            **{PIXELS[key]: f"{result[key]:.4f}" for key in PIXELS if key in result},
            "false alarms": f"{result['false_alarm_rate']['achieved']:.2%}",
            "caught": f"{result['detection_rate']:.1%}",
            "ms/image": f"{1000 * result['seconds_per_image']:.2f}",
        }
        for name, result in summary["detectors"].items()
    }
    print(pd.DataFrame(rows).T.to_string())
