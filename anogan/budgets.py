"""Budgets of false alarms, such as 1/week, and time spans in words."""

from __future__ import annotations

import re

UNITS = {
    "second": 1.0,
    "minute": 60.0,
    "hour": 3600.0,
    "day": 86_400.0,
    "week": 604_800.0,
    "month": 2_629_800.0,
    "year": 31_557_600.0,
}
BUDGET = re.compile(r"(\d+(?:\.\d+)?)\s*(?:/|\bper\b)\s*(\d+(?:\.\d+)?)?\s*([a-z]+?)s?")


def per_second(budget: str) -> float:
    """Read a budget: '1/week', '2 per day', '1 per 30 days' -> alarms per second. Raises `ValueError` with examples."""
    match = BUDGET.fullmatch(budget.strip().lower())
    if not match or match[3] not in UNITS or float(match[1]) <= 0 or float(match[2] or 1) <= 0:
        raise ValueError(f"expected a budget such as 1/week or '2 per 30 days' ({', '.join(UNITS)}), got {budget!r}")
    return float(match[1]) / (float(match[2] or 1) * UNITS[match[3]])


def in_words(seconds: float) -> str:
    """Write a time span in its largest fitting unit: 5400 -> '1.5 hours'."""
    name, unit = max(
        ((n, u) for n, u in UNITS.items() if u <= seconds), key=lambda pair: pair[1], default=("second", 1)
    )
    return f"{seconds / unit:.3g} {name}{'s' * (f'{seconds / unit:.3g}' != '1')}"
