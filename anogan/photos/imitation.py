"""Imitations of a rare defect from a few photos of it, on photos of good parts.

A recorded photo x is reconstructed, x_hat = G(E(x)): the same part without the defect. Where the anomaly map rises, a
good photo y becomes y_hat + (x - x_hat): the defect and its grain, in the light and layout of another part. Nothing is
trained, so a few photos suffice (experiments/LOG.md compares other ways).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from anogan.config.synthesis import ImitationConfig
from anogan.errors import SampleError
from anogan.evaluation.realism import evenly
from anogan.gan.augment import moved, symmetries
from anogan.photos.model import PhotoModel
from anogan.photos.training import framed
from anogan.pictures.files import images_in
from anogan.pictures.framing import Framing

Samples = NDArray[np.float32]  # (n, channels, height, width)
FEWEST_PHOTOS = 20  # of a defect


class SyntheticImages(NamedTuple):
    """Samples x (n, channels, height, width) in [-1, 1], the mask (n, height, width) of the defect in each, and its
    severity (n,).

    The mask has exactly the pixels that differ from the good sample. Severity 0 is good, 1 as recorded.
    """

    x: Samples
    mask: NDArray[np.bool_]
    severity: NDArray[np.float64]


def read_defect(model: PhotoModel, folder: Path) -> Samples:
    """Samples (m, channels, height, width) of a folder of photos of one defect, one of each photo: of a tiled photo the
    most anomalous tile. Raises `SampleError` where a photo cannot be used or they are fewer than FEWEST_PHOTOS."""
    found = []
    for path, x in framed(model.framing, images_in(folder)):
        if isinstance(x, SampleError):
            raise SampleError(f"{path}: {x}")
        found.append(x[model.detector.anomaly_score(x).argmax() if len(x) > 1 else 0])
    if len(found) < FEWEST_PHOTOS:
        raise SampleError(f"{folder} has {len(found)} photos, expected at least {FEWEST_PHOTOS} of the defect")
    return np.stack(found)


def read_good(framing: Framing, paths: Sequence[Path], most: int) -> Samples:
    """At most that many samples (k, channels, height, width) of good photos, evenly spread; photos that cannot be read
    are left out."""
    found = (samples for _, samples in framed(framing, paths))
    return evenly(np.concatenate([x for x in found if not isinstance(x, SampleError)]), most)


def imitate_defect(
    model: PhotoModel,
    recorded: Samples,
    good: Samples,
    n: int,
    seed: int,
    config: ImitationConfig = ImitationConfig(),
) -> SyntheticImages:
    """Put a recorded defect onto good samples.

    Parameters
    ----------
    model : PhotoModel
        Its detector finds the defect and draws parts without it; changes in its `augment` are made at random.
    recorded : array (m, channels, height, width) in [-1, 1]
        Samples with the defect, framed for the model, see `read_defect`.
    good : array (k, channels, height, width) in [-1, 1]
        Samples of good parts, see `read_good`.
    n : int
        Samples with a defect.
    seed : int
        Decides which good samples and defects are put together, and how.
    config : ImitationConfig
        How strong defects are, how far they move, and which pixels belong to them.
    """
    rng = np.random.default_rng([seed, n])
    opacity, difference = _defects(model, recorded, config)
    rows = rng.integers(0, len(good), n)
    bases, which = np.unique(rows, return_inverse=True)
    reconstructed = model.detector.reconstruct(good[bases])[which] if n else good[:0]
    turns = symmetries(model.detector.augment)
    low, high = map(math.log, config.severities)
    severity = np.exp(rng.uniform(low, high, n))
    farthest = [round(config.max_shift * side) for side in good.shape[2:]]
    x = good[rows]
    for i, (chosen, x_hat) in enumerate(zip(rng.integers(0, len(recorded), n), reconstructed, strict=True)):
        turn = turns[rng.integers(len(turns))]
        shift = [int(rng.integers(-most, most + 1)) for most in farthest]
        weight, defect = (
            _shifted(moved(torch.from_numpy(part[chosen]), turn).numpy(), shift) for part in (opacity, difference)
        )
        x[i] = np.clip(x[i] + np.float32(severity[i]) * weight * (x_hat + defect - x[i]), -1, 1)
    return SyntheticImages(x, (x != good[rows]).any(1), severity)


def _defects(model: PhotoModel, x: Samples, config: ImitationConfig) -> tuple[Samples, Samples]:
    """Opacity (m, 1, height, width) of what looks defective, and all that x differs by from x_hat."""
    found = model.detector.explain(x)
    maps = found.anomaly_map.max(1)
    core = maps >= config.core * maps.max((1, 2), keepdims=True)
    defective = core | (model.pixel_shares(maps) <= config.pixel_share)
    soft = config.edge * min(x.shape[2:])
    return gaussian_filter(defective.astype(np.float32), (0, soft, soft))[:, None], x - found.reconstruction


def _shifted(x: Samples, shift: list[int]) -> Samples:
    """x (channels, height, width) moved by whole pixels; what comes in is 0."""
    (down, right), (height, width) = shift, x.shape[1:]
    y = np.zeros_like(x)
    y[:, max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)] = x[
        :, max(0, -down) : height + min(0, -down), max(0, -right) : width + min(0, -right)
    ]
    return y
