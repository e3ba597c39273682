"""`anogan report`."""

from __future__ import annotations

from pathlib import Path

from anogan.options import Report
from anogan.reporting import write_report
from anogan.reporting.benchmark import is_benchmark, write_benchmark_report
from anogan.runs import Run


def run(options: Report) -> int:
    out = options.out or Path("reports") / options.run.resolve().name
    benchmark = is_benchmark(options.run)
    print(write_benchmark_report(options.run, out) if benchmark else write_report(Run(options.run), out))
    return 0
