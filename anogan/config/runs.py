"""Settings of a whole run: data, detectors, training."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from anogan.budgets import per_second
from anogan.config.detectors import NeighbourConfig, PlacesConfig, SubspaceConfig
from anogan.config.gan import (
    HYBRID_SEARCH,
    AugmentName,
    EncoderConfig,
    GANConfig,
    LocatorConfig,
    SearchConfig,
    _require,
)

KindName = Literal["digits", "sensors", "photos"]


@dataclass(frozen=True)
class RunConfig:
    """Settings that training runs of every kind have: the data, the networks, the detectors made from them."""

    kind: ClassVar[KindName]
    # What plain --help leaves out: what the detectors that a kind starts with do not use, or few change.
    rare: ClassVar[tuple[str, ...]] = ("search", "hybrid", "neighbour")

    data: str = ""
    """What to learn from: a data set (mnist, fashion-mnist, digits), a recording of sensors (.csv, .parquet, ...) or a
    folder of photos."""
    seed: int = 0
    """Number that decides all random choices: initial weights, batches, latent vectors, which samples are held out."""
    holdout: float = 0.1
    """Share of the normal training samples that is kept out of training. The threshold is set on these."""
    false_alarm_rate: float = 0.01
    """Share of normal samples that may be flagged. The threshold follows from it."""
    detectors: tuple[str, ...] = ("neighbourgan", "fanogan", "anogan", "hybrid")
    """Detectors to calibrate on the trained networks. The first is used unless you name another. None at all trains the
    GAN alone, for data sets only."""
    views: tuple[str, ...] = ()
    """Views that each detector looks with, such as gradients. By default all that it has. Each view is a term of the
    score."""
    gan: GANConfig = field(default_factory=GANConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    hybrid: SearchConfig = field(default_factory=lambda: HYBRID_SEARCH)
    """The hybrid detector's search, which starts at E(x). Its settings are those of search."""
    neighbour: NeighbourConfig = field(default_factory=NeighbourConfig)

    def __post_init__(self) -> None:
        _require(0 < self.false_alarm_rate < 1, "false_alarm_rate", self.false_alarm_rate, "in (0, 1)")
        lowest_ok = self.holdout > 0 or not self.detectors
        _require(lowest_ok and 0 <= self.holdout < 1, "holdout", self.holdout, "in (0, 1) to calibrate a detector")
        _require(self.seed >= 0, "seed", self.seed, ">= 0")

    @property
    def augment(self) -> tuple[AugmentName, ...]:
        """Changes that leave a normal sample normal, made at random while training."""
        return ()

    @property
    def about(self) -> dict[str, str | int | list[int]]:
        """What a bundle says of the data it was trained on."""
        return {"data": self.data, "seed": self.seed, "value_range": [-1, 1]}

    @property
    def run_name(self) -> str:
        """The name of its folder in runs/."""
        return f"{Path(self.data).resolve().name}-seed{self.seed}"


@dataclass(frozen=True)
class DigitRunConfig(RunConfig):
    """A training run on a data set of images; `data` is its name."""

    kind: ClassVar[KindName] = "digits"
    rare: ClassVar[tuple[str, ...]] = ("hybrid", "neighbour")

    data: str = "mnist"
    normal: str = "3"
    """The class that is normal, or several separated by commas, or all. All other classes are anomalies."""

    @property
    def about(self) -> dict[str, str | int | list[int]]:
        return super().about | {"normal": self.normal}

    @property
    def run_name(self) -> str:
        return f"{self.data}-{self.normal}-seed{self.seed}".replace(",", "+")


@dataclass(frozen=True)
class SensorConfig:
    """How a recording of sensors becomes samples.

    Values chosen on healthy rows with injected faults (experiments/LOG.md).
    """

    time_column: str = ""
    """Column with the time: its name, or its position counted from 0. Without one, each row is a step of time."""
    channels: tuple[str, ...] = ()
    """Names of the columns to watch. By default all that hold numbers."""
    day_first: bool = False
    """Read dates such as 03/02/2024 as day, month, year."""
    window: int = 20
    """Number of rows that a score looks at together: the newest row and those before it."""
    slow: int = 12
    """Look at slow changes too, in means of this many rows. 1 = do not. A recording that is too short for it goes
    without."""
    reach: float = 6.0
    """How many standard deviations from a channel's mean values are still told apart well. With 3, strong faults look
    alike."""
    smoothing: float = 5.0
    """Number of rows that the score is averaged over; older rows count less (exponential moving average). 1 = no
    averaging."""

    def __post_init__(self) -> None:
        _require(self.window >= 2, "window", self.window, ">= 2 rows")
        _require(self.slow >= 1, "slow", self.slow, ">= 1 row")
        _require(self.reach > 0, "reach", self.reach, "> 0 standard deviations")
        _require(self.smoothing >= 1, "smoothing", self.smoothing, ">= 1 row")


