"""Training steps of the GAN and of the encoder, and one loop for all trainings. No I/O.

The random numbers of step k depend on (seed, k) alone.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.optim import Adam

from anogan import parallel
from anogan.config.gan import AugmentName, EncoderConfig, GANConfig, LocatorConfig
from anogan.errors import TrainingDivergedError
from anogan.gan.augment import augmented
from anogan.gan.losses import LOSSES, gradient_penalty
from anogan.gan.networks import GAN, Encoder, Shape
from anogan.gan.scores import RESIDUALS, fanogan_score
from anogan.parallel import share
from anogan.threads import adapt

OnLog = Callable[[int, dict[str, float]], None]
BLOCKS = 7  # along each side; 4 pixels of a digit
LOG_EVERY = 50  # steps between log lines, which are also the only device synchronisation

State = dict[str, Tensor]


def random_stream(seed: int, name: str, step: int) -> torch.Generator:
    """Return the CPU random generator of one step. To resume exactly, only the step number must be saved."""
    mixed = np.random.SeedSequence([seed, step, *name.encode()]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(mixed) & (2**63 - 1))


@contextmanager
def seeded_init(seed: int, name: str) -> Iterator[None]:
    """Let the seed decide the weights of networks built inside; the caller's global random state stays unchanged."""
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(random_stream(seed, name, 0).get_state())
        yield


def latents(n: int, latent_dim: int, stream: torch.Generator) -> Tensor:
    """Draw z ~ N(0, I), (n, latent_dim), on the CPU so that every device gets the same numbers."""
    return torch.randn(n, latent_dim, generator=stream)


class Batches:
    """Gives the row numbers of each batch: a window of `size` moves over one shuffle of n rows after the other."""

    def __init__(self, n: int, size: int, seed: int) -> None:
        self.n, self.size, self.seed = n, size, seed
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.long)

    def _row(self, position: int) -> Tensor:
        epoch, offset = divmod(position, self.n)
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = torch.randperm(self.n, generator=random_stream(self.seed, "epoch", epoch))
        return self._order[offset : offset + self.size]

    def __call__(self, step: int) -> Tensor:
        """Return the row numbers (size,) of batch `step`."""
        rows = self._row(step * self.size)
        while len(rows) < self.size:
            rows = torch.cat([rows, self._row(step * self.size + len(rows))])
        return rows[: self.size]


Samples = Callable[[int], Tensor]  # number of a batch -> its samples (n, *shape), on the training's device


def flatten_state(networks: nn.Module, optimisers: dict[str, Adam]) -> State:
    """Return weights and optimiser moments as one flat dict of tensors."""
    state = {f"network.{name}": tensor for name, tensor in networks.state_dict().items()}
    for name, adam in optimisers.items():
        for index, moments in adam.state_dict()["state"].items():
            state |= {f"adam.{name}.{index}.{key}": value for key, value in moments.items()}
    return state


def restore_state(state: State, networks: nn.Module, optimisers: dict[str, Adam]) -> None:
    """Undo `flatten_state`, in place."""
    networks.load_state_dict({k.removeprefix("network."): v for k, v in state.items() if k.startswith("network.")})
    for name, adam in optimisers.items():
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in state.items():
            if key.startswith(f"adam.{name}."):
                index, moment = key.removeprefix(f"adam.{name}.").split(".")
                moments.setdefault(int(index), {})[moment] = value
        adam.load_state_dict({"state": moments, "param_groups": adam.state_dict()["param_groups"]})


