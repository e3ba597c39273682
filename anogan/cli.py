"""The command line: options made from dataclasses, one clear line on bad input. Heavy imports wait for a command."""

from __future__ import annotations

import dataclasses
import importlib
import io
import re
import sys
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import tyro

from anogan.config import (
    DEFAULT,
    PRESETS,
    SENSORS,
    AlarmConfig,
    DetectorName,
    RunConfig,
    SignalConfig,
    SignalRunConfig,
    is_recording,
)
from anogan.errors import AnoganError

BOX = re.compile(r"[╭╮╰╯│─]+|-{4,}")


@dataclass(frozen=True)
class Train(RunConfig):
    """Train a GAN on normal samples, train the encoder, calibrate the detectors."""

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
    """CSV for files; RUN/scores-files.csv unless given. An interrupted scoring goes on where it was. For a recording,
    the folder; RUN/scored/FILE unless given."""
    maps: Path | None = None
    """Folder for one heatmap per image, on one fixed scale."""
    resize: bool = False
    """Resize images of another size instead of reporting them."""
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
    """The whole job on MNIST in a few minutes: runs/demo and reports/demo."""

    normal: str = "3"
    """Normal digit; the other nine are anomalies."""
    seed: int = 0
    """Decides weights, batches, latents and subsets."""
    data_root: str | None = None
    """Folder of the data sets; else ANOGAN_DATA, else a cache folder of this user's."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    threads: int = 0
    """CPU threads; 0 = OMP_NUM_THREADS, else one per core. torchrun gives each of its processes one."""


COMMANDS: dict[str, type] = {
    "demo": Demo,
    "train": Train,
    "score": Score,
    "recalibrate": Recalibrate,
    "report": Report,
    "sample": Sample,
    "data": Data,
    "benchmark": Benchmark,
}


class UsageError(AnoganError):
    """The command line was wrong."""


def parse(command: str, args: list[str], default: Any = None) -> Any:
    """The command's options; raises `UsageError` with tyro's message on one line."""
    kept = io.StringIO()
    try:
        with redirect_stderr(kept):
            prog = f"anogan {command}"
            if default is None:
                return tyro.cli(COMMANDS[command], args=args, prog=prog)
            return tyro.cli(type(default), args=args, prog=prog, default=default)
    except SystemExit as error:
        if error.code == 0:
            raise
        raise UsageError(f"{one_line(kept.getvalue())} (see: anogan {command} --help)") from None


def one_line(message: str) -> str:
    """What is wrong and what is near, out of tyro's box."""
    body = message.splitlines()[1:]  # after the title
    first, *rest = "\n".join(BOX.sub("", line).strip() for line in body).strip().split("\n\n")
    near = [line.split(" ")[0] for part in rest for line in part.splitlines() if line.startswith("--")]
    return " ".join(first.split()) + (f"; near: {', '.join(dict.fromkeys(near))}" if near else "")


def parse_train(args: list[str]) -> Train | TrainSignals:
    """Options on top of the preset's settings or, with --resume, on top of the run's own."""
    preset = PRESETS.get(named(args, "--preset", "default"), DEFAULT)  # the parser will complain of a wrong one
    options: Train | TrainSignals = parse("train", args, _train_default(named(args, "--data", preset.data), preset))
    path = run_path(options)
    if options.resume and (path / "config.json").exists():
        from anogan.runs import Run

        saved = Run(path).config
        options = parse("train", args, _train_default(saved.data, saved))
    return replace(options, out=path)


def _train_default(data: str, config: RunConfig) -> Train | TrainSignals:
    """The options of a run on images, or of one on a recording of sensors, with a config's settings."""
    if not is_recording(data):
        return Train(**vars_of(config))
    return TrainSignals(**vars_of(config if isinstance(config, SignalRunConfig) else replace(SENSORS, data=data)))


def named(args: list[str], option: str, otherwise: str) -> str:
    """The value that an option is given, before the options are known by name."""
    words = [part for word in args for part in (word.split("=", 1) if word.startswith(f"{option}=") else [word])]
    return words[words.index(option) + 1] if option in words[:-1] else otherwise


def vars_of(config: RunConfig) -> dict[str, Any]:
    """The settings of a run, by name; those that are not the run's are left out."""
    kind = SignalRunConfig if isinstance(config, SignalRunConfig) else RunConfig
    return {f.name: getattr(config, f.name) for f in dataclasses.fields(kind)}


def run_path(options: Train | TrainSignals) -> Path:
    name = f"{options.data}-{options.normal}-seed{options.seed}".replace(",", "+")
    if is_recording(options.data):
        name = f"{recording_name(options.data)}-seed{options.seed}"
    return options.out or Path("runs") / name


def recording_name(file: str) -> str:
    """pump.csv.gz -> pump."""
    return Path(file).name.split(".")[0]


def usage() -> str:
    rows = [f"  {name:11} {cls.__doc__}" for name, cls in COMMANDS.items()]
    head = ["usage: anogan COMMAND [OPTIONS]", "", "Train a GAN on what is normal, flag what is not.", ""]
    tail = ["", "anogan COMMAND --help shows a command's options; anogan --version the version."]
    return "\n".join([*head, *rows, *tail])


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"anogan: warning: {message}", file=sys.stderr)


def run_command(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help"):
        print(usage())
        return 0 if args else 2
    if args[0] == "--version":
        import anogan

        print(f"anogan {anogan.__version__}")
        return 0
    name, rest = args[0], args[1:]
    if name not in COMMANDS:
        raise UsageError(f"unknown command {name!r}; choose from {', '.join(COMMANDS)}")
    options = parse_train(rest) if name == "train" else parse(name, rest)
    from anogan import parallel

    action: Callable[[Any], int] = importlib.import_module(f"anogan.commands.{name}").run
    with parallel.group():
        if name != "benchmark":  # it sets those of its workers
            parallel.use_threads(getattr(options, "threads", 0))
        return action(options)


def main() -> int:
    """Exit status: 0 done, 1 anomalies found with --fail-on-anomaly, 2 bad input, 130 interrupted."""
    warnings.showwarning = _warn
    try:
        return run_command(sys.argv[1:])
    except KeyboardInterrupt:
        print("\nanogan: interrupted; continue an interrupted training with --resume", file=sys.stderr)
        return 130
    except (AnoganError, ValueError, OSError) as error:
        print(f"anogan: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
