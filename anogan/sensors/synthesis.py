"""New sensor data from a trained generator: normal windows, long recordings, and imitations of a rare fault.

A fault is imitated by its effect. Recorded windows x are inverted, z = E(x). The part that the generator cannot
reproduce, x - G(z), is added to normal windows G(z'), weaker or stronger. z' lies on the arc from z towards a random
latent (White 2016, arXiv:1609.04468): near z the operating point is the recorded one, farther away it is another.
Nothing is trained, so a few windows suffice (experiments/LOG.md compares other ways).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch

from anogan.config.synthesis import SynthesisConfig
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

FEWEST_FAULT_ROWS = 50  # of a fault
FAINTEST_DIRECTION = 1e-6  # of the strongest direction of generated windows: fainter ones are rounding
STILL = 1e-12  # squared spreads from row to row of a channel that does not move
FURTHEST_VALUE = 1 - 1e-4  # values nearer to the scale's end than this say no more than it


class MomentCorrection(NamedTuple):
    """Gives generated windows, flat and in units of spread, the mean and covariance of real ones.

    Of all linear maps that do so, it changes them least (Peyré & Cuturi 2019, remark 2.31).
    """

    generated: Floats  # (d,) mean
    real: Floats  # (d,) mean
    map: Floats  # (d, d), symmetric

    @classmethod
    def fit(cls, gan: GAN, scaling: Scaling, x: torch.Tensor, config: SynthesisConfig) -> Self | None:
        """Estimate it from training samples x (n, *shape). Returns None if they are too few for a covariance."""
        real = _in_spreads(x, scaling).reshape(len(x), -1)
        fewest = config.samples_per_value * real.shape[1]
        if len(real) < fewest:
            return None
        drawn = _in_spreads(draw(gan, max(config.moment_samples, fewest), 0), scaling).reshape(-1, real.shape[1])
        values, vectors = np.linalg.eigh(np.cov(drawn.T))
        values = values.clip(FAINTEST_DIRECTION * values.max())
        root, inverse = ((vectors * values**power) @ vectors.T for power in (0.5, -0.5))
        values, vectors = np.linalg.eigh(root @ np.cov(real.T) @ root)
        between = (vectors * np.sqrt(values.clip(0))) @ vectors.T
        return cls(drawn.mean(0), real.mean(0), inverse @ between @ inverse)

    def __call__(self, windows: Floats) -> Floats:
        """Correct windows (n, ...) in units of spread."""
        flat = windows.reshape(len(windows), -1)
        return np.asarray((self.real + (flat - self.generated) @ self.map).reshape(windows.shape), dtype=np.float64)


class SyntheticWindows(NamedTuple):
    """Windows x (n, channels, window) in the recording's units, and severities (n,): 0 is normal, 1 as recorded."""

    x: Floats
    severity: Floats


