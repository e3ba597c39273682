"""`anogan convert`."""

from __future__ import annotations

from anogan.cli.options import Convert
from anogan.runs.convert import convert


def run(options: Convert) -> int:
    """Convert a run to this version's format. Returns the exit status."""
    written = convert(options.run)
    print("\n".join(map(str, written)) if written else f"{options.run} has today's format already")
    return 0
