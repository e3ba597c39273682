"""Layers of the networks, each computed in the way that is fastest on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anogan import parallel

THIN = 4  # channels up to which a convolution's usual kernels are far from busy


def precise(x: Tensor) -> Tensor:
    """Return x in float64 on a CPU; on other devices unchanged.

    Some CPUs round a row of a float32 product differently at different positions in the batch. Products that decide a
    score are computed from such factors and rounded to float32 at the end.
    """
    return x.double() if x.device.type == "cpu" else x


class Halving(nn.Conv2d):
    """Convolution 4x4, stride 2, padding 1: (n, c_in, h, w) -> (n, c_out, h // 2, w // 2).

    With few channels it is computed as a 2x2 convolution with stride 1 on four times as many channels, one for each
    parity of row and column. The sums are the same, but the gradient of the input takes half the time on a CPU.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out, 4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map x (n, c_in, h, w) to (n, c_out, h // 2, w // 2)."""
        if self.in_channels > THIN:
            return super().forward(x)
        padded = F.pad(x, (1, 1 - x.shape[3] % 2, 1, 1 - x.shape[2] % 2))
        return F.conv2d(F.pixel_unshuffle(padded, 2), F.pixel_unshuffle(self.weight, 2), self.bias)


class Doubling(nn.ConvTranspose2d):
    """Transposed convolution 4x4, stride 2, padding 1: (n, c_in, h, w) -> (n, c_out, 2 h, 2 w).

    With few output channels it is computed as one matrix product whose overlapping blocks are summed, four times as
    fast.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out, 4, 2, 1)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Map x (n, c_in, h, w) to (n, c_out, 2 h, 2 w)."""
        if self.out_channels > THIN:
            return super().forward(x, output_size)
        weight = self.weight.flatten(1).expand(x.shape[0], -1, -1)  # a product per sample: one of all rounds by place
        blocks = x.permute(0, 2, 3, 1).flatten(1, 2) @ weight  # (n, h w, 16 c_out)
        size = (2 * x.shape[2], 2 * x.shape[3])
        assert self.bias is not None
        return F.fold(blocks.transpose(1, 2), size, 4, padding=1, stride=2) + self.bias.view(-1, 1, 1)


def halving(dims: int, c_in: int, c_out: int) -> nn.Conv1d | nn.Conv2d:
    """Make the strided convolution that halves every side, in `dims` dimensions."""
    return Halving(c_in, c_out) if dims == 2 else nn.Conv1d(c_in, c_out, 4, 2, 1)


def doubling(dims: int, c_in: int, c_out: int) -> nn.ConvTranspose1d | nn.ConvTranspose2d:
    """Make the transposed convolution that doubles every side, in `dims` dimensions."""
    return Doubling(c_in, c_out) if dims == 2 else nn.ConvTranspose1d(c_in, c_out, 4, 2, 1)


class Linear(nn.Linear):
    """A linear layer that is `precise` after training, because a search over z amplifies rounding errors."""

    def forward(self, x: Tensor) -> Tensor:
        """Map x (n, features_in) to (n, features_out)."""
        if self.training:
            return super().forward(x)
        bias = None if self.bias is None else precise(self.bias)
        return F.linear(precise(x), precise(self.weight), bias).to(x.dtype)


class ToVector(nn.Module):
    """Flattens (n, channels, *size) to (n, features), channels last, as they lie in memory."""

    def forward(self, x: Tensor) -> Tensor:
        """Map x (n, channels, *size) to (n, features)."""
        vector: Tensor = x.movedim(1, -1).flatten(1)
        return vector


class FromVector(nn.Module):
    """Reshapes (n, features) to (n, channels, *size): the inverse of `ToVector`."""

    def __init__(self, channels: int, size: list[int]) -> None:
        super().__init__()
        self.size = [*size, channels]

    def forward(self, x: Tensor) -> Tensor:
        """Map x (n, features) to (n, channels, *size)."""
        sample: Tensor = x.unflatten(1, self.size).movedim(-1, 1)
        return sample


class _Total(torch.autograd.Function):
    """Sum over processes; gradients flow through it to all of them."""

    @staticmethod
    def forward(ctx: object, values: Tensor) -> Tensor:
        return parallel.total(values)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return parallel.total(gradient)


class BatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation (Ioffe & Szegedy 2015) over the whole batch, also if its rows are spread over processes."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def _check_input_dim(self, input: Tensor) -> None:
        """Accept any number of dimensions."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each channel of x (n, channels, *size)."""
        if parallel.size() == 1 or not self.training:
            normalised: Tensor = super().forward(x)
            return normalised
        rounded, x = x.dtype, x.float()  # half precision has not the digits for E[x2] - E[x]2
        dims, count = [0, *range(2, x.dim())], x.numel() / x.shape[1] * parallel.size()
        mean, square = _Total.apply(torch.stack([x.sum(dims), x.square().sum(dims)])) / count
        variance = (square - mean.square()).clamp_min(0)
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        shape = [1, -1, *[1] * (x.dim() - 2)]
        shifted: Tensor = x * scale.view(shape) + (self.bias - mean * scale).view(shape)
        return shifted.to(rounded)
