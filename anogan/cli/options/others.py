"""Options of the commands that show, make and compare. No heavy import here: --help is made from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from anogan.cli.options.shared import Device, Threads

SampleFormat = Literal["auto", "csv", "parquet", "npz", "png"]


@dataclass(frozen=True)
class Benchmark(Device):
    """Compare detectors and baselines on a data set, class by class and seed by seed.

    A repeated call keeps finished results.
    """

    out: Path
    """Folder for results.csv, details.csv, summary.csv, differences.csv, settings.json and the trained networks."""
    data: str = "mnist"
    """Data set: mnist, fashion-mnist or digits."""
    protocol: Literal["one_vs_rest", "leave_one_out"] = "one_vs_rest"
    """What is normal: one class (one_vs_rest), or all classes but one (leave_one_out)."""
    detectors: str = "default,oriented-gradient-knn"
    """Detectors and baselines separated by commas. The first is compared with all others. A wrong name is answered with
    the choices."""
    classes: str = "all"
    """Classes separated by commas, or all."""
    seeds: str = "0,1,2"
    """Seeds separated by commas."""
    workers: int = 1
    """Number of processes. Each takes one class and seed at a time."""
    threads: int = 1
    """CPU threads of each process."""
    subset: int = 0
    """Number of test rows that slow detectors score (those that search): half normal, half anomalous. 0 = all."""
    scheduler: str | None = None
    """Address of a Dask scheduler. Each of its workers takes one class and seed at a time. Needs the extra 'dask'."""
    data_root: str | None = None
    """Folder with the data sets. By default it is the folder in ANOGAN_DATA, else a cache folder of yours."""


@dataclass(frozen=True)
class Report:
    """Write a page with the figures and tables of a run or a benchmark."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run directory, or folder of a benchmark."""
    out: Path | None = None
    """Folder for the page; by default reports/NAME-OF-RUN."""


@dataclass(frozen=True)
class Export(Threads):
    """Write a model as one ONNX file that takes pixels or rows and gives the verdict, without anogan and torch.

    Before, it is compared with Python on 1,000 generated samples, and both are timed.
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run directory or bundle."""
    onnx: Path
    """File to write."""
    detector: str | None = None
    """Detector to export; not one that searches. By default it is the first one that the run was trained with."""
    photo_size: tuple[int, int] | None = None
    """Width and height of the camera's photos in pixels. By default those of the training photos."""
    seed: int = 0
    """Number that decides the generated samples."""


@dataclass(frozen=True)
class Convert:
    """Convert a run or bundle of an earlier version to today's format, in place. Its scores do not change."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run directory or bundle."""


@dataclass(frozen=True)
class Sample(Threads, Device):
    """Write new data from a trained generator.

    Pictures to look at, normal samples, a long recording, or more of a rare fault, with labels and a manifest.
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run directory or bundle."""
    n: Annotated[int, tyro.conf.arg(aliases=("-n",))] = 0
    """Number of normal samples, and of samples of each fault: windows of rows for a model of sensors, else images. 0 =
    1000 with --faults, --report or --format, and for sensors without --rows; otherwise none."""
    rows: int = 0
    """Sensors: length in rows of one long normal recording to write."""
    grid: int = 0
    """Images: rows and columns of a picture to look at, generated_DATA_grid.png. 0 = 4 where no samples are written."""
    interpolations: int = 0
    """Images: number of rows in interpolations.png. Each row goes in small steps from one image to another."""
    faults: tuple[Path, ...] = ()
    """Examples of rare faults to imitate. Sensors: recordings of one fault each, from 50 rows. N windows of each fault
    are made at operating points near it, half to twice as severe, and labelled with the file's name. Photos: folders of
    one kind of defect each, from 20 photos. N good photos get a defect like it, half to one and a half times as strong,
    with a mask, and are labelled with the folder's name."""
    format: SampleFormat = "auto"
    """auto: csv for sensors, png for images. Both can be npz; parquet needs the extra 'parquet'."""
    report: bool = False
    """Also write a page, OUT/index.html, that says how real the normal samples are and whether they are copies. The
    training data must be in its place."""
    out: Path | None = None
    """Folder for what is written; RUN/generated by default. Samples made with other settings are not overwritten."""
    seed: int = 0
    """Number that decides all random choices."""
    data_root: str | None = None
    """Folder of the data sets, for the report."""


@dataclass(frozen=True)
class Data:
    """Get a data set, check it, and show what is in it."""

    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]
    """mnist, fashion-mnist or digits."""
    data_root: str | None = None
    """Folder with the data sets. By default it is the folder in ANOGAN_DATA, else a cache folder of yours."""


@dataclass(frozen=True)
class Demo(Threads, Device):
    """Show the whole job in a few minutes: train, score, report.

    On digits (MNIST), sensors of a machine, or photos of parts.
    """

    what: tyro.conf.Positional[Literal["digits", "sensors", "photos"]] = "digits"
    """digits: one digit of MNIST is normal; writes runs/demo and reports/demo. sensors: a simulated pump, with a
    bearing that wears out and a valve that sticks; writes runs/demo-sensors and reports/demo-sensors. photos: rendered
    circuit boards, some scratched, stained, with pads missing or shifted; writes runs/demo-photos and
    reports/demo-photos."""
    normal: str = "3"
    """The digit that is normal; the other nine are anomalies. For digits only."""
    seed: int = 0
    """Number that decides all random choices, and what the simulated machine or boards are like."""
    data_root: str | None = None
    """Folder with the data sets. By default it is the folder in ANOGAN_DATA, else a cache folder of yours. For digits
    only."""