class GANTraining:
    """Adversarial training of generator and discriminator. The weights of the generator may be averaged over steps.

    Parameters
    ----------
    shape : tuple of int
        Shape of a sample: (channels, length) or (channels, height, width).
    config : GANConfig
        Networks, loss, steps, batch size and learning rate.
    seed : int
        Decides the first weights and all random numbers.
    device : torch.device or str
        Where to compute; the CPU by default.
    """

    def __init__(self, shape: Shape, config: GANConfig, seed: int, device: torch.device | str = "cpu") -> None:
        self.config, self.seed, self.step = config, seed, 0
        with seeded_init(seed, "gan"):
            self.gan = GAN(shape, config).to(device)
        self.average = copy.deepcopy(self.gan.generator).requires_grad_(False) if config.ema else None
        self.optimisers = {
            name: Adam(network.parameters(), lr=config.learning_rate, betas=config.betas)
            for name, network in (("generator", self.gan.generator), ("discriminator", self.gan.discriminator))
        }

    @property
    def _networks(self) -> nn.Module:
        return nn.ModuleDict({"gan": self.gan} | ({"average": self.average} if self.average else {}))

    def update(self, samples: Samples) -> State:
        """Update the discriminator, then the generator (Alg. 1 of Goodfellow et al. 2014). Returns what to log."""
        config, loss = self.config, LOSSES[self.config.loss]
        generator, discriminator = self.gan.generator, self.gan.discriminator
        adam_g, adam_d = self.optimisers["generator"], self.optimisers["discriminator"]
        stream = random_stream(self.seed, "gan", self.step)

        # Discriminator: tell real from generated.
        discriminator.requires_grad_(True)
        for k in range(config.critic_steps):
            real = share(samples(self.step * config.critic_steps + k))
            generated = generator(share(latents(config.batch_size, config.latent_dim, stream)).to(self.gan.device))
            fake = generated.detach()
            logit_real, logit_fake = discriminator(real), discriminator(fake)
            loss_d = loss.discriminator(logit_real, logit_fake)
            if config.loss == "wgan_gp":
                mix = share(torch.rand(config.batch_size, generator=stream)).to(self.gan.device)
                loss_d = loss_d + config.gradient_penalty * gradient_penalty(discriminator, real, fake, mix).mean()
            adam_d.zero_grad()
            loss_d.backward()
            parallel.average_gradients(discriminator)
            adam_d.step()

        # Generator: have the same images taken for real.
        discriminator.requires_grad_(False)
        loss_g = loss.generator(discriminator(generated))
        adam_g.zero_grad()
        loss_g.backward()
        parallel.average_gradients(generator)
        adam_g.step()
        if self.average is not None:
            update_average(self.average, generator, config.ema)
        beliefs = {"d_real": logit_real.detach().sigmoid().mean(), "d_fake": logit_fake.detach().sigmoid().mean()}
        return {"loss_d": loss_d, "loss_g": loss_g} | beliefs

    def state_dict(self) -> State:
        """Return weights and optimiser moments as one flat dict of tensors."""
        return flatten_state(self._networks, self.optimisers)

    def load_state_dict(self, state: State, step: int) -> None:
        """Continue from a `state_dict` after `step` steps."""
        restore_state(state, self._networks, self.optimisers)
        self.step = step

    def result(self) -> GAN:
        """Return a frozen copy of the networks, with the averaged generator if there is one."""
        gan = copy.deepcopy(self.gan)
        if self.average is not None:
            gan.generator = copy.deepcopy(self.average)
        return gan.frozen()


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Update the exponential moving average of the weights. Statistics of batch normalisation are copied."""
    for mean, weight in zip(average.parameters(), network.parameters(), strict=True):
        mean.lerp_(weight, 1 - decay)
    for copied, buffer in zip(average.buffers(), network.buffers(), strict=True):
        copied.copy_(buffer)


def check_finite(step: int, metrics: dict[str, float]) -> None:
    """Raise `TrainingDivergedError` if a value is infinite or NaN."""
    if not all(math.isfinite(value) for value in metrics.values()):
        values = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        raise TrainingDivergedError(f"training diverged at step {step}: {values}; try a lower learning rate")


class Training(Protocol):
    """A stage of training: networks, optimisers, and one step that changes them."""

    gan: GAN
    seed: int
    step: int  # so far

    @property
    def config(self) -> GANConfig | EncoderConfig | LocatorConfig:
        """Settings of this stage."""

    def update(self, samples: Samples) -> State:
        """Take one step. Returns what to log, by name, each a tensor of one value."""

    def state_dict(self) -> State:
        """Return weights and optimiser moments as one flat dict of tensors."""

    def load_state_dict(self, state: State, step: int) -> None:
        """Continue from a `state_dict` after `step` steps."""

    def result(self) -> GAN:
        """Return a frozen copy of the networks, to score with."""


def train(x: Tensor, training: Training, on_log: OnLog | None = None, augment: Sequence[AugmentName] = ()) -> GAN:
    """Take steps until `config.steps`, from the step that `training` has reached.

    Parameters
    ----------
    x : Tensor (n, *shape)
        Normal samples in [-1, 1]. They may lie on disk or on another device than the networks.
    training : GANTraining, EncoderTraining or LocatorTraining
        What to train.
    on_log : callable, optional
        Called with the step and its losses, every 50 steps and after the last one.
    augment : sequence of str
        Random changes of the samples that leave a good one good: "flip", "rotate90", "brightness". None by default.

    Returns
    -------
    GAN
        A frozen copy of the networks, to score with.

    Raises
    ------
    TrainingDivergedError
        If a loss is infinite or NaN.
    ValueError
        If the processes of a parallel training cannot share a batch equally.
    """
    config, precision = training.config, training.gan.config.precision
    parallel.check_batch(config.batch_size)
    batches, device = Batches(len(x), config.batch_size, training.seed), training.gan.device

    def samples(batch: int) -> Tensor:
        return augmented(x[batches(batch)].to(device), augment, random_stream(training.seed, "augment", batch))

    # Nothing cast is kept, because the weights change from step to step; what `on_log` measures is not rounded.
    rounding = torch.autocast(device.type, torch.bfloat16, precision == "bfloat16", cache_enabled=False)
    while training.step < config.steps:
        adapt()
        with rounding:
            values = training.update(samples)
        training.step += 1
        if training.step % LOG_EVERY == 0 or training.step == config.steps:
            metrics = dict(zip(values, parallel.mean(value.item() for value in values.values()), strict=True))
            check_finite(training.step, metrics)
            if on_log:
                on_log(training.step, metrics)
    return training.result()


class EncoderTraining:
    """Training of the encoder E against the frozen GAN (f-AnoGAN).

    Parameters
    ----------
    gan : GAN
        The trained GAN.
    config : EncoderConfig
        Loss, steps, batch size and learning rate.
    seed : int
        Decides the first weights and all random numbers.
    """

    def __init__(self, gan: GAN, config: EncoderConfig, seed: int) -> None:
        self.config, self.seed, self.step = config, seed, 0
        self.gan = gan.frozen()
        with seeded_init(seed, "encoder"):
            self.encoder = Encoder(gan.shape, gan.config.latent_dim, gan.config.width).to(gan.device)
        self.optimisers = {"encoder": Adam(self.encoder.parameters(), lr=config.learning_rate)}

    def update(self, samples: Samples) -> State:
        """Take one step. Returns the encoder's loss, `loss_e`."""
        stream = random_stream(self.seed, "encoder", self.step)
        loss = encoder_loss(self.gan, self.encoder, self.config, share(samples(self.step)), stream).mean()
        adam = self.optimisers["encoder"]
        adam.zero_grad()
        loss.backward()
        parallel.average_gradients(self.encoder)
        adam.step()
        return {"loss_e": loss}

    def state_dict(self) -> State:
        """Return weights and optimiser moments as one flat dict of tensors."""
        return flatten_state(self.encoder, self.optimisers)

    def load_state_dict(self, state: State, step: int) -> None:
        """Continue from a `state_dict` after `step` steps."""
        restore_state(state, self.encoder, self.optimisers)
        self.step = step

    def result(self) -> GAN:
        """Return the shared networks with a frozen copy of the encoder."""
        gan = copy.deepcopy(self.gan)
        gan.encoder = copy.deepcopy(self.encoder)
        return gan.frozen()


