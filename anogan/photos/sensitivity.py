"""Defects in photos of good parts, inspected as any photo is."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anogan.config.runs import PhotoRunConfig
from anogan.errors import SampleError
from anogan.evaluation.trials import (
    NOTHING,
    Cell,
    OnTrials,
    config_of,
    random_stream,
    separation,
    smallest_caught,
    still_there,
    trial_table,
)
from anogan.files import Json
from anogan.photos import faults
from anogan.photos.folders import find_photos
from anogan.photos.model import PhotoModel
from anogan.photos.training import MOST_SAMPLES, good_photos
from anogan.pictures.files import Pixels, batches, decoded_bytes, read_photo, read_photos
from anogan.pictures.verdicts import Inspection

KINDS: tuple[str, ...] = tuple(faults.DEFECTS)
REPEATS = 2  # trials of each kind and severity on every photo
MOST_PHOTOS = 60  # photos, evenly spread
VALUES_KEPT = 2**26  # values of photos in memory; further photos are read again and again
FOLDS = 5  # of the photos held out
GREY_LEVELS = 127.5  # per unit of a photo's values


class Made(NamedTuple):
    """A trial's photo (channels, height, width) without and with its defect, and the mask (height, width)."""

    trial: int
    model: PhotoModel
    good: Pixels
    photo: Pixels
    mask: NDArray[np.bool_]


class Part(NamedTuple):
    """Photos of good parts that the model has not seen."""

    model: PhotoModel
    paths: list[Path]


class PhotoTrials:
    """Defects at the photos' own resolution, in the inspected part.

    A defect is caught when the photo is flagged, and found when the box of a region touches it.
    """

    def __init__(self, parts: Sequence[Part], repeats: int = REPEATS, seed: int = 0) -> None:
        self.seed, self.photos = seed, list[tuple[PhotoModel, Path]]()
        self.kept: dict[Path, Pixels] = {}
        self.score, self.flagged = list[float](), list[bool]()  # of the untouched photos
        photos = [(part.model, path) for part in parts for path in part.paths]
        rows = np.unique(np.linspace(0, len(photos) - 1, min(MOST_PHOTOS, len(photos))).round().astype(int))
        chosen = [photos[row] for row in rows]
        for batch in _batches(chosen):
            model = chosen[batch[0]][0]
            read = list(read_photos([chosen[i][1] for i in batch], model.framing.shape[0]))
            for one, photo, inspection in zip([chosen[i] for i in batch], read, model.inspect(read), strict=True):
                if not isinstance(photo, SampleError) and not isinstance(inspection, SampleError):
                    self.photos.append(one)
                    self._keep(one[1], photo, inspection)
        if not self.photos:
            raise SampleError("none of the photos of good parts can be used")
        self.count = repeats * len(self.photos)

    def _keep(self, path: Path, photo: Pixels, inspection: Inspection) -> None:
        self.score.append(inspection.score)
        self.flagged.append(inspection.anomaly)
        if sum(one.size for one in self.kept.values()) + photo.size <= VALUES_KEPT:
            self.kept[path] = photo

    def made(self, trial: int, kind: str, severity: float) -> Made:
        """Make a trial's photo with its defect."""
        model, path = self.photos[trial % len(self.photos)]
        good = self.kept[path] if path in self.kept else read_photo(path, model.framing.shape[0])
        changed, mask = good.copy(), np.zeros((1, *good.shape[1:]), bool)
        part, part_mask = (model.framing.cropped(whole) for whole in (changed, mask))  # views
        stream = random_stream(self.seed, kind, trial)
        part[...], part_mask[0] = faults.apply(kind, part, severity, stream)
        return Made(trial, model, good, changed, mask[0])

    def cell(self, kind: str, severity: float, on_trials: OnTrials = lambda n: None) -> Cell:
        """Run all trials of a kind at a severity. Without a defect every photo is one trial."""
        score, trials = list[float](), []
        if kind == NOTHING:
            score = self.score
            trials = [{"photo": self._name(i), "caught": flagged} for i, flagged in enumerate(self.flagged)]
            on_trials(self.count)
        else:
            for made, inspection in self._inspections(kind, severity):
                score.append(inspection.score)
                trials.append({"photo": self._name(made.trial), "caught": inspection.anomaly} | seen(made, inspection))
                on_trials(1)
        area = separation([np.array(self.score)], [np.array(score)])
        return {"kind": kind, "severity": severity, "auroc": area, "trials": trials}

    def _name(self, trial: int) -> str:
        return self.photos[trial % len(self.photos)][1].name

    def _inspections(self, kind: str, severity: float) -> Iterator[tuple[Made, Inspection]]:
        for batch in _batches([self.photos[trial % len(self.photos)] for trial in range(self.count)]):
            made = [self.made(trial, kind, severity) for trial in batch]
            for one, inspection in zip(made, made[0].model.inspect([one.photo for one in made]), strict=True):
                if isinstance(inspection, SampleError):
                    raise inspection  # the same photo could be judged without the defect
                yield one, inspection

    def example(self, kind: str, severity: float, trial: int) -> Example:
        """Inspect the photo of one trial."""
        made = self.made(trial, kind, severity)
        (inspection,) = made.model.inspect([made.photo])
        assert not isinstance(inspection, SampleError)
        return Example(kind, severity, made, inspection)

    def figures(self, trials: pd.DataFrame) -> dict[str, float]:
        """Return the share of caught defects that were found, and the median size and contrast of the defects."""
        if "found" not in trials:
            return {}
        found = trials.loc[trials["caught"], "found"].astype(float).mean()  # NaN where none was caught
        return {"found": found} | {name: float(trials[name].median()) for name in ("area", "extent", "contrast")}


