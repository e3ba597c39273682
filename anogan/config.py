"""Every hyper-parameter, its default and its source, declared once. No torch here: the command line is made from it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from anogan.budgets import per_second

LossName = Literal["non_saturating", "hinge", "wgan_gp"]
NormName = Literal["none", "batch", "spectral"]
ResidualName = Literal["l1", "mse", "relative", "cosine", "blurred_cosine"]
PrecisionName = Literal["float32", "bfloat16"]
EncoderMode = Literal["izi", "ziz", "izi_f"]
DetectorName = Literal["neighbourgan", "subspacegan", "locatorgan", "fanogan", "anogan", "hybrid"]
AugmentName = Literal["flip", "rotate90", "brightness"]


def _require(condition: bool, name: str, got: object, expected: str) -> None:
    if not condition:
        raise ValueError(f"{name} must be {expected}, got {got!r}")


@dataclass(frozen=True)
class GANConfig:
    """The adversarial pair and its training (DCGAN: Radford et al. 2016, arXiv:1511.06434)."""

    latent_dim: int = 100
    """Dimensions of z ~ N(0, I)."""
    width: int = 32
    """Channels next to the sample; doubled at every halving of the size (128 in the DCGAN notebook)."""
    loss: LossName = "non_saturating"
    """Adversarial loss: Goodfellow et al. 2014, Lim & Ye 2017 (hinge), Gulrajani et al. 2017 (wgan_gp)."""
    discriminator_norm: NormName = "batch"
    """Normalisation in the discriminator; spectral: Miyato et al. 2018. wgan_gp forbids batch."""
    steps: int = 1500
    """Generator updates."""
    batch_size: int = 64
    """Samples per update."""
    learning_rate: float = 2e-4
    """Adam, both networks."""
    betas: tuple[float, float] = (0.5, 0.999)
    """Adam momenta, both networks."""
    critic_steps: int = 1
    """Discriminator updates per generator update (5 in WGAN-GP)."""
    gradient_penalty: float = 10.0
    """Weight of (|grad| - 1)^2; used by wgan_gp alone."""
    ema: float = 0.0
    """Decay of the averaged generator used after training (Yazici et al. 2019); 0 = no averaging."""
    precision: PrecisionName = "float32"
    """Arithmetic of the training of GAN and encoder; bfloat16: products alone, weights and losses stay float32."""

    def __post_init__(self) -> None:
        for name in ("latent_dim", "width", "steps", "batch_size", "critic_steps"):
            _require(getattr(self, name) >= 1, f"gan.{name}", getattr(self, name), ">= 1")
        _require(self.learning_rate > 0, "gan.learning_rate", self.learning_rate, "> 0")
        _require(0 <= self.ema < 1, "gan.ema", self.ema, "in [0, 1)")
        _require(self.batch_size >= 2, "gan.batch_size", self.batch_size, ">= 2 (batch normalisation)")
        _require(
            self.loss != "wgan_gp" or self.discriminator_norm != "batch",
            "gan.discriminator_norm",
            self.discriminator_norm,
            "'none' or 'spectral' with wgan_gp, whose penalty is per sample",
        )


@dataclass(frozen=True)
class EncoderConfig:
    """The encoder of f-AnoGAN and the score it shares (Schlegl et al. 2019, doi:10.1016/j.media.2019.01.010)."""

    mode: EncoderMode = "izi_f"
    """Training path: image-z-image, z-image-z, or izi with discriminator features."""
    feature_weight: float = 1.0
    """kappa: weight of the feature residual in the izi_f loss and in the score."""
    residual: ResidualName = "mse"
    """Comparison of x with G(E(x)), in the loss and in the score."""
    erase: float = 0.0
    """Share of E's input erased in blocks while training, x being the target (Vincent et al. 2008); 0 = f-AnoGAN."""
    steps: int = 1000
    """Encoder updates."""
    batch_size: int = 64
    """Samples per update."""
    learning_rate: float = 5e-4
    """Adam."""

    def __post_init__(self) -> None:
        _require(self.steps >= 1, "encoder.steps", self.steps, ">= 1")
        _require(self.batch_size >= 2, "encoder.batch_size", self.batch_size, ">= 2 (batch normalisation)")
        _require(self.learning_rate > 0, "encoder.learning_rate", self.learning_rate, "> 0")
        _require(0 <= self.erase < 1, "encoder.erase", self.erase, "in [0, 1)")
        _require(self.feature_weight >= 0, "encoder.feature_weight", self.feature_weight, ">= 0")


