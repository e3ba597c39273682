"""Where to compute."""

from __future__ import annotations

import torch


def resolve_device(device: str) -> torch.device:
    """Return the device of this name; "auto" is the accelerator if there is one, else the CPU.

    Raises `ValueError` if it cannot be used.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(1, device=found).cpu()
    except (RuntimeError, AssertionError) as error:
        why = str(error).splitlines()[0]
        raise ValueError(f"expected a device such as auto, cpu or cuda:0, got {device!r}: {why}") from None
    return found