class Example(NamedTuple):
    """A trial to show."""

    kind: str
    severity: float
    made: Made
    inspection: Inspection


def examples(trials: PhotoTrials, cells: Sequence[Cell]) -> list[Example]:
    """Choose for each kind a defect caught at the smallest severity caught, and one missed at the largest below it."""
    table = trial_table(cells)
    table["trial"] = table.groupby(["kind", "severity"]).cumcount()
    found = []
    for kind, part in table[table["kind"] != NOTHING].groupby("kind", sort=False):
        rates = part.groupby("severity")["caught"].mean()
        smallest = smallest_caught(rates)
        below = rates.index[~(rates.index >= smallest)]
        wanted = [(smallest, True), (below.max() if len(below) else smallest, False)]
        for severity, caught in wanted:
            some = part[(part["severity"] == severity) & (part["caught"] == caught)]
            some = some[some["found"] == caught].sort_values("contrast")
            if len(some):
                found.append(trials.example(str(kind), severity, int(some["trial"].iloc[len(some) // 2])))
    return found


def seen(made: Made, inspection: Inspection) -> Json:
    """Return whether a defect was found, and its size.

    `area` is its share of the inspected part, `extent` its longest side in pixels, and `contrast` its mean difference
    in grey levels of 255.
    """
    boxes = [made.mask[r.top : r.top + r.height, r.left : r.left + r.width] for r in inspection.regions]
    looked_at = made.model.framing.cropped(made.mask[None].astype(np.float32))
    sizes = {"area": float(looked_at.mean()), "extent": 0, "contrast": 0.0}
    if made.mask.any():
        sizes["extent"] = max(int(np.ptp(where)) + 1 for where in np.nonzero(made.mask))
        sizes["contrast"] = float(np.abs(made.photo - made.good).mean(axis=0)[made.mask].mean()) * GREY_LEVELS
    return {"found": any(bool(box.any()) for box in boxes)} | sizes


def _batches(photos: Sequence[tuple[PhotoModel, Path]]) -> Iterator[Sequence[int]]:
    """Yield the numbers of neighbouring photos of one model, as many as are inspected at once."""
    for _, group in groupby(range(len(photos)), key=lambda i: id(photos[i][0])):
        yield from batches(list(group), lambda i: decoded_bytes(photos[i][1], photos[i][0].framing.shape[0]))


def good_parts(run: Path, model: PhotoModel, data: Path | None) -> list[Part]:
    """Return the photos of a folder or, without one, those that the run held out of its own folder.

    A detector may take its scales from all held-out photos. Here it takes them from all but the fold that is scored.
    Raises `SampleError` if the run's folder has changed since training.
    """
    if data:
        return [Part(model, list(find_photos(data).good))]
    config = config_of(run, PhotoRunConfig)
    _, held_out = good_photos(config, still_there(config.data))
    samples = {path: x for path in held_out if (x := _samples(path, model, MOST_SAMPLES // len(held_out))) is not None}
    expected = len(model.detector.calibration_scores_)
    if len(samples) != expected:
        raise SampleError(
            f"{config.data} has changed since training: {expected} photos were held out then, {len(samples)} now; "
            "give good photos with --data"
        )
    folds = [part.tolist() for part in np.array_split(np.arange(len(samples)), min(FOLDS, len(samples)))]
    return [_without(model, samples, [list(samples)[i] for i in fold]) for fold in folds]


def _samples(path: Path, model: PhotoModel, most: int) -> NDArray[np.float32] | None:
    try:
        found = model.framing.samples(read_photo(path, model.framing.shape[0]))
    except SampleError:
        return None
    rows = np.linspace(0, len(found) - 1, max(1, min(most, len(found)))).round().astype(int)
    return np.asarray(found[rows], dtype=np.float32)


def _without(model: PhotoModel, samples: dict[Path, NDArray[np.float32]], fold: list[Path]) -> Part:
    detector, rest = copy.copy(model.detector), [x for path, x in samples.items() if path not in fold]
    detector.memory_ = dict(detector.memory_)
    if rest:
        detector.measure(np.concatenate(rest))
    return Part(replace(model, detector=detector), fold)
