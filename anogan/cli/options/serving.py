"""Options of `anogan serve`. No heavy import here: --help is made from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Serve:
    """Serve models over HTTP: score photos and sensor rows, a page to see them, metrics; needs the extra 'serve'."""

    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN [RUN ...]")]
    """Run directories or bundles; each is served under its folder's name. A newer bundle in the same place is loaded
    without dropping a request."""
    host: str = "127.0.0.1"
    """Address to listen on. Any but this machine's own needs --token-file or --no-token. There is no TLS: put a reverse
    proxy before it."""
    port: int = 8000
    """0 = a free one, which is printed."""
    token_file: Path | None = None
    """File with the token, at least 16 characters, that requests must carry: Authorization: Bearer TOKEN."""
    no_token: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Let everyone who reaches --host use the models."""
    queue: int = 64
    """Requests that may wait for one model; those beyond are answered 503 with Retry-After."""
    timeout: float = 30.0
    """Seconds within which a request must have arrived (else 408), and that it may wait to be scored (else 503)."""
    max_mb: float = 32.0
    """Megabytes of a request."""
    max_megapixels: float = 50.0
    """Megapixels of a photo."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    threads: int = 0
    """CPU threads of each model; 0 = OMP_NUM_THREADS, else one per core, shared among the models."""
