from __future__ import annotations

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.nn import functional as F

from anogan import parallel
from anogan.gan.layers import BatchNorm, FromVector, ToVector, doubling, halving


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


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_halves_of_a_batch_on_two_processes_are_normalised_as_the_whole_batch(
    precision: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few values, far from 0, so that the variance's divisor and its digits matter; processes are threads here."""
    torch.manual_seed(0)
    x, whole = (10 + torch.randn(6, 2, 1)).to(precision), BatchNorm(2)
    torch.nn.init.uniform_(whole.weight)
    torch.nn.init.uniform_(whole.bias)
    layers, weights = [copy.deepcopy(whole), copy.deepcopy(whole)], torch.randn(6, 2, 1)
    inputs = [part.clone().requires_grad_() for part in x.split(3)]
    expected_input = x.clone().requires_grad_()
    expected = whole(expected_input)
    (expected * weights).sum().backward()

    given: list[torch.Tensor] = []
    meeting, lock = threading.Barrier(2), threading.Lock()

    def total(values: torch.Tensor) -> torch.Tensor:
        meeting.wait(60)
        with lock:
            given.append(values)
        meeting.wait(60)
        both = given[0] + given[1]
        if meeting.wait(60) == 0:
            given.clear()
        meeting.wait(60)
        return both

    monkeypatch.setattr(parallel, "size", lambda: 2)
    monkeypatch.setattr(parallel, "total", total)

    def one(rank: int) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, precision == torch.bfloat16):
            y: torch.Tensor = layers[rank](inputs[rank])
        (y * weights.split(3)[rank]).sum().backward()
        return y

    with ThreadPoolExecutor(2) as pool:
        halves = list(pool.map(one, range(2)))
    rough = 2e-2 if precision == torch.bfloat16 else 1e-5
    assert halves[0].dtype == expected.dtype
    assert torch.allclose(torch.cat(halves), expected, rtol=rough, atol=rough)
    for layer in layers:
        assert torch.allclose(layer.running_mean, whole.running_mean, rtol=1e-4)
        assert torch.allclose(layer.running_var, whole.running_var, rtol=1e-4)
        assert layer.num_batches_tracked == whole.num_batches_tracked == 1
    found = torch.cat([part.grad for part in inputs if part.grad is not None])
    assert expected_input.grad is not None
    assert torch.allclose(found, expected_input.grad, rtol=10 * rough, atol=10 * rough)
