"""Options of the commands that use a trained model. No heavy import here: --help is made from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from anogan.config.detectors import DetectorName


@dataclass(frozen=True)
class Score:
    """Score image files, folders of them, a NumPy file, a recording of sensors, or the test split of a data set."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run directory or bundle."""
    inputs: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="INPUT [INPUT ...]")]
    """Image files, folders, one NumPy file (.npy) of samples (n, channels, height, width), bytes or floats in [-1, 1],
    or the name of a data set (mnist, fashion-mnist, digits): its test split is scored by all detectors, and
    results.json and scores.csv are written into the run. For a model of sensors, recordings (.csv, .csv.gz, .parquet,
    .npy, ...): each gets scores.csv, alarms.csv and a page."""
    detector: DetectorName | None = None
    """Detector for files; the run's first one unless given."""
    out: Path | None = None
    """CSV for files; RUN/scores-files.csv unless given. An interrupted scoring goes on where it was. A model of photos
    writes the defective regions beside it (NAME.regions.csv and NAME.regions.json, in pixels of the photo). For a
    recording, the folder; RUN/scored/FILE unless given."""
    maps: Path | None = None
    """Folder for one picture per image, on one fixed scale: a heatmap or, by a model of photos, the photo with heat
    where it looks defective and a box around each region."""
    move_rejects: Path | None = None
    """Folder that image files judged anomalies are moved into, under the names they have in their own folder; nothing
    is overwritten, rejects.csv in there says where each came from."""
    resize: bool = False
    """Resize images of another size instead of reporting them. A model of photos decides that itself."""
    subset: int = 306
    """Rows of a data set scored by detectors that search: half normal, half anomalous; 0 = all."""
    fail_on_anomaly: bool = False
    """Exit status 1 if anything is flagged."""
    data_root: str | None = None
    """Folder of the data sets."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    threads: int = 0
    """CPU threads; 0 = OMP_NUM_THREADS, else one per core that other programs leave idle. torchrun gives each of its
    processes one."""


@dataclass(frozen=True)
class Sensitivity:
    """Tell how small a fault is still caught, without having one: put faults of known strength into good data."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run directory or bundle of a model of sensors or of photos."""
    data: Path | None = None
    """A recording of healthy operation, or a folder of photos of good parts; what the run held out of its own unless
    given."""
    kinds: str = "all"
    """Kinds of faults separated by commas, or all. A wrong one is answered with the choices."""
    severities: str = "0.02,0.05,0.1,0.2,0.3,0.5,0.7,1"
    """Above 0 and at most 1, separated by commas."""
    repeats: int = 0
    """Trials of each kind and severity on every channel or photo; 0 = 20 on a channel, 2 on a photo."""
    duration: int = 0
    """Rows of a fault of sensors; 0 = as many as a score looks back at."""
    seed: int = 0
    """Decides where faults are put and how they look."""
    detector: DetectorName | None = None
    """The run's first one unless given."""
    out: Path | None = None
    """Folder of index.html, tables and figures; RUN/sensitivity unless given. Finished cells are kept there: what was
    interrupted goes on."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    threads: int = 0
    """CPU threads; 0 = OMP_NUM_THREADS, else one per core that other programs leave idle."""


@dataclass(frozen=True)
class Recalibrate:
    """Set the thresholds of a model of sensors anew from another healthy recording, without training."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run directory or bundle; its thresholds are replaced."""
    recording: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RECORDING")]
    """Rows of healthy operation that the model was not trained on."""
    budget: str = ""
    """False alarms at most, such as 1/week; as before unless given."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    threads: int = 0
    """CPU threads; 0 = OMP_NUM_THREADS, else one per core that other programs leave idle."""


@dataclass(frozen=True)
class Monitor:
    """Watch a machine live: score rows as they come, print a line of JSON when an alarm begins or ends."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run directory or bundle of a model of sensors."""
    source: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SOURCE")] = "-"
    """'-': lines on standard input; a CSV file that grows; or mqtt://user@host:1883/topic (mqtts:// for TLS; the
    password in ANOGAN_MQTT_PASSWORD). Rows are JSON objects, a value per channel, or delimited text. Text begins with a
    header, unless the model was trained on a table without one."""
    publish: str = ""
    """MQTT topic for alarms; TOPIC/alarms unless given."""
    state: Path | None = None
    """Folder of what the monitor remembers and of alarms.jsonl; RUN/monitor unless given."""
    follow: bool = True
    """Wait for what is written to the file later; otherwise stop at its end."""
    client_id: str = ""
    """Name under which the broker keeps what is published meanwhile; anogan-RUN unless given."""
    ca_file: str = ""
    """Certificates to trust with mqtts://, where they are not the system's."""
    detector: DetectorName | None = None
    """The run's first one unless given."""
    device: str = "cpu"
    """auto, cpu, cuda, ..."""
    threads: int = 1
    """CPU threads."""


@dataclass(frozen=True)
class Watch:
    """Watch a folder live: score photos as a camera writes them, print a line of JSON for each, move rejects away."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run directory or bundle of a model of photos."""
    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FOLDER")]
    """Folder that the camera writes into, subfolders too. It is looked through again and again, which works on network
    drives as well. A file is scored when it has stopped changing and can be decoded."""
    move_rejects: Path | None = None
    """Folder that photos judged anomalies are moved into, under the names they have in their own folder; nothing is
    overwritten, rejects.csv in there says where each came from."""
    maps: Path | None = None
    """Folder for one picture per photo: heat where it looks defective, and a box around each region."""
    state: Path | None = None
    """Folder of results.jsonl, which holds every line printed and from which a restart knows what is done; RUN/watch
    unless given."""
    interval: float = 0.5
    """Seconds between two looks at the folder, and for which a file must not have changed."""
    once: bool = False
    """Score what is there, then stop; exit status 2 if a file could not be scored."""
    detector: DetectorName | None = None
    """The run's first one unless given."""
    device: str = "cpu"
    """auto, cpu, cuda, ..."""
    threads: int = 1
    """CPU threads."""