@dataclass(frozen=True)
class SensorSynthesiser:
    """Makes new sensor data with a trained generator.

    Parameters
    ----------
    gan : GAN
        Trained networks; imitating faults needs an encoder.
    scaling : Scaling
        From the recording's units to the generator's and back.
    slow : int
        Rows of a block of the slow scale, as in `SensorModel`; 1 = none.
    correction : MomentCorrection, optional
        Gives generated normal windows the mean and covariance of recorded ones.
    config : SynthesisConfig
        Angles, severities and overlaps.
    """

    gan: GAN
    scaling: Scaling
    slow: int = 1
    correction: MomentCorrection | None = None
    config: SynthesisConfig = SynthesisConfig()

    @classmethod
    def of(cls, model: SensorModel, x: torch.Tensor | None = None, config: SynthesisConfig = SynthesisConfig()) -> Self:
        """Make a synthesiser with the generator of a model.

        Parameters
        ----------
        model : SensorModel
            A trained model; imitating faults needs an encoder.
        x : Tensor (n, *shape), optional
            Training samples in (-1, 1). They correct the generated windows if they are enough for a covariance.
        config : SynthesisConfig
            Angles, severities and overlaps.

        Returns
        -------
        SensorSynthesiser
        """
        gan, scaling = model.detector.gan_, model.scaling
        correction = None if x is None else MomentCorrection.fit(gan, scaling, x, config)
        return cls(gan, scaling, model.slow, correction, config)

    def normal_windows(self, n: int, seed: int) -> SyntheticWindows:
        """Generate normal windows.

        Parameters
        ----------
        n : int
            Number of windows.
        seed : int
            The same seed generates the same windows.

        Returns
        -------
        SyntheticWindows
            In the recording's units, with severity 0.
        """
        own = self._normal(draw(self.gan, n, seed))[:, : len(self.scaling.centre)]
        return SyntheticWindows(_in_units(own, self.scaling), np.zeros(n))

    def fault_windows(self, recorded: Floats, n: int, seed: int) -> SyntheticWindows:
        """Generate windows of a fault like the recorded one, around its operating point.

        Parameters
        ----------
        recorded : array (m, channels)
            Consecutive rows of one event, at least a window, in the recording's units, without missing values.
        n : int
            Number of windows.
        seed : int
            Decides operating points and severities.

        Returns
        -------
        SyntheticWindows
            In the recording's units.

        Raises
        ------
        SampleError
            If there are fewer rows than a window has.
        """
        gan, scaling, config = self.gan, self.scaling, self.config
        window, channels, rng = gan.shape[1], len(scaling.centre), np.random.default_rng([seed, n])
        if len(recorded) < window:
            raise SampleError(f"got {len(recorded)} rows of the fault, expected at least {window}")
        rows = scaling.apply(recorded)
        whole = scaling.to_unit(np.concatenate([lead_in(rows, window, self.slow), rows]))
        x = torch.from_numpy(cut_scales(whole.T, window, self.slow).copy())
        with torch.no_grad():
            z = torch.cat(list(encode(gan, x)))[: len(x)].cpu()
        effect = cut_windows(rows.T, window) - _in_spreads(generate(gan, z)[:, :channels], scaling)
        chosen = rng.integers(0, len(x), n)
        towards = latents(n, z.shape[1], random_stream(seed, "imitate", 0))
        angle = torch.from_numpy(np.radians(rng.uniform(0, config.max_angle, (n, 1)))).float()
        elsewhere = generate(gan, torch.cos(angle) * z[chosen] + torch.sin(angle) * towards)
        low, high = map(math.log, config.severities)
        severity = np.exp(rng.uniform(low, high, n))
        windows = _in_spreads(elsewhere[:, :channels], scaling) + severity[:, None, None] * effect[chosen]
        return SyntheticWindows(_in_units(windows, scaling), severity)

    def recording(self, n_rows: int, seed: int, on_rows: OnRows = lambda n: None) -> Floats:
        """Join generated windows to one normal recording.

        The next window is the candidate whose first rows, and slow scale, are nearest to the last ones. Its level is
        moved to theirs, less and less along the window, and the two are joined at the row where they differ least, in
        units of a channel's usual step (image quilting, Efros & Freeman 2001, along time); blending would reduce the
        noise. Changes that take longer than a window, such as day and night, do not appear.

        Parameters
        ----------
        n_rows : int
            Number of rows.
        seed : int
            The same seed generates the same recording.
        on_rows : callable, optional
            Called with the number of rows that have just been made.

        Returns
        -------
        array (n_rows, channels)
            In the recording's units.
        """
        overlap, channels = max(1, round(self.config.overlap * self.gan.shape[1])), len(self.scaling.centre)
        parts: list[Floats] = []  # (rows, channels)
        done = 0  # rows
        end, slow = np.empty(0), np.empty(0)  # of the window before
        while done < n_rows:
            stream = random_stream(seed, "long recording", len(parts))
            windows = self._normal(
                generate(self.gan, latents(self.config.candidates, self.gan.config.latent_dim, stream))
            )
            x, slower = windows[:, :channels], windows[:, channels:]
            chosen, cut, begin = 0, 0, done  # the window, its first row, and where that comes
            if parts:
                moves = np.square(np.diff(x, axis=2)).mean((0, 2))[:, None]
                step = np.sqrt(np.maximum(moves, STILL))
                gap = (end - x[:, :, :overlap]).mean(2, keepdims=True)
                far = np.square(gap / step).mean((1, 2)) + np.square((end - x[:, :, :overlap]) / step).mean((1, 2))
                chosen = int((far + (np.square(slower - slow).mean((1, 2)) if slow.size else 0.0)).argmin())
                x[chosen] += gap[chosen] * np.linspace(1, 0, x.shape[2])
                cut = int(np.square((end - x[chosen][:, :overlap]) / step).mean(0).argmin())
                begin += cut - overlap
                parts[-1] = parts[-1][: len(parts[-1]) - overlap + cut]
            parts.append(x[chosen].T[cut:])
            end, slow = x[chosen][:, -overlap:], slower[chosen]
            before, done = done, begin + len(parts[-1])
            on_rows(min(done, n_rows) - before)
        return np.asarray(_in_units(np.concatenate(parts)[:n_rows].T[None], self.scaling)[0].T, dtype=np.float64)

    def _normal(self, x: torch.Tensor) -> Floats:
        windows = _in_spreads(x, self.scaling)
        return self.correction(windows) if self.correction else windows


def read_fault(model: SensorModel, file: Path) -> Floats:
    """Read a recording of one fault.

    Parameters
    ----------
    model : SensorModel
        Its channels and time column are used.
    file : Path
        A recording of the fault alone.

    Returns
    -------
    array (n, channels)
        In the recording's units; missing values are filled as in scoring.

    Raises
    ------
    SampleError
        If there are fewer than 50 rows, or the file cannot be read.
    """
    recording = model.read(file)
    if len(recording) < FEWEST_FAULT_ROWS:
        raise SampleError(f"{file} has {len(recording)} rows, expected at least {FEWEST_FAULT_ROWS} of the fault")
    return fill(recording.values, np.array(model.scaling.centre))


def real_windows(x: torch.Tensor, scaling: Scaling) -> Floats:
    """Convert samples (n, channels or more, window) in (-1, 1) to windows (n, channels, window) in real units."""
    return _in_units(_in_spreads(x[:, : len(scaling.centre)], scaling), scaling)


def _in_spreads(x: torch.Tensor, scaling: Scaling) -> Floats:
    """Convert samples in (-1, 1) to units of spread."""
    values = np.clip(x.numpy().astype(np.float64), -FURTHEST_VALUE, FURTHEST_VALUE)
    return scaling.from_unit(values)


def _in_units(x: Floats, scaling: Scaling) -> Floats:
    """Convert windows (n, channels, window) in units of spread to the recording's units."""
    return np.asarray(x * np.array(scaling.spread)[:, None] + np.array(scaling.centre)[:, None], dtype=np.float64)
