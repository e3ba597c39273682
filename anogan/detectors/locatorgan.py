"""LocatorGAN: where in a photo something is wrong, by a linear model and by a network that looks for defects."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from anogan.config import PHOTOS, GANConfig, LocatorConfig, PlacesConfig
from anogan.detectors.base import Detector, Memory
from anogan.inversion import OnRows, chunks
from anogan.networks import Locator
from anogan.scoring import Score, blur

SMALLEST = 1e-3  # spread of a view; samples lie in [-1, 1]
MOST = 2000  # photos that the principal components are made of


class LocatorGAN(Detector):
    """x -> z -> x_hat by the locator's own encoder and generator, which began as a copy of the GAN's and learnt to
    repair. A(x) is the highest of the scores of all places, each the weighted sum of two views in units of their
    spread at that place over held-out normal photos:

    - linear: what the principal components of the training photos leave of x, smoothed;
    - locator: the logit of the network that was trained on pseudo-defects, which looks at x and at x - x_hat.

    For photos (channels, height, width) alone.
    """

    terms = ("linear", "locator")
    remembered = frozenset({"mean", "components", "centre", "spread"})
    locator: LocatorConfig
    encoder = None

    def __init__(
        self,
        gan: GANConfig = PHOTOS.gan,
        locator: LocatorConfig = PHOTOS.locator,
        places: PlacesConfig = PlacesConfig(),
        *,
        false_alarm_rate: float = 0.01,
        holdout: float = 0.25,
        random_state: int = 0,
        device: str = "auto",
    ) -> None:
        self.gan = gan
        self.locator = locator
        self.places = places
        self.false_alarm_rate = false_alarm_rate
        self.holdout = holdout
        self.random_state = random_state
        self.device = device

    @property
    def _network(self) -> Locator:
        assert self.gan_.locator is not None
        return self.gan_.locator

    def _invert(self, x_all: Tensor, on_rows: OnRows | None) -> Iterator[Tensor]:
        for x, count in chunks(x_all, self.gan_.device):
            yield self._network.encoder(x)
            if on_rows:
                on_rows(count)

    def _draw(self, z: Tensor) -> Tensor:
        x_hat: Tensor = self._network.generator(z)
        return x_hat

    def _remember(self, x: Tensor) -> Memory:
        """Mean and principal components (d, k) of training photos as vectors."""
        rows = x[:: -(-len(x) // MOST)].flatten(1)
        mean = rows.mean(0)
        k = min(self.places.components, len(rows) // 4)
        values, vectors = torch.linalg.eigh((rows - mean) @ (rows - mean).T)  # far fewer photos than pixels
        leading = vectors[:, -k:] / values[-k:].clamp_min(1e-6).sqrt()
        return {"mean": mean, "components": ((rows - mean).T @ leading).contiguous()}

    @torch.no_grad()
    def _measure(self, x_normal: Tensor) -> Memory:
        """Mean and spread (views, height, width) of each view at each place."""
        total, square = torch.zeros(()), torch.zeros(())
        for x, count in chunks(x_normal, self.gan_.device):
            views = self._views(x, self._draw(self._network.encoder(x)))[:, :count].double()
            total, square = total + views.sum(1), square + views.square().sum(1)
        mean = total / len(x_normal)
        variance = (square / len(x_normal) - mean.square()).clamp_min(0)
        width = self._passes_of_blur(1.0)
        return {
            "centre": blur(mean.float()[None], width)[0],
            "spread": blur(variance.float()[None], 9 * width)[0].sqrt().clamp_min(SMALLEST),
        }

    def _passes_of_blur(self, pixels: float) -> int:
        """That smooth with this standard deviation, in pixels of a photo of 128."""
        return max(1, round(2 * (pixels * min(self.gan_.shape[1:]) / 128) ** 2))

    def _views(self, x: Tensor, x_hat: Tensor) -> Tensor:
        """Of each place (views, n, height, width)."""
        rows = x.flatten(1) - self.memory_["mean"].to(x)
        components = self.memory_["components"].to(x)
        left = (rows - (rows @ components) @ components.T).view_as(x)
        smooth = blur(left.abs().mean(1, keepdim=True), self._passes_of_blur(2.0))[:, 0]
        return torch.stack([smooth, self._network.places(x, x_hat)])

    def _score(self, x: Tensor, z: Tensor, x_hat: Tensor) -> Score:
        views = (self._views(x, x_hat) - self.memory_["centre"][:, None]) / self.memory_["spread"][:, None]
        summed = self.places.linear_weight * views[0] + views[1]
        places = blur(summed[:, None], self._passes_of_blur(1.0))[:, 0]
        total, where = places.flatten(1).max(1)
        worst = views.flatten(2).gather(2, where.expand(len(views), -1)[..., None])[..., 0]
        return Score(total, dict(zip(self.terms, worst, strict=True)), places)
