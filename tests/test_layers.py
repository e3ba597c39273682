from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from anogan.layers import FromVector, ToVector, doubling, halving


def gradients(y: torch.Tensor, of: list[torch.Tensor]) -> list[torch.Tensor]:
    return list(torch.autograd.grad((y * torch.linspace(-1, 1, y.numel()).view_as(y)).sum(), of))


@pytest.mark.parametrize("channels", [1, 3, 6])
@pytest.mark.parametrize("side", [7, 8])
def test_halving_is_the_strided_convolution_and_so_are_its_gradients(channels: int, side: int) -> None:
    layer, x = halving(2, channels, 5), torch.randn(2, channels, side, 9, requires_grad=True)
    assert layer.bias is not None
    plain = F.conv2d(x, layer.weight, layer.bias, stride=2, padding=1)
    assert torch.allclose(layer(x), plain, atol=1e-6)
    wanted = [x, layer.weight, layer.bias]
    for ours, theirs in zip(gradients(layer(x), wanted), gradients(plain, wanted), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3, 6])
def test_doubling_is_the_transposed_convolution_and_so_are_its_gradients(channels: int) -> None:
    layer, x = doubling(2, 5, channels), torch.randn(2, 5, 4, 3, requires_grad=True)
    assert layer.bias is not None
    plain = F.conv_transpose2d(x, layer.weight, layer.bias, stride=2, padding=1)
    assert torch.allclose(layer(x), plain, atol=1e-6)
    wanted = [x, layer.weight, layer.bias]
    for ours, theirs in zip(gradients(layer(x), wanted), gradients(plain, wanted), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)


def test_vectors_and_samples_are_views_of_each_other() -> None:
    x = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    vector = ToVector()(x)
    assert vector.shape == (2, 60)
    assert vector.data_ptr() == x.data_ptr()
    assert torch.equal(FromVector(3, [4, 5])(vector), x)