@dataclass(frozen=True)
class AlarmConfig:
    """What an alarm is, and how many false ones you accept."""

    common: ClassVar[tuple[str, ...]] = ("budget", "persist", "block")

    budget: str = "1/week"
    """How many false alarms you accept, such as 1/week, '2 per 30 days' or 0.5/day."""
    persist: int = 3
    """An alarm begins after this many consecutive rows above the threshold, and ends after as many below the release
    level."""
    block: int = 0
    """Length in rows of the blocks of held-out rows; the threshold is set from the highest score of each. 0 = twice the
    rows that a score looks at, but at least ten windows and at most a third of a held-out stretch."""
    confidence: float = 0.9
    """How sure the budget is to be kept: the share of calibrations that keep it on average over time. It needs enough
    blocks."""
    usual_quantile: float = 0.95
    """Share of healthy rows whose score counts as usual. An alarm ends halfway between the highest of them and the
    threshold."""
    slow_rise: float = 0.5
    """A rise of the score that takes this many blocks or more is called slow."""

    def __post_init__(self) -> None:
        per_second(self.budget)
        for name in ("confidence", "usual_quantile"):
            _require(0 < getattr(self, name) < 1, name, getattr(self, name), "in (0, 1)")
        _require(self.slow_rise > 0, "slow_rise", self.slow_rise, "> 0 blocks")
        _require(self.persist >= 1, "persist", self.persist, ">= 1 row")
        _require(self.block == 0 or self.block >= self.persist, "block", self.block, f"0 or >= {self.persist} rows")


@dataclass(frozen=True)
class SensorRunConfig(RunConfig):
    """A training run on a recording of healthy operation; `data` is its file."""

    kind: ClassVar[KindName] = "sensors"
    rare: ClassVar[tuple[str, ...]] = (*RunConfig.rare, "false_alarm_rate", "subspace")

    sensors: SensorConfig = field(default_factory=SensorConfig)
    alarm: AlarmConfig = field(default_factory=AlarmConfig)
    subspace: SubspaceConfig = field(default_factory=SubspaceConfig)

    @property
    def run_name(self) -> str:
        return f"{recording_name(self.data)}-seed{self.seed}"


@dataclass(frozen=True)
class PhotoConfig:
    """How photos of good parts become samples."""

    size: int = 128
    """Photos are resized so that the longer side has this many pixels. With --tiles it is the side of a tile."""
    crop: tuple[int, ...] = ()
    """The part of every photo to look at: LEFT TOP WIDTH HEIGHT in pixels. By default the whole photo."""
    tiles: bool = False
    """Cut photos into square tiles at full resolution instead of resizing them. This finds smaller defects and takes
    longer."""
    overlap: float = 0.25
    """Minimum overlap of neighbouring tiles, as a share of a tile's side."""
    colour: Literal["auto", "grey", "rgb"] = "auto"
    """auto = grey if all training photos are, else rgb."""
    augment: tuple[AugmentName, ...] = ()
    """Random changes of photos while training. Name those that leave a good part good: flip, rotate90, brightness. By
    default none."""

    def __post_init__(self) -> None:
        _require(self.size >= 16, "size", self.size, ">= 16 pixels")
        _require(0 <= self.overlap < 1, "overlap", self.overlap, "in [0, 1)")
        fits = not self.crop or (len(self.crop) == 4 and min(self.crop) >= 0 and min(self.crop[2:]) >= 16)
        _require(fits, "crop", self.crop, "LEFT TOP WIDTH HEIGHT, at least 16 pixels across")


@dataclass(frozen=True)
class PhotoRunConfig(RunConfig):
    """A training run on photos of good parts; `data` is their folder."""

    kind: ClassVar[KindName] = "photos"
    rare: ClassVar[tuple[str, ...]] = (*RunConfig.rare, "encoder", "places")

    photos: PhotoConfig = field(default_factory=PhotoConfig)
    locator: LocatorConfig = field(default_factory=LocatorConfig)
    places: PlacesConfig = field(default_factory=PlacesConfig)

    @property
    def augment(self) -> tuple[AugmentName, ...]:
        return self.photos.augment


CONFIGS: dict[KindName, type[RunConfig]] = {
    "digits": DigitRunConfig,
    "sensors": SensorRunConfig,
    "photos": PhotoRunConfig,
}
RECORDINGS = (".csv", ".csv.gz", ".txt", ".txt.gz", ".tsv", ".tsv.gz", ".parquet", ".npy", ".npz")


def recording_name(file: str) -> str:
    """pump.csv.gz -> pump."""
    return Path(file).name.split(".")[0]


def kind_of(data: str) -> KindName:
    """Tell what a run on `data` looks at: a table of sensor rows, a folder of photos, or else a data set."""
    return "sensors" if is_recording(data) else "photos" if is_folder(data) else "digits"


def is_recording(name: str) -> bool:
    """Whether the name ends like that of a table of sensor rows."""
    return name.lower().endswith(RECORDINGS)


def is_folder(name: str) -> bool:
    """Whether it is a folder, of photos, or written like one, rather than a data set's name."""
    return name not in ("mnist", "fashion-mnist", "digits") and (Path(name).is_dir() or "/" in name)
