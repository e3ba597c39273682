"""Every hyper-parameter, its default and its source, declared once. No torch here: the command line is made from it."""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

LossName = Literal["non_saturating", "hinge", "wgan_gp"]
NormName = Literal["none", "batch", "spectral"]
ResidualName = Literal["l1", "mse", "relative", "cosine", "blurred_cosine"]
PrecisionName = Literal["float32", "bfloat16"]
EncoderMode = Literal["izi", "ziz", "izi_f"]
DetectorName = Literal["neighbourgan", "subspacegan", "fanogan", "anogan", "hybrid"]


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
    """Share of E's input erased in blocks while training, x itself being the target (denoising: Vincent et al. 2008);
    E then maps what it has not seen back to what is normal. 0 = as in the f-AnoGAN paper."""
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
    """SubspaceGAN: its two views of a window of signals (chosen on healthy rows with injected faults)."""

    variance: float = 0.9
    """Share of the variance of training windows that the principal components hold."""
    residual_weight: float = 1.0
    """Weight of what the GAN cannot draw beside the components' 1; 0 = without the GAN."""

    def __post_init__(self) -> None:
        _require(0 < self.variance < 1, "subspace.variance", self.variance, "in (0, 1)")
        _require(self.residual_weight >= 0, "subspace.residual_weight", self.residual_weight, ">= 0")


HYBRID_SEARCH = SearchConfig(steps=20)


@dataclass(frozen=True)
class RunConfig:
    """One training run: the data, the split, the networks and the detectors made from them."""

    data: str = "mnist"
    """Data set: mnist, fashion-mnist or digits."""
    normal: str = "3"
    """Normal class, several separated by commas, or 'all'."""
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
    """False alarms at most: 1/week, '2 per 30 days', 0.5/day."""
    persist: int = 3
    """Rows in a row above the threshold that begin an alarm, and below the release level that end it."""
    block: int = 0
    """Rows of a held-out healthy block, of whose highest scores the threshold is made; 0 = ten windows."""

    def __post_init__(self) -> None:
        _require(self.persist >= 1, "persist", self.persist, ">= 1 row")
        _require(self.block >= 0, "block", self.block, ">= 0 rows")


@dataclass(frozen=True)
class SignalRunConfig(RunConfig):
    """One training run on a recording of healthy operation; `data` is its file."""

    signal: SignalConfig = field(default_factory=SignalConfig)
    alarm: AlarmConfig = field(default_factory=AlarmConfig)
    subspace: SubspaceConfig = field(default_factory=SubspaceConfig)


RECORDINGS = (".csv", ".csv.gz", ".txt", ".txt.gz", ".tsv", ".tsv.gz", ".parquet", ".npy", ".npz")


def is_recording(name: str) -> bool:
    """Whether the name ends like that of a table of sensor rows."""
    return name.lower().endswith(RECORDINGS)


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
    # The introductory notebook: all ten digits, 50 epochs = 50 * 60,000 / 128 updates, and no detector.
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

T = TypeVar("T")


def to_dict(config: Any) -> dict[str, Any]:
    """The config as JSON-ready dict."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in _items(config)}


def _items(config: Any) -> typing.Iterator[tuple[str, Any]]:
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        yield f.name, to_dict(value) if dataclasses.is_dataclass(value) else value


def from_dict(cls: type[T], values: object, where: str = "config") -> T:
    """Rebuild a config saved by `to_dict`; a missing or unknown key or a value of another type is a `ValueError`."""
    hints = typing.get_type_hints(cls)
    if not isinstance(values, dict) or set(values) != set(hints):
        got = sorted(set(values) ^ set(hints)) if isinstance(values, dict) else values
        raise ValueError(f"{where}: keys missing or unknown: {got}")
    return cls(**{name: _coerce(hints[name], values[name], f"{where}.{name}") for name in hints})


def _coerce(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_dict(hint, value, where)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal and value in arguments:
        return value
    if origin is tuple and isinstance(value, list):
        variadic = len(arguments) == 2 and arguments[1] is Ellipsis
        if variadic or len(arguments) == len(value):
            inner = [arguments[0]] * len(value) if variadic else arguments
            return tuple(_coerce(h, v, where) for h, v in zip(inner, value, strict=True))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is hint:
        return value
    raise ValueError(f"{where}: expected {hint}, got {value!r}")


def differing_keys(a: dict[str, Any], b: dict[str, Any], prefix: str = "") -> list[str]:
    """Dotted names of the settings in which two config dicts differ."""
    found = []
    for key in sorted(set(a) | set(b)):
        left, right = a.get(key), b.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            found += differing_keys(left, right, f"{prefix}{key}.")
        elif left != right:
            found.append(prefix + key)
    return found
