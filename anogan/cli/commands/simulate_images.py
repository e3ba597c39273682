"""`anogan simulate` with a model of images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from anogan.cli.options.others import Simulate
from anogan.cli.progress import bar
from anogan.cli.simulated import MEASURED, NORMAL, Compared, Made, Values, still_there, write_arrays
from anogan.config.runs import DigitRunConfig, PhotoRunConfig
from anogan.detectors.calibration import hold_out
from anogan.digits.training import Digits
from anogan.errors import SampleError
from anogan.evaluation.realism import evenly
from anogan.files import write_bytes, write_text
from anogan.gan.networks import GAN
from anogan.gan.sampling import draw
from anogan.photos import training
from anogan.photos.folders import find_photos
from anogan.photos.imitation import Imitated, imitate_defect
from anogan.photos.model import PhotoModel
from anogan.pictures.drawing import picture, png
from anogan.pictures.files import images_in
from anogan.pictures.framing import Framing
from anogan.runs.bundle import Bundle
from anogan.runs.directory import Run
from anogan.runs.training import silent

FEWEST_PHOTOS = 20
COLOURS = {1: ("grey",), 3: ("red", "green", "blue")}
MASKS = "ground_truth"


def make(options: Simulate, out: Path, format: str) -> Made:
    if options.rows:
        raise ValueError("--rows is for models of sensors")
    if options.faults and Bundle.open(options.run).kind != "photos":
        raise ValueError("--faults is for models of sensors and of photos")
    model = PhotoModel.load(Bundle.open(options.run), device=options.device) if options.faults else None
    recorded = {} if model is None else _recorded(model, options.faults)
    made = {NORMAL: _normal(model.detector.gan_ if model else Bundle.open(options.run).gan(options.device), options)}
    if model:
        good = next(_good(options, model.framing))
        with bar("put defects onto good photos", len(recorded)) as update:
            for label, x in recorded.items():
                made[label] = imitate_defect(model, x, good, options.n, options.seed)
                update(1, label)
    files = [_as_arrays(out, made)] if format == "npz" else _as_files(out, made)
    return Made(files, {}, _compared(options, recorded, made) if options.report else None)


def _recorded(model: PhotoModel, folders: tuple[Path, ...]) -> dict[str, Values]:
    """Samples (m, channels, height, width) of the photos in each folder by its name; of a tiled photo the tile that is
    the most anomalous. Says what cannot be used before anything is made."""
    found = {}
    for folder in folders:
        paths = images_in(folder)
        photos = dict(training.framed(model.framing, paths))
        for path, frames in photos.items():
            if isinstance(frames, SampleError):
                raise SampleError(f"{path}: {frames}")
        if len(photos) < FEWEST_PHOTOS:
            raise SampleError(f"{folder} has {len(photos)} photos, expected at least {FEWEST_PHOTOS} of the defect")
        samples = [frames for frames in photos.values() if not isinstance(frames, SampleError)]
        found[folder.resolve().name] = np.stack([_oddest(model, frames) for frames in samples])
    if len(found) < len(folders) or {NORMAL, MASKS} & set(found):
        raise ValueError(f"the folders of --faults must have names of their own, and none may be {NORMAL!r}")
    return found


def _oddest(model: PhotoModel, frames: Values) -> Values:
    return np.asarray(frames[model.detector.anomaly_score(frames).argmax() if len(frames) > 1 else 0])


def _normal(gan: GAN, options: Simulate) -> Imitated:
    x = draw(gan, options.n, options.seed).numpy()
    return Imitated(x, np.zeros((len(x), *x.shape[2:]), dtype=bool), np.zeros(len(x)))


def _as_arrays(out: Path, made: dict[str, Imitated]) -> Path:
    x, mask, severity = (np.concatenate(parts) for parts in zip(*made.values(), strict=True))
    label = np.repeat(list(made), [len(one.x) for one in made.values()])
    write_arrays(out / "images.npz", x=x, label=label, severity=severity, mask=mask)
    return out / "images.npz"


def _as_files(out: Path, made: dict[str, Imitated]) -> list[Path]:
    """LABEL/000000.png, and the mask of a defect where MVTec AD has it: ground_truth/LABEL/000000_mask.png."""
    rows = []
    with bar("write images", sum(len(one.x) for one in made.values())) as update:
        for label, (x, mask, severity) in made.items():
            for i, image in enumerate(x):
                write_bytes(out / label / f"{i:06d}.png", png(picture(image)))
                if label != NORMAL:
                    write_bytes(out / MASKS / label / f"{i:06d}_mask.png", png(255 * mask[i].astype(np.uint8)))
                rows.append({"file": f"{label}/{i:06d}.png", "label": label, "severity": f"{severity[i]:.4g}"})
                update(1, label)
    write_text(out / "labels.csv", pd.DataFrame(rows).to_csv(index=False))
    masks = [out / MASKS] if len(made) > 1 else []
    return [*(out / label for label in made), *masks, out / "labels.csv"]


# The report.


def _compared(options: Simulate, recorded: dict[str, Values], made: dict[str, Imitated]) -> Compared:
    x = draw(Bundle.open(options.run).gan(options.device), max(options.n, MEASURED), options.seed).numpy()
    if Bundle.open(options.run).kind == "photos":
        train, held_out = _good(options, PhotoModel.load(Bundle.open(options.run), device=options.device).framing)
    else:
        config = Run.of(options.run, DigitRunConfig).config
        samples = Digits().prepare(config, data_root=options.data_root).samples(options.run, silent)
        train, held_out = (part.numpy() for part in samples)
    faults = {label: (found, made[label].x) for label, found in recorded.items()}
    return Compared(train, held_out, x, COLOURS[train.shape[1]], faults=faults)


def _good(options: Simulate, framing: Framing) -> Iterator[Values]:
    """Samples of good photos that the run was trained on, and of those that it held out, MEASURED at most of each."""
    config = Run.of(options.run, PhotoRunConfig).config
    paths = find_photos(still_there(config.data)).good
    for rows in hold_out(len(paths), config.holdout, config.seed):
        found = (samples for _, samples in training.framed(framing, [paths[i] for i in rows]))
        yield evenly(np.concatenate([x for x in found if not isinstance(x, SampleError)]), MEASURED)