@dataclass(frozen=True)
class LocatorConfig:
    """The network that looks for defects, trained on pseudo-defects in good and generated photos (chosen on good)."""

    steps: int = 1500
    """Updates."""
    batch_size: int = 16
    """Photos per update."""
    learning_rate: float = 4e-3
    """Adam, at its highest: it rises during the first tenth of the steps and falls to nothing."""

    def __post_init__(self) -> None:
        _require(self.steps >= 1, "locator.steps", self.steps, ">= 1")
        _require(self.batch_size >= 2, "locator.batch_size", self.batch_size, ">= 2 (batch normalisation)")
        _require(self.learning_rate > 0, "locator.learning_rate", self.learning_rate, "> 0")


@dataclass(frozen=True)
class SearchConfig:
    """Latent search x -> z and the score it shares (AnoGAN: Schlegl et al. 2017, arXiv:1703.05921)."""

    steps: int = 500
    """Adam updates at most per row and start; 0 scores the start itself."""
    learning_rate: float = 0.02
    """Adam on z."""
    restarts: int = 1
    """Start points per row; the best end point is kept."""
    discrimination_weight: float = 0.1
    """lambda in A(x) = (1 - lambda) R(x) + lambda D(x)."""
    residual: ResidualName = "l1"
    """R, the comparison of x with G(z)."""
    patience: int = 50
    """A row leaves after this many updates without a gain of `tolerance`; 0 = never early."""
    tolerance: float = 1e-3
    """Relative gain of the loss that counts as progress."""
    batch_size: int = 64
    """Rows searched at once; bounds the memory."""

    def __post_init__(self) -> None:
        for name in ("steps", "patience", "tolerance"):
            _require(getattr(self, name) >= 0, f"search.{name}", getattr(self, name), ">= 0")
        for name in ("restarts", "batch_size"):
            _require(getattr(self, name) >= 1, f"search.{name}", getattr(self, name), ">= 1")
        _require(self.learning_rate > 0, "search.learning_rate", self.learning_rate, "> 0")
        weight = self.discrimination_weight
        _require(0 <= weight <= 1, "search.discrimination_weight", weight, "in [0, 1]")


@dataclass(frozen=True)
class NeighbourConfig:
    """NeighbourGAN: how its two views of a sample are made and weighed (chosen on training images)."""

    neighbours: int = 10
    """Nearest training samples whose mean gradients a sample is compared with."""
    code_neighbours: int = 5
    """Nearest codes E(x) that the distance in latent space is averaged over."""
    code_sparsity: float = 0.75
    """How much of the distance between codes is excused where normal codes are far apart: 0 = nothing, 1 = all."""
    code_weight: float = 0.25
    """Weight of the code beside the gradients' 1."""

    def __post_init__(self) -> None:
        for name in ("neighbours", "code_neighbours"):
            _require(getattr(self, name) >= 1, f"neighbour.{name}", getattr(self, name), ">= 1")
        for name in ("code_sparsity", "code_weight"):
            _require(getattr(self, name) >= 0, f"neighbour.{name}", getattr(self, name), ">= 0")


@dataclass(frozen=True)
class SubspaceConfig:
    """SubspaceGAN: its views of a window of signals (chosen on injected faults and on a series of NAB: LOG.md)."""

    variance: float = 0.9
    """Share of the variance of training windows that the principal components hold."""
    residual_weight: float = 1.0
    """Weight of what the GAN cannot draw beside the components' 1; 0 = without the GAN."""

    def __post_init__(self) -> None:
        _require(0 < self.variance < 1, "subspace.variance", self.variance, "in (0, 1)")
        _require(self.residual_weight >= 0, "subspace.residual_weight", self.residual_weight, ">= 0")


@dataclass(frozen=True)
class PlacesConfig:
    """LocatorGAN: its two views of each place of a photo (chosen on good photos with injected defects)."""

    components: int = 50
    """Principal components of the training photos, beside which the linear view looks."""
    linear_weight: float = 1.0
    """Weight of what the components leave, times the share that they explain, beside the locator's 1; 0 = without."""

    def __post_init__(self) -> None:
        _require(self.components >= 1, "places.components", self.components, ">= 1")
        _require(self.linear_weight >= 0, "places.linear_weight", self.linear_weight, ">= 0")


HYBRID_SEARCH = SearchConfig(steps=20)


@dataclass(frozen=True)
class RunConfig:
    """One training run: the data, the split, the networks and the detectors made from them."""

    data: str = "mnist"
    """mnist, fashion-mnist or digits; a recording of sensors (.csv, .parquet, ...); or a folder of photos."""
    normal: str = "3"
    """Normal class of a data set, several separated by commas, or 'all'."""
    seed: int = 0
    """Decides weights, batches, latents and the held-out rows."""
    holdout: float = 0.1
    """Share of the normal training samples kept from all training, for the threshold."""
    false_alarm_rate: float = 0.01
    """Share of normal samples that may be flagged."""
    detectors: tuple[DetectorName, ...] = ("neighbourgan", "fanogan", "anogan", "hybrid")
    """Detectors to calibrate on the trained networks; none = train the GAN alone."""
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


