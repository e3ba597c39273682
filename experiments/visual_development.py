"""What the parts of LocatorGAN add, on good photos with injected defects: reports/development/photos.csv.

python -m experiments.visual_development FOLDER     FOLDER holds elpv_mono/ and kolektorsdd/; an hour and a half on one
                                                    thread
python -m experiments.visual_development --steady   how far training by other seeds and arithmetic ends elsewhere, on
                                                    small stripes: reports/development/steady.csv; run it once per mode,
                                                    a mode being what MODES says, set before it starts
python -m experiments.visual_development --steady FOLDER    the same with the full recipe on the photos of FOLDER:
                                                    reports/development/steady_photos.csv; ten minutes per training

No test photo is opened here: training photos of both sets, and rendered boards in grey, are split into photos to train
on, to measure by, and to evaluate on, each of the last as it is and with each of the eight defects of
`anogan.photos.faults`, none of which the locator was trained on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from anogan.config.detectors import PlacesConfig
from anogan.config.gan import GANConfig, LocatorConfig
from anogan.config.presets import PHOTOS
from anogan.detectors import LocatorGAN
from anogan.evaluation.metrics import auroc, pixel_auroc
from anogan.files import write_text
from anogan.gan.locator import LocatorTraining
from anogan.gan.networks import GAN
from anogan.gan.training import GANTraining, train
from anogan.photos.faults import DEFECTS, apply
from anogan.photos.folders import find_photos
from anogan.simulators.boards import render
from experiments.development import REPORTS
from experiments.visual import DATA, HARMLESS, SIDE, components, photos

FILE = REPORTS / "photos.csv"
SEEDS = (0,)
BOARDS = 400
SHARES = (0.7, 0.85)  # to train on, then to measure by, then to evaluate on
SEVERITY = (0.2, 0.9)
VARIANTS = {
    "locatorgan": PHOTOS.places,
    "without the components": PlacesConfig(linear_weight=0.0),
    "without the locator": PlacesConfig(linear_weight=1e6),
}
Photos = NDArray[np.float32]  # (n, 1, height, width)

STEADY, STEADY_PHOTOS = REPORTS / "steady.csv", REPORTS / "steady_photos.csv"
SMALL = GANConfig(latent_dim=8, width=4, steps=40, batch_size=16)
STEADY_SEEDS = range(5)
STEPS = (250, 500, 1000, 1500, 3000)
MODES = {
    "compatible": {"MKL_CBWR": "COMPATIBLE", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "default": {"ATEN_CPU_CAPABILITY": "default"},
}


def boards() -> Photos:
    grey = [render(seed, SIDE)[0].astype(np.float32).mean(2) / 127.5 - 1 for seed in range(BOARDS)]
    return np.stack(grey)[:, None]


def split(x: Photos) -> list[Photos]:
    order = np.random.default_rng(0).permutation(len(x))
    return [x[rows] for rows in np.split(order, [round(share * len(x)) for share in SHARES])]


def injected(x: Photos) -> tuple[Photos, list[NDArray[np.bool_]], NDArray[np.str_]]:
    """Each photo with each defect, the masks of what changed visibly, and the kinds."""
    rng = np.random.default_rng(1)
    changed, masks, kinds = [], [], []
    for photo in x:
        for kind, defect in DEFECTS.items():
            spoiled, _ = defect(photo, float(rng.uniform(*SEVERITY)), rng)
            changed.append(spoiled)
            masks.append((np.abs(spoiled - photo) > 0.04).any(0))
            kinds.append(kind)
    return np.stack(changed), masks, np.array(kinds)


def networks(x: Photos, seed: int, *, trained: bool, shape: tuple[int, ...]) -> GAN:
    """GAN and locator; without training, the GAN stays as it was drawn."""
    x_train = torch.from_numpy(x)
    config: GANConfig = PHOTOS.gan
    training = GANTraining(shape, config, seed)
    gan = train(x_train, training, augment=HARMLESS) if trained else training.result()
    return train(x_train, LocatorTraining(gan, PHOTOS.locator, seed), augment=HARMLESS)


def figures_of(
    score: NDArray[Any], maps: Photos, good: int, masks: list[Any], kinds: NDArray[Any]
) -> Iterator[dict[str, Any]]:
    """AUROC of each kind of defect against the first `good` photos, and of pixels."""
    for kind in DEFECTS:
        rows = np.flatnonzero(kinds == kind)
        y = np.r_[np.zeros(good, dtype=np.int64), np.ones(len(rows), dtype=np.int64)]
        yield {
            "kind": kind,
            "auroc": auroc(y, np.r_[score[:good], score[good + rows]]),
            "pixel_auroc": pixel_auroc([masks[i] for i in rows], list(maps[good + rows])),
        }


def cell(x: Photos, seed: int) -> Iterator[dict[str, Any]]:
    x_train, x_measure, x_good = split(x)
    changed, masks, kinds = injected(x_good)
    x_test, shape = np.concatenate([x_good, changed]), x.shape[1:]
    for trained in (True, False):
        gan = networks(x_train, seed, trained=trained, shape=shape)
        for name, places in VARIANTS.items():
            if trained or name == "without the components":
                detector = LocatorGAN(PHOTOS.gan, PHOTOS.locator, places, HARMLESS, false_alarm_rate=0.1, device="cpu")
                found = detector.calibrate(gan, x_train, x_measure).explain(x_test)
                for row in figures_of(found.score, found.anomaly_map[:, 0], len(x_good), masks, kinds):
                    yield {"detector": name if trained else f"{name}, the GAN untrained"} | row
    maps = components(x_train[:, 0], x_test[:, 0], 50)
    for row in figures_of(maps.reshape(len(maps), -1).max(1), maps, len(x_good), masks, kinds):
        yield {"detector": "50 principal components, maximum"} | row


# How steady training is.


def mode() -> str:
    """Of the arithmetic, by the variables that were set before torch was imported."""
    return next((name for name, set_ in MODES.items() if set_.items() <= os.environ.items()), "native")


def stripes(n: int, seed: int) -> Photos:
    """Waves of random phase and a little noise, 32 pixels."""
    rng = np.random.default_rng(seed)
    axis, phase = np.arange(32) / 32 * 4 * np.pi, rng.uniform(0, 2 * np.pi, (n, 1, 1, 1))
    return np.clip(0.8 * np.sin(axis + phase) + 0.05 * rng.standard_normal((n, 1, 32, 32)), -1, 1).astype(np.float32)


@torch.no_grad()
def steadiness(x: Tensor, good: Photos, seed: int, steps: int) -> dict[str, Any]:
    """Pixel AUROC of 24 blobs and mean of that of all kinds, and the squared error of the repaired blobs."""
    config = LocatorConfig(steps=steps, batch_size=16)
    with torch.enable_grad():
        gan = train(x, GANTraining(tuple(x.shape[1:]), SMALL, seed))
        locator = train(x, LocatorTraining(gan, config, seed)).locator
    assert locator is not None
    row: dict[str, Any] = {}
    for kind in DEFECTS:
        rng = np.random.default_rng(0)
        changed = np.stack([apply(kind, photo, 0.8, rng)[0] for photo in good])
        repaired = locator.generator(locator.encoder(torch.from_numpy(changed)))
        maps = locator.places(torch.from_numpy(changed), repaired).numpy()
        row[kind] = pixel_auroc([(a != b).any(0) for a, b in zip(changed, good, strict=True)], list(maps))
        if kind == "blob":
            row["error"] = float((repaired - torch.from_numpy(good)).square().mean())
    return row | {"mean": float(np.mean([row[kind] for kind in DEFECTS]))}


def steady() -> None:
    torch.set_num_threads(1)
    rows: list[Any] = pd.read_csv(STEADY).to_dict("records") if STEADY.exists() else []
    finished = {(row["mode"], row["steps"], row["seed"]) for row in rows}
    x, good = torch.from_numpy(stripes(48, 0)), stripes(24, 9)
    cells = [(steps, seed) for steps in STEPS for seed in STEADY_SEEDS if (mode(), steps, seed) not in finished]
    for steps, seed in tqdm(cells, disable=None):
        rows.append({"mode": mode(), "steps": steps, "seed": seed} | steadiness(x, good, seed, steps))
        write_text(STEADY, pd.DataFrame(rows).to_csv(index=False, float_format="%.5f"))
    table = pd.DataFrame(rows).groupby(["steps", "mode"])[["blob", "mean", "error"]].agg(["mean", "min", "max"])
    print(table.round(4).to_string())


def steady_photos(root: Path) -> None:
    torch.set_num_threads(1)
    rows: list[Any] = pd.read_csv(STEADY_PHOTOS).to_dict("records") if STEADY_PHOTOS.exists() else []
    finished = {(row["mode"], row["data"], row["seed"]) for row in rows}
    seeds = STEADY_SEEDS if mode() == "native" else STEADY_SEEDS[:1]
    cells = [(data, seed) for data in DATA for seed in seeds if (mode(), data, seed) not in finished]
    for data, seed in tqdm(cells, disable=None):
        x_train, x_measure, x_good = split(photos(find_photos(root / data).good)[:, None])
        changed, masks, kinds = injected(x_good)
        x_test = np.concatenate([x_good, changed])
        gan = networks(x_train, seed, trained=True, shape=x_train.shape[1:])
        for name in ("locatorgan", "without the components"):
            detector = LocatorGAN(
                PHOTOS.gan, PHOTOS.locator, VARIANTS[name], HARMLESS, false_alarm_rate=0.1, device="cpu"
            )
            found = detector.calibrate(gan, x_train, x_measure).explain(x_test)
            figures = pd.DataFrame(figures_of(found.score, found.anomaly_map[:, 0], len(x_good), masks, kinds))
            means = figures[["auroc", "pixel_auroc"]].mean().to_dict()
            rows.append({"mode": mode(), "data": data, "seed": seed, "detector": name} | means)
        write_text(STEADY_PHOTOS, pd.DataFrame(rows).to_csv(index=False, float_format="%.5f"))
    table = pd.DataFrame(rows).groupby(["data", "detector"])[["auroc", "pixel_auroc"]].agg(["mean", "min", "max"])
    print(table.round(4).to_string())


def main(root: Path) -> None:
    torch.set_num_threads(1)
    rows: list[Any] = pd.read_csv(FILE).to_dict("records") if FILE.exists() else []
    finished = {(row["data"], row["seed"]) for row in rows}
    cells = [(data, seed) for seed in SEEDS for data in ("boards", *DATA)]
    for data, seed in tqdm([c for c in cells if c not in finished], disable=None):
        x = boards() if data == "boards" else photos(find_photos(root / data).good)[:, None]
        rows += [{"data": data, "seed": seed} | row for row in cell(x, seed)]
        write_text(FILE, pd.DataFrame(rows).to_csv(index=False, float_format="%.5f"))
    table = pd.DataFrame(rows).pivot_table(index="detector", columns="data", values=["auroc", "pixel_auroc"])
    print(table.round(4).to_string())


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--steady"]:
            steady()
        case ["--steady", folder]:
            steady_photos(Path(folder))
        case [folder]:
            main(Path(folder))
        case _:
            sys.exit(__doc__)
