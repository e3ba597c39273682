"""Comparison of an exported model with Python: differences of the outputs, and speeds."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from anogan.detectors.calibration import p_values
from anogan.errors import ExportError
from anogan.export.graph import OUTPUTS, Found, Graph, Input
from anogan.gan.inversion import rows_at_once

COMPARED_SAMPLES = 1000  # samples of the detector that every export compares
TOLERANCE = (
    1e-3  # largest difference: of scores in `Graph.unit`, of maps in that of a normal sample, of values in [-1, 1]
)
COMPARED = ("score", "p_value", "anomaly_map", "reconstruction")
ROUNDS = 5  # of timing; one more comes first and is dropped
Session = Any  # onnxruntime.InferenceSession


class Parity(NamedTuple):
    """The largest differences between both paths over `samples`. `verdicts` counts the verdicts that differ."""

    samples: int
    score: float
    p_value: float
    anomaly_map: float
    reconstruction: float
    verdicts: int
    tolerance: float  # of the score


class Speed(NamedTuple):
    """Milliseconds per input in batches of `batch` inputs, as medians, and the median of the ratios of each round."""

    batch: int
    python: float
    onnxruntime: float
    ratio: float


def run(graph: Graph, session: Session, inputs: Sequence[Input]) -> Found:
    """Run the exported model."""
    given = dict(zip(graph.inputs, inputs, strict=True))
    outputs = dict(zip(OUTPUTS, session.run(list(OUTPUTS), given), strict=True))
    return Found(*(outputs[name] for name in Found._fields))


def compare(graph: Graph, session: Session, seed: int, on_samples: Callable[[int], None]) -> Parity:
    """Run both paths on generated inputs in batches of several sizes.

    Raises `ExportError` if they differ by more than TOLERANCE, or if the verdict or the p-value does not follow from
    the score.
    """
    tolerance, stream = TOLERANCE * graph.unit, np.random.default_rng(seed)
    worst, verdicts, samples = dict.fromkeys(COMPARED, 0.0), 0, 0
    for n in _batches(graph):
        inputs = graph.draw(n, stream)
        expected, got = graph.python(*inputs), run(graph, session, inputs)
        _check_judged(graph, got)
        for name in worst:
            difference = np.abs(getattr(got, name).astype(np.float64) - getattr(expected, name)).max()
            worst[name] = float(np.maximum(worst[name], difference))  # NaN stays
        verdicts += int((got.anomaly != expected.anomaly).sum())
        samples += n * graph.parts
        on_samples(n)
    allowed = {"score": tolerance, "anomaly_map": TOLERANCE, "reconstruction": TOLERANCE}
    for name, most in allowed.items():
        if not worst[name] <= most:
            raise ExportError(
                f"the exported {name} differs from Python's by up to {worst[name]:.3g}, more than {most:.3g}; "
                "nothing was written"
            )
    return Parity(samples, verdicts=verdicts, tolerance=tolerance, **worst)


def inputs_of(graph: Graph) -> int:
    """Return how many inputs are compared."""
    return max(sum(graph.batches[:-1]), math.ceil(COMPARED_SAMPLES / graph.parts))


def _batches(graph: Graph) -> Iterator[int]:
    *first, largest = graph.batches
    yield from first
    left = inputs_of(graph) - sum(first)
    while left > 0:
        yield min(left, largest)
        left -= largest


def _check_judged(graph: Graph, got: Found) -> None:
    p_value = p_values(graph.detector.calibration_scores_, got.score)
    if not np.array_equal(got.p_value, p_value) or not np.array_equal(got.anomaly, got.score > graph.threshold):
        raise ExportError("the exported p-value or verdict does not follow from the score; nothing was written")


def speeds(graph: Graph, session: Session, seed: int) -> list[Speed]:
    """Time both paths in turn, with one input, and with as many as Python's networks take at once."""
    timed = []
    at_once = min(rows_at_once(graph.gan.shape) // graph.parts, 2 * graph.batches[-1])
    for n in (1, max(2, at_once)):
        inputs = graph.draw(n, np.random.default_rng(seed))
        pairs = [
            (_milliseconds(graph.python, *inputs), _milliseconds(run, graph, session, inputs))
            for _ in range(ROUNDS + 1)
        ]
        python, exported = zip(*pairs[1:], strict=True)
        ratio = statistics.median(p / e for p, e in pairs[1:])
        timed.append(Speed(n, statistics.median(python) / n, statistics.median(exported) / n, ratio))
    return timed


def _milliseconds(work: Callable[..., object], *args: Any) -> float:
    begin = time.perf_counter()
    work(*args)
    return 1000 * (time.perf_counter() - begin)
