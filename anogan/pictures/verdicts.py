"""Verdicts on photos, as records, tables and pictures."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anogan.detectors import Detector
from anogan.errors import SampleError
from anogan.files import Json, no_formula, replacing, without_formulas
from anogan.pictures.files import Pixels
from anogan.pictures.framing import Framing
from anogan.runs.scoring import Rows, Samples

Record = Json
Map = NDArray[np.float32]
TABLE_ROWS = 4096  # rows in memory at once


class Region(NamedTuple):
    """A part of a photo that looks defective.

    Attributes
    ----------
    left, top, width, height : int
        Its box, in pixels of the photo.
    area : int
        Its area, in pixels of the photo.
    peak : float
        The highest value of the anomaly map in it; 1 is the worst place of a good part.
    p_value : float
        (1 + held-out good photos with a peak as high) / (n + 1), of n such photos.
    """

    left: int
    top: int
    width: int
    height: int
    area: int
    peak: float
    p_value: float


class Inspection(NamedTuple):
    """The verdict on one photo.

    Attributes
    ----------
    score : float
        A(x); higher is more anomalous.
    p_value : float
        How rare such a score is among good photos.
    anomaly : bool
        Whether the score is above the threshold.
    terms : dict
        Each view's part of the score, by name.
    map : array (height, width)
        Anomaly map of the inspected part, at the samples' resolution; 1 is the worst place of a good part.
    reconstruction : array (channels, height, width)
        Reconstruction of the inspected part in [-1, 1], at the samples' resolution.
    regions : list of Region
        Parts that look defective, the worst first.
    """

    score: float
    p_value: float
    anomaly: bool
    terms: dict[str, float]
    map: Map
    reconstruction: Pixels
    regions: list[Region]


class Inspector(Protocol):
    """A model that inspects photos: `PhotoModel` or `DigitModel`."""

    @property
    def detector(self) -> Detector:
        """The scikit-learn estimator inside."""

    @property
    def framing(self) -> Framing:
        """How a photo becomes samples."""

    @property
    def finds_regions(self) -> bool:
        """Whether it finds the parts of a photo that look defective."""

    def inspect(self, photos: Sequence[Pixels | SampleError]) -> list[Inspection | SampleError]:
        """Inspect photos (channels, height, width). Returns a verdict on each, or the reason why there is none."""

    def drawn(self, photo: Pixels, inspection: Inspection) -> bytes:
        """Draw the verdict on a photo as PNG."""


OnPhoto = Callable[[int, Pixels, Inspection], None]  # row, photo, verdict on it


def record(file: str, inspection: Inspection | SampleError) -> Record:
    """Return the verdict on a photo as JSON: file, score, p_value, verdict and regions; or file, verdict and error."""
    if isinstance(inspection, SampleError):
        return {"file": file, "verdict": "error", "error": str(inspection)}
    return {
        "file": file,
        "score": short(inspection.score),
        "p_value": short(inspection.p_value),
        "verdict": "anomaly" if inspection.anomaly else "normal",
        "regions": [
            region._asdict() | {key: short(getattr(region, key)) for key in FLOATS} for region in inspection.regions
        ],
    }


FLOATS = ("peak", "p_value")  # of a region; the rest are whole pixels


def short(value: float) -> float:
    """Round a number to six digits, as in the tables."""
    return float(f"{value:.6g}")


def inspector(model: Inspector, on_photo: OnPhoto | None = None) -> Rows:
    """Return the function that makes table rows for `score_stream`.

    Regions are JSON in one column, so that an interruption cannot separate a photo's row from its regions. `finish`
    makes tables of them.
    """
    regions = ["regions"] if model.finds_regions else []
    columns = ["file", "score", "p_value", "verdict", *model.detector.terms, *regions, "error"]

    def rows(begin: int, names: list[str], samples: Samples) -> pd.DataFrame:
        records = []
        for i, (name, photo, inspection) in enumerate(zip(names, samples, model.inspect(samples), strict=True)):
            row = record(name, inspection)
            if not isinstance(inspection, SampleError):
                row |= inspection.terms | {"regions": json.dumps(row["regions"])}
                if on_photo and not isinstance(photo, SampleError):
                    on_photo(begin + i, photo, inspection)
            records.append(row)
        return pd.DataFrame(records).reindex(columns=columns)

    return rows


def finish(partial: Path, out: Path) -> None:
    """Write the rows of `inspector` to `out` with the number of regions, and two files next to it.

    These hold all regions as a table, and all photos with their regions as JSON. `out` is written last: when it exists,
    all three are complete.
    """
    with ExitStack() as stack:
        streams = [stack.enter_context(replacing(path)) for path in (out, *beside(out))]
        texts = [io.TextIOWrapper(stream, "utf-8", newline="", write_through=True) for stream in streams]
        scores, table, listed = texts
        regions = csv.writer(table, lineterminator="\n")
        regions.writerow(["file", *Region._fields])
        separator = "[\n"
        for i, rows in enumerate(_chunks(partial)):
            photos = list(map(_read_back, rows.to_dict("records")))
            counts = [str(len(photo["regions"])) if "regions" in photo else "" for photo in photos]
            shown = without_formulas(rows.assign(regions=counts))
            shown.to_csv(scores, index=False, header=i == 0, lineterminator="\n")
            for photo in photos:
                regions.writerows([no_formula(photo["file"]), *region.values()] for region in photo.get("regions", []))
                listed.write(separator + json.dumps(photo))
                separator = ",\n"
        listed.write("\n]\n")
        for text in texts:
            text.detach()


def beside(out: Path) -> tuple[Path, Path]:
    """Name the two files next to `out`: scores.csv -> scores.regions.csv, scores.regions.json."""
    return out.with_suffix(".regions.csv"), out.with_suffix(".regions.json")


def _chunks(partial: Path) -> Iterator[pd.DataFrame]:
    with pd.read_csv(partial, dtype=str, keep_default_na=False, chunksize=TABLE_ROWS) as chunks:
        yield from chunks


def _read_back(row: dict[str, str]) -> Record:
    if row["verdict"] == "error":
        return {"file": row["file"], "verdict": "error", "error": row["error"]}
    numbers = {"score": float(row["score"]), "p_value": float(row["p_value"])}
    return {"file": row["file"]} | numbers | {"verdict": row["verdict"], "regions": json.loads(row["regions"])}


def write_map(folder: Path, name: str, content: bytes) -> None:
    """Write a photo's picture by the photo's name. Each process writes those of its own photos."""
    with replacing(folder / f"{name}.map.png") as stream:
        stream.write(content)
