"""A view: one way of looking at a sample, and how far it is from normal ones when seen in this way."""

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
        What it is called in reports, in columns of CSV files and in a detector's `views`.
    needs : frozenset of str
        Parts that are trained besides the GAN: "encoder", "locator". Empty: none.
    remembered : frozenset of str
        Names of the tensors that `remember` and `measure` return.
    weight : float
        How much it counts beside the other views of a detector.
    """

    name: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset()
    remembered: ClassVar[frozenset[str]] = frozenset()
    weight: float

    def remember(self, x: Tensor, gan: GAN) -> Memory:
        """What it keeps of training samples x; nothing unless overridden."""
        return {}

    def measure(self, x_normal: Tensor, gan: GAN, memory: Memory) -> Memory:
        """What it keeps of held-out normal samples besides; nothing unless overridden."""
        return {}

    @abstractmethod
    def distance(self, x: Tensor, z: Tensor, x_hat: Tensor, gan: GAN, memory: Memory) -> Tensor:
        """How far each sample is from normal ones, higher = odder.

        Parameters
        ----------
        x : Tensor (n, *shape)
            Samples in [-1, 1].
        z, x_hat : Tensor (n, latent_dim), (n, *shape)
            Their latents and what these reconstruct.
        gan : GAN
            The trained networks.
        memory : dict of Tensor
            What this view remembers and measured; other names in it are others' business.

        Returns
        -------
        Tensor (n,), or (n, height, width) of a view that tells how odd each place is
        """

    def weigh(self, memory: Memory) -> Tensor | float:
        """`weight`, unless overridden where it depends on what was measured."""
        return self.weight
