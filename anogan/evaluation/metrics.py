"""How well scores separate y = 1 (anomalous) from y = 0 (normal). Works with any outlier detector."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

Floats = NDArray[np.float64]
Metric = Callable[[NDArray[np.int64], Floats], float]


def auroc(y: NDArray[np.int64], score: Floats) -> float:
    """Compute the area under the ROC curve: P(score of an anomaly > score of a normal sample).

    Parameters
    ----------
    y : array (n,)
        1 if anomalous, 0 if normal.
    score : array (n,)
        Anomaly scores; higher is more anomalous.

    Returns
    -------
    float
        0.5 by chance, 1 at best.

    Examples
    --------
    >>> auroc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.3, 0.9]))  # three of four pairs are in order
    0.75
    """
    return float(roc_auc_score(y, score))


def auprc(y: NDArray[np.int64], score: Floats) -> float:
    """Compute the average precision. By chance it is the share of anomalies."""
    return float(average_precision_score(y, score))


def fpr_at_tpr(y: NDArray[np.int64], score: Floats, tpr: float = 0.95) -> float:
    """Compute the share of normal samples above the threshold that catches a share `tpr` of the anomalies.

    Parameters
    ----------
    y : array (n,)
        1 if anomalous, 0 if normal.
    score : array (n,)
        Anomaly scores; higher is more anomalous.
    tpr : float in (0, 1]
        Share of the anomalies to catch; 0.95 is the field's usual value.

    Returns
    -------
    float
        0 at best, `tpr` by chance.

    Examples
    --------
    >>> fpr_at_tpr(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.3, 0.9]))
    0.5
    """
    false_positive, true_positive, _ = roc_curve(y, score, drop_intermediate=False)
    return float(false_positive[np.searchsorted(true_positive, tpr)])


def pixel_auroc(masks: Sequence[NDArray[np.bool_]], maps: Sequence[NDArray[np.float32]]) -> float:
    """Compute the AUROC of all pixels together. Masks are True where defective and have the shape of their maps."""
    return auroc(
        np.concatenate([mask.ravel() for mask in masks]).astype(np.int64),
        np.concatenate([one.ravel() for one in maps]).astype(np.float64),
    )


def aupro(masks: Sequence[NDArray[np.bool_]], maps: Sequence[NDArray[np.float32]], limit: float = 0.3) -> float:
    """Compute the area under the per-region overlap curve, divided by `limit`.

    The curve shows the share of a connected defect that is flagged, averaged over defects, against the share of good
    pixels flagged.

    Parameters
    ----------
    masks : sequence of bool arrays (height, width)
        True where defective.
    maps : sequence of arrays (height, width)
        Anomaly maps of the same photos.
    limit : float in (0, 1]
        Share of good pixels flagged at which the curve ends; 0.3 as in the paper.

    Returns
    -------
    float
        `limit` / 2 by chance, 1 at best.

    References
    ----------
    Bergmann et al. 2021, doi:10.1007/s11263-020-01400-4.
    """
    weights, regions = [], 0
    for mask in masks:
        labels, count = ndimage.label(mask, np.ones((3, 3)))
        regions += count
        weights.append(np.where(mask, 1 / np.bincount(labels.ravel())[labels], 0).ravel())
    score, weight = np.concatenate([one.ravel() for one in maps]), np.concatenate(weights)
    order = np.argsort(-score)
    score, weight = score[order], weight[order]
    last = np.flatnonzero(np.append(score[1:] != score[:-1], True))  # pixels of one value are flagged together
    flagged = np.append(0, np.cumsum(weight == 0)[last] / np.count_nonzero(weight == 0))
    overlap = np.append(0, np.cumsum(weight)[last] / regions)
    end = np.searchsorted(flagged, limit)
    at_limit = np.interp(limit, flagged[end - 1 : end + 1], overlap[end - 1 : end + 1])
    area = np.trapezoid(np.append(overlap[:end], at_limit), np.append(flagged[:end], limit))
    return float(area / limit)


METRICS: dict[str, Metric] = {"auroc": auroc, "auprc": auprc, "fpr95": fpr_at_tpr}


def bootstrap_interval(
    metric: Metric, y: NDArray[np.int64], score: Floats, *, seed: int, draws: int = 500, level: float = 0.95
) -> tuple[float, float]:
    """Compute a percentile interval of a metric, resampling normal and anomalous rows separately.

    See Efron & Tibshirani 1993. With few rows and a metric close to its bound, such as an AUROC above .95 on 30 rows of
    each class, the interval is too narrow, because it cannot contain what was never observed.
    """
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(y == label) for label in (0, 1)]
    values = []
    for _ in range(draws):
        rows = np.concatenate([rng.choice(group, len(group)) for group in groups])
        values.append(metric(y[rows], score[rows]))
    tail = (1 - level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def balanced_subset(label: NDArray[np.int64], y: NDArray[np.int64], size: int, seed: int) -> NDArray[np.intp]:
    """Draw about `size` rows: half normal, half from the anomalous classes in equal parts. The seed decides which."""
    rng = np.random.default_rng([seed, size])
    anomalous = np.unique(label[y == 1])
    each = max(1, -(-size // (2 * len(anomalous))))
    wanted = [(np.flatnonzero(y == 0), each * len(anomalous))]
    wanted += [(np.flatnonzero((y == 1) & (label == value)), each) for value in anomalous]
    rows = [rng.choice(group, min(count, len(group)), replace=False) for group, count in wanted]
    return np.sort(np.concatenate(rows))
