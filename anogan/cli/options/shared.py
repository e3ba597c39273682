"""Options that several commands have. No heavy import here: --help is made from it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Device:
    """Where a command computes."""

    device: str = "auto"
    """Where to compute: cpu, cuda, cuda:1, ...; auto takes a graphics card if there is one."""


@dataclass(frozen=True, kw_only=True)
class Threads:
    """How many threads a command uses."""

    threads: int = 0
    """CPU threads; 0 = OMP_NUM_THREADS, else one per core that other programs leave idle."""
