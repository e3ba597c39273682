"""LocatorGAN: where in a photo something is wrong, by a linear model and by a network that looks for defects."""

from __future__ import annotations

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from anogan.config.detectors import PlacesConfig
from anogan.config.gan import AugmentName, GANConfig, LocatorConfig
from anogan.config.presets import PHOTOS
from anogan.detectors.base import Detector, Memory, check_samples
from anogan.detectors.calibration import Floats
from anogan.gan.augment import moved, moved_back, symmetries
from anogan.gan.inversion import OnRows, chunks
from anogan.gan.layers import precise
from anogan.gan.networks import Locator
from anogan.gan.scores import Score, blur

SMALLEST = 1e-3  # spread of a view; samples lie in [-1, 1]
FOLDS = 5  # of held-out samples
MOST = 2000  # photos that the principal components are made of


class LocatorGAN(Detector):
    """x -> z -> x_hat by the locator's own encoder and generator, which began as a copy of the GAN's and learnt to
    repair. A(x) is the highest value of two views of all places, each standardised by its mean and spread at that place
    over held-out normal photos, smoothed, in units of how high it gets on those (`places.quantile` of their peaks):

    - linear: what the principal components of the training photos leave of x, smoothed. It is weighted by the share of
      variance that the components explain on held-out photos, so that it is ignored on textures without a layout;
    - locator: the logit of the network that was trained on pseudo-defects, which looks at x and at x - x_hat, averaged
      over the flips and turns that `augment` names.

    For photos (channels, height, width) alone.
    """

    terms = ("linear", "locator")
    remembered = frozenset({"mean", "components", "explained", "centre", "spread", "limit"})
    locator: LocatorConfig
    encoder = None

    def __init__(
        self,
        gan: GANConfig = PHOTOS.gan,
        locator: LocatorConfig = PHOTOS.locator,
        places: PlacesConfig = PlacesConfig(),
        augment: tuple[AugmentName, ...] = (),
        *,
        false_alarm_rate: float = 0.01,
        holdout: float = 0.25,
        random_state: int = 0,
        device: str = "auto",
    ) -> None:
        self.gan = gan
        self.locator = locator
        self.places = places
        self.augment = augment
        self.false_alarm_rate = false_alarm_rate
        self.holdout = holdout
        self.random_state = random_state
        self.device = device

    @property
    def _network(self) -> Locator:
        assert self.gan_.locator is not None
        return self.gan_.locator

    def _encode(self, x: Tensor) -> Tensor:
        z: Tensor = self._network.encoder(x)
        return z

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

    def _measure(self, x_normal: Tensor) -> Memory:
        return self._scales(self._normal_views(x_normal)) | {"explained": self._explained(x_normal)}

    @torch.no_grad()
    def _normal_views(self, x_normal: Tensor) -> Tensor:
        """Of held-out samples (views, n, height, width)."""
        parts = [
            self._views(x, self._draw(self._network.encoder(x)))[:, :count]
            for x, count in chunks(x_normal, self.gan_.device)
        ]
        return torch.cat(parts, dim=1)

    def _scales(self, views: Tensor) -> Memory:
        """Mean and spread (views, height, width) of views at each place, and the limit (views,) of their peaks."""
        passes = self._passes_of_blur(1.0)
        centre = blur(views.mean(1)[None], passes)[0]
        spread = blur(views.var(1, correction=0)[None], 9 * passes)[0].sqrt().clamp_min(SMALLEST)
        peaks = self._standardised(views, centre, spread).flatten(2).amax(2)
        return {
            "centre": centre,
            "spread": spread,
            "limit": peaks.quantile(self.places.quantile, dim=1).clamp_min(SMALLEST),
        }

    def _held_out(self, X_normal: ArrayLike, on_rows: OnRows | None) -> tuple[Floats, Floats]:
        """Each fold measured by the others (cross-conformal prediction: Vovk 2015): a sample that is odd at a place
        widens the spread there, and would look less odd than the next of its kind."""
        views = self._normal_views(check_samples(X_normal, self.gan_.shape))
        scores = torch.empty(views.shape[1])
        for fold in torch.arange(len(scores)).tensor_split(min(FOLDS, len(scores))):
            rest = torch.ones(len(scores), dtype=torch.bool).index_fill(0, fold, False)
            scales = self._scales(views[:, rest] if rest.any() else views)
            scores[fold] = self._places(views[:, fold], self.memory_ | scales).flatten(2).amax((0, 2)).cpu()
            if on_rows:
                on_rows(len(fold))
        found = scores.double().numpy()
        return found, found

    def _explained(self, x_normal: Tensor) -> Tensor:
        left, whole = 0.0, 0.0
        for x, count in chunks(x_normal, self.gan_.device):
            left += float(self._left(x)[:count].square().sum())
            whole += float((x.flatten(1) - self.memory_["mean"].to(x))[:count].square().sum())
        return torch.tensor([max(0.0, 1 - left / max(whole, SMALLEST))])

    def _standardised(self, views: Tensor, centre: Tensor, spread: Tensor) -> Tensor:
        return blur((views - centre[:, None]) / spread[:, None], self._passes_of_blur(1.0))

    def _passes_of_blur(self, pixels: float) -> int:
        """That smooth with this standard deviation, in pixels of a photo of 128."""
        return max(1, round(2 * (pixels * min(self.gan_.shape[1:]) / 128) ** 2))

    def _views(self, x: Tensor, x_hat: Tensor) -> Tensor:
        """Of each place (views, n, height, width)."""
        smooth = blur(self._left(x).abs().mean(1, keepdim=True), self._passes_of_blur(2.0))[:, 0]
        return torch.stack([smooth, self._located(x, x_hat)])

    def _left(self, x: Tensor) -> Tensor:
        """What the components leave of x (n, *shape)."""
        rows = precise(x.flatten(1)) - self.memory_["mean"]
        components = precise(self.memory_["components"])
        return (rows - (rows @ components) @ components.T).to(x.dtype).view_as(x)

    def _located(self, x: Tensor, x_hat: Tensor) -> Tensor:
        network, found = self._network, []
        for i, symmetry in enumerate(symmetries(self.augment)):
            turned = moved(x, symmetry)
            drawn = self._draw(network.encoder(turned)) if i else x_hat
            found.append(moved_back(network.places(turned, drawn), symmetry))
        return torch.stack(found).mean(0)

    def _places(self, views: Tensor, memory: Memory) -> Tensor:
        """Views (views, n, height, width) as they are compared with each other."""
        linear = self.places.linear_weight * memory["explained"].to(views)
        weights = torch.cat([linear, torch.ones_like(linear)]) / memory["limit"].to(views)
        return self._standardised(views, memory["centre"], memory["spread"]) * weights[:, None, None, None]

    def _score(self, x: Tensor, z: Tensor, x_hat: Tensor) -> Score:
        places = self._places(self._views(x, x_hat), self.memory_)
        peaks = places.flatten(2).amax(2)
        return Score(peaks.amax(0), dict(zip(self.terms, peaks, strict=True)), places.amax(0))
