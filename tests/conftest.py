"""Small data, small settings and fitted detectors that many tests share. No test needs a network or a data folder."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; processes that tests start inherit it

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import settings

from anogan.cli import main
from anogan.config.gan import EncoderConfig, GANConfig, LocatorConfig, SearchConfig
from anogan.detectors import DETECTORS, Detector

matplotlib.use("Agg")
settings.register_profile("same everywhere", derandomize=True, deadline=None)
settings.load_profile("same everywhere")

THREADS = int(os.environ["OMP_NUM_THREADS"])
QUICK_GAN = GANConfig(latent_dim=8, width=4, steps=40, batch_size=16)
QUICK_ENCODER = EncoderConfig(steps=40, batch_size=16, learning_rate=2e-3)
QUICK_LOCATOR = LocatorConfig(steps=40, batch_size=8)
QUICK_SEARCH = SearchConfig(steps=12, patience=3, tolerance=0.02, learning_rate=0.1, batch_size=8)
SHAPES = {"square": (1, 28, 28), "odd photo": (3, 13, 18), "signal": (2, 50)}


@pytest.fixture(autouse=True)
def as_many_threads_as_asked_for() -> Iterator[None]:
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(THREADS)


def stripes(n: int, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Normal samples: a sine along the last axis with random phase and a little noise, in [-1, 1]."""
    rng = np.random.default_rng(seed)
    axis = np.arange(shape[-1]) / shape[-1] * 4 * np.pi
    phase = rng.uniform(0, 2 * np.pi, (n, *[1] * len(shape)))
    wave = 0.8 * np.sin(axis + phase) + 0.05 * rng.standard_normal((n, *shape))
    return np.clip(wave, -1, 1).astype(np.float32)


def quick(name: str, **changes: object) -> Detector:
    """A detector with small networks and short loops."""
    params = DETECTORS[name]().get_params(deep=False)
    small = {
        "gan": QUICK_GAN,
        "encoder": QUICK_ENCODER,
        "search": QUICK_SEARCH,
        "locator": QUICK_LOCATOR,
        "device": "cpu",
    }
    given = {key: value for key, value in small.items() if key in params}
    return DETECTORS[name](**given | {"false_alarm_rate": 0.1, "holdout": 0.3} | changes)


_fitted: dict[tuple[str, str], Detector] = {}


@pytest.fixture(params=sorted(SHAPES))
def shape(request: pytest.FixtureRequest) -> tuple[int, ...]:
    return SHAPES[request.param]


@pytest.fixture(params=sorted(DETECTORS))
def fitted(request: pytest.FixtureRequest, shape: tuple[int, ...]) -> Detector:
    """Every detector, fitted on every shape, once per session."""
    if request.param == "locatorgan" and len(shape) == 2:
        pytest.skip("for photos alone")
    key = (request.param, str(shape))
    if key not in _fitted:
        _fitted[key] = quick(request.param).fit(stripes(64, shape))
    return _fitted[key]


def without_figures(page: Path) -> str:
    """The text of a page: how a figure is drawn changes with matplotlib."""
    return re.sub(r"<svg.*?</svg>", "", page.read_text(), flags=re.S)


def recording(n: int, seed: int = 0) -> pd.DataFrame:
    """Two channels that follow one load, a third of noise around 50, and a fourth that never changes."""
    stream = np.random.default_rng(seed)
    load = np.sin(np.arange(n) / 9) + 0.3 * np.sin(np.arange(n) / 31 + seed)
    values = {
        "flow": 100 + 10 * load + stream.standard_normal(n),
        "pressure": 3 - 0.5 * load + 0.05 * stream.standard_normal(n),
        "noise": 50 + 2 * stream.standard_normal(n),
        "still": np.full(n, 7.0),
    }
    return pd.DataFrame({"t": np.arange(n)} | values)


def faulty(seed: int = 5) -> pd.DataFrame:
    """From row 400 to 599 the pressure no longer follows the load."""
    table = recording(1000, seed)
    table.loc[400:599, "pressure"] = 6 - table.loc[400:599, "pressure"]
    return table


@pytest.fixture(scope="session")
def pump_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on healthy rows of a pump, trained by the command; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("pump")
    recording(3000).to_csv(folder / "pump.csv", index=False)
    words = f"train --data {folder / 'pump.csv'} --time-column t --window 12 --smoothing 8 --budget 1/hour --block 60"
    words += f" --out {folder / 'pump'} --threads 1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert main.run_command(words.split()) == 0
    return folder / "pump"
