"""A tiny model of photos on disk, and photos for it: good ones are stripes, bad ones have a white block."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from conftest import quick, stripes
from PIL import Image

from anogan.photos.model import PhotoModel, about_photos, tail_levels
from anogan.pictures.framing import Framing
from anogan.runs import bundle

SHAPE = (1, 16, 16)


def save_model(folder: Path) -> Path:
    detector = quick("neighbourgan").fit(stripes(80, SHAPE))
    maps = detector.anomaly_map(stripes(40, SHAPE, seed=1))
    model = PhotoModel(detector, Framing(SHAPE), tail_levels(maps), maps.max((1, 2, 3)).astype(np.float64))
    about = {"data": "photos", "normal": "all", "seed": 0, "value_range": [-1, 1]}
    about["photos"] = about_photos({"neighbourgan": model})
    bundle.save(folder / "bundle", detector.gan_, {"neighbourgan": detector}, "photos", about)
    return folder


def photo(seed: int, bad: bool = False) -> Image.Image:
    """32 x 32 pixels; a bad one has a white block at (4, 6), 24 pixels wide and 20 high."""
    pixels = np.rint((stripes(1, SHAPE, seed)[0, 0] + 1) * 110).astype(np.uint8).repeat(2, 0).repeat(2, 1)
    if bad:
        pixels[6:26, 4:28] = 255
    return Image.fromarray(pixels)


def write(path: Path, seed: int = 0, bad: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    photo(seed, bad).save(path)
    return path
