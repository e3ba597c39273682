"""Detectors and baselines on whole protocols, class by class and seed by seed, tuned without test data."""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from anogan.benchmark.baselines import BASELINES
from anogan.config.gan import EncoderMode, GANConfig
from anogan.config.presets import DEFAULT, PRESETS
from anogan.config.runs import RunConfig
from anogan.config.serialise import refuse_other_settings, to_dict
from anogan.detectors import detector_class
from anogan.detectors.calibration import Floats, hold_out, threshold_at
from anogan.digits.datasets import load_dataset
from anogan.digits.splits import PROTOCOLS, Split, parse_classes
from anogan.errors import CalibrationWarning
from anogan.evaluation.metrics import METRICS, auroc, balanced_subset, bootstrap_interval
from anogan.files import Json, write_json, write_text
from anogan.gan.device import resolve_device
from anogan.gan.networks import GAN
from anogan.gan.stages import Parts, train_stages
from anogan.gan.training import GANTraining, Training, train
from anogan.runs import bundle
from anogan.runs.bundle import Bundle
from anogan.runs.training import make_detector

KEY = ["data", "protocol", "class", "detector", "seed"]
COLUMNS = [
    *KEY,
    *METRICS,
    "false_alarm_promised",
    "false_alarm_achieved",
    "train_seconds",
    "score_seconds",
]
DETAILS = ["auroc_low", "auroc_high", "n_train", "n_calibration", "n_test"]

PAPERS = PRESETS["papers"]


@dataclass(frozen=True)
class Method:
    """A GAN detector and its settings."""

    detector: str
    config: RunConfig

    def settings(self, subset: int) -> Json:
        """Return the settings that decide its results."""
        return to_dict(self.config) | ({"subset": subset} if self.searches else {})

    @property
    def searches(self) -> bool:
        """Whether it searches z for each sample."""
        return detector_class(self.detector).searches


def _papers(mode: EncoderMode, gan: GANConfig = PAPERS.gan) -> Method:
    steps = DEFAULT.encoder.steps
    return Method("fanogan", replace(PAPERS, gan=gan, encoder=replace(PAPERS.encoder, mode=mode, steps=steps)))


WGAN_GP = replace(
    PAPERS.gan, loss="wgan_gp", discriminator_norm="none", critic_steps=5, learning_rate=1e-4, betas=(0.0, 0.9)
)
METHODS: dict[str, Method] = {
    "default": Method("neighbourgan", DEFAULT),
    "fanogan": Method("fanogan", DEFAULT),
    "anogan": Method("anogan", DEFAULT),
    "hybrid": Method("hybrid", DEFAULT),
    "anogan-paper": Method("anogan", PAPERS),
    "fanogan-paper-izi": _papers("izi"),
    "fanogan-paper-ziz": _papers("ziz"),
    "fanogan-paper-izi_f": _papers("izi_f"),
    "fanogan-paper-wgan_gp": _papers("izi_f", WGAN_GP),
}


def choose_methods(names: str) -> list[str]:
    """Read 'default,pca' as names. Raises `ValueError` with the choices."""
    known = [*METHODS, *BASELINES]
    chosen = list(dict.fromkeys(name.strip() for name in names.split(",")))
    for name in chosen:
        if name not in known:
            raise ValueError(f"unknown detector {name!r}; choose from {', '.join(known)}")
    return chosen


@dataclass(frozen=True)
class Job:
    """One task of a process: the methods that share a GAN, on one class and seed."""

    data: str
    protocol: str
    label: str
    seed: int
    methods: tuple[str, ...]


@dataclass
class Networks:
    """The GANs and encoders of one job, each trained once and kept in `folder` with its training time."""

    job: Job
    x: torch.Tensor
    folder: Path

    def get(self, config: GANConfig, parts: Parts) -> tuple[GAN, float]:
        """Return the networks with these settings, and the seconds that all their stages took."""
        settings: Json = {}
        seconds: list[float] = []

        def once(name: str, stage: Training) -> GAN:
            settings[name] = to_dict(stage.config)
            gan, took = self._once(name, settings, stage)
            seconds.append(took)
            return gan

        adversarial = GANTraining(tuple(self.x.shape[1:]), config, self.job.seed, self.x.device)
        return train_stages(adversarial, parts, once), sum(seconds)

    def _once(self, stage: str, settings: Json, training: Training) -> tuple[GAN, float]:
        about = {"data": self.job.data, "protocol": self.job.protocol, "class": self.job.label, "seed": self.job.seed}
        digest = hashlib.sha256(json.dumps([about, DEFAULT.holdout, settings]).encode()).hexdigest()[:8]
        path = self.folder / f"{'-'.join(map(str, about.values()))}-{stage}-{digest}"
        if not path.exists():
            begin = time.monotonic()
            networks = train(self.x, training)
            bundle.save(path, networks, {}, "digits", about | {"seconds": time.monotonic() - begin})
        return Bundle.open(path).gan(str(self.x.device)), Bundle.open(path).about["seconds"]


def run_job(job: Job, split: Split, networks: Path, threads: int, subset: int, device: str) -> list[Json]:
    """Train, calibrate on held-out normals and score every test image. Returns one row of results per method."""
    torch.set_num_threads(threads)
    with threadpool_limits(threads), warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        return list(_rows(job, split, networks, subset, device))


