"""`anogan serve`."""

from __future__ import annotations

import sys

import torch
from PIL import Image

from anogan import parallel
from anogan.cli.options.serving import Serve


def run(options: Serve) -> int:
    """Serve models over HTTP until stopped. Returns the exit status."""
    try:
        from anogan.serve.limits import Limits, is_loopback, read_token
        from anogan.serve.server import local_names, serve
    except ImportError as error:
        if (error.name or "").startswith("anogan"):
            raise
        raise ValueError("serving needs the extra 'serve': pip install 'anogan[serve]'") from None
    _check(options)
    token = read_token(options.token_file) if options.token_file else ""
    if not (token or options.no_token or is_loopback(options.host)):
        raise ValueError(
            f"anyone who reaches {options.host} could use the models; give --token-file, or --no-token to allow that"
        )
    limits = Limits(
        max_bytes=round(options.max_mb * (1 << 20)),
        max_pixels=round(options.max_megapixels * 1e6),
        queue=options.queue,
        timeout=options.timeout,
        token=token,
        hosts=local_names(options.host, token),
    )
    if not options.threads:  # the models work side by side
        parallel.use_threads(max(1, torch.get_num_threads() // len(options.runs)))
    serve(options.runs, options.host, options.port, options.device, limits, _say)
    return 0


def _check(options: Serve) -> None:
    if not options.runs:
        raise ValueError("expected a run or bundle to serve")
    if not 0 <= options.port < 1 << 16:
        raise ValueError(f"expected --port of 0 to 65535, got {options.port}")
    for name in ("max_mb", "max_megapixels", "queue", "timeout"):
        if not 0 < getattr(options, name) < float("inf"):
            raise ValueError(f"expected --{name.replace('_', '-')} of more than 0, got {getattr(options, name)}")
    most = Image.MAX_IMAGE_PIXELS or float("inf")
    if options.max_megapixels * 1e6 > most:
        raise ValueError(f"expected --max-megapixels of at most {most // 1e6:g}, got {options.max_megapixels:g}")


def _say(line: str) -> None:
    print(f"anogan: {line}", file=sys.stderr, flush=True)
