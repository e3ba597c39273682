"""Defects of photos: pseudo-defects to develop and test detectors on good photos only, also used by the demo.

Each kind is a function (x, severity, rng) -> (changed, mask) of a float32 photo x (channels, height, width) in [-1, 1].
The random generator alone decides the defect's place and form. Severity, 0 to 1, is its opacity: 0 leaves every bit as
it was, and the change grows in proportion. The mask (height, width) marks exactly the pixels that differ. Sizes are
shares of the photo's shorter side, contrasts are differences on the scale of x. Places with texture are preferred,
because a moved or blurred piece of plain background changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, uniform_filter

Photo = NDArray[np.float32]  # (channels, height, width) in [-1, 1]
Mask = NDArray[np.bool_]  # (height, width)
Values = NDArray[np.float64]
Defect = Callable[[Photo, float, np.random.Generator], tuple[Photo, Mask]]

SMALLEST_PHOTO = 16  # least pixels of the shorter side; below it the forms are not recognisable
FINE = 4  # pixels drawn per pixel, each way
TRIES = 4  # candidates for what is moved or pasted; the one that changes most is taken


def apply(kind: str, x: Photo, severity: float, rng: np.random.Generator) -> tuple[Photo, Mask]:
    """Apply the defect of this name. Raises `ValueError` for an unknown one."""
    if kind not in DEFECTS:
        raise ValueError(f"unknown defect {kind!r}; choose from {', '.join(DEFECTS)}")
    return DEFECTS[kind](x, severity, rng)


def scratch(x: Photo, severity: float, rng: np.random.Generator) -> tuple[Photo, Mask]:
    """Draw a thin wavering line, 0.3-0.8 long, 0.008-0.016 (at least 0.8 pixels) wide, brighter or darker by 0.5-1."""
    side = _side(x)
    centre = _place(x, 0.2 * side, rng)
    heading = rng.uniform(0, 2 * math.pi) + np.cumsum(rng.normal(0, 0.12, 12))
    steps = rng.uniform(0.3, 0.8) * side / 12 * np.stack([np.sin(heading), np.cos(heading)], axis=1)
    points = np.cumsum(steps, axis=0)
    width = max(0.8, rng.uniform(0.008, 0.016) * side)
    opacity = _line(x.shape[1:], points - points[6] + centre, width, rng.uniform(0.5, 1, 11))
    return _blend(x, _toned(x, opacity, rng.uniform(0.5, 1), 0.0, rng), opacity, severity)


def stain(x: Photo, severity: float, rng: np.random.Generator) -> tuple[Photo, Mask]:
    """Draw a soft, blotchy, tinted patch with an uneven outline, radius 0.12-0.25, darker or brighter by 0.3-0.6."""
    side = _side(x)
    centre, radius = _place(x, 0.2 * side, rng), rng.uniform(0.12, 0.25) * side
    outline = _region(x, centre, (radius, radius * rng.uniform(0.6, 1)), 0.6 * radius, rng, uneven=0.15)
    blotches = gaussian_filter(rng.standard_normal(x.shape[1:]), 0.04 * side)
    opacity = outline * np.clip(0.8 + 0.12 * blotches / blotches.std(), 0.3, 1)
    return _blend(x, _toned(x, opacity, rng.uniform(0.3, 0.6), 0.4, rng), opacity, severity)


def blob(x: Photo, severity: float, rng: np.random.Generator) -> tuple[Photo, Mask]:
    """Draw a compact, slightly tinted spot, radius 0.02-0.045 (at least 1.2 pixels), brighter or darker by 0.5-1."""
    side = _side(x)
    centre, radius = _place(x, 0.1 * side, rng), max(1.2, rng.uniform(0.02, 0.045) * side)
    opacity = _region(x, centre, (radius, radius * rng.uniform(0.7, 1)), max(1.0, 0.4 * radius), rng, uneven=0.1)
    return _blend(x, _toned(x, opacity, rng.uniform(0.5, 1), 0.3, rng), opacity, severity)


def missing(x: Photo, severity: float, rng: np.random.Generator) -> tuple[Photo, Mask]:
    """Remove what is in a region 0.1-0.22 across: it gets the usual colour and grain of its surroundings."""
    side = _side(x)
    halves = _halves(0.05, 0.11, side, rng)
    centre = _place(x, 2 * max(halves), rng)
    opacity = _region(x, centre, halves, 1.5, rng, power=4.0)
    rim = 2 + 0.02 * side
    ring = (_region(x, centre, (halves[0] + rim, halves[1] + rim), 1.0, rng, power=4.0) > 0) & (opacity == 0)
    grain = (x - gaussian_filter(x, (0, 1, 1))) / 0.87  # what the filter leaves of white noise
    power = uniform_filter(grain**2, (0, 5, 5)).sum(axis=0)[ring]
    calm = grain[:, ring][:, power <= np.median(power)]  # edges that cross the ring are no grain
    drawn = calm[:, rng.integers(0, calm.shape[1], x.shape[1:])]
    full = np.median(x[:, ring], axis=1)[:, None, None] + drawn
    return _blend(x, full, opacity, severity)


def shifted(x: Photo, severity: float, rng: np.random.Generator) -> tuple[Photo, Mask]:
    """Move what is in a region 0.14-0.3 across by 0.03-0.1 (at least a pixel)."""
    side = _side(x)
    halves = _halves(0.07, 0.15, side, rng)
    opacity = _region(x, _place(x, 2 * max(halves), rng), halves, 1.0, rng, power=6.0)
    distance, angle = max(1.0, rng.uniform(0.03, 0.1) * side), rng.uniform(0, 2 * math.pi)
    turns = angle + 2 * math.pi * np.arange(TRIES) / TRIES
    moved = [_moved(x, distance * math.sin(turn), distance * math.cos(turn)) for turn in turns]
    return _blend(x, _strongest(x, opacity, moved), opacity, severity)


def cut_paste(x: Photo, severity: float, rng: np.random.Generator) -> tuple[Photo, Mask]:
    """Cover a patch 0.1-0.26 across by one from another place in the photo."""
    side = _side(x)
    halves = _halves(0.05, 0.13, side, rng)
    row, column = _place(x, 2 * max(halves), rng)
    sources = [_place(x, 2 * max(halves), rng) for _ in range(TRIES)]
    opacity = _region(x, (row, column), halves, 1.0, rng, power=8.0)
    moved = [_moved(x, row - source[0], column - source[1]) for source in sources]
    return _blend(x, _strongest(x, opacity, moved), opacity, severity)


def blur(x: Photo, severity: float, rng: np.random.Generator) -> tuple[Photo, Mask]:
    """Put a region 0.3-0.7 across out of focus, by a Gaussian of 0.015-0.04 (at least a pixel)."""
    side = _side(x)
    halves = _halves(0.15, 0.35, side, rng)
    opacity = _region(x, _place(x, max(halves), rng), halves, 0.3 * min(halves), rng)
    sigma = max(1.0, rng.uniform(0.015, 0.04) * side)
    return _blend(x, gaussian_filter(x, (0, sigma, sigma)), opacity, severity)


def misprint(x: Photo, severity: float, rng: np.random.Generator) -> tuple[Photo, Mask]:
    """Print a region 0.2-0.4 across as its negative, or twice, the second time 0.02-0.06 from the first."""
    side = _side(x)
    halves = _halves(0.1, 0.2, side, rng)
    opacity = _region(x, _place(x, 2 * max(halves), rng), halves, 1.5, rng, power=6.0)
    distance, angle = max(1.0, rng.uniform(0.02, 0.06) * side), rng.uniform(0, 2 * math.pi)
    again = _moved(x, distance * math.sin(angle), distance * math.cos(angle))
    mean = np.average(x, axis=(1, 2), weights=np.broadcast_to(opacity, x.shape))[:, None, None]
    full = (2 * mean - x, np.minimum(x, again), np.maximum(x, again))[rng.integers(3)]
    return _blend(x, full, opacity, severity)


DEFECTS: dict[str, Defect] = {
    "scratch": scratch,
    "stain": stain,
    "blob": blob,
    "missing": missing,
    "shifted": shifted,
    "cut_paste": cut_paste,
    "blur": blur,
    "misprint": misprint,
}


def _blend(x: Photo, full: NDArray[np.floating], opacity: Values, severity: float) -> tuple[Photo, Mask]:
    """Blend x with the full defect, by opacity (height, width) times severity."""
    if not 0 <= severity <= 1:
        raise ValueError(f"got severity {severity}, expected 0 to 1")
    weight = severity * opacity
    mixed = (1 - weight) * x + weight * np.clip(full, -1, 1)
    changed = np.where(weight > 0, np.clip(mixed, -1, 1).astype(np.float32), x)
    return changed, (changed != x).any(axis=0)


def _side(x: Photo) -> int:
    """Return the shorter side in pixels. Raises `ValueError` if x is no photo."""
    if x.ndim != 3 or x.dtype != np.float32 or min(x.shape[1:]) < SMALLEST_PHOTO:
        expected = f"(channels, height, width) of float32, at least {SMALLEST_PHOTO} pixels each way"
        raise ValueError(f"got {x.shape} of {x.dtype}, expected {expected}")
    return int(min(x.shape[1:]))


def _place(x: Photo, window: float, rng: np.random.Generator) -> tuple[int, int]:
    """Draw row and column of the centre of a window (pixels across) inside the photo.

    The probability is proportional to the standard deviation in the window.
    """
    half = min(math.ceil(window / 2), (_side(x) - 1) // 2)
    sizes = (0, 2 * half + 1, 2 * half + 1)
    wide = x.astype(np.float64)
    variance = (uniform_filter(wide**2, sizes) - uniform_filter(wide, sizes) ** 2).mean(axis=0)
    inside = np.s_[half : x.shape[1] - half, half : x.shape[2] - half]
    weight = np.sqrt(np.maximum(variance, 0))[inside] + 1e-6  # everywhere alike in a plain photo
    row, column = divmod(int(rng.choice(weight.size, p=weight.ravel() / weight.sum())), weight.shape[1])
    return row + half, column + half


def _halves(low: float, high: float, side: int, rng: np.random.Generator) -> tuple[float, float]:
    """Draw half a region's height and width in pixels, each between these shares of the side, at least 1.5."""
    height, width = np.maximum(rng.uniform(low, high, 2) * side, 1.5)
    return float(height), float(width)


