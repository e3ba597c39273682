"""`anogan simulate`."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from anogan.cli.commands import simulate_images, simulate_sensors
from anogan.cli.options.others import Simulate
from anogan.cli.progress import bar
from anogan.cli.simulated import Compared
from anogan.config.runs import KindName
from anogan.errors import RunError
from anogan.files import write_json
from anogan.pictures.files import images_in
from anogan.report.realism import write_realism
from anogan.runs.bundle import Bundle
from anogan.runs.directory import environment

FORMATS: dict[KindName, tuple[str, ...]] = {
    "digits": ("png", "npz"),
    "sensors": ("csv", "parquet", "npz"),
    "photos": ("png", "npz"),
}


def run(options: Simulate) -> int:
    if options.n < 0 or options.rows < 0:
        raise ValueError(f"expected -n and --rows of at least 0, got {options.n} and {options.rows}")
    if not options.n and not options.rows:
        raise ValueError("nothing to write: give -n or --rows")
    opened = Bundle.open(options.run)
    about, kind = opened.about, opened.kind
    format = FORMATS[kind][0] if options.format == "auto" else options.format
    if format not in FORMATS[kind]:
        raise ValueError(f"a model of {kind} writes {' or '.join(FORMATS[kind])}, not {format}")
    out = options.out or options.run / "simulated"
    wanted = _wanted(options, format)
    if _is_there(out, wanted):
        print(f"{out} already holds what was asked for")
        return 0
    told: dict[str, Any] = {"wanted": wanted, "trained on": about.get("data"), "environment": environment()}
    module = simulate_sensors if kind == "sensors" else simulate_images
    made = module.make(options, out, format)
    written = made.files
    if made.compared:
        written.append(_report(options, made.compared, out, about["data"]))
    write_json(out / "manifest.json", told | made.told)
    for file in written:
        print(file)
    return 0


def _wanted(options: Simulate, format: str) -> dict[str, Any]:
    return {
        "model": Bundle.open(options.run).digest,
        "n": options.n,
        "rows": options.rows,
        "faults": {str(path): _digest(path) for path in options.faults if path.exists()},
        "format": format,
        "report": options.report,
        "seed": options.seed,
    }


def _digest(path: Path) -> str:
    """SHA-256 of a file, or of all images of a folder."""
    files = images_in(path) if path.is_dir() else [path]
    hashes = [sha256(file.read_bytes()) for file in files]
    return hashes[0].hexdigest() if path.is_file() else sha256(b"".join(h.digest() for h in hashes)).hexdigest()


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


def _report(options: Simulate, compared: Compared, out: Path, data: str) -> Path:
    """A page that compares what is generated with the run's own training and held-out samples."""
    with bar("measure", 1) as update:
        page = write_realism(out, f"Generated after {Path(data).name}", *compared, seed=options.seed)
        update(1, "")
    return page
