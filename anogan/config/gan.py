"""Settings of networks, their training and the latent search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
    """Adam, at its highest: it rises at first and then falls to nothing."""
    warm_up: float = 0.1
    """Share of the updates in which the learning rate rises."""
    spoiled: tuple[float, float] = (0.75, 0.4)
    """Share of the photos that get a first and a second pseudo-defect."""
    foreign: float = 0.4
    """Share of the pseudo-defects that show another place."""
    drawn: float = 0.5
    """Share of those places that the generator has drawn; the others are from other photos."""
    defect_weight: float = 3.0
    """Weight of a defective cell in the loss beside a good one's 1: they are few."""

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


HYBRID_SEARCH = SearchConfig(steps=20)
