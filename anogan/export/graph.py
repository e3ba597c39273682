"""The graph of an exported model, the Python path that it must agree with, and inputs to compare them."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from anogan.detectors import Detector
from anogan.detectors.calibration import Floats
from anogan.files import Json
from anogan.pictures.files import to_unit_range

OUTPUTS = ("score", "p_value", "threshold", "anomaly", "anomaly_map", "reconstruction")
INPUT_NOISE = 0.1  # spread of the noise in some inputs; samples lie in [-1, 1]
Input = NDArray[Any]


class Found(NamedTuple):
    """The outputs for n inputs: score, p-value and verdict (n,), maps and reconstructions (n, ...)."""

    score: Floats
    p_value: Floats
    anomaly: NDArray[np.bool_]
    anomaly_map: NDArray[np.float32]
    reconstruction: NDArray[np.float32]


class Graph(nn.Module):
    """Maps inputs (n, ...) to OUTPUTS.

    Scores are compared with the threshold in double precision, as in Python: p-value and verdict are exact functions of
    the score, so that only rounding in the networks can make the two paths differ.
    """

    kind: str
    inputs: tuple[str, ...]  # names
    batches: tuple[int, ...] = (1, 7, 64)  # sizes to compare; the last one is repeated
    parts = 1  # samples of the detector per input

    def __init__(self, detector: Detector, threshold: float) -> None:
        super().__init__()
        self.detector, self.threshold, self.gan = detector, threshold, detector.gan_
        self.calibration = torch.from_numpy(detector.calibration_scores_)
        self.limit = torch.tensor(threshold, dtype=torch.float64)
        self.eval()

    @property
    def unit(self) -> float:
        """Unit in which differences of scores are measured.

        It is the threshold, or its distance from the median of normal scores if that is larger, because the scores of
        some detectors lie around zero.
        """
        usual = float(np.median(self.detector.calibration_scores_))
        return max(abs(self.threshold), abs(self.threshold - usual))

    def judged(self, score: Tensor, x_hat: Tensor, anomaly_map: Tensor) -> tuple[Tensor, ...]:
        """Compute OUTPUTS from a score (n,) in double precision."""
        at_least = (self.calibration >= score[:, None]).sum(1)
        p_value = (1.0 + at_least.double()) / (len(self.calibration) + 1.0)
        return score, p_value, self.limit.clone(), score > self.limit, anomaly_map, x_hat

    def told(self, score: Floats, x_hat: NDArray[np.float32], anomaly_map: NDArray[np.float32]) -> Found:
        """Compute the same outputs in Python."""
        return Found(score, self.detector.judge(score).p_value, score > self.threshold, anomaly_map, x_hat)

    @abstractmethod
    def about(self) -> Json:
        """Return what a user of the graph must know, by name."""

    @abstractmethod
    def draw(self, n: int, stream: np.random.Generator) -> tuple[Input, ...]:
        """Make inputs (n, ...) from generated samples: in turn unchanged, with noise, and with a part replaced."""

    @abstractmethod
    def python(self, *inputs: Input) -> Found:
        """Compute the outputs for these inputs in Python."""

    def generated(self, n: int, stream: np.random.Generator) -> NDArray[np.float32]:
        """Generate samples G(z) (n, *shape)."""
        z = stream.standard_normal((n, self.gan.config.latent_dim)).astype(np.float32)
        with torch.no_grad():
            x: NDArray[np.float32] = self.gan.generator(torch.from_numpy(z)).numpy()
        return x


class SampleGraph(Graph):
    """Samples x (n, *shape): images as bytes 0 to 255, other samples as float32 in [-1, 1]."""

    kind, inputs = "digits", ("x",)

    def __init__(self, detector: Detector) -> None:
        super().__init__(detector, detector.threshold_)
        self.bytes = len(detector.gan_.shape) == 3

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        score, x_hat, anomaly_map = self.detector.one_pass(x.float() / 127.5 - 1 if self.bytes else x)
        return self.judged(score.double(), x_hat, anomaly_map)

    def about(self) -> Json:
        values = "uint8 0-255" if self.bytes else "float32 in [-1, 1]"
        shape = ", ".join(map(str, self.gan.shape))
        return {"input": f"x: {values}, (n, {shape})", "false_alarm_rate": self.detector.false_alarm_rate}

    def draw(self, n: int, stream: np.random.Generator) -> tuple[Input, ...]:
        x = disturbed(self.generated(n, stream), stream)
        return (to_bytes(x) if self.bytes else x,)

    def python(self, *inputs: Input) -> Found:
        (x,) = inputs
        explanation = self.detector.explain(to_unit_range(x) if self.bytes else x)
        return self.told(explanation.score, explanation.reconstruction, explanation.anomaly_map)


def disturbed(x: NDArray[np.float32], stream: np.random.Generator) -> NDArray[np.float32]:
    """Disturb samples (n, channels, *size) in [-1, 1]: in turn not at all, by noise, and by a box of one value."""
    y = x.copy()
    y[1::3] += INPUT_NOISE * stream.standard_normal(y[1::3].shape, np.float32)
    for sample in y[2::3]:
        sides = [int(stream.integers(1, max(2, length // 2))) for length in sample.shape[1:]]
        begins = [
            int(stream.integers(0, length - side + 1)) for length, side in zip(sample.shape[1:], sides, strict=True)
        ]
        box = tuple(slice(begin, begin + side) for begin, side in zip(begins, sides, strict=True))
        sample[(slice(None), *box)] = stream.uniform(-1, 1)
    return np.clip(y, -1, 1)


def to_bytes(x: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Scale [-1, 1] to bytes 0 to 255."""
    pixels: NDArray[np.uint8] = np.rint((x + 1) * 127.5).astype(np.uint8)
    return pixels
