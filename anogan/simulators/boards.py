"""Rendered parts: photos of bare circuit boards, as from an inspection camera.

Demos and tests need photos that nobody has to download, with defects whose pixels are known. Good boards differ like
those of a batch: each lies a little turned and shifted under an uneven lamp, pads and print have tolerances, the glass
weave shows through the mask, the sensor is noisy. Lengths are shares of the photo's side; places are relative to the
board's middle, x right and y down; colours and noise are in grey levels of 256.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from anogan.files import write_bytes
from anogan.photos import faults

PartDefect = Literal["scratch", "stain", "missing", "shifted"]
Picture = NDArray[np.uint8]  # (height, width, 3)
Mask = NDArray[np.bool_]  # (height, width)
Values = NDArray[np.float64]
Colour = tuple[float, float, float]
Point = tuple[float, float]

FINE = 4  # pixels drawn per pixel, each way
SMALLEST_PHOTO = 32  # pixels of a photo's side
LENS = 0.5  # pixels, the blur's standard deviation
WEAVE = 0.04  # the glass fibre's period
NOISE = 2.0  # standard deviation of the sensor
VISIBLE = 4  # a defect's pixels differ from the good part's by more than this, twice the noise
LEAST = 0.3  # severity of the mildest defect that is written; the others rise evenly to 1

TABLE, SHADOW = (70.0, 73.0, 78.0), (40.0, 42.0, 46.0)
EDGE, MASK, COPPER = (150.0, 150.0, 104.0), (24.0, 88.0, 56.0), (36.0, 112.0, 72.0)  # copper under the mask
GOLD, TIN, DRILLED, PRINT = (206.0, 168.0, 84.0), (178.0, 182.0, 186.0), (46.0, 46.0, 48.0), (222.0, 226.0, 218.0)

HALF = 0.44  # the board's
HOLES = [(x, y) for x in (-0.37, 0.37) for y in (-0.37, 0.37)]
PINS = [-0.25, -0.175, -0.1, -0.025, 0.05]  # y of the chip's rows
PAIRS = [-0.25, -0.12, 0.01]  # y of the pairs of pads on the right
ROW = [-0.25, -0.15, -0.05, 0.05, 0.15, 0.25]  # x of the connector's pins
TRACES: list[list[Point]] = [  # none crosses another
    [(-0.27, PINS[0]), (-0.31, PINS[0]), (-0.37, -0.31), HOLES[0]],
    [(-0.27, PINS[2]), (-0.37, PINS[2]), (-0.37, 0.2), (-0.31, 0.26), (ROW[0], 0.26)],
    [(-0.27, PINS[3]), (-0.345, PINS[3]), (-0.345, 0.15), (-0.32, 0.175), (-0.2, 0.175), (ROW[1], 0.23)],
    [(-0.27, PINS[4]), (-0.32, PINS[4]), (-0.32, 0.12), (-0.295, 0.145), (-0.13, 0.145), (ROW[2], 0.23)],
    *([(-0.05, PINS[i]), (0.04, PINS[i]), (0.13, y)] for i, y in enumerate(PAIRS)),
    [(-0.05, PINS[4]), (0.01, PINS[4]), (ROW[3], 0.1), (ROW[3], 0.26)],
    [(0.245, PAIRS[0]), (0.31, PAIRS[0]), (0.37, -0.31), HOLES[2]],
    [(0.245, PAIRS[1]), (0.35, PAIRS[1]), (0.35, 0.2), (0.29, 0.26), (ROW[5], 0.26)],
    [(0.245, PAIRS[2]), (0.32, PAIRS[2]), (0.32, 0.16), (0.3, 0.185), (0.19, 0.185), (ROW[4], 0.23)],
]
MARK: list[list[Point]] = [  # "A47", in units of a letter's height
    [(0, 1), (0.35, 0), (0.7, 1)],
    [(0.15, 0.62), (0.55, 0.62)],
    [(1.55, 1), (1.55, 0), (1, 0.68), (1.75, 0.68)],
    [(2.05, 0), (2.7, 0), (2.3, 1)],
]


class Pad(NamedTuple):
    """A place to solder: a tinned rectangle, or a gold ring around a drilled hole."""

    x: float
    y: float
    width: float
    height: float
    drilled: bool = False
    tint: float = 1.0  # factor of the colour


PADS = [
    *(Pad(x, y, 0.09, 0.042) for x in (-0.27, -0.05) for y in PINS),
    *(Pad(x, y, 0.055, 0.075) for x in (0.13, 0.245) for y in PAIRS),
    *(Pad(x, 0.26, 0.07, 0.07, drilled=True) for x in ROW),
]


@dataclass(frozen=True)
class Part:
    """One board of the batch, as it lies under the camera."""

    angle: float  # radians
    shift: Point
    pads: tuple[Pad, ...]
    print_shift: Point
    weave: Point  # phases of the glass fibre, radians
    lamp: Point  # brightness gained from left to right and from top to bottom, as a share
    brightness: float  # factor


def render(
    seed: int | Sequence[int], size: int = 128, defect: PartDefect | None = None, severity: float = 1.0
) -> tuple[Picture, Mask]:
    """Render a photo (size, size, 3), and the mask of the pixels in which a defect differs from the good part.

    The seed decides part, noise and the place of the defect. Severity (0 to 1) decides how far a pad is shrunk or
    moved, and how strong a mark is.
    """
    if defect is not None and defect not in get_args(PartDefect):
        raise ValueError(f"unknown defect {defect!r}; choose from {', '.join(get_args(PartDefect))}")
    if not 0 <= severity <= 1:
        raise ValueError(f"got severity {severity}, expected 0 to 1")
    if size < SMALLEST_PHOTO:
        raise ValueError(f"got size {size}, expected at least {SMALLEST_PHOTO} pixels")
    rng, elsewhere = (np.random.default_rng(stream) for stream in np.random.SeedSequence(seed).spawn(2))
    part = _part(rng)
    noise = NOISE * rng.standard_normal((size, size, 3))
    clean = _view(part, size)
    good = _developed(clean + noise)
    if defect is None:
        return good, np.zeros((size, size), bool)
    if defect == "missing" or defect == "shifted":
        clean = _view(replace(part, pads=_spoiled(part.pads, defect, severity, elsewhere)), size)
    else:
        x = np.moveaxis(clean / 127.5 - 1, 2, 0).astype(np.float32)
        marked = (np.moveaxis(faults.apply(defect, x, severity, elsewhere)[0], 0, 2) + 1) * 127.5
        on_board = np.maximum(*np.abs(_coordinates(part, size))) < HALF
        clean = np.where(on_board[..., None], marked, clean)
    bad = _developed(clean + noise)
    mask = np.abs(bad.astype(int) - good).max(axis=2) > VISIBLE
    return np.where(mask[..., None], bad, good), mask


def write_folder(
    folder: Path,
    good: int = 300,
    test_good: int = 40,
    each: int = 20,
    size: int = 128,
    seed: int = 0,
    on_photos: Callable[[int], None] | None = None,
) -> None:
    """Write photos in the layout of MVTec AD: train/good, test/good, test/<defect>, ground_truth/<defect>.

    `good` photos are for training, `test_good` others and `each` of every defect for testing. `on_photos` is called
    with the number of photos just written.
    """
    for name, key, defect, severity in _plan(good, test_good, each):
        photo, mask = render((seed, *key), size, defect, severity)
        if defect:  # first the mask: no photo is ever without
            write_bytes(folder / "ground_truth" / defect / f"{name}_mask.png", _png(mask.astype(np.uint8) * 255))
        place = folder / ("test" if key[0] else "train") / (defect or "good")
        write_bytes(place / f"{name}.png", _png(photo))
        if on_photos:
            on_photos(1)


def _plan(good: int, test_good: int, each: int) -> Iterator[tuple[str, tuple[int, int], PartDefect | None, float]]:
    """Yield name, seed, defect and severity of every photo."""
    for kind, count in enumerate((good, test_good)):
        yield from ((f"{i:03}", (kind, i), None, 0.0) for i in range(count))
    for kind, defect in enumerate(get_args(PartDefect), 2):
        yield from ((f"{i:03}", (kind, i), defect, s) for i, s in enumerate(np.linspace(LEAST, 1, each).tolist()))


def _part(rng: np.random.Generator) -> Part:
    def pair(most: float) -> Point:
        x, y = rng.uniform(-most, most, 2)
        return float(x), float(y)

    return Part(
        angle=math.radians(rng.uniform(-2, 2)),
        shift=pair(0.02),
        pads=tuple(_made(pad, rng) for pad in PADS),
        print_shift=pair(0.005),
        weave=pair(math.pi),
        lamp=pair(0.12),
        brightness=rng.uniform(0.95, 1.05),
    )


def _made(pad: Pad, rng: np.random.Generator) -> Pad:
    """Draw a pad within its tolerances: 0.002 of place, 5 % of size, 5 % of brightness."""
    x, y = rng.uniform(-0.002, 0.002, 2)
    width, height = (pad.width, pad.height) * rng.uniform(0.95, 1.05, 1 if pad.drilled else 2)
    return Pad(pad.x + x, pad.y + y, width, height, pad.drilled, rng.uniform(0.95, 1.05))


def _spoiled(pads: tuple[Pad, ...], defect: PartDefect, severity: float, rng: np.random.Generator) -> tuple[Pad, ...]:
    """Shrink one pad, at severity 1 to nothing, or move it by up to 0.06."""
    which, turn = rng.integers(len(pads)), rng.uniform(0, 2 * math.pi)
    pad, far = pads[which], 0.06 * severity
    small = pad._replace(width=pad.width * (1 - severity), height=pad.height * (1 - severity))
    moved = pad._replace(x=pad.x + far * math.cos(turn), y=pad.y + far * math.sin(turn))
    return (*pads[:which], small if defect == "missing" else moved, *pads[which + 1 :])


class _Canvas:
    """Draws in the board's coordinates."""

    def __init__(self, side: int, part: Part) -> None:
        self.image = Image.new("RGB", (side, side), _whole(TABLE))
        self._draw = ImageDraw.Draw(self.image)
        self._side, self._shift = side, np.array(part.shift)
        cosine, sine = math.cos(part.angle), math.sin(part.angle)
        self._turn = np.array([[cosine, sine], [-sine, cosine]])

    def _pixels(self, points: Iterable[Point]) -> list[Point]:
        places = (np.array(list(points)) @ self._turn + self._shift + 0.5) * self._side
        return [(float(x), float(y)) for x, y in places]

    def box(self, x: float, y: float, width: float, height: float, colour: Colour, corner: float = 0.0) -> None:
        """Draw a rectangle around (x, y) with rounded corners."""
        corner = min(corner, width / 2, height / 2)
        across, down = width / 2 - corner, height / 2 - corner
        turns = [(quarter + step / 4) * math.pi / 2 for quarter in range(4) for step in range(5)]
        signs = [(sx, sy) for sx, sy in ((1, 1), (-1, 1), (-1, -1), (1, -1)) for _ in range(5)]
        outline = [
            (x + sx * across + corner * math.cos(turn), y + sy * down + corner * math.sin(turn))
            for turn, (sx, sy) in zip(turns, signs, strict=True)
        ]
        self._draw.polygon(self._pixels(outline), fill=_whole(colour))

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Draw a disc around (x, y)."""
        self.box(x, y, 2 * radius, 2 * radius, colour, corner=radius)

    def line(self, points: Iterable[Point], width: float, colour: Colour) -> None:
        """Draw a line through points."""
        self._draw.line(self._pixels(points), _whole(colour), max(1, round(width * self._side)), joint="curve")


def _whole(colour: Colour, factor: float = 1.0) -> tuple[int, int, int]:
    red, green, blue = (min(255, round(factor * value)) for value in colour)
    return red, green, blue


def _view(part: Part, size: int) -> Values:
    """Render what a camera without noise sees (size, size, 3)."""
    canvas = _Canvas(size * FINE, part)
    _board(canvas)
    for pad in part.pads:
        _pad(canvas, pad)
    _print(canvas, part.print_shift)
    seen = gaussian_filter(np.asarray(canvas.image.reduce(FINE), dtype=np.float64), (LENS, LENS, 0))
    x, y = _coordinates(part, size)
    (right, down), phases = part.lamp, part.weave
    weave = np.sin(2 * math.pi * x / WEAVE + phases[0]) * np.sin(2 * math.pi * y / WEAVE + phases[1])
    light = part.brightness * (1 + right * x + down * y - 0.25 * (x * x + y * y))
    light *= 1 + 0.025 * weave * (np.maximum(np.abs(x), np.abs(y)) < HALF)
    return np.asarray(np.clip(seen * light[..., None], 0, 255), dtype=np.float64)


def _coordinates(part: Part, size: int) -> tuple[Values, Values]:
    """Return the board's x and y at every pixel, each (size, size)."""
    down, across = (np.mgrid[:size, :size] + 0.5) / size - 0.5
    across, down = across - part.shift[0], down - part.shift[1]
    cosine, sine = math.cos(part.angle), math.sin(part.angle)
    return across * cosine + down * sine, down * cosine - across * sine


