"""What the encoder is trained on and compared by: from the papers' setting to the preset's, the last.

python -m experiments.encoder_settings [DATA_ROOT]     about 45 minutes on one thread
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import torch

from anogan.config.gan import EncoderConfig
from anogan.config.presets import PRESETS
from anogan.detectors import FAnoGAN
from anogan.digits.splits import Split
from anogan.evaluation.metrics import auroc
from anogan.files import write_text
from anogan.gan.training import EncoderTraining, GANTraining, train
from experiments.development import REPORTS, run_cells, summarise

STEPS = PRESETS["default"].encoder.steps
SETTINGS = {
    "papers (mse, kappa 1)": EncoderConfig(steps=STEPS),
    "blurred cosine, kappa 1": EncoderConfig(steps=STEPS, residual="blurred_cosine"),
    "blurred cosine, kappa 0.1": EncoderConfig(steps=STEPS, residual="blurred_cosine", feature_weight=0.1),
    "mse, kappa 1, erase 0.4": EncoderConfig(steps=STEPS, erase=0.4),
    "the above two, erase 0.2": EncoderConfig(steps=STEPS, residual="blurred_cosine", feature_weight=0.1, erase=0.2),
    "the above two, erase 0.4": EncoderConfig(steps=STEPS, residual="blurred_cosine", feature_weight=0.1, erase=0.4),
    "the above two, erase 0.6": EncoderConfig(steps=STEPS, residual="blurred_cosine", feature_weight=0.1, erase=0.6),
}


def measure(split: Split, seed: int) -> Iterator[dict[str, Any]]:
    x = torch.from_numpy(split.x_train)
    gan = train(x, GANTraining(tuple(x.shape[1:]), PRESETS["default"].gan, seed))
    for name, config in SETTINGS.items():
        networks = train(x, EncoderTraining(gan, config, seed))
        # The threshold plays no part in an AUROC; the held-out normals are the test normals here.
        detector = FAnoGAN(encoder=config, device="cpu").calibrate(networks, x, split.x_test[split.y_test == 0])
        yield {"setting": name, "auroc": auroc(split.y_test, detector.anomaly_score(split.x_test))}


if __name__ == "__main__":
    cells = [(digit, seed) for seed in (0, 1) for digit in ("8", "2", "3")]
    table = run_cells(REPORTS / "encoder_settings.csv", "mnist", cells, measure, next(iter(sys.argv[1:]), None))
    write_text(REPORTS / "encoder_settings.md", summarise(table, ["setting"]))
