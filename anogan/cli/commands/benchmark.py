"""`anogan benchmark`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import joblib
from tqdm import tqdm

from anogan.benchmark.comparison import compare, summarise
from anogan.benchmark.run import choose_methods, run_benchmark
from anogan.cli.options.others import Benchmark
from anogan.cli.progress import ticking
from anogan.files import write_text

TIMEOUT = 10  # seconds to reach a scheduler


def run(options: Benchmark) -> int:
    """Compare detectors on a labelled data set. Returns the exit status."""
    methods = choose_methods(options.detectors)
    try:
        seeds = list(dict.fromkeys(int(seed) for seed in options.seeds.split(",")))
    except ValueError:
        raise ValueError(f"--seeds must be whole numbers separated by commas, got {options.seeds!r}") from None
    cells = tqdm(desc="cells", disable=None, dynamic_ncols=True)
    with _cluster(options.scheduler, options.workers) as workers, ticking(cells) as shown:

        def on_cells(done: int, total: int) -> None:
            shown.total, shown.n = total, done
            shown.refresh()

        table = run_benchmark(
            options.out,
            options.data,
            options.protocol,
            methods,
            options.classes,
            seeds,
            workers=workers,
            threads=options.threads,
            subset=options.subset,
            data_root=options.data_root,
            device=options.device,
            on_cells=on_cells,
        )
    tables = {"summary": summarise(table), "differences": compare(table, methods[0])}
    for name, shown_table in tables.items():
        write_text(options.out / f"{name}.csv", shown_table.to_csv(index=False, float_format="%.5f"))
        if len(shown_table):
            print(shown_table.to_string(index=False, float_format=lambda value: f"{value:.4f}"), end="\n\n")
    print(options.out / "results.csv")
    return 0


@contextmanager
def _cluster(address: str | None, workers: int) -> Iterator[int]:
    """Yield how many jobs run at once: `workers` here, or one on every worker of a Dask scheduler, if one is named."""
    if address is None:
        yield workers
        return
    try:
        from distributed import Client
    except ImportError:
        raise ValueError("--scheduler needs the extra 'dask': pip install 'anogan[dask]'") from None
    try:
        client = Client(address, timeout=TIMEOUT)
    except OSError:
        raise ValueError(f"no Dask scheduler answers at {address} within {TIMEOUT} s") from None
    with client, joblib.parallel_config("dask"):
        yield max(1, len(client.scheduler_info(n_workers=-1)["workers"]))
