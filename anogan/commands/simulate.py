"""`anogan simulate`."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anogan import bundle, maintenance, qualitycontrol
from anogan.calibration import hold_out
from anogan.commands.progress import bar, get
from anogan.config import PhotoRunConfig, SignalRunConfig
from anogan.data import one_vs_rest
from anogan.data.folders import find_photos
from anogan.data.framing import Framing
from anogan.data.windows import cut_windows
from anogan.errors import DataUnavailableError, RunError, SampleError
from anogan.files import write_bytes, write_json, write_text
from anogan.images import picture, png
from anogan.inspection import PhotoModel
from anogan.maintenance import Healthy
from anogan.options import Simulate, recording_name
from anogan.pipeline import normal_rows, row_counter
from anogan.realism import evenly, gaussian, jittered, tstr
from anogan.reporting.realism import write_realism
from anogan.runs import Run, environment
from anogan.signals import SignalModel, fill
from anogan.synthesis import Colouring, Windows, draw, imitate_fault, long_recording, normal_windows, real_windows

FORMATS = {"sensors": ("csv", "parquet", "npz"), "images": ("png", "npz")}
FEWEST_ROWS = 50
NORMAL = "normal"
MEASURED = 1000  # samples that a report compares, at most of what is real
COLOURS = {1: ("grey",), 3: ("red", "green", "blue")}

Values = NDArray[np.float32]
Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Known:
    """A model of sensors, its healthy rows where they still are, and recorded faults (n, channels) by name."""

    model: SignalModel
    healthy: Healthy | None
    colouring: Colouring | None
    faults: dict[str, Rows]


def run(options: Simulate) -> int:
    if options.n < 0 or options.rows < 0:
        raise ValueError(f"expected -n and --rows of at least 0, got {options.n} and {options.rows}")
    if not options.n and not options.rows:
        raise ValueError("nothing to write: give -n or --rows")
    about = bundle.read_manifest(options.run)["about"]
    kind = "sensors" if bundle.is_of_signals(options.run) else "images"
    format = FORMATS[kind][0] if options.format == "auto" else options.format
    if format not in FORMATS[kind]:
        raise ValueError(f"a model of {kind} writes {' or '.join(FORMATS[kind])}, not {format}")
    out = options.out or options.run / "simulated"
    wanted = _wanted(options, format)
    if _is_there(out, wanted):
        print(f"{out} already holds what was asked for")
        return 0
    told: dict[str, Any] = {"wanted": wanted, "trained on": about.get("data"), "environment": environment()}
    if kind == "sensors":
        known = _known(options)
        told["corrected by recorded rows"] = known.colouring is not None
        written = list(_sensors(options, known, out, format))
        compared = _compared_windows(options, known) if options.report else None
    else:
        written = list(_images(options, out, format))
        compared = _compared_images(options) if options.report else None
    if compared:
        written.append(_report(options, compared, out, about["data"]))
    write_json(out / "manifest.json", told)
    for file in written:
        print(file)
    return 0


def _wanted(options: Simulate, format: str) -> dict[str, Any]:
    return {
        "model": bundle.digest(options.run),
        "n": options.n,
        "rows": options.rows,
        "faults": {str(file): sha256(file.read_bytes()).hexdigest() for file in options.faults if file.is_file()},
        "format": format,
        "report": options.report,
        "seed": options.seed,
    }


def _is_there(out: Path, wanted: dict[str, Any]) -> bool:
    """Whether the same has been written; raises `RunError` where something else has."""
    if not (out / "manifest.json").exists():
        return False
    try:
        found = json.loads((out / "manifest.json").read_text())["wanted"]
        differing = [key for key, value in wanted.items() if found.get(key) != value]
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise RunError(f"{out / 'manifest.json'} cannot be read; give another --out") from error
    if differing:
        raise RunError(f"{out} holds what was made with other settings ({', '.join(differing)}); give another --out")
    return True


def _known(options: Simulate) -> Known:
    """Says what cannot be used before anything is written."""
    model = SignalModel.load(options.run, device=options.device)
    faults = {recording_name(str(file)): _fault_rows(model, file) for file in options.faults}
    if len(faults) < len(options.faults) or NORMAL in faults:
        raise ValueError("the files of --faults must have names of their own, and none may be 'normal'")
    try:
        config = Run(options.run).config
        assert isinstance(config, SignalRunConfig)
        healthy = maintenance.prepare(config, model.read(_still_there(config.data)))
    except (RunError, DataUnavailableError) as error:
        if options.report:
            raise
        print(f"anogan: {error}: generated rows are not corrected by the recorded ones", file=sys.stderr)
        return Known(model, None, None, faults)
    colouring = Colouring.fit(model.detector.gan_, healthy.x)
    if colouring is None:
        print("anogan: too few rows were recorded to correct the generated ones by them", file=sys.stderr)
    return Known(model, healthy, colouring, faults)


def _fault_rows(model: SignalModel, file: Path) -> Rows:
    """Rows (n, channels) of one event, missing values filled as in scoring."""
    recording = model.read(file)
    if len(recording) < FEWEST_ROWS:
        raise SampleError(f"{file} has {len(recording)} rows, expected at least {FEWEST_ROWS} of the fault")
    return fill(recording.values, np.array(model.scaling.centre))


def _sensors(options: Simulate, known: Known, out: Path, format: str) -> Iterator[Path]:
    model, gan, scaling = known.model, known.model.detector.gan_, known.model.scaling
    if options.n:
        with bar("make windows", options.n * (1 + len(known.faults))) as update:
            made = {NORMAL: normal_windows(gan, scaling, options.n, options.seed, known.colouring)}
            update(options.n, "")
            for label, rows in known.faults.items():
                made[label] = imitate_fault(gan, scaling, model.slow, rows, options.n, options.seed)
                update(options.n, label)
        yield _write_windows(out / f"windows.{format}", made, model.channels)
    if options.rows:
        with bar("lay rows", options.rows) as update:
            rows = long_recording(gan, scaling, options.rows, options.seed, known.colouring, row_counter(update))
        table = pd.DataFrame(rows, columns=list(model.channels))
        table.insert(0, "time" if "time" not in table else "time (s)", np.arange(len(rows)) * model.step)
        file = out / f"recording.{'csv' if format == 'npz' else format}"
        _write_table(file, table)
        yield file


def _write_windows(file: Path, made: dict[str, Windows], channels: tuple[str, ...]) -> Path:
    x, severity = (np.concatenate(parts) for parts in zip(*made.values(), strict=True))
    label = np.repeat(list(made), [len(windows.x) for windows in made.values()])
    if file.suffix == ".npz":
        _write_arrays(file, x=x, label=label, severity=severity, channels=np.array(channels))
        return file
    n, _, length = x.shape
    table = pd.DataFrame(x.transpose(0, 2, 1).reshape(n * length, -1), columns=list(channels))
    given = {
        "window": np.repeat(np.arange(n), length),
        "row": np.tile(np.arange(length), n),
        "label": np.repeat(label, length),
        "severity": np.repeat(severity, length),
    }
    clash = sorted(set(given) & set(channels))
    if clash:
        raise ValueError(f"the channel {clash[0]!r} is named like a column of the table; use --format npz")
    _write_table(file, pd.concat([pd.DataFrame(given), table], axis=1))
    return file


def _write_arrays(file: Path, **arrays: NDArray[Any]) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_bytes(file, buffer.getvalue())


def _write_table(file: Path, table: pd.DataFrame) -> None:
    if file.suffix != ".parquet":
        write_text(file, table.to_csv(index=False, float_format="%.6g"))
        return
    buffer = io.BytesIO()
    try:
        table.to_parquet(buffer, index=False)
    except ImportError as error:
        raise ValueError("writing Parquet needs the extra: pip install 'anogan[parquet]'") from error
    write_bytes(file, buffer.getvalue())


def _images(options: Simulate, out: Path, format: str) -> Iterator[Path]:
    if options.faults or options.rows:
        raise ValueError("--faults and --rows are for models of sensors")
    x = draw(bundle.load_gan(options.run, options.device), options.n, options.seed).numpy()
    if format == "npz":
        _write_arrays(out / "images.npz", x=x, label=np.repeat(NORMAL, len(x)))
        yield out / "images.npz"
        return
    files = [f"{NORMAL}/{i:06d}.png" for i in range(len(x))]
    with bar("write images", len(x)) as update:
        for file, image in zip(files, x, strict=True):
            write_bytes(out / file, png(picture(image)))
            update(1, "")
    write_text(out / "labels.csv", pd.DataFrame({"file": files, "label": NORMAL}).to_csv(index=False))
    yield from (out / NORMAL, out / "labels.csv")


# The report.


class Compared(NamedTuple):
    """Training, held-out and generated samples (n, channels, *size), the channels' names, and what faults teach."""

    train: Values
    held_out: Values
    made: Values
    channels: tuple[str, ...]
    learned: pd.DataFrame | None = None


