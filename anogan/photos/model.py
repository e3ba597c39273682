"""From photos to verdicts: a score, a map on one fixed scale, and the regions that look defective."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from scipy import ndimage

from anogan.detectors import Detector
from anogan.detectors.calibration import Floats, p_values
from anogan.errors import BundleError, SampleError
from anogan.files import Json
from anogan.pictures.drawing import overlay, png
from anogan.pictures.files import Pixels, batches, decoded_bytes, find_images, read_photos
from anogan.pictures.framing import Framing
from anogan.pictures.verdicts import Inspection, Map, Region, record
from anogan.runs.bundle import Bundle

TAIL = np.logspace(0, -6, 121)  # tail probabilities at which the quantiles of held-out good pixels are stored
EDGE_SHARE = 1e-3  # share of good pixels that exceed those at the edge of a region


@dataclass(frozen=True)
class PhotoModel:
    """A trained model of photos, usually from `anogan.load`.

    Attributes
    ----------
    detector : Detector
        The scikit-learn estimator inside.
    framing : Framing
        How a photo becomes samples.
    levels : array (121,)
        Map values that certain shares of held-out good pixels exceed, see `pixel_shares`.
    peaks : array (n,)
        The highest map value of each held-out good photo.
    """

    detector: Detector
    framing: Framing
    finds_regions: ClassVar[bool] = True
    levels: Floats  # map values (len(TAIL),) that these shares of held-out good pixels exceed
    peaks: Floats  # the highest map value of each held-out good photo (n,)

    @classmethod
    def load(cls, bundle: Bundle, detector: str | None = None, device: str = "auto") -> PhotoModel:
        """Load a model from its bundle. Raises `BundleError` if the bundle is damaged or of another kind."""
        name = bundle.of("photos", "a folder of photos").name(detector)
        fitted = bundle.detector(name, device)
        try:
            about = bundle.about["photos"]
            levels, peaks = (np.array(about["detectors"][name][key], dtype=np.float64) for key in ("levels", "peaks"))
            framing = Framing(fitted.gan_.shape, tuple(about["crop"]), about["overlap"])
            if levels.shape != TAIL.shape:
                raise ValueError(f"{len(levels)} levels")
            if peaks.ndim != 1 or not len(peaks):
                raise ValueError("no peaks")
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(
                f"{bundle.folder}: its description of the photos cannot be used ({error!r}); train it again"
            ) from error
        return cls(fitted, framing, levels, peaks)

    @property
    def promise(self) -> str:
        """The threshold and the false-alarm rate it keeps, as a sentence."""
        detector = self.detector
        return (
            f"threshold {detector.threshold_:.4g} at a false-alarm rate of {detector.false_alarm_rate:g}, "
            f"from {len(detector.calibration_scores_)} held-out photos"
        )

    def score(self, source: Path | str | Sequence[Path | str]) -> pd.DataFrame:
        """Score a photo, several photos, or all photos of folders.

        Parameters
        ----------
        source : Path, str or sequence of these
            Image files and folders; folders are searched with their subfolders.

        Returns
        -------
        DataFrame
            A row per photo: file, score, p_value, verdict, the number of regions, the terms of the score, and the error
            of a photo that could not be scored.

        Raises
        ------
        ValueError
            If there is no photo.
        """
        given = [source] if isinstance(source, (str, Path)) else source
        files = find_images([Path(one) for one in given])
        rows = []
        for (_, name), inspection in zip(files, self.inspect_files([path for path, _ in files]), strict=True):
            row = record(str(name), inspection)
            if not isinstance(inspection, SampleError):
                row |= {"regions": len(inspection.regions)} | inspection.terms
            rows.append(row)
        columns = ["file", "score", "p_value", "verdict", "regions", *self.detector.terms, "error"]
        return pd.DataFrame(rows).reindex(columns=columns)

    def inspect_files(
        self, paths: Sequence[Path], on_photos: Callable[[int], None] = lambda n: None
    ) -> Iterator[Inspection | SampleError]:
        """Inspect files, one batch in memory at a time. Yields the verdict on each, or why there is none."""
        channels = self.framing.shape[0]
        for batch in batches(paths, lambda path: decoded_bytes(path, channels)):
            yield from self.inspect(list(read_photos(batch, channels)))
            on_photos(len(batch))

    def inspect(self, photos: Sequence[Pixels | SampleError]) -> list[Inspection | SampleError]:
        """Inspect photos.

        Parameters
        ----------
        photos : sequence of arrays (channels, height, width)
            Photos of any size, in [-1, 1], as `pictures.files.read_photo` reads them. A `SampleError` in place of a
            photo is passed on.

        Returns
        -------
        list of Inspection or SampleError
            The verdict on each photo, or the reason why there is none.
        """
        framed = list(map(self.framing.samples_or_error, photos))
        counts = [0 if isinstance(frames, SampleError) else len(frames) for frames in framed]
        if not sum(counts):
            return [frames for frames in framed if isinstance(frames, SampleError)]
        x = np.concatenate([frames for frames in framed if not isinstance(frames, SampleError)])
        explanation = self.detector.explain(x)
        parts = np.split(np.arange(len(x)), np.cumsum(counts)[:-1])
        inspections: list[Inspection | SampleError] = []
        for photo, frames, rows in zip(photos, framed, parts, strict=True):
            if isinstance(frames, SampleError) or isinstance(photo, SampleError):
                assert isinstance(frames, SampleError)
                inspections.append(frames)
                continue
            worst = rows[np.argmax(explanation.score[rows])]
            terms = {name: float(values[worst]) for name, values in explanation.terms.items()}
            maps = explanation.anomaly_map[rows].max(1), explanation.reconstruction[rows]
            inspections.append(self._judged(float(explanation.score[worst]), terms, *maps, photo.shape[1:]))
        return inspections

    def _judged(
        self, score: float, terms: dict[str, float], maps: Map, x_hat: Pixels, size: tuple[int, ...]
    ) -> Inspection:
        stitched = self.framing.stitched(maps, size)
        drawn = np.stack([self.framing.stitched(channel, size) for channel in np.moveaxis(x_hat, 1, 0)])
        judged = self.detector.judge(np.array([score]))
        p_value, anomaly = float(judged.p_value[0]), bool(judged.anomaly[0])
        regions = self._regions(stitched, size) if anomaly else []
        return Inspection(score, p_value, anomaly, terms, stitched, drawn, regions)

    def drawn(self, photo: Pixels, inspection: Inspection) -> bytes:
        """Draw the inspected part as PNG, with heat where the map is above good parts, and a box per region."""
        left, top = self.framing.crop[:2] if self.framing.crop else (0, 0)
        boxes = [(r.left - left, r.top - top, r.width, r.height) for r in inspection.regions]
        return png(overlay(self.framing.cropped(photo), inspection.map, boxes), level=3)

    def pixel_shares(self, anomaly_map: Map) -> Floats:
        """Return the share of held-out good pixels that exceed each value of a map.

        Parameters
        ----------
        anomaly_map : array (any shape)
            Values of an anomaly map; 1 is the worst place of a good part.

        Returns
        -------
        array (same shape)
            Estimated shares, from 1 down to 1e-6, which is the least even if there are few photos.
        """
        return np.asarray(np.exp(np.interp(anomaly_map, self.levels, np.log(TAIL))), dtype=np.float64)

    def _regions(self, stitched: Map, size: tuple[int, ...]) -> list[Region]:
        """Find connected pixels above all but EDGE_SHARE of good ones, around a value of 1 or around the peak."""
        wide = stitched > np.interp(np.log(1 / EDGE_SHARE), np.log(1 / TAIL), self.levels)
        labels, _ = ndimage.label(wide | (stitched >= stitched.max()), np.ones((3, 3)))
        peaks = np.unique(labels[(stitched >= min(1.0, float(stitched.max()))) & (labels > 0)])
        left, top, across, down = self.framing.place(stitched.shape, size)
        regions = []
        for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
            if number in peaks:
                inside = labels[rows, columns] == number
                peak = float(stitched[rows, columns][inside].max())
                regions.append(
                    Region(
                        left + int(columns.start * across),
                        top + int(rows.start * down),
                        max(1, round((columns.stop - columns.start) * across)),
                        max(1, round((rows.stop - rows.start) * down)),
                        max(1, round(float(inside.sum()) * across * down)),
                        peak,
                        float(p_values(self.peaks, np.array([peak]))[0]),
                    )
                )
        return sorted(regions, key=lambda region: -region.peak)


def tail_levels(maps: Map) -> Floats:
    """Return the values that shares TAIL of the pixels of maps (of any shape) exceed, increasing."""
    return np.maximum.accumulate(np.quantile(maps, 1 - TAIL)).astype(np.float64)


def about_photos(models: Mapping[str, PhotoModel]) -> Json:
    """Return what the bundle's manifest stores of the photos. `PhotoModel.load` reads it."""
    first = next(iter(models.values()))
    scales = {name: {"levels": model.levels.tolist(), "peaks": model.peaks.tolist()} for name, model in models.items()}
    return {
        "crop": list(first.framing.crop),
        "overlap": first.framing.overlap,
        "detectors": scales,
    }
