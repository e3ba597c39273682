"""Imitations of a rare defect, from a few photos of it, on photos of good parts.

A recorded photo x is reconstructed, x_hat = G(E(x)): the same part without the defect. Where the anomaly map is high, a
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
    """Samples x (n, channels, height, width) in [-1, 1], masks (n, height, width) of the defects, and severities (n,).

    The mask marks exactly the pixels that differ from the good sample. Severity 0 is good, 1 is as recorded.
    """

    x: Samples
    mask: NDArray[np.bool_]
    severity: NDArray[np.float64]


def read_defect(model: PhotoModel, folder: Path) -> Samples:
    """Read a folder of photos of one defect as samples.

    Parameters
    ----------
    model : PhotoModel
        It frames the photos. Of a tiled photo it chooses the most anomalous tile.
    folder : Path
        At least 20 photos of the defect.

    Returns
    -------
    array (m, channels, height, width)
        One sample per photo, in [-1, 1].

    Raises
    ------
    SampleError
        If a photo cannot be used, or there are too few.
    """
    samples = []
    for path, x in framed(model.framing, images_in(folder)):
        if isinstance(x, SampleError):
            raise SampleError(f"{path}: {x}")
        samples.append(x[model.detector.anomaly_score(x).argmax() if len(x) > 1 else 0])
    if len(samples) < FEWEST_PHOTOS:
        raise SampleError(f"{folder} has {len(samples)} photos, expected at least {FEWEST_PHOTOS} of the defect")
    return np.stack(samples)


def read_good(framing: Framing, paths: Sequence[Path], most: int) -> Samples:
    """Read samples of good photos. Photos that cannot be read are left out.

    Parameters
    ----------
    framing : Framing
        How photos become samples; that of the model.
    paths : sequence of Path
        Photos of good parts.
    most : int
        Samples at most, evenly spread.

    Returns
    -------
    array (k, channels, height, width)
        Samples in [-1, 1].
    """
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
        Its detector finds the defect and reconstructs parts without it. The changes in its `augment` are made at
        random.
    recorded : array (m, channels, height, width)
        Samples with the defect, in [-1, 1]; see `read_defect`.
    good : array (k, channels, height, width)
        Samples of good parts, in [-1, 1]; see `read_good`.
    n : int
        Number of samples with a defect.
    seed : int
        Decides which good samples and defects are combined, and how.
    config : ImitationConfig
        How strong defects are, how far they move, and which pixels belong to them.

    Returns
    -------
    SyntheticImages
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
    """Return the opacity (m, 1, height, width) of what looks defective, and the difference of x from x_hat."""
    explanation = model.detector.explain(x)
    maps = explanation.anomaly_map.max(1)
    core = maps >= config.core * maps.max((1, 2), keepdims=True)
    defective = core | (model.pixel_shares(maps) <= config.pixel_share)
    soft = config.edge * min(x.shape[2:])
    return gaussian_filter(defective.astype(np.float32), (0, soft, soft))[:, None], x - explanation.reconstruction


def _shifted(x: Samples, shift: list[int]) -> Samples:
    """Move x (channels, height, width) by whole pixels. What comes in is 0."""
    (down, right), (height, width) = shift, x.shape[1:]
    y = np.zeros_like(x)
    y[:, max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)] = x[
        :, max(0, -down) : height + min(0, -down), max(0, -right) : width + min(0, -right)
    ]
    return y
