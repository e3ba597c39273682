"""New samples from a trained generator: normal ones, long recordings, and more of a fault of which little was recorded.

A rare fault is imitated by what it does to the normal: recorded windows x are inverted, z = E(x), and what the
generator cannot make of them, x - G(z), is added to normal windows G(z') elsewhere, weaker or stronger. z' lies on the
arc from z towards a drawn latent (White 2016, arXiv:1609.04468): near z the operating point is the recorded one, away
from it the fault meets others. Nothing is trained, so that a few windows suffice (experiments/LOG.md has what else was
tried).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from anogan.detectors.calibration import Floats
from anogan.errors import SampleError
from anogan.gan.inversion import OnRows, encode
from anogan.gan.networks import GAN
from anogan.gan.sampling import draw, generate
from anogan.gan.training import latents, random_stream
from anogan.sensors.model import SensorModel
from anogan.sensors.scaling import Scaling
from anogan.sensors.scoring import fill
from anogan.sensors.windows import cut_scales, lead_in
from anogan.windows import cut_windows

FEWEST_ROWS = 50  # of a fault
FURTHEST = 45.0  # degrees from z towards another operating point
SEVERITIES = 0.5, 2.0  # times what the fault was when recorded
CANDIDATES = 512  # windows drawn for each next one of a long recording
OVERLAP = 0.4  # of a window that must match what is there before the rest follows
COLOURED = 4096  # generated windows whose covariance is compared with that of real ones
SAMPLES_PER_VALUE = 2  # at least, to tell a covariance
FAINTEST = 1e-6  # of the strongest direction of generated windows: fainter ones are rounding
STILL = 1e-12  # squared spreads from row to row of a channel that does not move
EDGE = 1 - 1e-4  # values nearer to the scale's end than this say no more than it


class Colouring(NamedTuple):
    """What makes mean and covariance of generated windows, flat and in units of spread, those of real ones: the linear
    map that moves them least (Peyré & Cuturi 2019, remark 2.31). Whatever else the generator has learned stays."""

    generated: Floats  # (d,) mean
    real: Floats  # (d,) mean
    map: Floats  # (d, d), symmetric

    @classmethod
    def fit(cls, gan: GAN, x: torch.Tensor, scaling: Scaling) -> Colouring | None:
        """From training samples x (n, *shape); None where they are too few to tell their covariance."""
        real = _in_spreads(x, scaling).reshape(len(x), -1)
        if len(real) < SAMPLES_PER_VALUE * real.shape[1]:
            return None
        drawn = draw(gan, max(COLOURED, len(real[0]) * SAMPLES_PER_VALUE), 0)
        made = _in_spreads(drawn, scaling).reshape(-1, real.shape[1])
        values, vectors = np.linalg.eigh(np.cov(made.T))
        values = values.clip(FAINTEST * values.max())
        root, inverse = ((vectors * values**power) @ vectors.T for power in (0.5, -0.5))
        values, vectors = np.linalg.eigh(root @ np.cov(real.T) @ root)
        between = (vectors * np.sqrt(values.clip(0))) @ vectors.T
        return cls(made.mean(0), real.mean(0), inverse @ between @ inverse)

    def __call__(self, windows: Floats) -> Floats:
        """Windows (n, ...) in units of spread."""
        flat = windows.reshape(len(windows), -1)
        return np.asarray((self.real + (flat - self.generated) @ self.map).reshape(windows.shape), dtype=np.float64)


class Windows(NamedTuple):
    """Windows x (n, channels, window) in the recording's units, and of an imitated fault the severity (n,), 1 = as
    recorded."""

    x: Floats
    severity: Floats


def read_fault(model: SensorModel, file: Path) -> Floats:
    """Rows (n, channels) of a recording of one fault, missing values filled as in scoring. Raises `SampleError` on
    fewer than FEWEST_ROWS."""
    recording = model.read(file)
    if len(recording) < FEWEST_ROWS:
        raise SampleError(f"{file} has {len(recording)} rows, expected at least {FEWEST_ROWS} of the fault")
    return fill(recording.values, np.array(model.scaling.centre))


def normal_windows(gan: GAN, scaling: Scaling, n: int, seed: int, colouring: Colouring | None = None) -> Windows:
    """Normal windows of a model of sensors."""
    own = _normal(draw(gan, n, seed), scaling, colouring)[:, : len(scaling.centre)]
    return Windows(_in_units(own, scaling), np.zeros(n))


def real_windows(x: torch.Tensor, scaling: Scaling) -> Floats:
    """Samples (n, channels or more, window) in (-1, 1) -> windows (n, channels, window) in the recording's units."""
    return _in_units(_in_spreads(x[:, : len(scaling.centre)], scaling), scaling)


