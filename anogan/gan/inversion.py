"""From x to z: by gradient descent on z (AnoGAN, sec. 2.2) for many independent rows at once, or by the encoder."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from anogan.config.gan import SearchConfig
from anogan.gan.networks import GAN, Shape
from anogan.gan.scores import anogan_score
from anogan.threads import adapt

ROWS_AT_ONCE = 128  # rows per forward pass at most; fixed and padded, because float kernels differ with the batch size
VALUES_AT_ONCE = (
    ROWS_AT_ONCE * 28 * 28
)  # larger samples have smaller chunks: a single photo must not cost as much as 128
FEWEST_ROWS = 8
OnRows = Callable[[int], None]

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # Adam (Kingma & Ba 2015), its usual constants


def rows_at_once(shape: Shape) -> int:
    """Return how many samples of this shape go through the networks in one forward pass."""
    return max(FEWEST_ROWS, min(ROWS_AT_ONCE, VALUES_AT_ONCE // math.prod(shape)))


def chunks(x: Tensor, device: torch.device, shape: Shape | None = None) -> Iterator[tuple[Tensor, int]]:
    """Yield chunks of `rows_at_once` rows, each with the number of rows that count.

    The last chunk is padded with copies of its last row, so that all chunks have the same size. `shape` is the shape of
    the samples that the rows stand for, if it is not that of x itself.
    """
    rows = rows_at_once(shape or tuple(x.shape[1:]))
    for part in torch.split(x, rows):
        adapt()
        missing = rows - len(part)
        full = torch.cat([part, part[-1:].expand(missing, *part.shape[1:])]) if missing else part
        yield full.to(device), len(part)


class _Slots:
    """A fixed number of rows under search. A finished row hands its slot to the next one waiting.

    The batch therefore keeps its size, and the result of a row never depends on the rows in the other slots. `take`
    fills the free slots.
    """

    def __init__(self, gan: GAN, x: Tensor, starts: Tensor, size: int) -> None:
        self.gan, self.x, self.starts = gan, x, starts
        self.waiting = 0  # tasks are numbered row * restarts + start
        self.task = torch.full((size,), -1, device=x.device)  # -1 = free
        self.target = x[:1].repeat(size, *[1] * (x.dim() - 1))
        self.z = starts.new_zeros(size, starts.shape[2])
        self.first, self.second, self.best_z = (torch.zeros_like(self.z) for _ in range(3))
        self.age, self.idle, self.best, self.mark = (self.z.new_zeros(size) for _ in range(4))
        self.take()

    @property
    def live(self) -> Tensor:
        return self.task >= 0

    def take(self) -> None:
        restarts, free = self.starts.shape[1], (~self.live).nonzero().squeeze(1)
        count = min(len(free), len(self.x) * restarts - self.waiting)
        if count == 0:
            return
        slots = free[:count]
        tasks = torch.arange(self.waiting, self.waiting + count, device=self.x.device)
        self.waiting += count
        self.task[slots] = tasks
        self.target[slots] = self.x[tasks // restarts]
        self.z[slots] = self.starts[tasks // restarts, tasks % restarts]
        for state in (self.first, self.second, self.age, self.idle):
            state[slots] = 0
        for loss in (self.best, self.mark):
            loss[slots] = torch.inf
        self.features = self.gan.discriminator.features(self.target)

    def observe(self, loss: Tensor, tolerance: float) -> None:
        """Store each row's best z, and count the updates since its loss (n,) last made real progress."""
        better = loss < self.best
        self.best = torch.where(better, loss, self.best)
        self.best_z = torch.where(better[:, None], self.z, self.best_z)
        progress = loss < self.mark * (1 - tolerance)
        self.mark = torch.where(progress, loss, self.mark)
        self.idle = torch.where(progress, 0, self.idle + 1)

    def adam_step(self, gradient: Tensor, learning_rate: float) -> None:
        """Make one Adam update. Each row has its own state and step number."""
        self.age += 1
        self.first.lerp_(gradient, 1 - BETA_1)
        self.second.lerp_(gradient.square(), 1 - BETA_2)
        mean = self.first / (1 - BETA_1**self.age)[:, None]
        scale = (self.second / (1 - BETA_2**self.age)[:, None]).sqrt() + EPSILON
        self.z = self.z - learning_rate * mean / scale


@torch.enable_grad()
def search_latent(
    gan: GAN, x: Tensor, starts: Tensor, config: SearchConfig, on_rows: OnRows | None = None
) -> tuple[Tensor, Tensor]:
    """Minimise A(x) over z by Adam, from several starts per sample.

    Losses are summed over rows, never averaged, so that the number of rows does not change a row's step size.

    Parameters
    ----------
    gan : GAN
        Trained, frozen networks.
    x : Tensor (n, *shape)
        Samples in [-1, 1], on the device of the networks.
    starts : Tensor (n, restarts, latent_dim)
        Latents to start from, usually drawn from N(0, I). The best of all restarts wins.
    config : SearchConfig
        Score, steps, learning rate and early stopping. `config.batch_size` bounds the memory.
    on_rows : callable, optional
        Called with the number of searches that have just finished.

    Returns
    -------
    z : Tensor (n, latent_dim)
        The latents with the lowest A(x).
    updates : Tensor (n,)
        Updates made, over all restarts.

    References
    ----------
    Schlegl et al. 2017, "Unsupervised Anomaly Detection with Generative Adversarial Networks", section 2.2.
    """
    restarts = starts.shape[1]
    slots = _Slots(gan, x, starts, config.batch_size)
    z_best = starts.new_zeros(len(x) * restarts, starts.shape[2])
    best, updates = (starts.new_zeros(len(x) * restarts) for _ in range(2))
    while slots.live.any():
        adapt()
        z = slots.z.requires_grad_()
        x_hat = gan.generator(z)
        loss = anogan_score(config, slots.target, x_hat, slots.features, gan.discriminator.features(x_hat))
        (gradient,) = torch.autograd.grad(loss.sum(), z)
        slots.z = z.detach()
        slots.observe(loss.detach(), config.tolerance)
        stuck = slots.idle >= config.patience if config.patience else torch.zeros_like(slots.live)
        done = slots.live & ((slots.age >= config.steps) | stuck)
        slots.adam_step(gradient, config.learning_rate)
        if done.any():
            tasks = slots.task[done]
            z_best[tasks], best[tasks], updates[tasks] = slots.best_z[done], slots.best[done], slots.age[done] - 1
            slots.task[done] = -1
            if on_rows:
                on_rows(len(tasks))
            # Refilling costs one pass of the discriminator, so it waits until a quarter of the slots is free.
            if int(slots.live.sum()) <= 3 * config.batch_size // 4:
                slots.take()
    winner = best.view(-1, restarts).argmin(1)
    rows = torch.arange(len(x), device=x.device)
    return z_best.view(len(x), restarts, -1)[rows, winner], updates.view(-1, restarts).sum(1)


def encode(gan: GAN, x_all: Tensor) -> Iterator[Tensor]:
    """Yield E(x) (rows, latent_dim), chunk by chunk. The last chunk is padded, so cut the result to `len(x_all)`."""
    assert gan.encoder is not None, "calibrate() refuses networks without an encoder"
    for x, _ in chunks(x_all, gan.device):
        yield gan.encoder(x)
