"""Settings of networks, their training and the latent search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

LossName = Literal["non_saturating", "hinge", "wgan_gp"]
NormName = Literal["none", "batch", "spectral"]
ResidualName = Literal["l1", "mse", "relative", "cosine", "blurred_cosine"]
PrecisionName = Literal["float32", "bfloat16"]
EncoderMode = Literal["izi", "ziz", "izi_f"]
AugmentName = Literal["flip", "rotate90", "brightness"]


def _require(condition: bool, name: str, got: object, expected: str) -> None:
    if not condition:
        raise ValueError(f"{name} must be {expected}, got {got!r}")


@dataclass(frozen=True)
class GANConfig:
    """The two networks of the GAN and their training (DCGAN: Radford et al. 2016, arXiv:1511.06434)."""

    # The settings that plain --help shows, here and below.
    common: ClassVar[tuple[str, ...]] = ("width", "steps", "batch_size")

    latent_dim: int = 100
    """Dimensions of the latent vector z, which is drawn from N(0, I)."""
    width: int = 32
    """Channels of the layers next to the sample. Each halving of the size doubles them. The DCGAN notebook has 128."""
    loss: LossName = "non_saturating"
    """Adversarial loss: non_saturating (Goodfellow et al. 2014), hinge (Lim & Ye 2017) or wgan_gp (Gulrajani et al.
    2017)."""
    discriminator_norm: NormName = "batch"
    """Normalisation in the discriminator; spectral is that of Miyato et al. 2018. wgan_gp does not work with batch."""
    steps: int = 1500
    """Training steps of the GAN. Each is one update of the generator."""
    batch_size: int = 64
    """Samples in a training step of the GAN."""
    learning_rate: float = 2e-4
    """Learning rate of Adam, for both networks."""
    betas: tuple[float, float] = (0.5, 0.999)
    """Decay rates of Adam's two averages, for both networks."""
    critic_steps: int = 1
    """Updates of the discriminator for each update of the generator. WGAN-GP has 5."""
    gradient_penalty: float = 10.0
    """Weight of the gradient penalty (|grad| - 1)^2. Only wgan_gp has one."""
    ema: float = 0.0
    """Decay of an average of the generator's weights, which replaces them after training (Yazici et al. 2019); 0 = no
    average."""
    precision: PrecisionName = "float32"
    """Number format while GAN and encoder train. bfloat16 is for matrix products only; weights and losses stay float32.
    """

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
    """The encoder E and its score (f-AnoGAN: Schlegl et al. 2019, doi:10.1016/j.media.2019.01.010)."""

    common: ClassVar[tuple[str, ...]] = ("steps",)

    mode: EncoderMode = "izi_f"
    """What the encoder learns to restore: the image (izi), the latent vector (ziz), or the image and its discriminator
    features (izi_f)."""
    feature_weight: float = 1.0
    """Weight kappa of the difference between discriminator features, in the izi_f loss and in the score."""
    residual: ResidualName = "mse"
    """How a sample is compared with its reconstruction G(E(x)), in the loss and in the score."""
    erase: float = 0.0
    """Share of a training sample that is erased in blocks before the encoder sees it. The encoder learns to restore all
    of it (Vincent et al. 2008). 0 = none, as in f-AnoGAN."""
    steps: int = 1000
    """Training steps of the encoder."""
    batch_size: int = 64
    """Samples in a training step of the encoder."""
    learning_rate: float = 5e-4
    """Learning rate of Adam, for the encoder."""

    def __post_init__(self) -> None:
        _require(self.steps >= 1, "encoder.steps", self.steps, ">= 1")
        _require(self.batch_size >= 2, "encoder.batch_size", self.batch_size, ">= 2 (batch normalisation)")
        _require(self.learning_rate > 0, "encoder.learning_rate", self.learning_rate, "> 0")
        _require(0 <= self.erase < 1, "encoder.erase", self.erase, "in [0, 1)")
        _require(self.feature_weight >= 0, "encoder.feature_weight", self.feature_weight, ">= 0")


@dataclass(frozen=True)
class LocatorConfig:
    """The network that locates defects.

    It learns on good and generated photos with artificial defects (values chosen on good photos).
    """

    common: ClassVar[tuple[str, ...]] = ("steps",)

    steps: int = 1500
    """Training steps of the locator."""
    batch_size: int = 16
    """Photos in a training step of the locator."""
    learning_rate: float = 4e-3
    """Highest learning rate of Adam. It rises first, then falls to zero."""
    warm_up: float = 0.1
    """Share of the training steps in which the learning rate rises."""
    spoiled: tuple[float, float] = (0.75, 0.4)
    """Two shares of the photos: those that get a first artificial defect, and those that get a second."""
    foreign: float = 0.4
    """Share of the artificial defects that show a piece from elsewhere. The others change the tone of what is there."""
    drawn: float = 0.5
    """Share of those pieces that the generator draws. The others come from other photos."""
    defect_weight: float = 3.0
    """Weight of a defective cell in the loss; a good cell has 1. Defective cells are few."""

    def __post_init__(self) -> None:
        _require(self.steps >= 1, "locator.steps", self.steps, ">= 1")
        _require(self.batch_size >= 2, "locator.batch_size", self.batch_size, ">= 2 (batch normalisation)")
        _require(self.learning_rate > 0, "locator.learning_rate", self.learning_rate, "> 0")
        _require(self.defect_weight > 0, "locator.defect_weight", self.defect_weight, "> 0")
        _require(0 < self.warm_up < 1, "locator.warm_up", self.warm_up, "in (0, 1)")
        for name, share in {"spoiled": min(self.spoiled), "foreign": self.foreign, "drawn": self.drawn}.items():
            _require(0 <= share <= 1 and max(self.spoiled) <= 1, f"locator.{name}", getattr(self, name), "in [0, 1]")


@dataclass(frozen=True)
class SearchConfig:
    """The search for the latent vector z that redraws a sample best, and the score that goes with it.

    AnoGAN: Schlegl et al. 2017, arXiv:1703.05921.
    """

    common: ClassVar[tuple[str, ...]] = ("steps",)

    steps: int = 500
    """Longest search for a sample from one start, in steps of Adam. 0 scores the start itself."""
    learning_rate: float = 0.02
    """Learning rate of Adam, for z."""
    restarts: int = 1
    """Starts of the search for each sample. The best end counts."""
    discrimination_weight: float = 0.1
    """Weight lambda in the score A(x) = (1 - lambda) R(x) + lambda D(x): 0 compares pixels only, 1 asks the
    discriminator only."""
    residual: ResidualName = "l1"
    """How a sample is compared with its reconstruction G(z): R in the score."""
    patience: int = 50
    """The search for a sample ends after this many steps without progress. 0 = it never ends early."""
    tolerance: float = 1e-3
    """Relative gain of the loss that counts as progress."""
    batch_size: int = 64
    """Samples that are searched at once. Fewer need less memory."""

    def __post_init__(self) -> None:
        for name in ("steps", "patience", "tolerance"):
            _require(getattr(self, name) >= 0, f"search.{name}", getattr(self, name), ">= 0")
        for name in ("restarts", "batch_size"):
            _require(getattr(self, name) >= 1, f"search.{name}", getattr(self, name), ">= 1")
        _require(self.learning_rate > 0, "search.learning_rate", self.learning_rate, "> 0")
        weight = self.discrimination_weight
        _require(0 <= weight <= 1, "search.discrimination_weight", weight, "in [0, 1]")


HYBRID_SEARCH = SearchConfig(steps=20)
