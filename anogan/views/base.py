"""A view: one way of looking at a sample that measures how far it is from normal samples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from anogan.gan.networks import GAN

Memory = dict[str, Tensor]


class View(ABC):
    """One way of looking at samples x (n, *shape), made from its settings and a weight.

    Attributes
    ----------
    name : str
        Its name in reports, in columns of CSV files and in a detector's `views`.
    needs : frozenset of str
        Parts of the networks that it needs besides the GAN: "encoder", "locator". Empty: none.
    remembered : frozenset of str
        Names of the tensors that `remember` and `measure` return.
    weight : float
        Weight in the score, relative to the other views of a detector.
    """

    name: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset()
    remembered: ClassVar[frozenset[str]] = frozenset()
    weight: float

    def remember(self, x: Tensor, gan: GAN) -> Memory:
        """Return what this view stores of training samples x; nothing unless overridden."""
        return {}

    def measure(self, x_normal: Tensor, gan: GAN, memory: Memory) -> Memory:
        """Return what this view stores of held-out normal samples; nothing unless overridden."""
        return {}

    @abstractmethod
    def distance(self, x: Tensor, z: Tensor, x_hat: Tensor, gan: GAN, memory: Memory) -> Tensor:
        """Measure how far each sample is from normal ones; higher is more anomalous.

        Parameters
        ----------
        x : Tensor (n, *shape)
            Samples in [-1, 1].
        z : Tensor (n, latent_dim)
            Their latents.
        x_hat : Tensor (n, *shape)
            Their reconstructions G(z).
        gan : GAN
            The trained networks.
        memory : dict of Tensor
            What `remember` and `measure` returned. It may hold tensors of other views too.

        Returns
        -------
        Tensor (n,), or (n, height, width) of a view that rates each place
        """

    def weigh(self, memory: Memory) -> Tensor | float:
        """Return `weight`, unless overridden by a view whose weight depends on what it measured."""
        return self.weight
