"""`anogan convert`."""

from __future__ import annotations

from anogan.cli.options import Convert
from anogan.runs.convert import convert


def run(options: Convert) -> int:
    """Convert a run to this version's format. Returns the exit status."""
    written = convert(options.run)
    print("\n".join(map(str, written)) if written else f"{options.run} already has this version's format")
    return 0
