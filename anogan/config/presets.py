"""Settings by name: a good start for each use."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from anogan.config.gan import EncoderConfig, GANConfig, SearchConfig
from anogan.config.runs import DigitRunConfig, KindName, PhotoRunConfig, RunConfig, SensorRunConfig

PresetName = Literal["default", "digits", "papers", "notebook"]

# The classes above default to the papers' formulas; these settings were chosen on training images (experiments/LOG.md).
DEFAULT = DigitRunConfig(
    gan=GANConfig(steps=2500),
    encoder=EncoderConfig(residual="blurred_cosine", feature_weight=0.1, erase=0.6, steps=1500),
    search=SearchConfig(steps=60, learning_rate=0.05, residual="blurred_cosine", discrimination_weight=1e-5),
    hybrid=SearchConfig(steps=5, learning_rate=0.01, residual="blurred_cosine", discrimination_weight=1e-5),
)
PRESETS: dict[str, DigitRunConfig] = {
    "default": DEFAULT,
    # A third of 120 images is the least that supports a false-alarm rate of 5 %.
    "digits": replace(DEFAULT, data="digits", holdout=0.3, false_alarm_rate=0.05),
    # AnoGAN and f-AnoGAN as published: lambda = 0.1, 500 search steps, kappa = 1, nothing erased.
    "papers": DigitRunConfig(gan=DEFAULT.gan),
    # A DCGAN notebook: all ten digits, 50 epochs = 50 * 60,000 / 128 updates, and no detector.
    "notebook": DigitRunConfig(
        normal="all", holdout=0.0, detectors=(), gan=GANConfig(width=128, steps=23_438, batch_size=128)
    ),
}
SENSORS = SensorRunConfig(
    holdout=0.3,
    detectors=("subspacegan",),
    gan=GANConfig(latent_dim=8, width=16, steps=500, batch_size=32),
    encoder=EncoderConfig(residual="mse", feature_weight=0.1, steps=500, batch_size=32),
)
PHOTOS = PhotoRunConfig(
    holdout=0.25,
    false_alarm_rate=0.05,  # of some hundred photos a quarter supports this, not 1 %: that would hang on the worst one
    detectors=("locatorgan",),
    gan=GANConfig(latent_dim=64, width=16, steps=500, batch_size=16),
)
# What a run of each kind starts from.
STARTS: dict[KindName, RunConfig] = {"digits": DEFAULT, "sensors": SENSORS, "photos": PHOTOS}