def _region(
    x: Photo,
    centre: tuple[int, int],
    halves: tuple[float, float],
    edge: float,
    rng: np.random.Generator,
    power: float = 2.0,
    uneven: float = 0.0,
) -> Values:
    """Return the opacity (height, width) of an ellipse (power 2) to rectangle (power infinite).

    It is 1 inside and falls to 0 within the outermost `edge` pixels. Uneven ones are turned at random, and their radius
    varies by about the share `uneven`.
    """
    dy, dx = (axis.astype(np.float64) for axis in np.ogrid[: x.shape[1], : x.shape[2]])
    dy, dx = dy - centre[0], dx - centre[1]
    factor: Values = np.ones(x.shape[1:])
    if uneven:
        turn, phases = rng.uniform(0, 2 * math.pi), rng.uniform(0, 2 * math.pi, 4)
        angle = np.arctan2(dy, dx)
        for wave, phase in enumerate(phases, 2):
            factor += uneven * 2 / wave * np.cos(wave * angle + phase)
        dy, dx = dy * math.cos(turn) - dx * math.sin(turn), dy * math.sin(turn) + dx * math.cos(turn)
    distance = (np.abs(dy / halves[0]) ** power + np.abs(dx / halves[1]) ** power) ** (1 / power)
    ramp = np.clip((1 - distance / factor) * min(halves) / edge, 0, 1)
    return np.asarray(ramp * ramp * (3 - 2 * ramp), dtype=np.float64)


