"""Training on photos of good parts."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from anogan.config.runs import PhotoConfig, PhotoRunConfig
from anogan.detectors import Detector
from anogan.detectors.base import FEWEST, MAP_QUANTILE
from anogan.detectors.calibration import hold_out
from anogan.errors import CalibrationWarning, SampleError
from anogan.files import Json
from anogan.gan.inversion import OnRows
from anogan.gan.networks import GAN
from anogan.photos.folders import LabelledPhoto, find_photos
from anogan.photos.model import TAIL, PhotoModel, about_photos, tail_levels
from anogan.pictures.drawing import sheets
from anogan.pictures.files import header, read_photos
from anogan.pictures.framing import Framing, common_shape
from anogan.runs.directory import Run
from anogan.runs.kind import Kind, Samples, Tell
from anogan.runs.training import OnSamples, Stage, silent

MOST_SAMPLES = 2000  # held-out ones that the detector's scales are taken from
CALIBRATION_PIXELS = 8_000_000  # of held-out maps, that p-values of pixels are taken from


@dataclass(frozen=True)
class GoodPhotos:
    """Photos of good parts: their framing, the files to train on and to hold out, and labelled test photos, if any.

    `tell` is called with each file that cannot be read.
    """

    framing: Framing
    training: list[Path]
    held_out: list[Path]
    test: list[LabelledPhoto]
    tell: Tell

    def samples(self, folder: Path, stage: Stage) -> Samples:
        """Read the samples: those to train on into an unnamed file on disk, of the others at most MOST_SAMPLES.

        Raises `SampleError` if too few photos can be read.
        """
        with stage("read photos", len(self.training) + len(self.held_out)) as update:

            def readable(paths: Sequence[Path]) -> Iterator[NDArray[np.float32]]:
                for path, found in framed(self.framing, paths):
                    if isinstance(found, SampleError):
                        self.tell(left_out(path, found))
                    else:
                        yield found
                    update(1, "")

            n = 0
            with tempfile.TemporaryFile(dir=folder) as stream:
                for found in readable(self.training):
                    stream.write(found.tobytes())
                    n += len(found)
                each = max(1, MOST_SAMPLES // max(1, len(self.held_out)))
                held_out = [_spread(found, each) for found in readable(self.held_out)]
                if n < FEWEST or not held_out:
                    raise SampleError(
                        f"expected at least {FEWEST} samples to train on and a photo to hold out, got {n} samples"
                    )
                x = np.memmap(stream, np.float32, mode="c", shape=(n, *self.framing.shape))
        return Samples(torch.from_numpy(x), torch.from_numpy(np.concatenate(held_out)))


def _spread(samples: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    chosen: NDArray[np.float32] = samples[np.linspace(0, len(samples) - 1, min(most, len(samples))).round().astype(int)]
    return chosen


def left_out(path: Path, error: SampleError) -> str:
    """Return the sentence that a photo is left out."""
    return f"{path} is left out: {error}"


class Photos(Kind[PhotoRunConfig, GoodPhotos, PhotoModel]):
    """A folder of photos of good parts and, in the layout of MVTec AD, labelled test photos."""

    model = PhotoModel

    def prepare(
        self, config: PhotoRunConfig, tell: Tell = lambda sentence: None, data_root: str | None = None
    ) -> GoodPhotos:
        folder = find_photos(Path(config.data))
        framing, good = frame(config.photos, folder.good, tell)
        training, held_out = ([good[i] for i in rows] for rows in hold_out(len(good), config.holdout, config.seed))
        fewest = 1 if config.photos.tiles else FEWEST
        if len(training) < fewest or not held_out:
            raise SampleError(
                f"--holdout {config.holdout:g} leaves {len(training)} of {len(good)} photos to train on and "
                f"{len(held_out)} to hold out; expected at least {fewest} and 1"
            )
        return GoodPhotos(framing, training, held_out, list(folder.test), tell)

    def calibrate(
        self,
        detector: Detector,
        gan: GAN,
        samples: Samples,
        prepared: GoodPhotos,
        config: PhotoRunConfig,
        on_rows: OnRows,
    ) -> PhotoModel:
        return calibrated(detector, gan, samples, prepared, on_rows)

    def about(self, models: Mapping[str, PhotoModel]) -> Json:
        return {"photos": about_photos(models)}

    def on_samples(self, folder: Path) -> OnSamples:
        return sheets(folder)

    def evaluate(
        self, run: Run[PhotoRunConfig], prepared: GoodPhotos, *, device: str = "auto", stage: Stage = silent
    ) -> Json | None:
        if not prepared.test or (run.path / "results.json").exists():
            return None
        from anogan.photos.evaluation import evaluate_photos  # what it needs takes long to import

        return evaluate_photos(run, prepared.test, device=device, stage=stage)


def frame(config: PhotoConfig, paths: Sequence[Path], tell: Tell) -> tuple[Framing, list[Path]]:
    """Choose the framing of photos by their headers. Also returns the photos that can be used."""
    sizes, grey, kept = [], True, []
    for path in paths:
        try:
            size, without_colour = header(path)
        except SampleError as error:
            tell(left_out(path, error))
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


def good_photos(config: PhotoRunConfig, root: Path) -> tuple[list[Path], list[Path]]:
    """Return the photos below `root` that a run with these settings trains on, and those that it holds out."""
    photos = Photos().prepare(replace(config, data=str(root)))
    return photos.training, photos.held_out


def framed(framing: Framing, paths: Sequence[Path]) -> Iterator[tuple[Path, NDArray[np.float32] | SampleError]]:
    """Yield each photo's path and its samples, or the reason why it has none."""
    yield from zip(paths, map(framing.samples_or_error, read_photos(paths, framing.shape[0])), strict=True)


def calibrated(
    detector: Detector,
    gan: GAN,
    samples: Samples,
    photos: GoodPhotos,
    on_photos: Callable[[int], None] = lambda n: None,
) -> PhotoModel:
    """Calibrate a detector. Its threshold comes from held-out photos, not from samples.

    Its maps are scaled so that 1 is the worst place of a good photo, except for one in a hundred.
    """
    tiled = photos.framing.overlap is not None
    with warnings.catch_warnings():
        if tiled:
            warnings.simplefilter("ignore", CalibrationWarning)  # of samples; photos are what counts
        detector.calibrate(gan, samples.x.numpy(), samples.x_held_out.numpy())
    model = PhotoModel(detector, photos.framing, np.linspace(0, 1, len(TAIL)), np.ones(1))  # until they are known
    stream, each = np.random.default_rng(0), max(1, CALIBRATION_PIXELS // len(photos.held_out))
    scores, peaks, pixels = [], [], []
    for inspection in model.inspect_files(photos.held_out, on_photos):
        if not isinstance(inspection, SampleError):
            scores.append(inspection.score)
            peaks.append(float(inspection.map.max()))
            flat = inspection.map.ravel()
            pixels.append(flat if len(flat) <= each else stream.choice(flat, each))
    scale = 1.0
    if tiled:
        scale = float(max(np.quantile(peaks, MAP_QUANTILE), 1e-6))
        detector.load_state(gan, np.array(scores), detector.map_scale_ * scale, detector.memory_)
    levels = tail_levels((np.concatenate(pixels) / scale).astype(np.float32))
    return replace(model, levels=levels, peaks=np.array(peaks) / scale)
