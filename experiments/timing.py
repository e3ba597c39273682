"""Timing variants side by side."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

Row = dict[str, Any]
Variants = dict[str, Callable[[], float]]  # name -> one measurement, in the unit of its row


def timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def rate(n: int, work: Callable[[], object]) -> float:
    """n per second."""
    return n / timed(work)


def seconds_each(n: int, work: Callable[[], object]) -> float:
    return timed(work) / n


def alternate(variants: Variants, rounds: int = 7) -> dict[str, list[float]]:
    """A B A B: whatever else this machine does hits all of them alike. The first round warms up and is dropped."""
    found: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds + 1):
        for name, measure in variants.items():
            found[name].append(measure())
    return {name: values[1:] for name, values in found.items()}


def rows(part: str, unit: str, found: dict[str, list[float]]) -> Iterator[Row]:
    """Median, extremes and the median of the ratios to the first variant, round by round."""
    first = next(iter(found.values()))
    for name, values in found.items():
        ratio = statistics.median(value / base for value, base in zip(values, first, strict=True))
        extremes = {"low": min(values), "high": max(values), "rounds": len(values)}
        yield {
            "part": part,
            "variant": name,
            "unit": unit,
            "median": statistics.median(values),
            **extremes,
            "ratio": ratio,
        }