def erase(x: Tensor, amount: float, stream: torch.Generator) -> Tensor:
    """Set about a share `amount` of the blocks of x (n, channels, *size) to -1 or to 1, one of the two per row."""
    size, blocks = x.shape[2:], [BLOCKS] * (x.dim() - 2)
    rows = len(x) * parallel.size()
    erased = share(torch.rand(rows, 1, *blocks, generator=stream) < amount).to(x)
    value = share(torch.rand(rows, *[1] * (x.dim() - 1), generator=stream) < 0.5).to(x) * 2 - 1
    shifts = [int(torch.randint(side, (1,), generator=stream)) for side in size]
    erased = torch.roll(interpolate(erased, size=size), shifts, dims=list(range(2, x.dim())))
    return torch.where(erased > 0, value, x)


def encoder_loss(gan: GAN, encoder: nn.Module, config: EncoderConfig, x: Tensor, stream: torch.Generator) -> Tensor:
    """Compute the loss per row (n,) (f-AnoGAN, eq. 5-7).

    izi and izi_f compare x with G(E(x)) by the score itself; ziz compares z with E(G(z)).
    """
    if config.mode == "ziz":
        z = share(latents(len(x) * parallel.size(), gan.config.latent_dim, stream)).to(x.device)
        distance: Tensor = (z - encoder(gan.generator(z))).square().mean(1)
        return distance
    x_hat = gan.generator(encoder(erase(x, config.erase, stream)))
    if config.mode == "izi":
        return RESIDUALS[config.residual](x, x_hat)
    features = gan.discriminator.features
    return fanogan_score(config, x, x_hat, features(x), features(x_hat))
