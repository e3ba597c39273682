"""Training in several processes started by torchrun. Each computes its share of a batch, and all take the same step."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from anogan.errors import ParallelError

if TYPE_CHECKING:
    from torch import Tensor, nn

TIMEOUT = timedelta(minutes=10)  # until a process that hangs ends the job

_rank, _size = 0, 1


def rank() -> int:
    """Return the number of this process. Process 0 writes the files and shows the progress."""
    return _rank


def size() -> int:
    """Return the number of processes; 1 without torchrun."""
    return _size


@contextmanager
def group(device: str = "auto") -> Iterator[None]:
    """Join the other processes of a torchrun job, if this is one, to train on `device`.

    Raises `ParallelError` when a process is lost, or has no graphics card of its own.
    """
    global _rank, _size
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    import torch
    from torch import distributed

    # What is logged lies on the CPU, gradients where the networks are.
    backend = "gloo"
    if torch.cuda.is_available() and device != "cpu":
        backend = "cpu:gloo,cuda:nccl"
        here, cards = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if here >= cards:
            raise ParallelError(
                f"process {here} of this machine has no graphics card of its own, because there are only {cards}"
            )
        torch.cuda.set_device(here)
    try:
        distributed.init_process_group(backend, timeout=TIMEOUT)
        _rank, _size = distributed.get_rank(), distributed.get_world_size()
        yield
        distributed.barrier()  # who leaves early takes the connections of the others along
    except RuntimeError as error:
        if not isinstance(error, distributed.DistError) and "peer" not in str(error):
            raise
        raise ParallelError(f"process {_rank} of {_size} has lost the others: {error}") from error
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()
        _rank, _size = 0, 1


def use_threads(threads: int) -> None:
    """Set the number of threads that torch uses in this process. 0 leaves torch's own choice."""
    if threads < 0:
        raise ValueError(f"expected --threads of 0 or more, got {threads}")
    if threads:
        import torch

        torch.set_num_threads(threads)


def check_batch(batch_size: int) -> None:
    """Raise `ValueError` if the processes cannot share a batch equally."""
    if batch_size % _size:
        raise ValueError(f"a batch of {batch_size} cannot be shared equally by {_size} processes")


def share(batch: Tensor) -> Tensor:
    """Return this process's rows of a batch (n, ...) that every process has: (n / size, ...)."""
    rows = len(batch) // _size
    return batch[_rank * rows : (_rank + 1) * rows]


def total(values: Tensor) -> Tensor:
    """Sum over processes, without gradient."""
    if _size == 1:
        return values
    from torch import distributed

    summed = values.detach().clone()
    distributed.all_reduce(summed)
    return summed


def average_gradients(module: nn.Module) -> None:
    """Replace every gradient by its mean over processes: the gradient of the loss over the whole batch."""
    if _size == 1:
        return
    from torch import cat, distributed

    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    together = cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(together)
    together /= _size
    for gradient, part in zip(gradients, together.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def mean(values: Iterable[float]) -> list[float]:
    """Average over processes what each has measured on its share."""
    if _size == 1:
        return list(values)
    from torch import float64, tensor

    together: list[float] = (total(tensor(list(values), dtype=float64)) / _size).tolist()
    return together


def wait_for_all() -> None:
    """Return when every process has called this."""
    if _size > 1:
        from torch import distributed

        distributed.barrier()
