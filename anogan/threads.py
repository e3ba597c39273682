"""Threads on a machine that does other work too: they wait for each other's core only briefly."""

from __future__ import annotations

import os

SPINS = "1000"  # turns of the waiting loop of libgomp, whose own choice is 300,000: milliseconds
SET_BY_USER = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS")


def wait_briefly() -> None:
    """Let OpenMP's threads sleep soon when others are not ready, instead of keeping a core busy; unless the user has
    said how they wait. It must be called before torch is imported."""
    if not any(name in os.environ for name in SET_BY_USER):
        os.environ["GOMP_SPINCOUNT"] = SPINS