@dataclass(frozen=True)
class SignalConfig:
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
    """Beside them as many means of so many rows each, a slower scale, where the recording is long enough; 1 = never."""
    smoothing: float = 5.0
    """Rows over which the score is averaged, the older the less (exponential moving average)."""

    def __post_init__(self) -> None:
        _require(self.window >= 2, "window", self.window, ">= 2 rows")
        _require(self.slow >= 1, "slow", self.slow, ">= 1 row")
        _require(self.smoothing >= 1, "smoothing", self.smoothing, ">= 1 row")


@dataclass(frozen=True)
class AlarmConfig:
    """What an alarm is and how many false ones are borne."""

    budget: str = "1/week"
    """False alarms that are borne: 1/week, '2 per 30 days', 0.5/day."""
    persist: int = 3
    """Rows in a row above the threshold that begin an alarm, and below the release level that end it."""
    block: int = 0
    """Rows of a held-out healthy block, whose highest score counts for the threshold; 0 = twice what a score looks at,
    at least ten windows, at most a third of a held-out stretch."""

    def __post_init__(self) -> None:
        per_second(self.budget)
        _require(self.persist >= 1, "persist", self.persist, ">= 1 row")
        _require(self.block == 0 or self.block >= self.persist, "block", self.block, f"0 or >= {self.persist} rows")


@dataclass(frozen=True)
class SignalRunConfig(RunConfig):
    """One training run on a recording of healthy operation; `data` is its file."""

    signal: SignalConfig = field(default_factory=SignalConfig)
    alarm: AlarmConfig = field(default_factory=AlarmConfig)
    subspace: SubspaceConfig = field(default_factory=SubspaceConfig)


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
    """Of neighbouring tiles, at least, as a share of their side."""
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

    photo: PhotoConfig = field(default_factory=PhotoConfig)
    locator: LocatorConfig = field(default_factory=LocatorConfig)
    places: PlacesConfig = field(default_factory=PlacesConfig)


RECORDINGS = (".csv", ".csv.gz", ".txt", ".txt.gz", ".tsv", ".tsv.gz", ".parquet", ".npy", ".npz")


def is_recording(name: str) -> bool:
    """Whether the name ends like that of a table of sensor rows."""
    return name.lower().endswith(RECORDINGS)


def is_folder(name: str) -> bool:
    """Whether it is a folder, of photos, or written like one, rather than a data set's name."""
    return name not in ("mnist", "fashion-mnist", "digits") and (Path(name).is_dir() or "/" in name)


# The classes above default to the papers' formulas; these settings were chosen on training images (experiments/LOG.md).
DEFAULT = RunConfig(
    gan=GANConfig(steps=2500),
    encoder=EncoderConfig(residual="blurred_cosine", feature_weight=0.1, erase=0.6, steps=1500),
    search=SearchConfig(steps=60, learning_rate=0.05, residual="blurred_cosine", discrimination_weight=1e-5),
    hybrid=SearchConfig(steps=5, learning_rate=0.01, residual="blurred_cosine", discrimination_weight=1e-5),
)
PRESETS: dict[str, RunConfig] = {
    "default": DEFAULT,
    # A third of 120 images is the least that supports a false-alarm rate of 5 %.
    "digits": replace(DEFAULT, data="digits", holdout=0.3, false_alarm_rate=0.05),
    # AnoGAN and f-AnoGAN as published: lambda = 0.1, 500 search steps, kappa = 1, nothing erased.
    "papers": RunConfig(gan=DEFAULT.gan),
    # A DCGAN notebook: all ten digits, 50 epochs = 50 * 60,000 / 128 updates, and no detector.
    "notebook": RunConfig(
        normal="all", holdout=0.0, detectors=(), gan=GANConfig(width=128, steps=23_438, batch_size=128)
    ),
}
SENSORS = SignalRunConfig(
    normal="all",
    holdout=0.3,
    detectors=("subspacegan",),
    gan=GANConfig(latent_dim=8, width=16, steps=500, batch_size=32),
    encoder=EncoderConfig(residual="mse", feature_weight=0.1, steps=500, batch_size=32),
)
PHOTOS = PhotoRunConfig(
    normal="all",
    holdout=0.25,
    false_alarm_rate=0.05,  # of some hundred photos a quarter supports this, not 1 %: that would hang on the worst one
    detectors=("locatorgan",),
    gan=GANConfig(latent_dim=64, width=16, steps=500, batch_size=16),
)