def _rows(job: Job, split: Split, folder: Path, subset: int, device: str) -> Iterator[Json]:
    training, held_out = hold_out(len(split.x_train), DEFAULT.holdout, job.seed)
    assert not set(training) & set(held_out), "training and calibration share rows"
    assert not np.shares_memory(split.x_train, split.x_test), "training and test share rows"
    x, x_held_out = split.x_train[training], split.x_train[held_out]
    networks = Networks(job, torch.from_numpy(x).to(resolve_device(device)), folder)
    for name in job.methods:
        rows = np.arange(len(split.x_test))
        if name in METHODS:
            config = replace(METHODS[name].config, seed=job.seed)
            detector = make_detector(METHODS[name].detector, config, device)
            if METHODS[name].searches and 0 < subset < len(rows):
                rows = balanced_subset(split.label_test, split.y_test, subset, job.seed)
            gan, train_seconds = networks.get(config.gan, detector.parts)
            begin = time.monotonic()
            detector.calibrate(gan, x, x_held_out)
            train_seconds += time.monotonic() - begin
            threshold = detector.threshold_
        else:
            detector = BASELINES[name](job.seed)
            begin = time.monotonic()
            detector.fit(x)
            train_seconds = time.monotonic() - begin
            threshold = threshold_at(-detector.score_samples(x_held_out), DEFAULT.false_alarm_rate)
        begin = time.monotonic()
        score: Floats = -detector.score_samples(split.x_test[rows])
        score_seconds = time.monotonic() - begin
        y = split.y_test[rows]
        low, high = bootstrap_interval(auroc, y, score, seed=job.seed, draws=200)
        yield {
            "data": job.data,
            "protocol": job.protocol,
            "class": job.label,
            "detector": name,
            "seed": job.seed,
            **{metric: function(y, score) for metric, function in METRICS.items()},
            "false_alarm_promised": DEFAULT.false_alarm_rate,
            "false_alarm_achieved": float((score[y == 0] > threshold).mean()),
            "train_seconds": train_seconds,
            "score_seconds": score_seconds,
            "auroc_low": low,
            "auroc_high": high,
            "n_train": len(x),
            "n_calibration": len(x_held_out),
            "n_test": len(y),
        }


class Table:
    """The files results.csv and details.csv, rewritten completely after every job, and settings.json next to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[Json] = []
        if (folder / "results.csv").exists():
            text = {"class": str, "seed": int}
            results = pd.read_csv(folder / "results.csv", dtype=text)
            self.rows = results.merge(pd.read_csv(folder / "details.csv", dtype=text), on=KEY).to_dict("records")

    def finished(self, job: Job, method: str) -> bool:
        """Tell whether a method's result of this job is in the table."""
        key = (job.data, job.protocol, job.label, method, job.seed)
        return any(tuple(row[column] for column in KEY) == key for row in self.rows)

    def check(self, settings: Json) -> None:
        """Refuse to mix settings in one table. Raises `RunError` with the names of those that differ."""
        file = self.folder / "settings.json"
        old = json.loads(file.read_text()) if file.exists() else {}
        common = {name: old[name] for name in settings if name in old}
        refuse_other_settings(self.folder, common, {name: settings[name] for name in common})
        write_json(file, old | settings)

    def add(self, rows: list[Json]) -> None:
        """Add rows and write the files."""
        self.rows += rows
        table = self.frame()
        write_text(self.folder / "details.csv", table[[*KEY, *DETAILS]].to_csv(index=False, float_format="%.5f"))
        write_text(self.folder / "results.csv", table[COLUMNS].to_csv(index=False, float_format="%.5f"))

    def frame(self) -> pd.DataFrame:
        """Return the sorted table."""
        return pd.DataFrame(self.rows, columns=[*COLUMNS, *DETAILS]).sort_values(KEY, ignore_index=True)


def run_benchmark(
    folder: Path,
    data: str,
    protocol: str,
    methods: Sequence[str],
    classes: str,
    seeds: Sequence[int],
    *,
    workers: int = 1,
    threads: int = 1,
    subset: int = 0,
    data_root: str | None = None,
    device: str = "auto",
    on_cells: Callable[[int, int], None] = lambda done, total: None,
) -> pd.DataFrame:
    """Fill the table in `folder`. Finished cells are not run again, and GANs in `folder`/networks not trained again.

    `on_cells` is called with the numbers of cells done and of all cells. Jobs run in `workers` processes of `threads`
    threads, or where joblib's active backend (Dask, Ray) puts them.
    """
    images = load_dataset(data, data_root)
    table = Table(folder)
    table.check({name: METHODS[name].settings(subset) for name in methods if name in METHODS})
    cells = [
        Job(data, protocol, images.classes[label], seed, (name,))
        for seed in seeds
        for label in parse_classes(classes, images.classes)
        for name in methods
    ]
    open_cells = [cell for cell in cells if not table.finished(cell, cell.methods[0])]
    jobs = [replace(next(iter(group)), methods=tuple(names)) for names, group in _sharing(open_cells)]
    done = len(cells) - len(open_cells)
    on_cells(done, len(cells))
    tasks = (
        joblib.delayed(run_job)(
            job, PROTOCOLS[protocol](images, job.label), folder.resolve() / "networks", threads, subset, device
        )
        for job in jobs
    )
    for rows in joblib.Parallel(n_jobs=workers, return_as="generator_unordered", pre_dispatch=workers)(tasks):
        table.add(rows)
        done += len(rows)
        on_cells(done, len(cells))
    return table.frame()


def _sharing(cells: Sequence[Job]) -> Iterator[tuple[list[str], list[Job]]]:
    """Group the cells of one class and seed whose methods can share a trained GAN."""

    def gan(cell: Job) -> str:
        method = METHODS.get(cell.methods[0])
        return repr(method.config.gan) if method else ""

    def key(cell: Job) -> tuple[int, str, str]:
        return cell.seed, cell.label, gan(cell)

    for _, group in groupby(sorted(cells, key=key), key=key):
        members = list(group)
        yield [cell.methods[0] for cell in members], members