def _report(options: Simulate, compared: Compared, out: Path, data: str) -> Path:
    """A page that compares what is generated with the run's own training and held-out samples."""
    train, held_out, made, channels, learned = compared
    with bar("measure", 1) as update:
        title = f"Generated after {Path(data).name}"
        page = write_realism(out, title, train, held_out, made, channels, options.seed, learned)
        update(1, "")
    return page


def _compared_windows(options: Simulate, known: Known) -> Compared:
    model, healthy, n = known.model, known.healthy, max(options.n, MEASURED)
    assert healthy, "_known raises without it where a report is wanted"
    made = normal_windows(model.detector.gan_, model.scaling, n, options.seed, known.colouring).x
    train, held_out = (real_windows(x, model.scaling) for x in (healthy.x, healthy.x_held_out))
    found = Compared(train.astype(np.float32), held_out.astype(np.float32), made.astype(np.float32), model.channels)
    return found._replace(learned=_learned(options, known, found)) if known.faults else found


def _learned(options: Simulate, known: Known, compared: Compared) -> pd.DataFrame:
    """What a forest learns from the first half of each recorded fault, and from what can be made of it, is tested on
    the second half and on held-out normal windows."""
    model, window, rng = known.model, compared.train.shape[2], np.random.default_rng(options.seed)
    sets = {name: {NORMAL: compared.train} for name in ("recorded", "jittered", "Gaussian")}
    sets["generated"], tested = {NORMAL: compared.made}, {NORMAL: compared.held_out}
    for label, rows in known.faults.items():
        halves = np.array_split(rows, 2)
        if len(halves[1]) < window:
            raise SampleError(f"half of the rows of {label} are fewer than a window of {window}; leave out --report")
        first, tested[label] = (cut_windows(half.T, window).astype(np.float32) for half in halves)
        more = imitate_fault(model.detector.gan_, model.scaling, model.slow, halves[0], MEASURED, options.seed)
        found = (first, jittered(first, MEASURED, rng), gaussian(first, MEASURED, rng), more.x.astype(np.float32))
        for labelled, x in zip(sets.values(), found, strict=True):
            labelled[label] = x
    scores = [tstr(labelled, tested, options.seed) for labelled in sets.values()]
    return pd.DataFrame({"learned from": list(sets), "macro-F1 on real windows": [f"{score:.3f}" for score in scores]})


def _compared_images(options: Simulate) -> Compared:
    config = Run(options.run).config
    made = draw(bundle.load_gan(options.run, options.device), max(options.n, MEASURED), options.seed).numpy()
    if isinstance(config, PhotoRunConfig):
        framing = PhotoModel.load(options.run, device=options.device).framing
        paths = find_photos(_still_there(config.data)).good
        train, held_out = (
            _framed(framing, [paths[i] for i in rows]) for rows in hold_out(len(paths), config.holdout, config.seed)
        )
    else:
        x, x_held_out = normal_rows(config, one_vs_rest(get(config.data, options.data_root), config.normal))
        train, held_out = x.numpy(), x_held_out.numpy()
    return Compared(train, held_out, made, COLOURS[train.shape[1]])


def _still_there(data: str) -> Path:
    if not Path(data).exists():
        raise DataUnavailableError(f"{data}, which the run was trained on, is gone")
    return Path(data)


def _framed(framing: Framing, paths: list[Path]) -> Values:
    """Samples of the photos that can be used, MEASURED of them at most."""
    found = (samples for _, samples in qualitycontrol.framed(framing, paths) if not isinstance(samples, SampleError))
    kept: Values = np.concatenate(list(found))
    return evenly(kept, MEASURED)
