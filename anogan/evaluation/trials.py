"""Sensitivity: faults of known strength are put into good data, and the detector's catches are counted.

A cell is a kind of fault at a severity, and consists of trials. The random generator of a trial depends on the kind and
the number of the trial, not on the severity: a trial has the same fault at every severity, only stronger.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from anogan.config.serialise import refuse_other_settings
from anogan.detectors.calibration import Floats
from anogan.errors import DataUnavailableError, RunError
from anogan.evaluation.metrics import auroc
from anogan.files import Json, write_json
from anogan.runs.directory import C, Run

CAUGHT = 0.9  # share of the trials from which on a severity counts as caught
NOTHING = "nothing"  # the kind of a cell without a fault: what chance alone gives
Cell = Json  # kind, severity, auroc, trials: a dict for each, with `caught`
OnTrials = Callable[[int], None]  # trials done


class Trials(Protocol):
    """Makes the trials of each cell."""

    count: int  # of a cell

    def cell(self, kind: str, severity: float, on_trials: OnTrials) -> Cell:
        """Run all trials of a kind at a severity."""

    def figures(self, trials: pd.DataFrame) -> dict[str, float]:
        """Summarise a cell's trials, besides how many were caught."""


def parse_kinds(names: str, known: Sequence[str]) -> list[str]:
    """Read 'bias,drift' or 'all' as names. Raises `ValueError` with the choices."""
    chosen = list(known) if names == "all" else list(dict.fromkeys(name.strip() for name in names.split(",")))
    for name in chosen:
        if name not in known:
            raise ValueError(f"unknown kind of fault {name!r}; choose from {', '.join(known)}")
    return chosen


def parse_severities(text: str) -> list[float]:
    """Read '0.1,0.5' as increasing severities. Raises `ValueError` for one outside (0, 1]."""
    try:
        severities = sorted({float(word) for word in text.split(",")})
    except ValueError:
        raise ValueError(f"--severities must be numbers separated by commas, got {text!r}") from None
    if not all(0 < severity <= 1 for severity in severities):
        raise ValueError(f"--severities must be above 0 and at most 1, got {text!r}")
    return severities


def cells_of(kinds: Sequence[str], severities: Sequence[float]) -> list[tuple[str, float]]:
    """List kind and severity of every cell; the first one has no fault."""
    return [(NOTHING, 0.0), *((kind, severity) for kind in kinds for severity in severities)]


def fill(
    folder: Path,
    settings: Json,
    trials: Trials,
    wanted: Sequence[tuple[str, float]],
    on_trials: OnTrials = lambda n: None,
) -> list[Cell]:
    """Compute the wanted cells. Each is written into `folder`/cells when it is finished, and never computed again.

    Raises `RunError` if the folder was made with other settings.
    """
    file = folder / "settings.json"
    refuse_other_settings(folder, json.loads(file.read_text()) if file.exists() else settings, settings)
    write_json(file, settings)
    cells = []
    for kind, severity in wanted:
        kept = folder / "cells" / f"{kind}-{severity:g}.json"
        if kept.exists():
            on_trials(trials.count)
        else:
            write_json(kept, trials.cell(kind, severity, on_trials))
        cells.append(json.loads(kept.read_text()))
    return cells


def trial_table(cells: Sequence[Cell]) -> pd.DataFrame:
    """Return a table with a row per trial."""
    rows = [{"kind": cell["kind"], "severity": cell["severity"]} | trial for cell in cells for trial in cell["trials"]]
    return pd.DataFrame(rows)


def summarise(trials: Trials, cells: Sequence[Cell]) -> pd.DataFrame:
    """Return a row per cell: trials, share caught with its 95 % interval (Wilson 1927), AUROC, and further metrics."""
    rows = []
    for cell in cells:
        table = pd.DataFrame(cell["trials"])
        caught, n = int(table["caught"].sum()), len(table)
        interval = binomtest(caught, n).proportion_ci(method="wilson")
        row = {"kind": cell["kind"], "severity": cell["severity"], "trials": n, "caught": caught}
        row |= {"rate": caught / n, "low": interval.low, "high": interval.high, "auroc": cell["auroc"]}
        rows.append(row | trials.figures(table))
    return pd.DataFrame(rows)


def smallest_caught(rates: pd.Series) -> float:
    """Return the smallest severity (the index) from which on the rate stays at CAUGHT or above, or NaN."""
    falling = rates.sort_index(ascending=False)
    held = (falling >= CAUGHT).cummin()
    return float(held.index[held].min()) if held.any() else math.nan


def random_stream(seed: int, kind: str, trial: int) -> np.random.Generator:
    """Return the random generator of one trial."""
    return np.random.default_rng([seed, zlib.crc32(kind.encode()), trial])


def separation(good: Sequence[Floats], faulty: Sequence[Floats]) -> float:
    """Compute the AUROC of good against faulty scores, without those that are NaN."""
    both = np.concatenate([*good, *faulty])
    y = np.repeat([0, 1], [sum(map(len, good)), sum(map(len, faulty))])
    known = np.isfinite(both)
    return auroc(y[known], both[known])


def config_of(run: Path, config: type[C]) -> C:
    """Return the settings of a run, which define what it held out. Raises `RunError` without a config.json."""
    if not (run / "config.json").exists():
        raise RunError(f"{run} has no config.json, which says what was held out; give good data with --data")
    return Run.of(run, config).config


def still_there(data: str) -> Path:
    """Return the path of a run's data. Raises `DataUnavailableError` if it no longer exists."""
    if not Path(data).exists():
        raise DataUnavailableError(
            f"{data}, which the run was trained on, no longer exists; give good data with --data"
        )
    return Path(data)
