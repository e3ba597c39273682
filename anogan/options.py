"""What each command can be told. No heavy import here: --help is made from it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from anogan.config import (
    PRESETS,
    AlarmConfig,
    DetectorName,
    PhotoConfig,
    PhotoRunConfig,
    RunConfig,
    SignalConfig,
    SignalRunConfig,
    is_recording,
)


@dataclass(frozen=True)
class Train(RunConfig):
    """Train a GAN on normal samples, train the encoder, calibrate the detectors. A recording of sensors or a folder of
    photos has options of its own: anogan train --data FILE --help."""

    preset: Literal[tuple(PRESETS)] = "default"  # type: ignore[valid-type]
    """Settings to start from; any option given beside it wins."""
    out: Path | None = None
    """Run directory; runs/DATA-NORMAL-seedSEED unless given."""
    resume: bool = False
    """Continue an interrupted run from its last checkpoint, with its own settings."""
    checkpoint_seconds: float = 20.0
    """Time between checkpoints: the most that an interruption can lose."""
    data_root: str | None = None
    """Folder of the data sets; else ANOGAN_DATA, else a cache folder of this user's."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    threads: int = 0
    """CPU threads; 0 = OMP_NUM_THREADS, else one per core. torchrun gives each of its processes one."""


@dataclass(frozen=True)
class TrainSignals(SignalRunConfig):
    """Train a GAN on windows of a recording of healthy operation, train the encoder, calibrate scores and alarms."""

    signal: tyro.conf.OmitArgPrefixes[SignalConfig] = field(default_factory=SignalConfig)
    alarm: tyro.conf.OmitArgPrefixes[AlarmConfig] = field(default_factory=AlarmConfig)
    out: Path | None = None
    """Run directory; runs/FILE-seedSEED unless given."""
    resume: bool = False
    """Continue an interrupted run from its last checkpoint, with its own settings."""
    checkpoint_seconds: float = 20.0
    """Time between checkpoints: the most that an interruption can lose."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    threads: int = 0
    """CPU threads; 0 = OMP_NUM_THREADS, else one per core. torchrun gives each of its processes one."""


@dataclass(frozen=True)
class TrainPhotos(PhotoRunConfig):
    """Train a GAN on a folder of photos of good parts, train the locator, calibrate scores and maps. With the layout of
    MVTec AD (train/good, test/KIND, ground_truth/KIND) the test photos are scored too."""

    photo: tyro.conf.OmitArgPrefixes[PhotoConfig] = field(default_factory=PhotoConfig)
    out: Path | None = None
    """Run directory; runs/FOLDER-seedSEED unless given."""
    resume: bool = False
    """Continue an interrupted run from its last checkpoint, with its own settings."""
    checkpoint_seconds: float = 20.0
    """Time between checkpoints: the most that an interruption can lose."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    threads: int = 0
    """CPU threads; 0 = OMP_NUM_THREADS, else one per core. torchrun gives each of its processes one."""


@dataclass(frozen=True)
class Score:
    """Score image files, folders of them, a NumPy file, a recording of sensors, or the test split of a data set."""

    run: tyro.conf.Positional[Path]
    """Run directory or bundle."""
    inputs: tyro.conf.Positional[tuple[str, ...]]
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
    """CPU threads; 0 = OMP_NUM_THREADS, else one per core. torchrun gives each of its processes one."""


@dataclass(frozen=True)
class Sensitivity:
    """Tell how small a fault is still caught, without having one: put faults of known strength into good data."""

    run: tyro.conf.Positional[Path]
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
    """CPU threads; 0 = OMP_NUM_THREADS, else one per core."""


