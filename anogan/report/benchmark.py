"""The report of a benchmark: every table and figure comes from the CSV files of its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from anogan.benchmark.comparison import compare, summarise
from anogan.benchmark.run import KEY
from anogan.errors import RunError
from anogan.files import Json, write_text
from anogan.report import figures
from anogan.report.page import Captioned, Drawn, draw, write_page

NAMES = {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST", "digits": "small digits"}
TITLES = {"default": "NeighbourGAN (default)"}
PROTOCOLS = {"one_vs_rest": "one class normal", "leave_one_out": "one class anomalous"}


def is_benchmark(folder: Path) -> bool:
    """Tell whether `anogan benchmark` has written into the folder."""
    return (folder / "details.csv").is_file()


def _read(file: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(file, dtype={"class": str})
    except (OSError, ValueError) as error:
        raise RunError(f"{file} cannot be read: {error}") from error


def _read_if_there(file: Path) -> pd.DataFrame | None:
    return _read(file) if file.exists() else None


def per_class(part: pd.DataFrame) -> pd.DataFrame:
    """Return AUROC, bounds of its interval and AUPRC as means over seeds: a row per class, a column per detector."""
    means = part.groupby(["detector", "class"])[["auroc", "auroc_low", "auroc_high", "auprc"]].mean()
    order = means["auroc"].groupby(level=0).mean().sort_values(ascending=False).index
    table: pd.DataFrame = means.apply(tuple, axis=1).unstack("detector")[order]
    return table


def _section(data: str, protocol: str, part: pd.DataFrame, drawings: list[Captioned]) -> Json:
    """Return what the page shows of one protocol on one data set, and add its figures to `drawings`."""
    summary = summarise(part)
    best = "default" if "default" in set(part["detector"]) else summary["detector"].iloc[0]
    others = summary.loc[summary["detector"] != best, "detector"]
    name, title = f"{data}-{protocol}", f"{NAMES.get(data, data)}, {PROTOCOLS[protocol]}"
    drawings.append((f"{name}-spread", f"{title}: a dot for each class, a bar at the mean.", figures.spread(part)))
    if len(others):
        caption = f"{title}: {best} and {others.iloc[0]}, class by class."
        drawings.append((f"{name}-pairs", caption, figures.pairs(part, best, others.iloc[0])))
    return {
        "name": name,
        "title": title,
        "summary": _records(summary),
        "best": best,
        "differences": _records(compare(part, best)),
        "classes": per_class(part),
        "subset": sorted(part.loc[part["n_test"] < part["n_test"].max(), "detector"].unique()),
    }


def write_benchmark_report(folder: Path, out: Path) -> Path:
    """Write index.html, figures/ (SVG, PNG), summary.csv and differences.csv into `out`. Returns the page's path."""
    table = _read(folder / "results.csv").merge(_read(folder / "details.csv"), on=KEY)
    if table.empty:
        raise RunError(f"{folder} holds no finished cell yet")
    drawings: list[Captioned] = []
    groups = dict(list(table.groupby(["data", "protocol"])))
    order = sorted(groups, key=lambda key: (key[1] != "one_vs_rest", key[0] != "mnist", key))
    sections = [_section(data, protocol, groups[data, protocol], drawings) for data, protocol in order]
    studies = ("generator_quality", "search_steps", "parts")
    quality, search, parts = (_read_if_there(folder / f"{name}.csv") for name in studies)
    if quality is not None:
        for data, part in quality.groupby("data"):
            caption = f"{NAMES[str(data)]}: generated images in full, real training images in their place hollow."
            drawings.append((f"{data}-fidelity", caption, figures.fidelity(part)))
    if search is not None:
        caption = f"Mean over classes {', '.join(search['class'].unique())}; the numbers are search steps."
        drawings.append(("search-cost", caption, figures.search_cost(search)))
    write_text(out / "summary.csv", summarise(table).to_csv(index=False, float_format="%.5f"))
    differences = compare(table, sections[0]["best"])
    write_text(out / "differences.csv", differences.to_csv(index=False, float_format="%.5f"))
    drawn: dict[str, Drawn] = {figure.name: figure for figure in draw(out, drawings)}
    return write_page(
        out,
        "benchmark.html.j2",
        folder=folder,
        names=NAMES,
        titles=TITLES,
        sections=sections,
        cells=len(table),
        seeds=sorted(table["seed"].unique()),
        promised=table["false_alarm_promised"].iloc[0],
        drawn=drawn,
        quality=None if quality is None else quality_table(quality),
        search=None if search is None else search_table(search),
        parts=None if parts is None else parts_table(parts),
    )


def _records(table: pd.DataFrame) -> list[Json]:
    rows: list[Json] = table.to_dict("records")
    return rows


def quality_table(quality: pd.DataFrame) -> list[Json]:
    """Return means over seeds, with a row per data set and class."""
    return _records(quality.groupby(["data", "class"], sort=False).mean(numeric_only=True).reset_index())


def search_table(search: pd.DataFrame) -> list[Json]:
    """Return means over classes and seeds, with a row per start and number of steps."""
    by_seed = search.groupby(["start", "steps", "seed"])[["auroc", "seconds_per_image"]].mean()
    groups = by_seed.groupby(level=[0, 1])
    return _records(groups.mean().assign(auroc_sd=groups["auroc"].std()).reset_index())


def parts_table(parts: pd.DataFrame) -> dict[str, list[Any]]:
    """Return the mean AUROC over classes and seeds: a row per set of parts, a column per data set and protocol."""
    columns = list(parts.groupby(["data", "protocol"], sort=False).groups)
    table = parts.pivot_table(index="parts", columns=["data", "protocol"], values="auroc", sort=False)
    cells = parts.groupby(["data", "protocol"], sort=False).agg(
        classes=("class", lambda c: ", ".join(c.unique())), seeds=("seed", "nunique")
    )
    return {
        "columns": [
            f"{NAMES[data]}, {PROTOCOLS[protocol]}: {cells.loc[(data, protocol), 'classes']}"
            for data, protocol in columns
        ],
        "rows": [(name, list(row)) for name, row in zip(table.index, table[columns].to_numpy(), strict=True)],
    }
