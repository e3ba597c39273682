"""`anogan report`."""

from __future__ import annotations

from pathlib import Path

from anogan.cli.options.others import Report
from anogan.report.benchmark import is_benchmark, write_benchmark_report
from anogan.report.run import write_report
from anogan.runs.directory import Run


def run(options: Report) -> int:
    """Write the report of a run or benchmark. Returns the exit status."""
    out = options.out or Path("reports") / options.run.resolve().name
    benchmark = is_benchmark(options.run)
    print(write_benchmark_report(options.run, out) if benchmark else write_report(Run(options.run), out))
    return 0
