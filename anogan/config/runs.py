"""Settings of a whole run: data, detectors, training."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from anogan.budgets import per_second
from anogan.config.detectors import DetectorName, NeighbourConfig, PlacesConfig, SubspaceConfig
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
    """What the training runs of every kind can be told: the data, the networks, the detectors made from them."""

    kind: ClassVar[KindName]

    data: str = ""
    """A data set (mnist, fashion-mnist, digits), a recording of sensors (.csv, .parquet, ...) or a folder of photos."""
    seed: int = 0
    """Decides weights, batches, latents and the held-out rows."""
    holdout: float = 0.1
    """Share of the normal training samples kept from all training, for the threshold."""
    false_alarm_rate: float = 0.01
    """Share of normal samples that may be flagged."""
    detectors: tuple[DetectorName, ...] = ("neighbourgan", "fanogan", "anogan", "hybrid")
    """Detectors to calibrate on the trained networks; none = train the GAN alone."""
    views: tuple[str, ...] = ()
    """Views that each detector keeps, such as gradients; all of its own unless given."""
    gan: GANConfig = field(default_factory=GANConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    hybrid: SearchConfig = field(default_factory=lambda: HYBRID_SEARCH)
    """The hybrid's search, started from E(x)."""
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
    """One training run on a data set of images; `data` is its name."""

    kind: ClassVar[KindName] = "digits"

    data: str = "mnist"
    """mnist, fashion-mnist or digits; a recording of sensors (.csv, .parquet, ...); or a folder of photos."""
    normal: str = "3"
    """Normal class of a data set, several separated by commas, or 'all'."""

    @property
    def about(self) -> dict[str, str | int | list[int]]:
        return super().about | {"normal": self.normal}

    @property
    def run_name(self) -> str:
        return f"{self.data}-{self.normal}-seed{self.seed}".replace(",", "+")


@dataclass(frozen=True)
class SensorConfig:
    """How a recording of sensors becomes samples (chosen on healthy rows with injected faults: experiments/LOG.md)."""

    time_column: str = ""
    """Column of the time, by name or by position counted from 0; without one, a row is a step."""
    channels: tuple[str, ...] = ()
    """Columns to watch; all that hold numbers unless given."""
    day_first: bool = False
    """Dates such as 03/02/2024 begin with the day."""
    window: int = 20
    """Rows that are looked at together, the newest one last."""
    slow: int = 12
    """Also look at a slower scale: means of SLOW rows. Off where the recording is too short; 1 = off."""
    reach: float = 6.0
    """Standard deviations from a channel's mean up to which its values are told apart well; at 3, strong faults look
    alike."""
    smoothing: float = 5.0
    """Rows over which the score is averaged, the older the less (exponential moving average)."""

    def __post_init__(self) -> None:
        _require(self.window >= 2, "window", self.window, ">= 2 rows")
        _require(self.slow >= 1, "slow", self.slow, ">= 1 row")
        _require(self.reach > 0, "reach", self.reach, "> 0 standard deviations")
        _require(self.smoothing >= 1, "smoothing", self.smoothing, ">= 1 row")


@dataclass(frozen=True)
class AlarmConfig:
    """What an alarm is and how many false ones are borne."""

    budget: str = "1/week"
    """False alarms that are borne: 1/week, '2 per 30 days', 0.5/day."""
    persist: int = 3
    """Rows in a row above the threshold that begin an alarm, and below the release level that end it."""
    block: int = 0
    """Block length in rows; the threshold is set from the highest score of each held-out block. 0 = twice the rows that
    a score looks at, at least ten windows, at most a third of a held-out stretch."""

    confidence: float = 0.9
    """Share of calibrations in which the budget is kept on average over time, where there are blocks enough."""
    usual_quantile: float = 0.95
    """Share of healthy rows whose score is usual; halfway from the threshold to the highest of them an alarm ends."""
    slow_rise: float = 0.5
    """Blocks that a rise of the score takes at least to be called slow."""

    def __post_init__(self) -> None:
        per_second(self.budget)
        for name in ("confidence", "usual_quantile"):
            _require(0 < getattr(self, name) < 1, name, getattr(self, name), "in (0, 1)")
        _require(self.slow_rise > 0, "slow_rise", self.slow_rise, "> 0 blocks")
        _require(self.persist >= 1, "persist", self.persist, ">= 1 row")
        _require(self.block == 0 or self.block >= self.persist, "block", self.block, f"0 or >= {self.persist} rows")


@dataclass(frozen=True)
class SensorRunConfig(RunConfig):
    """One training run on a recording of healthy operation; `data` is its file."""

    kind: ClassVar[KindName] = "sensors"

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
    """Pixels of a sample's longer side; of a tile, its side."""
    crop: tuple[int, ...] = ()
    """LEFT TOP WIDTH HEIGHT in pixels, the part of every photo that is looked at; all of it unless given."""
    tiles: bool = False
    """Cut photos into tiles of SIZE pixels at full resolution, for small defects; otherwise each is resized to SIZE."""
    overlap: float = 0.25
    """Minimum overlap of neighbouring tiles, as a share of a tile's side."""
    colour: Literal["auto", "grey", "rgb"] = "auto"
    """auto: grey where all training photos are."""
    augment: tuple[AugmentName, ...] = ()
    """Changes that leave a good part good, made at random while training: flip, rotate90, brightness."""

    def __post_init__(self) -> None:
        _require(self.size >= 16, "size", self.size, ">= 16 pixels")
        _require(0 <= self.overlap < 1, "overlap", self.overlap, "in [0, 1)")
        fits = not self.crop or (len(self.crop) == 4 and min(self.crop) >= 0 and min(self.crop[2:]) >= 16)
        _require(fits, "crop", self.crop, "LEFT TOP WIDTH HEIGHT, at least 16 pixels across")


@dataclass(frozen=True)
class PhotoRunConfig(RunConfig):
    """One training run on photos of good parts; `data` is their folder."""

    kind: ClassVar[KindName] = "photos"

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
    """What a run on `data` looks at: a table of sensor rows, a folder of photos, or else a data set."""
    return "sensors" if is_recording(data) else "photos" if is_folder(data) else "digits"


def is_recording(name: str) -> bool:
    """Whether the name ends like that of a table of sensor rows."""
    return name.lower().endswith(RECORDINGS)


def is_folder(name: str) -> bool:
    """Whether it is a folder, of photos, or written like one, rather than a data set's name."""
    return name not in ("mnist", "fashion-mnist", "digits") and (Path(name).is_dir() or "/" in name)