def _line(size: tuple[int, ...], points: Values, width: float, strength: Values) -> Values:
    """Return the opacity (height, width) of the line through points (n, 2: row, column), with strengths (n - 1,)."""
    image = Image.new("L", (size[1] * FINE, size[0] * FINE))
    draw = ImageDraw.Draw(image)
    ends = (points[:, ::-1] + 0.5) * FINE
    for begin, end, opacity in zip(ends[:-1], ends[1:], strength, strict=True):
        draw.line([*begin, *end], fill=round(255 * opacity), width=round(FINE * width))
    return np.asarray(image.reduce(FINE), dtype=np.float64) / 255


def _toned(x: Photo, opacity: Values, contrast: float, tint: float, rng: np.random.Generator) -> Values:
    """Make x brighter or darker by the contrast, which is up to a share `tint` smaller in each channel.

    If the photo has no room for one direction, it takes the other.
    """
    sign = rng.choice((-1.0, 1.0))
    amount = contrast * (1 - tint * rng.random((x.shape[0], 1, 1)))
    mean = np.average(x.mean(axis=0), weights=opacity)
    if abs(mean + sign * contrast) > 1:
        sign = -sign
    return np.asarray(np.clip(x + sign * amount, -1, 1), dtype=np.float64)


def _moved(x: Photo, rows: float, columns: float) -> Photo:
    """Move x by the nearest whole pixels. The border's pixels are repeated."""
    row = np.clip(np.arange(x.shape[1]) - round(rows), 0, x.shape[1] - 1)
    column = np.clip(np.arange(x.shape[2]) - round(columns), 0, x.shape[2] - 1)
    return x[:, row[:, None], column]


def _strongest(x: Photo, opacity: Values, candidates: list[Photo]) -> Photo:
    return max(candidates, key=lambda full: float((opacity * np.abs(full - x)).sum()))
