"""Summary of a table of results: means over classes, spread over seeds, and differences cell by cell."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import wilcoxon

from anogan.evaluation.metrics import METRICS

DRAWS = 2000


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Compute, per data set, protocol and detector, means over classes, then mean and standard deviation over seeds.

    auroc_low and auroc_high are the means of the cells' bootstrap bounds, and so a cautious interval of the mean.
    n_test_low and n_test_high are the least and largest numbers of test images of a cell.
    """
    metrics = ["auroc", "auroc_low", "auroc_high", *list(METRICS)[1:], "false_alarm_achieved"]
    metrics += ["train_seconds", "score_seconds"]
    by_seed = table.groupby(["data", "protocol", "detector", "seed"])[metrics].mean()
    groups = by_seed.groupby(level=[0, 1, 2])
    summary = groups.mean()
    summary.insert(1, "auroc_sd", groups["auroc"].std())
    cells = table.groupby(["data", "protocol", "detector"])
    summary.insert(0, "seeds", cells["seed"].nunique())
    summary.insert(0, "classes", cells["class"].nunique())
    summary["n_test_low"], summary["n_test_high"] = cells["n_test"].min(), cells["n_test"].max()
    order = ["data", "protocol", "classes", "auroc"]  # means over fewer classes do not compare
    return summary.sort_values(order, ascending=[True, False, False, False]).reset_index()


def compare(table: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Compute the reference's AUROC minus every other detector's, on the classes and seeds that both have.

    Per data set, protocol and detector: the mean difference with its 95 % interval (bootstrap over classes), the number
    of classes that the reference wins, and the two-sided p-value of Wilcoxon's signed-rank test over classes.
    same_images is False if the two were scored on different test images; then the difference includes that of the
    images.
    """
    rows = []
    for (data, protocol), part in table.groupby(["data", "protocol"]):
        cells, images = (
            part.pivot_table(index=["class", "seed"], columns="detector", values=value) for value in ("auroc", "n_test")
        )
        if reference not in cells:
            continue
        for other in cells.columns.drop(reference):
            both = cells[[reference, other]].dropna()
            by_class = (both[reference] - both[other]).groupby(level="class").mean().to_numpy()
            if not len(by_class):
                continue
            draws = np.random.default_rng(0).choice(by_class, (DRAWS, len(by_class))).mean(1)
            low, high = np.quantile(draws, [0.025, 0.975])
            rows.append(
                {
                    "data": data,
                    "protocol": protocol,
                    "detector": reference,
                    "against": other,
                    "classes": len(by_class),
                    "same_images": bool((images[reference] == images[other])[both.index].all()),
                    "difference": by_class.mean(),
                    "low": low,
                    "high": high,
                    "won": int((by_class > 0).sum()),
                    "p": wilcoxon(by_class).pvalue if by_class.any() else 1.0,
                }
            )
    columns = ["data", "protocol", "detector", "against", "classes", "same_images"]
    columns += ["difference", "low", "high", "won", "p"]
    return pd.DataFrame(rows, columns=columns).sort_values(["data", "protocol", "difference"], ignore_index=True)