@dataclass(frozen=True)
class Recalibrate:
    """Set the thresholds of a model of sensors anew from another healthy recording, without training."""

    run: tyro.conf.Positional[Path]
    """Run directory or bundle; its thresholds are replaced."""
    recording: tyro.conf.Positional[Path]
    """Rows of healthy operation that the model was not trained on."""
    budget: str = ""
    """False alarms at most, such as 1/week; as before unless given."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    threads: int = 0
    """CPU threads; 0 = OMP_NUM_THREADS, else one per core."""


@dataclass(frozen=True)
class Monitor:
    """Watch a machine live: score rows as they come, print a line of JSON when an alarm begins or ends."""

    run: tyro.conf.Positional[Path]
    """Run directory or bundle of a model of sensors."""
    source: tyro.conf.Positional[str] = "-"
    """'-': lines on standard input; a CSV file that grows; or mqtt://user@host:1883/topic (mqtts:// for TLS; the
    password in ANOGAN_MQTT_PASSWORD). Rows are delimited text after a header, or JSON objects, a value per channel."""
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


@dataclass(frozen=True)
class Benchmark:
    """Compare detectors and baselines on a whole protocol; finished cells are never run again."""

    out: Path
    """Folder for results.csv, details.csv, summary.csv, differences.csv, settings.json and the trained networks."""
    data: str = "mnist"
    """Data set: mnist, fashion-mnist or digits."""
    protocol: Literal["one_vs_rest", "leave_one_out"] = "one_vs_rest"
    """One class normal, or one class anomalous."""
    detectors: str = "default,oriented-gradient-knn"
    """Names separated by commas; the first is compared with all others. A wrong one is answered with the choices."""
    classes: str = "all"
    """Classes separated by commas, or all."""
    seeds: str = "0,1,2"
    """Seeds separated by commas."""
    workers: int = 1
    """Processes; each takes one class and seed at a time."""
    threads: int = 1
    """Threads of each process."""
    subset: int = 0
    """Test rows scored by detectors that search: half normal, half anomalous; 0 = all."""
    scheduler: str | None = None
    """Address of a Dask scheduler, each of whose workers takes a job at a time (needs the extra 'dask')."""
    data_root: str | None = None
    """Folder of the data sets; else ANOGAN_DATA, else a cache folder of this user's."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""


@dataclass(frozen=True)
class Report:
    """Write the HTML report, figures and tables of a run or a benchmark."""

    run: tyro.conf.Positional[Path]
    """Run directory, or the folder of a benchmark."""
    out: Path | None = None
    """Folder; reports/NAME-OF-RUN unless given."""


@dataclass(frozen=True)
class Sample:
    """Generate samples: a grid, and on demand single images and latent interpolations."""

    run: tyro.conf.Positional[Path]
    """Run directory or bundle."""
    out: Path | None = None
    """Folder; RUN/generated unless given."""
    grid: int = 4
    """Rows and columns of the grid, generated_DATA_grid.png."""
    n: int = 0
    """Single images to write."""
    interpolations: int = 0
    """Rows of walks between two latents."""
    seed: int = 0
    """Decides the latents."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""


@dataclass(frozen=True)
class Data:
    """Get a data set, check it, and show what is in it."""

    name: tyro.conf.Positional[str]
    """mnist, fashion-mnist or digits."""
    data_root: str | None = None
    """Folder of the data sets; else ANOGAN_DATA, else a cache folder of this user's."""


@dataclass(frozen=True)
class Demo:
    """The whole job in a few minutes: on MNIST (runs/demo, reports/demo), sensors of a machine, or photos of parts."""

    what: tyro.conf.Positional[Literal["digits", "sensors", "photos"]] = "digits"
    """sensors: a simulated pump, with a bearing that wears out and a valve that sticks; runs/demo-sensors and
    reports/demo-sensors. photos: rendered circuit boards, some scratched, stained, with pads missing or shifted;
    runs/demo-photos and reports/demo-photos."""
    normal: str = "3"
    """Normal digit; the other nine are anomalies. Digits only."""
    seed: int = 0
    """Decides weights, batches, latents and subsets, what the simulated machine does, and how boards look."""
    data_root: str | None = None
    """Folder of the data sets; else ANOGAN_DATA, else a cache folder of this user's. Digits only."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    threads: int = 0
    """CPU threads; 0 = OMP_NUM_THREADS, else one per core. torchrun gives each of its processes one."""


COMMANDS: dict[str, type] = {
    "demo": Demo,
    "train": Train,
    "score": Score,
    "sensitivity": Sensitivity,
    "recalibrate": Recalibrate,
    "monitor": Monitor,
    "watch": Watch,
    "report": Report,
    "sample": Sample,
    "data": Data,
    "benchmark": Benchmark,
}


def vars_of(config: RunConfig) -> dict[str, Any]:
    """The settings of a run, by name; those that are not the run's are left out."""
    kinds = (SignalRunConfig, PhotoRunConfig)
    kind = next((kind for kind in kinds if isinstance(config, kind)), RunConfig)
    return {f.name: getattr(config, f.name) for f in dataclasses.fields(kind)}


def run_path(options: Train | TrainSignals | TrainPhotos) -> Path:
    name = f"{options.data}-{options.normal}-seed{options.seed}".replace(",", "+")
    if isinstance(options, TrainPhotos):
        name = f"{Path(options.data).resolve().name}-seed{options.seed}"
    elif is_recording(options.data):
        name = f"{recording_name(options.data)}-seed{options.seed}"
    return options.out or Path("runs") / name


def recording_name(file: str) -> str:
    """pump.csv.gz -> pump."""
    return Path(file).name.split(".")[0]