def imitate_fault(gan: GAN, scaling: Scaling, slow: int, recorded: Floats, n: int, seed: int) -> Windows:
    """n windows of a fault like the recorded rows (m, channels), without missing values, at least a window of them.

    `slow` as in `sensors.windows`. Severities are spread evenly over SEVERITIES, in ratios. Raises `SampleError` on too
    few rows.
    """
    window, channels, rng = gan.shape[1], len(scaling.centre), np.random.default_rng([seed, n])
    if len(recorded) < window:
        raise SampleError(f"got {len(recorded)} rows of the fault, expected at least {window}")
    rows = scaling.apply(recorded)
    whole = scaling.to_unit(np.concatenate([lead_in(rows, window, slow), rows]))
    x = torch.from_numpy(cut_scales(whole.T, window, slow).copy())
    with torch.no_grad():
        z = torch.cat(list(encode(gan, x)))[: len(x)].cpu()
    effect = cut_windows(rows.T, window) - _in_spreads(generate(gan, z)[:, :channels], scaling)
    chosen = rng.integers(0, len(x), n)
    towards = latents(n, z.shape[1], random_stream(seed, "imitate", 0))
    angle = torch.from_numpy(np.radians(rng.uniform(0, FURTHEST, (n, 1)))).float()
    elsewhere = generate(gan, torch.cos(angle) * z[chosen] + torch.sin(angle) * towards)
    severity = np.exp(rng.uniform(math.log(SEVERITIES[0]), math.log(SEVERITIES[1]), n))
    made = _in_spreads(elsewhere[:, :channels], scaling) + severity[:, None, None] * effect[chosen]
    return Windows(_in_units(made, scaling), severity)


def long_recording(
    gan: GAN,
    scaling: Scaling,
    n_rows: int,
    seed: int,
    colouring: Colouring | None = None,
    on_rows: OnRows = lambda n: None,
) -> Floats:
    """Normal rows (n_rows, channels) laid of generated windows.

    Each next window is, of CANDIDATES newly drawn, the one whose first rows are nearest to the last ones there and,
    where there is a slow scale, whose slow scale is nearest to that of the window before. It is raised to the
    level there, less and less along it, and joined at the row where the two differ least (image quilting, Efros &
    Freeman 2001, along time): blending them would calm the noise. Rows differ in units of a channel's usual step. What
    takes longer than a sample, such as day and night, is not in a sample and does not come.
    """
    overlap, channels = max(1, round(OVERLAP * gan.shape[1])), len(scaling.centre)
    laid: list[Floats] = []
    done = 0  # rows
    end, slow = np.empty(0), np.empty(0)  # of the window before
    while done < n_rows:
        drawn = latents(CANDIDATES, gan.config.latent_dim, random_stream(seed, "long recording", len(laid)))
        candidates = _normal(generate(gan, drawn), scaling, colouring)
        x, slower = candidates[:, :channels], candidates[:, channels:]
        at, cut, begin = 0, 0, done  # the window chosen, its first row, and where that comes
        if laid:
            moves = np.square(np.diff(x, axis=2)).mean((0, 2))[:, None]
            step = np.sqrt(np.maximum(moves, STILL))
            gap = (end - x[:, :, :overlap]).mean(2, keepdims=True)
            far = np.square(gap / step).mean((1, 2)) + np.square((end - x[:, :, :overlap]) / step).mean((1, 2))
            at = int((far + (np.square(slower - slow).mean((1, 2)) if slow.size else 0.0)).argmin())
            x[at] += gap[at] * np.linspace(1, 0, x.shape[2])
            cut = int(np.square((end - x[at][:, :overlap]) / step).mean(0).argmin())
            begin += cut - overlap
            laid[-1] = laid[-1][: len(laid[-1]) - overlap + cut]
        laid.append(x[at].T[cut:])
        end, slow = x[at][:, -overlap:], slower[at]
        before, done = done, begin + len(laid[-1])
        on_rows(min(done, n_rows) - before)
    return np.asarray(_in_units(np.concatenate(laid)[:n_rows].T[None], scaling)[0].T, dtype=np.float64)


def _normal(x: torch.Tensor, scaling: Scaling, colouring: Colouring | None) -> Floats:
    windows = _in_spreads(x, scaling)
    return colouring(windows) if colouring else windows


def _in_spreads(x: torch.Tensor, scaling: Scaling) -> Floats:
    """Samples in (-1, 1) -> in units of spread."""
    values = np.clip(x.numpy().astype(np.float64), -EDGE, EDGE)
    return scaling.from_unit(values)


def _in_units(x: Floats, scaling: Scaling) -> Floats:
    """Windows (n, channels, window) in units of spread -> in the recording's units."""
    return np.asarray(x * np.array(scaling.spread)[:, None] + np.array(scaling.centre)[:, None], dtype=np.float64)
