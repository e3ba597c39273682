"""`anogan sample`."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from anogan.cli.commands.sample_images import DigitSampler, PhotoSampler
from anogan.cli.commands.sample_sensors import SensorSampler
from anogan.cli.options.others import Sample
from anogan.cli.progress import bar
from anogan.cli.sampler import Sampler
from anogan.config.runs import KindName
from anogan.config.serialise import refuse_other_settings, to_dict
from anogan.errors import RunError
from anogan.files import Json, write_json
from anogan.pictures.files import images_in
from anogan.report.realism import write_realism
from anogan.runs.bundle import Bundle
from anogan.runs.directory import environment

SAMPLERS: dict[KindName, type[Sampler]] = {"digits": DigitSampler, "sensors": SensorSampler, "photos": PhotoSampler}
SAMPLES, GRID = 1000, 4  # where no number is given


def run(options: Sample) -> int:
    """Write generated samples and pictures. Returns the exit status."""
    bundle = Bundle.open(options.run)
    options = _completed(options, bundle.kind)
    sampler = SAMPLERS[bundle.kind](options, bundle)
    out, wanted = options.out or options.run / "generated", _wanted(sampler)
    files: list[Path] = []
    if options.n or options.rows:
        if _is_there(out, wanted):
            print(f"{out} already holds what was asked for")
        else:
            files = _write_samples(sampler, out, wanted)
    for file in (*files, *sampler.write_pictures(out)):
        print(file)
    return 0


def _completed(options: Sample, kind: KindName) -> Sample:
    """Add the defaults of a kind to the options. Raises `ValueError` for options that do not fit it."""
    for name in ("n", "rows", "grid", "interpolations"):
        if getattr(options, name) < 0:
            raise ValueError(f"expected --{name} of at least 0, got {getattr(options, name)}")
    formats, foreign = SAMPLERS[kind].formats, SAMPLERS[kind].foreign
    for name in foreign:
        if getattr(options, name):
            others = [other for other, sampler in SAMPLERS.items() if name not in sampler.foreign]
            raise ValueError(f"--{name} is for models of {' and of '.join(others)}")
    format = formats[0] if options.format == "auto" else options.format
    if format not in formats:
        raise ValueError(f"a model of {kind} writes {' or '.join(formats)}, not {format}")
    draws = "grid" not in foreign
    asked = options.faults or ((options.report or options.format != "auto" or not draws) and not options.rows)
    n = options.n or (SAMPLES if asked else 0)
    return replace(options, n=n, format=format, grid=options.grid or (GRID if draws and not n else 0))


def _wanted(sampler: Sampler) -> Json:
    options = sampler.options
    return {
        "model": sampler.bundle.digest,
        "n": options.n,
        "rows": options.rows,
        "faults": {str(path): _digest(path) for path in options.faults if path.exists()},
        "format": options.format,
        "report": options.report,
        "seed": options.seed,
        "synthesis": to_dict(sampler.config) if sampler.config else None,
    }


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file, or of all images of a folder."""
    files = images_in(path) if path.is_dir() else [path]
    hashes = [sha256(file.read_bytes()) for file in files]
    return hashes[0].hexdigest() if path.is_file() else sha256(b"".join(h.digest() for h in hashes)).hexdigest()


def _is_there(out: Path, wanted: Json) -> bool:
    """Tell whether the same has been written already. Raises `RunError` if something else has."""
    if not (out / "manifest.json").exists():
        return False
    try:
        refuse_other_settings(out, json.loads((out / "manifest.json").read_text())["wanted"], wanted)
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise RunError(f"{out / 'manifest.json'} cannot be read; choose another --out") from error
    return True


def _write_samples(sampler: Sampler, out: Path, wanted: Json) -> list[Path]:
    """Write samples, the report if it is wanted, and, last, the manifest."""
    data = str(sampler.bundle.about.get("data"))
    manifest = {"wanted": wanted, "trained on": data, "environment": environment()}
    files = sampler.write_samples(out)
    if wanted["report"]:
        with bar("measure", 1) as update:
            title = f"Generated after {Path(data).name}"
            files.append(write_realism(out, title, sampler.sample_sets(), seed=wanted["seed"]))
            update(1, "")
    write_json(out / "manifest.json", manifest | sampler.notes)
    return files
