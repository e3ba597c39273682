"""Options of `anogan serve`. No heavy import here: --help is made from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from anogan.cli.options.shared import Device


@dataclass(frozen=True)
class Serve(Device):
    """Serve models over HTTP: score photos and sensor rows, show them on a page, report metrics.

    Needs the extra 'serve'.
    """

    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN [RUN ...]")]
    """Run directories or bundles. Each is served under the name of its folder. If a newer bundle takes the place of
    one, it is loaded while requests go on."""
    host: str = "127.0.0.1"
    """Address to listen on. Other machines reach the server only if you change it, and then --token-file or --no-token
    is needed. There is no TLS: put a reverse proxy before it."""
    port: int = 8000
    """Port to listen on. 0 = a free one, which is printed."""
    token_file: Path | None = None
    """File with a token of at least 16 characters. Requests must carry it: Authorization: Bearer TOKEN."""
    no_token: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Let everyone who can reach --host use the models."""
    queue: int = 64
    """Number of requests that may wait for a model. Further ones get 503 with Retry-After."""
    timeout: float = 30.0
    """Seconds that a request may take to arrive (else 408), and that it may wait for its turn (else 503)."""
    max_mb: float = 32.0
    """Largest request in megabytes."""
    max_megapixels: float = 50.0
    """Largest photo in megapixels."""
    threads: int = 0
    """CPU threads of each model; 0 = OMP_NUM_THREADS, else one per core, shared among the models."""
