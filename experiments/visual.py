"""The published comparison on photos of parts: fills reports/visual/. Finished cells are kept.

python -m experiments.visual FOLDER     FOLDER holds elpv_mono/ and kolektorsdd/ in the layout of MVTec AD; an hour and
                                        a half on one thread. runs/visual/ keeps the trained models: an interrupted
                                        training goes on
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from sklearn.decomposition import PCA
from tqdm import tqdm

from anogan.benchmark.baselines import CosineNeighbours, PixelNeighbour
from anogan.config.detectors import PlacesConfig
from anogan.config.gan import AugmentName
from anogan.config.presets import PHOTOS
from anogan.config.runs import PhotoRunConfig
from anogan.detectors.calibration import Floats
from anogan.errors import SampleError
from anogan.evaluation.metrics import auprc, aupro, auroc, bootstrap_interval, pixel_auroc
from anogan.files import write_text
from anogan.photos.folders import GOOD, LabelledPhoto, PhotoFolder, find_photos, read_mask
from anogan.photos.training import GoodPhotos, Photos, calibrated
from anogan.pictures.files import read_photo
from anogan.runs.bundle import Bundle
from anogan.runs.directory import Run
from anogan.runs.kind import Samples
from anogan.runs.training import make_detector, silent
from anogan.views.gradients import oriented_gradients

OUT, RUNS = Path("reports/visual"), Path("runs/visual")
DATA = ("elpv_mono", "kolektorsdd")
SEEDS = (0, 1, 2)
SIDE = 128
HARMLESS: tuple[AugmentName, ...] = ("flip",)  # declared for both: neither part has an upper or a left side
# Our detector and what is left of it without each of its views, on the same networks.
WITHOUT_LOCATOR = "without the locator"
OURS = {
    "locatorgan": PHOTOS.places,
    "without the components": PlacesConfig(linear_weight=0.0),
    WITHOUT_LOCATOR: PlacesConfig(linear_weight=1e6),
}
Maps = NDArray[np.float32]  # (n, height, width)


@dataclass(frozen=True)
class Found:
    """What a detector says of the test photos: scores (n,), maps or none, verdicts or none, seconds of training."""

    score: Floats
    maps: Sequence[NDArray[np.float32]] | None
    flagged: NDArray[np.bool_] | None
    seconds: float


# Ours.


def refuse(sentence: str) -> None:
    raise SampleError(sentence)


def trained(config: PhotoRunConfig) -> tuple[Run[PhotoRunConfig], GoodPhotos, Samples]:
    """The run, finished, its photos of good parts, and their samples."""
    run = Run.create(RUNS / f"{Path(config.data).name}-{config.seed}", config)
    kind = Photos()
    photos = kind.prepare(config, refuse)
    if not run.finished:
        kind.train(run, photos, device="cpu")
    return run, photos, photos.samples(run.path, silent)


def ours(data: Path, folder: PhotoFolder, seed: int) -> Iterator[tuple[str, Found]]:
    config = replace(PHOTOS, data=str(data), seed=seed, photos=replace(PHOTOS.photos, augment=HARMLESS))
    run, photos, samples = trained(config)
    gan = Bundle.open(run.path).gan("cpu")
    for name, places in OURS.items():
        detector = make_detector("locatorgan", replace(config, places=places), "cpu")
        begin = time.monotonic()
        model = calibrated(detector, gan, samples, photos)
        seconds = training_seconds(name, run.seconds, time.monotonic() - begin)
        said = [
            one
            for one in model.inspect_files([photo.path for photo in folder.test])
            if not isinstance(one, SampleError)
        ]
        flagged = np.array([one.anomaly for one in said])
        yield name, Found(np.array([s.score for s in said]), [s.map for s in said], flagged, seconds)


def training_seconds(name: str, stages: Mapping[str, float], calibration: float) -> float:
    """Of what the scores of `name` need: its own calibration, and the stages of the run that trained networks unless
    none of them enters the scores."""
    networks = sum(seconds for stage, seconds in stages.items() if not stage.startswith("calibrate"))
    return calibration if name == WITHOUT_LOCATOR else networks + calibration


# Baselines: fitted on all photos of good parts.


def photos(paths: Sequence[Path]) -> Maps:
    return np.stack([read_photo(path, 1)[0] for path in paths])


def smooth(maps: Maps) -> Maps:
    return np.asarray(gaussian_filter(maps, (0, 2, 2)), dtype=np.float32)


def gaussian(x: Maps, test: Maps) -> Maps:
    """Distance of each pixel from its mean, in units of its standard deviation."""
    return smooth(np.abs(test - x.mean(0)) / (x.std(0) + 0.02))


def components(x: Maps, test: Maps, k: int) -> Maps:
    """What k principal components leave."""
    pca = PCA(k, svd_solver="full").fit(x.reshape(len(x), -1))
    flat = test.reshape(len(test), -1)
    return smooth(np.abs(flat - pca.inverse_transform(pca.transform(flat))).reshape(test.shape))


def shrunk(x: Maps) -> NDArray[np.float32]:
    """32x32 pixels, in [-1, 1]."""
    return x.reshape(len(x), 1, 32, SIDE // 32, 32, SIDE // 32).mean((3, 5))


def baselines(folder: PhotoFolder) -> Iterator[tuple[str, Found]]:
    x, test = photos(folder.good), photos([photo.path for photo in folder.test])
    for name, fit in {
        "per-pixel Gaussian, maximum": gaussian,
        "50 principal components, maximum": lambda x, test: components(x, test, 50),
        "200 principal components, maximum": lambda x, test: components(x, test, 200),
    }.items():
        begin = time.monotonic()
        maps = fit(x, test)
        yield (
            name,
            Found(maps.reshape(len(maps), -1).max(1).astype(np.float64), list(maps), None, time.monotonic() - begin),
        )
    for name, neighbour, see in (
        ("nearest neighbour, 32x32 pixels", PixelNeighbour(), shrunk),
        ("5 nearest oriented gradients", CosineNeighbours(oriented_gradients, 5), lambda x: x[:, None]),
    ):
        begin = time.monotonic()
        yield name, Found(-neighbour.fit(see(x)).score_samples(see(test)), None, None, time.monotonic() - begin)
    grey = test.mean((1, 2)).astype(np.float64)
    yield "mean grey level", Found(grey, None, None, 0.0)
    yield "mean grey level, reversed", Found(-grey, None, None, 0.0)


# Cells.


def measure(test: Sequence[LabelledPhoto], found: Found, seed: int) -> dict[str, Any]:
    y = np.array([int(photo.kind != GOOD) for photo in test])
    row: dict[str, Any] = {"auroc": auroc(y, found.score), "auprc": auprc(y, found.score)}
    row["auroc_low"], row["auroc_high"] = bootstrap_interval(auroc, y, found.score, seed=seed)
    if found.maps is not None and any(photo.mask for photo in test):
        masks = [read_mask(photo.mask, (SIDE, SIDE)) if photo.mask else np.zeros((SIDE, SIDE), bool) for photo in test]
        row |= {"pixel_auroc": pixel_auroc(masks, found.maps), "aupro": aupro(masks, found.maps)}
    if found.flagged is not None:
        row |= {"false_alarms": float(found.flagged[y == 0].mean()), "caught": float(found.flagged[y == 1].mean())}
    return row | {"train_seconds": found.seconds}


def run_cells(root: Path) -> None:
    file = OUT / "results.csv"
    rows: list[Any] = pd.read_csv(file).to_dict("records") if file.exists() else []
    finished = {(row["data"], row["seed"]) for row in rows}
    cells = [(data, seed) for seed in SEEDS for data in DATA if (data, seed) not in finished]
    for data, seed in tqdm(cells, disable=None):
        folder = find_photos(root / data)
        done = [*ours(root / data, folder, seed), *(baselines(folder) if seed == SEEDS[0] else [])]
        for name, found in done:
            rows.append({"data": data, "detector": name, "seed": seed} | measure(folder.test, found, seed))
        write_text(file, pd.DataFrame(rows).to_csv(index=False, float_format="%.5f"))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    warnings.simplefilter("default")
    run_cells(Path(sys.argv[1]))
