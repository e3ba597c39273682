"""Evaluation of a run on labelled test photos, good and defective."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import pandas as pd

from anogan.config.runs import PhotoRunConfig
from anogan.errors import SampleError
from anogan.evaluation.metrics import aupro, pixel_auroc
from anogan.evaluation.results import Shown, save_gallery, summarise, write_results
from anogan.files import Json, write_text
from anogan.photos.folders import GOOD, LabelledPhoto, read_mask
from anogan.photos.model import PhotoModel
from anogan.pictures.files import read_photo, resized
from anogan.pictures.framing import common_shape
from anogan.pictures.verdicts import Inspection
from anogan.runs.bundle import Bundle
from anogan.runs.directory import Run
from anogan.runs.training import Stage, silent

THUMBNAIL = 128  # longer side of a photo in the gallery


def evaluate_photos(
    run: Run[PhotoRunConfig], photos: Sequence[LabelledPhoto], *, device: str = "auto", stage: Stage = silent
) -> Json:
    """Score labelled photos with every detector of the run. Writes scores.csv, gallery/ and, last, results.json.

    The results include pixel metrics if there are masks. Photos that cannot be used are left out. Raises `SampleError`
    unless good and defective ones remain.
    """
    tables, results = [], {}
    bundle = Bundle.open(run.path)
    for name in run.config.detectors:
        model = PhotoModel.load(bundle, name, device)
        begin = time.monotonic()
        with run.timed(f"score {name}"), stage(f"score {name}", len(photos)) as update:
            inspections = list(model.inspect_files([photo.path for photo in photos], lambda n: update(n, "")))
        seconds = (time.monotonic() - begin) / len(photos)
        pairs = [(p, i) for p, i in zip(photos, inspections, strict=True) if not isinstance(i, SampleError)]
        if {photo.kind == GOOD for photo, _ in pairs} != {True, False}:
            raise SampleError(f"good and defective test photos are needed to evaluate, in test/{GOOD} and test/KIND")
        table = _photo_table(name, pairs)
        tables.append(table)
        kinds = [kind for kind in dict.fromkeys(photo.kind for photo in photos) if kind != GOOD]
        results[name] = summarise(model.detector, table, kinds, run.config.seed) | pixel_figures(pairs)
        results[name] |= {"seconds_per_image": seconds, "search_steps": 0}
        _photo_gallery(run, name, model, pairs, table)
    scores = pd.concat(tables, ignore_index=True)
    write_text(run.path / "scores.csv", scores.to_csv(index=False, float_format="%.6g"))
    return write_results(run, results)


Pairs = Sequence[tuple[LabelledPhoto, Inspection]]


def pixel_figures(pairs: Pairs) -> dict[str, float]:
    """Compute pixel AUROC and AUPRO over photos that are good or have a mask; nothing if none has one."""
    if not any(photo.mask for photo, _ in pairs):
        return {}
    masks, maps = [], []
    for photo, inspection in pairs:
        if photo.mask or photo.kind == GOOD:
            size = inspection.map.shape[0], inspection.map.shape[1]
            masks.append(read_mask(photo.mask, size) if photo.mask else np.zeros(size, bool))
            maps.append(inspection.map)
    return {"pixel_auroc": pixel_auroc(masks, maps), "aupro": aupro(masks, maps)}


def _photo_table(name: str, pairs: Pairs) -> pd.DataFrame:
    rows = [
        {
            "detector": name,
            "row": i,
            "file": str(photo.path),
            "class": photo.kind,
            "anomalous": int(photo.kind != GOOD),
            "score": inspection.score,
            "p_value": inspection.p_value,
            "verdict": "anomaly" if inspection.anomaly else "normal",
            "regions": len(inspection.regions),
        }
        | inspection.terms
        for i, (photo, inspection) in enumerate(pairs)
    ]
    return pd.DataFrame(rows)


def _photo_gallery(run: Run[PhotoRunConfig], name: str, model: PhotoModel, pairs: Pairs, table: pd.DataFrame) -> None:
    """Save thumbnails of one size, because photos may differ in size."""
    height, width = common_shape(
        [(inspection.map.shape[0], inspection.map.shape[1]) for _, inspection in pairs], THUMBNAIL
    )
    channels = model.framing.shape[0]

    def pictures(row: int) -> Shown:
        photo, inspection = pairs[row]
        part = model.framing.cropped(read_photo(photo.path, channels))
        x, x_hat, anomaly_map = (
            resized(one, height, width) for one in (part, inspection.reconstruction, inspection.map[None])
        )
        return x, x_hat, anomaly_map

    save_gallery(run, name, pictures, table)
