"""The main job on photos of parts: train on good ones, calibrate, evaluate where defective ones are labelled."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from anogan import parallel
from anogan.config.detectors import DetectorName
from anogan.config.runs import PhotoConfig, PhotoRunConfig
from anogan.detectors import Detector
from anogan.detectors.base import FEWEST, MAP_QUANTILE
from anogan.detectors.calibration import hold_out
from anogan.errors import CalibrationWarning, SampleError
from anogan.evaluation.metrics import aupro, pixel_auroc
from anogan.evaluation.results import Shown, save_gallery, summarise, write_results
from anogan.files import replacing, write_text
from anogan.gan.networks import GAN
from anogan.photos.folders import GOOD, LabelledPhoto, read_mask
from anogan.photos.model import TAIL, PhotoModel, about_photos, tail_levels
from anogan.pictures.drawing import sheets
from anogan.pictures.files import header, read_photo, read_photos, resized
from anogan.pictures.framing import Framing, common_shape
from anogan.pictures.verdicts import Inspection
from anogan.runs import bundle
from anogan.runs.bundle import Bundle
from anogan.runs.directory import Run
from anogan.runs.training import Stage, silent, train_networks

SAMPLES = "photos.float32"  # in the run directory while training: all samples may be more than memory holds
MOST_SAMPLES = 2000  # held-out ones that the detector's scales are taken from
THUMBNAIL = 128  # longer side of a photo in the gallery
MOST_PIXELS = 8_000_000  # of held-out maps, that p-values of pixels are taken from
OnPhotos = Callable[[int], None]  # photos done
OnError = Callable[[Path, SampleError], None]


@dataclass(frozen=True)
class GoodParts:
    """Photos of good parts made ready: samples to train on (n, *shape), on disk; files that are held out, and samples
    of them (m, *shape), evenly spread where there are many."""

    framing: Framing
    x: torch.Tensor
    held_out: list[Path]
    x_held_out: torch.Tensor


def frame(config: PhotoConfig, paths: Sequence[Path], on_error: OnError) -> tuple[Framing, list[Path]]:
    """The framing for photos like these, by their headers, and those that have one."""
    sizes, grey, kept = [], True, []
    for path in paths:
        try:
            size, without_colour = header(path)
        except SampleError as error:
            on_error(path, error)
            continue
        sizes.append((config.crop[3], config.crop[2]) if config.crop else size)
        grey &= without_colour
        kept.append(path)
    if len(kept) < FEWEST + 1:
        raise SampleError(f"expected at least {FEWEST + 1} photos of good parts, got {len(kept)}")
    channels = 1 if (grey if config.colour == "auto" else config.colour == "grey") else 3
    size = (config.size, config.size) if config.tiles else common_shape(sizes, config.size)
    if "rotate90" in config.augment and size[0] != size[1]:
        raise ValueError(f"--augment rotate90 needs square samples, these are {size[1]}x{size[0]}; crop them")
    return Framing((channels, *size), config.crop, config.overlap if config.tiles else None), kept


def prepare(
    run: Run[PhotoRunConfig],
    framing: Framing,
    paths: Sequence[Path],
    on_photos: OnPhotos = lambda n: None,
    on_error: OnError | None = None,
) -> GoodParts:
    """Hold out photos, not samples, and write the samples of the others to disk. A photo that cannot be used is told
    to `on_error` and left out; raises `SampleError` where too few remain."""
    training, held_out = (
        [paths[i] for i in rows] for rows in hold_out(len(paths), run.config.holdout, run.config.seed)
    )

    def usable(chosen: Sequence[Path]) -> Iterator[tuple[Path, NDArray[np.float32]]]:
        for path, found in framed(framing, chosen):
            if not isinstance(found, SampleError):
                yield path, found
            elif on_error:
                on_error(path, found)
            on_photos(1)

    n = 0
    with replacing(run.path / SAMPLES) as stream:  # of several processes each maps what it has written itself
        for _, found in usable(training):
            stream.write(found.tobytes())
            n += len(found)
    each, kept = max(1, MOST_SAMPLES // max(1, len(held_out))), {}
    for path, found in usable(held_out):
        kept[path] = found[np.linspace(0, len(found) - 1, min(each, len(found))).round().astype(int)]
    if n < FEWEST or not kept:
        raise SampleError(f"expected at least {FEWEST} samples to train on and a photo to hold out, got {n} samples")
    size = n * int(np.prod(framing.shape))
    x = torch.from_file(str(run.path / SAMPLES), shared=False, size=size, dtype=torch.float32).view(n, *framing.shape)
    return GoodParts(framing, x, list(kept), torch.from_numpy(np.concatenate(list(kept.values()))))


def framed(framing: Framing, paths: Sequence[Path]) -> Iterator[tuple[Path, NDArray[np.float32] | SampleError]]:
    """The samples of each photo, or why it has none."""
    for path, photo in zip(paths, read_photos(paths, framing.shape[0]), strict=True):
        try:
            yield path, photo if isinstance(photo, SampleError) else framing.samples(photo)
        except SampleError as error:
            yield path, error


def train_photos(
    run: Run[PhotoRunConfig],
    parts: GoodParts,
    *,
    device: str = "auto",
    checkpoint_seconds: float = 20.0,
    stage: Stage = silent,
) -> dict[DetectorName, PhotoModel]:
    """Train on photos of good parts from wherever the run stands, calibrate its detectors, write the bundle.

    Warnings and errors as in `train_networks`.
    """
    config = run.config
    gan, detectors = train_networks(
        run,
        parts.x,
        parts.x_held_out,
        device=device,
        checkpoint_seconds=checkpoint_seconds,
        stage=stage,
        on_samples=sheets(run.path / "samples"),
    )
    if parallel.rank():
        return {}
    models: dict[DetectorName, PhotoModel] = {}
    for name, detector in detectors.items():
        with run.timed(f"calibrate {name}"), stage(f"calibrate {name}", len(parts.held_out)) as update:
            models[name] = calibrated(detector, gan, parts, lambda n: update(n, ""))
    bundle.save(run.path / "bundle", gan, detectors, config.kind, config.about | {"photos": about_photos(models)})
    (run.path / SAMPLES).unlink(missing_ok=True)
    return models


def calibrated(detector: Detector, gan: GAN, parts: GoodParts, on_photos: OnPhotos = lambda n: None) -> PhotoModel:
    """A detector with the trained networks, its threshold from held-out photos, not samples, and the scale of its maps
    such that 1 is the worst place of a good photo, but for one in a hundred."""
    tiled = parts.framing.overlap is not None
    with warnings.catch_warnings():
        if tiled:
            warnings.simplefilter("ignore", CalibrationWarning)  # of samples; photos are what counts
        detector.calibrate(gan, parts.x.numpy(), parts.x_held_out.numpy())
    model = PhotoModel(detector, parts.framing, np.linspace(0, 1, len(TAIL)), np.ones(1))  # until they are known
    stream, each = np.random.default_rng(0), max(1, MOST_PIXELS // len(parts.held_out))
    scores, peaks, pixels = [], [], []
    for said in model.inspect_files(parts.held_out, on_photos):
        if not isinstance(said, SampleError):
            scores.append(said.score)
            peaks.append(float(said.map.max()))
            flat = said.map.ravel()
            pixels.append(flat if len(flat) <= each else stream.choice(flat, each))
    scale = 1.0
    if tiled:
        scale = float(max(np.quantile(peaks, MAP_QUANTILE), 1e-6))
        detector.load_state(gan, np.array(scores), detector.map_scale_ * scale, detector.memory_)
    levels = tail_levels((np.concatenate(pixels) / scale).astype(np.float32))
    return replace(model, levels=levels, peaks=np.array(peaks) / scale)


# Evaluation.


def evaluate_photos(
    run: Run[PhotoRunConfig], photos: Sequence[LabelledPhoto], *, device: str = "auto", stage: Stage = silent
) -> dict[str, Any]:
    """Score labelled photos with every detector of the run; write scores.csv, gallery/ and, last, results.json, with
    figures of pixels where there are masks. Photos that cannot be used are left out. Raises `SampleError` unless good
    and defective ones remain."""
    tables, results = [], {}
    for name in run.config.detectors:
        model = PhotoModel.load(Bundle.open(run.path), name, device)
        begin = time.monotonic()
        with run.timed(f"score {name}"), stage(f"score {name}", len(photos)) as update:
            said = list(model.inspect_files([photo.path for photo in photos], lambda n: update(n, "")))
        seconds = (time.monotonic() - begin) / len(photos)
        pairs = [(p, i) for p, i in zip(photos, said, strict=True) if not isinstance(i, SampleError)]
        if {photo.kind == GOOD for photo, _ in pairs} != {True, False}:
            raise SampleError(f"good and defective test photos are needed to evaluate, in test/{GOOD} and test/KIND")
        table = _photo_table(name, pairs)
        tables.append(table)
        kinds = [kind for kind in dict.fromkeys(photo.kind for photo in photos) if kind != GOOD]
        results[name] = summarise(model.detector, table, kinds, run.config.seed) | pixel_figures(pairs)
        results[name] |= {"seconds_per_image": seconds, "search_steps": 0}
        _photo_gallery(run, name, model, pairs, table)
    scores = pd.concat(tables, ignore_index=True)
    write_text(run.path / "scores.csv", scores.to_csv(index=False, float_format="%.6g"))
    return write_results(run, results)


Pairs = Sequence[tuple[LabelledPhoto, Inspection]]


def pixel_figures(pairs: Pairs) -> dict[str, float]:
    """AUROC of pixels and AUPRO over photos that are good or have a mask; nothing where none has."""
    if not any(photo.mask for photo, _ in pairs):
        return {}
    masks, maps = [], []
    for photo, said in pairs:
        if photo.mask or photo.kind == GOOD:
            size = said.map.shape[0], said.map.shape[1]
            masks.append(read_mask(photo.mask, size) if photo.mask else np.zeros(size, bool))
            maps.append(said.map)
    return {"pixel_auroc": pixel_auroc(masks, maps), "aupro": aupro(masks, maps)}


def _photo_table(name: str, pairs: Pairs) -> pd.DataFrame:
    rows = [
        {
            "detector": name,
            "row": i,
            "file": str(photo.path),
            "class": photo.kind,
            "anomalous": int(photo.kind != GOOD),
            "score": said.score,
            "p_value": said.p_value,
            "verdict": "anomaly" if said.anomaly else "normal",
            "regions": len(said.regions),
        }
        | said.terms
        for i, (photo, said) in enumerate(pairs)
    ]
    return pd.DataFrame(rows)


def _photo_gallery(run: Run[PhotoRunConfig], name: str, model: PhotoModel, pairs: Pairs, table: pd.DataFrame) -> None:
    """As thumbnails of one size, for photos may differ in theirs."""
    height, width = common_shape([(said.map.shape[0], said.map.shape[1]) for _, said in pairs], THUMBNAIL)
    channels = model.framing.shape[0]

    def pictures(row: int) -> Shown:
        photo, said = pairs[row]
        part = model.framing.cropped(read_photo(photo.path, channels))
        x, x_hat, anomaly_map = (resized(one, height, width) for one in (part, said.reconstruction, said.map[None]))
        return x, x_hat, anomaly_map

    save_gallery(run, name, pictures, table)
