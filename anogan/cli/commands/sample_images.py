"""`anogan sample` with a model of images."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from anogan.cli.options.others import Sample
from anogan.cli.progress import bar
from anogan.cli.sampler import MASKS, NORMAL, Sampler, read_faults, write_arrays
from anogan.config.runs import DigitRunConfig, PhotoRunConfig
from anogan.config.synthesis import ImitationConfig
from anogan.digits.training import Digits
from anogan.evaluation.realism import MEASURED, Samples, SampleSets
from anogan.files import write_bytes, write_text
from anogan.gan.sampling import draw, generate, walks
from anogan.gan.training import latents, random_stream
from anogan.photos.imitation import SyntheticImages, imitate_defect, read_defect, read_good
from anogan.photos.model import PhotoModel
from anogan.photos.training import good_photos
from anogan.pictures.drawing import picture, png, tile
from anogan.runs.bundle import Bundle
from anogan.runs.directory import Run
from anogan.runs.training import silent

WALK = 10  # pictures between two latents
CHANNEL_NAMES = {1: ("grey",), 3: ("red", "green", "blue")}


class ImageSampler(Sampler):
    """Writes normal images. A subclass reads the real ones."""

    formats = ("png", "npz")
    foreign: ClassVar[tuple[str, ...]] = ("rows", "faults")

    def __init__(self, options: Sample, bundle: Bundle) -> None:
        super().__init__(options, bundle)
        self.gan = bundle.gan(options.device)
        if len(self.gan.shape) != 3:
            raise ValueError(f"expected a model of images, got samples of shape {self.gan.shape}")
        self.recorded: dict[str, Samples] = {}
        self.defects: dict[str, SyntheticImages] = {}

    @abstractmethod
    def real(self) -> Iterator[Samples]:
        """Yield normal samples that the run was trained on, then those that it held out."""

    def write_pictures(self, out: Path) -> list[Path]:
        options, files = self.options, []
        stream, dimensions = random_stream(options.seed, "sample", 0), self.gan.config.latent_dim
        if options.grid:
            data = self.bundle.about["data"]
            files.append(out / f"generated_{Path(data).name}_grid.png")
            x = generate(self.gan, latents(options.grid**2, dimensions, stream))
            write_bytes(files[-1], png(tile(x.numpy()), zoom=4))
        if options.interpolations:
            files.append(out / "interpolations.png")
            begin, end = latents(2 * options.interpolations, dimensions, stream).chunk(2)
            x = generate(self.gan, walks(begin, end, WALK))
            write_bytes(files[-1], png(tile(x.numpy(), columns=WALK), zoom=4))
        return files

    def write_samples(self, out: Path) -> list[Path]:
        x = draw(self.gan, self.options.n, self.options.seed).numpy()
        normal = SyntheticImages(x, np.zeros((len(x), *x.shape[2:]), dtype=bool), np.zeros(len(x)))
        images = {NORMAL: normal} | self.defects
        return [_as_arrays(out, images)] if self.options.format == "npz" else _as_files(out, images)

    def sample_sets(self) -> SampleSets:
        train, held_out = self.real()
        x = draw(self.gan, max(self.options.n, MEASURED), self.options.seed).numpy()
        defects = {label: (recorded, self.defects[label].x) for label, recorded in self.recorded.items()}
        return SampleSets(train, held_out, x, CHANNEL_NAMES[len(x[0])], defects=defects)


class DigitSampler(ImageSampler):
    """Writes images of a model of a data set."""

    def real(self) -> Iterator[Samples]:
        config = Run.of(self.options.run, DigitRunConfig).config
        prepared = Digits().prepare(config, data_root=self.options.data_root)
        yield from (part.numpy() for part in prepared.samples(self.options.run, silent))


class PhotoSampler(ImageSampler):
    """Writes images of a model of photos: good ones, and ones with a defect."""

    foreign = ("rows",)
    config = ImitationConfig()

    def __init__(self, options: Sample, bundle: Bundle) -> None:
        super().__init__(options, bundle)
        if options.faults:
            read = partial(read_defect, self.model)
            self.recorded = read_faults(options.faults, lambda folder: folder.resolve().name, read)

    @cached_property
    def model(self) -> PhotoModel:
        """The model of photos."""
        return PhotoModel.load(self.bundle, device=self.options.device)

    def write_samples(self, out: Path) -> list[Path]:
        options = self.options
        if self.recorded:
            good = next(self.real())
            with bar("put defects onto good photos", len(self.recorded)) as update:
                for label, x in self.recorded.items():
                    self.defects[label] = imitate_defect(self.model, x, good, options.n, options.seed, self.config)
                    update(1, label)
        return super().write_samples(out)

    def real(self) -> Iterator[Samples]:
        """Yield at most MEASURED samples that the run was trained on, then those that it held out."""
        run = Run.of(self.options.run, PhotoRunConfig)
        for paths in good_photos(run.config, run.training_data()):
            yield read_good(self.model.framing, paths, MEASURED)


def _as_arrays(out: Path, images: dict[str, SyntheticImages]) -> Path:
    x, mask, severity = (np.concatenate(parts) for parts in zip(*images.values(), strict=True))
    label = np.repeat(list(images), [len(part.x) for part in images.values()])
    write_arrays(out / "images.npz", x=x, label=label, severity=severity, mask=mask)
    return out / "images.npz"


def _as_files(out: Path, images: dict[str, SyntheticImages]) -> list[Path]:
    """Write LABEL/000000.png, and masks of defects as in MVTec AD: ground_truth/LABEL/000000_mask.png."""
    rows = []
    with bar("write images", sum(len(part.x) for part in images.values())) as update:
        for label, (x, mask, severity) in images.items():
            for i, image in enumerate(x):
                write_bytes(out / label / f"{i:06d}.png", png(picture(image)))
                if label != NORMAL:
                    write_bytes(out / MASKS / label / f"{i:06d}_mask.png", png(255 * mask[i].astype(np.uint8)))
                rows.append({"file": f"{label}/{i:06d}.png", "label": label, "severity": f"{severity[i]:.4g}"})
                update(1, label)
    write_text(out / "labels.csv", pd.DataFrame(rows).to_csv(index=False))
    masks = [out / MASKS] if len(images) > 1 else []
    return [*(out / label for label in images), *masks, out / "labels.csv"]