def _board(canvas: _Canvas) -> None:
    side = 2 * HALF
    canvas.box(0.012, 0.016, side + 0.01, side + 0.01, SHADOW, 0.03)
    canvas.box(0, 0, side + 0.008, side + 0.008, EDGE, 0.024)
    canvas.box(0, 0, side, side, MASK, 0.02)
    for trace in TRACES:
        canvas.line(trace, 0.014, COPPER)
    for x, y in HOLES:
        canvas.disc(x, y, 0.048, GOLD)
        canvas.disc(x, y, 0.03, TABLE)


def _pad(canvas: _Canvas, pad: Pad) -> None:
    """Draw a shaded rim, the metal, and the lamp's reflection towards the upper left."""
    metal = GOLD if pad.drilled else TIN
    corner = pad.width / 2 if pad.drilled else 0.01
    if min(pad.width, pad.height) < 0.002:
        return
    for share, factor, towards in ((1.0, 0.72, 0.0), (0.84, 1.0, 0.0), (0.5, 1.18, 0.12)):
        x, y = pad.x - towards * pad.width, pad.y - towards * pad.height
        colour = _whole(metal, factor * pad.tint)
        canvas.box(x, y, share * pad.width, share * pad.height, colour, share * corner)
    if pad.drilled:
        canvas.disc(pad.x, pad.y, 0.24 * pad.width, DRILLED)


def _print(canvas: _Canvas, shift: Point) -> None:
    dx, dy = shift
    frames = [(-0.16, -0.1, 0.1, 0.36), (0, 0.26, 0.6, 0.11)]
    for x, y, width, height in frames:
        corners = [(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)]
        outline = [(x + dx + sx * width / 2, y + dy + sy * height / 2) for sx, sy in corners]
        canvas.line(outline, 0.008, PRINT)
    canvas.disc(-0.185 + dx, -0.25 + dy, 0.011, PRINT)  # the chip's first pin
    for stroke in MARK:
        canvas.line([(0.09 + dx + 0.075 * x, 0.09 + dy + 0.075 * y) for x, y in stroke], 0.012, PRINT)


def _developed(levels: Values) -> Picture:
    return np.rint(np.clip(levels, 0, 255)).astype(np.uint8)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()
