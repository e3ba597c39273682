"""Options of the commands that use a trained model. No heavy import here: --help is made from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from anogan.cli.options.shared import Device, Threads


@dataclass(frozen=True)
class Score(Threads, Device):
    """Score images, recordings of sensors or the test split of a data set, and say which are anomalies."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run directory or bundle."""
    inputs: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="INPUT [INPUT ...]")]
    """What to score. Images: image files, folders of them, or one NumPy file (.npy) of samples (n, channels, height,
    width), bytes or floats in [-1, 1]. For a model of sensors: recordings (.csv, .csv.gz, .parquet, .npy, ...); each
    gets scores.csv, alarms.csv and a page. A data set by name (mnist, fashion-mnist, digits): all detectors score its
    test split, and results.json and scores.csv are written into the run."""
    detector: str | None = None
    """Detector that scores files. By default it is the first one that the run was trained with."""
    out: Path | None = None
    """CSV file for the scores of image files; by default RUN/scores-files.csv. Scoring that was interrupted goes on
    from there. A model of photos also writes the defective regions next to it, in pixels of the photo (NAME.regions.csv
    and NAME.regions.json). For a recording this is a folder; by default RUN/scored/FILE."""
    maps: Path | None = None
    """Folder for one picture per image: a heatmap or, from a model of photos, the photo with heat where it looks
    defective and a box around each region. All pictures have the same scale."""
    move_rejects: Path | None = None
    """Folder to move image files into that are judged anomalies. They keep the names they have in their own folder,
    nothing is overwritten, and rejects.csv in there says where each came from."""
    resize: bool = False
    """Resize images that have another size than the model's. By default they are reported as errors. A model of photos
    does not need this."""
    subset: int = 306
    """Number of rows of a data set that slow detectors score (those that search): half normal, half anomalous. 0 = all.
    """
    fail_on_anomaly: bool = False
    """End with exit status 1 if anything is an anomaly."""
    data_root: str | None = None
    """Folder with the data sets. By default it is the folder in ANOGAN_DATA, else a cache folder of yours."""


@dataclass(frozen=True)
class Sensitivity(Threads, Device):
    """Find out how small a fault is still caught, without having a faulty part.

    Faults of known strength are put into good data.
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run directory or bundle of a model of sensors or photos."""
    data: Path | None = None
    """Good data: a recording of healthy operation, or a folder of photos of good parts. By default it is what the run
    held out of its own data."""
    kinds: str = "all"
    """Kinds of faults separated by commas, or all. A wrong name is answered with the choices."""
    severities: str = "0.02,0.05,0.1,0.2,0.3,0.5,0.7,1"
    """Strengths of the faults separated by commas, each above 0 and at most 1."""
    repeats: int = 0
    """Trials of each kind and severity on every channel or photo. 0 = 20 on a channel, 2 on a photo."""
    duration: int = 0
    """Length of a fault of sensors in rows. 0 = as many as a score looks back at."""
    seed: int = 0
    """Number that decides where the faults are and how they look."""
    detector: str | None = None
    """Detector to use. By default it is the first one that the run was trained with."""
    out: Path | None = None
    """Folder for index.html, tables and figures; by default RUN/sensitivity. A repeated call keeps the results that are
    there and computes the rest."""


@dataclass(frozen=True)
class Recalibrate(Threads, Device):
    """Set the thresholds of a model of sensors again, from another healthy recording, without training."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run directory or bundle. Its thresholds are replaced."""
    recording: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RECORDING")]
    """Recording of healthy operation that the model was not trained on."""
    budget: str = ""
    """How many false alarms you accept, such as 1/week. By default as many as before."""


@dataclass(frozen=True)
class Monitor:
    """Watch a machine live: score rows as they arrive, print a line of JSON when an alarm begins or ends."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run directory or bundle of a model of sensors."""
    source: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SOURCE")] = "-"
    """Where rows come from: '-' for lines on standard input; a CSV file that grows; or mqtt://user@host:1883/topic
    (mqtts:// for TLS; put the password into ANOGAN_MQTT_PASSWORD). A row is a JSON object with a value per channel, or
    delimited text. Text begins with a header, unless the model was trained on a table without one."""
    publish: str = ""
    """MQTT topic for alarms; by default TOPIC/alarms."""
    state: Path | None = None
    """Folder for alarms.jsonl and for what a restart needs to go on; by default RUN/monitor."""
    follow: bool = True
    """Wait for rows that are appended to the file later. With --no-follow, stop at its end."""
    client_id: str = ""
    """Name by which the broker knows this monitor and keeps messages while it is away; by default anogan-RUN."""
    ca_file: str = ""
    """File of certificates to trust for mqtts://, if they are not among the system's."""
    detector: str | None = None
    """Detector to use. By default it is the first one that the run was trained with."""
    device: str = "cpu"
    """Where to compute: cpu, cuda, cuda:1, ...; auto takes a graphics card if there is one."""
    threads: int = 1
    """CPU threads."""


@dataclass(frozen=True)
class Watch:
    """Watch a folder live: score photos as a camera writes them, print a line of JSON for each, move rejects away."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run directory or bundle of a model of photos."""
    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FOLDER")]
    """Folder that the camera writes into; its subfolders count too. It is read again and again, so that network drives
    work as well. A photo is scored as soon as its file no longer changes and can be decoded."""
    move_rejects: Path | None = None
    """Folder to move photos into that are judged anomalies. They keep the names they have in their own folder, nothing
    is overwritten, and rejects.csv in there says where each came from."""
    maps: Path | None = None
    """Folder for one picture per photo: heat where it looks defective, and a box around each region."""
    state: Path | None = None
    """Folder for results.jsonl, which holds every line that was printed. A restart reads there what is done. By default
    RUN/watch."""
    interval: float = 0.5
    """Seconds between two looks at the folder. A file that has not changed for so long is complete."""
    once: bool = False
    """Score the photos that are there, then stop. Exit status 2 if one could not be scored."""
    detector: str | None = None
    """Detector to use. By default it is the first one that the run was trained with."""
    device: str = "cpu"
    """Where to compute: cpu, cuda, cuda:1, ...; auto takes a graphics card if there is one."""
    threads: int = 1
    """CPU threads."""
