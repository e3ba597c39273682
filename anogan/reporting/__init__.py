"""The HTML report of a run."""

from pathlib import Path

from anogan.runs import Run


def write_report(run: Run, out: Path) -> Path:
    return out
