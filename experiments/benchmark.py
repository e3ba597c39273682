"""The published comparison: fills reports/benchmark/, its report and the README's table. Finished cells are kept.

python -m experiments.benchmark [DATA_ROOT]     many hours on two cores; interrupt and go on as you like
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from anogan.files import write_text
from anogan.report.benchmark import write_benchmark_report

OUT = Path("reports/benchmark")
PAGES: dict[Path, Sequence[str] | None] = {  # detectors that a page shows; all
    Path("README.md"): None,
    Path("README.pt-BR.md"): None,
    Path("docs/choose.md"): (
        "default",
        "default-without-gan",
        "oriented-gradient-knn",
        "fanogan",
        "anogan",
        "anogan-paper",
    ),
}
BASELINES = "raw-knn,pca,isolation-forest,one-class-svm,blurred-cosine-knn,oriented-gradient-knn"
CLASSICS = "default-without-gan,anogan,fanogan-paper-izi_f"
TABLES = [("mnist", "one_vs_rest"), ("fashion-mnist", "one_vs_rest"), ("mnist", "leave_one_out")]
OURS = f"{BASELINES},default,fanogan"
VARIANTS = "anogan-paper,fanogan-paper-izi,fanogan-paper-ziz,fanogan-paper-wgan_gp"
RUNS = [(*table, detectors, seed) for detectors in (OURS, CLASSICS) for seed in "012" for table in TABLES]
RUNS += [(*TABLES[0], VARIANTS, "0")]
COLUMNS = {
    ("mnist", "one_vs_rest"): "MNIST, one class normal",
    ("fashion-mnist", "one_vs_rest"): "Fashion-MNIST, one class normal",
    ("mnist", "leave_one_out"): "MNIST, one class anomalous",
}
MARKS = "<!-- results -->\n", "<!-- end of results -->\n"


def results() -> pd.DataFrame:
    """A row per finished cell."""
    tables = [pd.read_csv(OUT / f"{name}.csv", dtype={"class": str}) for name in ("results", "details")]
    return tables[0].merge(tables[1])


def readme_table(results: pd.DataFrame, detectors: Sequence[str] | None = None) -> str:
    """AUROC, mean over ten classes ± standard deviation over seeds, and how many test images were scored, a row per
    detector; empty where unfinished."""
    if detectors:
        results = results[results["detector"].isin(detectors)]
    images = results.groupby("detector")["n_test"].agg(["min", "max"])
    cells: dict[str, dict[str, str]] = {}
    rank: dict[str, float] = {}
    for (data, protocol, detector), part in results.groupby(["data", "protocol", "detector"]):
        by_seed = part.groupby("seed")["auroc"].agg(["mean", "count"])
        by_seed = by_seed[by_seed["count"] == 10]["mean"]
        if len(by_seed):
            spread = f" ± {by_seed.std():.4f}" if len(by_seed) > 1 else ""
            seeds = "" if len(by_seed) == 3 else f" ({len(by_seed)} seed{'s' * (len(by_seed) > 1)})"
            cells.setdefault(detector, {})[COLUMNS[data, protocol]] = f"{by_seed.mean():.4f}{spread}{seeds}"
            rank[detector] = max(rank.get(detector, 0), by_seed.mean())
    header = ["detector", "test images", *COLUMNS.values()]
    rows = [
        [f"`{name}`", between(*images.loc[name]), *(cells[name].get(c, "") for c in COLUMNS.values())]
        for name in sorted(cells, key=rank.__getitem__)
    ]
    return "".join("| " + " | ".join(row) + " |\n" for row in [header, ["---"] * len(header), *rows[::-1]])


def between(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def with_table(readme: str, table: str) -> str:
    """A page with the table between its marks."""
    begin, end = MARKS
    return re.sub(f"(?<={begin}).*(?={end})", lambda _: table, readme, flags=re.S)


def publish() -> None:
    """The tables of the README and the guide, and the report, from the CSV files."""
    table = results()
    for page, detectors in PAGES.items():
        write_text(page, with_table(page.read_text(), readme_table(table, detectors)))
    write_benchmark_report(OUT, OUT)


def main() -> None:
    root = ["--data-root", sys.argv[1]] if len(sys.argv) > 1 else []
    for data, protocol, detectors, seeds in RUNS:
        chosen = [
            "--data",
            data,
            "--protocol",
            protocol,
            "--detectors",
            detectors,
            "--seeds",
            seeds,
            "--subset",
            "2000",
        ]
        command = [sys.executable, "-m", "anogan", "benchmark", *chosen, "--workers", "2", "--out", str(OUT), *root]
        subprocess.run(command, check=True)
        publish()


if __name__ == "__main__":
    main()
