"""Does imitating a rare defect pay? Fills reports/rare_defects/. Finished draws are kept.

A small network learns from 20 photos of defective parts and what is made of them, and is tested on photos of other
parts.

python -m experiments.rare_defects FOLDER                 FOLDER holds elpv_mono/ and kolektorsdd/; needs the models
                                                          that experiments.visual leaves in runs/visual; an hour
python -m experiments.rare_defects FOLDER --development   the same where settings were chosen

Photos of defects are parted once. Cells: by chance into halves. Commutators: cracks on surfaces of the items that
good photos were trained on teach, cracks on other items test. A draw is 20 photos of the teaching side; tested is on
all defects of the other side and on the good photos of test/good (development: on the rest of the teaching side and on
the good photos that the model was not trained on). What is made is half of what the network sees of defects, the 20
photos are the other half; flips, which both sets declare harmless, are drawn for all photos alike.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, shift
from sklearn.metrics import f1_score
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim.lr_scheduler import OneCycleLR
from tqdm import tqdm

from anogan.config.presets import PHOTOS
from anogan.config.synthesis import ImitationConfig
from anogan.detectors.calibration import hold_out
from anogan.evaluation.metrics import auroc
from anogan.files import write_text
from anogan.gan.augment import flip
from anogan.gan.sampling import draw
from anogan.gan.training import GANTraining, random_stream, train
from anogan.photos.faults import DEFECTS
from anogan.photos.imitation import imitate_defect
from anogan.photos.model import PhotoModel
from anogan.runs.bundle import Bundle
from experiments.visual import DATA, RUNS, photos

OUT = Path("reports/rare_defects")
SEEDS = (0, 1, 2)  # of the model; with the first, two draws are made of each
DRAWS = 2  # per seed
PHOTOS_OF_DEFECT, AUGMENTED = 20, 400
STEPS, BATCH = 200, 64
FINE_STEPS = 300  # of the generator that is trained on
SHIFT, TONE, NOISE = 0.04, 0.1, 0.02  # of jittered copies: of the side, of the contrast and of the range, of the range
OURS = "anogan simulate"  # as it was called when results.csv was filled
ALL = "all defects of the teaching side"
COLUMNS = ["case", "seed", "draw", "learned from", "auroc", "macro_f1"]
# What was compared where settings were chosen: how far a defect moves, how strong it is.
DEVELOPMENT = {
    OURS: ImitationConfig(),
    "defects stay in their place": ImitationConfig(max_shift=0.0),
    "defects move by up to 30 %": ImitationConfig(max_shift=0.3),
    "defects as strong as recorded": ImitationConfig(severities=(1.0, 1.0)),
    "smaller masks": ImitationConfig(pixel_share=1e-3),
}
Photos = NDArray[np.float32]  # (n, 1, height, width)
TrainingPhotos = tuple[Photos, Photos]  # good, defective
Augmentation = Callable[[Photos, np.random.Generator], TrainingPhotos]


@dataclass(frozen=True)
class Case:
    """A model, good photos that it was trained on, defects to draw from, and photos to test on with labels, 1 =
    defective; in development what was not drawn is tested on besides."""

    model: PhotoModel
    good: Photos
    defects: Photos
    x_test: Photos
    y_test: NDArray[np.int64]
    rest_too: bool


def sides(folder: Path) -> tuple[list[Path], list[Path]]:
    """Photos of defects to teach and to test."""
    (kind,) = (path for path in (folder / "test").iterdir() if path.name != "good")
    paths = sorted(kind.glob("*.png"))
    manifest = pd.read_csv(folder / "manifest.csv").set_index("file")
    if "item_in_train" in manifest:
        first = [bool(manifest.loc[f"test/{kind.name}/{path.name}", "item_in_train"]) for path in paths]
    else:
        first = list(np.isin(np.arange(len(paths)), np.random.default_rng(7).permutation(len(paths))[::2]))
    return tuple([path for path, f in zip(paths, first, strict=True) if f == side] for side in (True, False))  # type: ignore[return-value]


def case(folder: Path, seed: int, development: bool) -> Case:
    good = sorted((folder / "train" / "good").glob("*.png"))
    training, held_out = ([good[i] for i in rows] for rows in hold_out(len(good), PHOTOS.holdout, seed))
    teach, test = sides(folder)
    tested_good = held_out if development else sorted((folder / "test" / "good").glob("*.png"))
    tested = [] if development else test
    model = PhotoModel.load(Bundle.open(RUNS / f"{folder.name}-{seed}"), device="cpu")
    x_test = photos([*tested_good, *tested])[:, None]
    y_test = np.repeat([0, 1], [len(tested_good), len(tested)])
    return Case(model, photos(training)[:, None], photos(teach)[:, None], x_test, y_test, development)


# Ways to make more of the 20 photos, and good photos to learn from beside them.


def with_recorded(x: Photos, augmented: Photos, good: Photos) -> TrainingPhotos:
    """Half of the defective photos are augmented, half are recorded."""
    return good, np.concatenate([augmented, x[np.arange(len(augmented)) % len(x)]])


def jittered(x: Photos, rng: np.random.Generator, *, n: int) -> Photos:
    """Moved, with other brightness and contrast, and noise."""
    side, found = x.shape[-1], []
    for photo in x[rng.integers(0, len(x), n)]:
        away = rng.integers(-round(SHIFT * side), round(SHIFT * side) + 1, 2)
        changed, mean = shift(photo, (0, *away), order=0, mode="nearest"), photo.mean()
        changed = mean + (changed - mean) * rng.uniform(1 - TONE, 1 + TONE) + rng.uniform(-TONE, TONE)
        found.append(changed + NOISE * rng.standard_normal(photo.shape))
    return np.clip(np.stack(found), -1, 1).astype(np.float32)


def transferred(x: Photos, rng: np.random.Generator, *, good: Photos, n: int) -> Photos:
    """As ours with the nearest good photo in the reconstruction's place: no GAN, no detector."""
    flat, config = good.reshape(len(good), -1), DEVELOPMENT[OURS]
    nearest = good[[int(np.square(flat - photo.reshape(-1)).sum(1).argmin()) for photo in x]]
    smooth = gaussian_filter(np.abs(x - nearest), (0, 0, 2, 2))
    place = smooth >= config.core * smooth.max((1, 2, 3), keepdims=True)
    soft = config.edge * x.shape[-1]
    effect = gaussian_filter(place.astype(np.float32), (0, 0, soft, soft)) * (x - nearest)
    low, high = np.log(config.severities)
    opacity = np.exp(rng.uniform(low, high, (n, 1, 1, 1)))
    return np.clip(good[rng.integers(0, len(good), n)] + opacity * effect[rng.integers(0, len(x), n)], -1, 1).astype(
        np.float32
    )


def parametric(rng: np.random.Generator, *, good: Photos, n: int) -> Photos:
    """Defects of anogan.photos.faults, which know nothing of the recorded ones."""
    kinds = list(DEFECTS.values())
    return np.stack(
        [
            kinds[rng.integers(len(kinds))](good[rng.integers(len(good))], float(rng.uniform(0.3, 1)), rng)[0]
            for _ in range(n)
        ]
    )


def fine_tuned(x: Photos, rng: np.random.Generator, *, model: PhotoModel, n: int) -> Photos:
    """Drawn by the model's own GAN after FINE_STEPS further steps on the recorded defects, flipped at random."""
    gan, seed = model.detector.gan_, int(rng.integers(2**31))
    training = GANTraining(gan.shape, replace(gan.config, steps=FINE_STEPS), seed)
    networks = (training.gan.generator, gan.generator), (training.gan.discriminator, gan.discriminator)
    for network, trained in (*networks, *([(training.average, gan.generator)] if training.average else [])):
        network.load_state_dict(trained.state_dict())
    rows = np.arange(max(len(x), 2 * gan.config.batch_size)) % len(x)
    return draw(train(torch.from_numpy(x[rows]), training, augment=("flip",)), n, seed).numpy()


def imitated(x: Photos, rng: np.random.Generator, *, case: Case, n: int, config: ImitationConfig) -> Photos:
    return imitate_defect(case.model, x, case.good, n, int(rng.integers(2**31)), config).x


def augmentations(case: Case, development: bool) -> dict[str, Augmentation]:
    """Ways to make more photos of a defect, by name."""

    def beside(make: Callable[..., Photos], **settings: object) -> Augmentation:
        return lambda x, rng: with_recorded(x, make(x, rng, n=AUGMENTED // 2, **settings), case.good)

    found: dict[str, Augmentation] = {
        "the 20 photos": lambda x, rng: (case.good, x),
        "jittered copies": lambda x, rng: (jittered(case.good, rng, n=AUGMENTED), jittered(x, rng, n=AUGMENTED)),
        "put onto good photos, no GAN": beside(transferred, good=case.good),
    }
    if development:
        return found | {name: beside(imitated, case=case, config=config) for name, config in DEVELOPMENT.items()}
    return found | {
        "anogan.photos.faults, not one photo seen": lambda x, rng: (
            case.good,
            parametric(rng, good=case.good, n=AUGMENTED),
        ),
        "fine-tuned generator": beside(fine_tuned, model=case.model),
        OURS: beside(imitated, case=case, config=DEVELOPMENT[OURS]),
    }


# What learns.


class Classifier(nn.Module):
    """x (n, 1, height, width) -> logit (n,), from the highest and the mean activation of each of 64 features."""

    def __init__(self) -> None:
        super().__init__()
        widths = (1, 8, 16, 32, 64)
        blocks = [(nn.Conv2d(i, o, 3, 2, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU()) for i, o in pairwise(widths)]
        self.features = nn.Sequential(*(layer for block in blocks for layer in block))
        self.logit = nn.Linear(2 * widths[-1], 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.features(x)
        logit: torch.Tensor = self.logit(torch.cat([found.amax((2, 3)), found.mean((2, 3))], 1))
        return logit[:, 0]


def learn(good: Photos, defective: Photos, seed: int) -> Classifier:
    """Batches are half good, half defective."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Classifier().train()
    stream = random_stream(seed, "classifier", 0)
    adam = torch.optim.Adam(network.parameters(), weight_decay=1e-4)
    rate = OneCycleLR(adam, 2e-3, STEPS)
    sides = torch.from_numpy(good), torch.from_numpy(defective)
    y = torch.arange(2).repeat_interleave(BATCH // 2).float()
    for _ in range(STEPS):
        x = torch.cat([side[torch.randint(len(side), (BATCH // 2,), generator=stream)] for side in sides])
        loss = binary_cross_entropy_with_logits(network(flip(x, stream)), y)
        adam.zero_grad()
        loss.backward()
        adam.step()
        rate.step()
    return network.eval()


def judge(network: Classifier, x: Photos, y: NDArray[np.int64]) -> dict[str, float]:
    with torch.no_grad():
        logit = torch.cat([network(part) for part in torch.from_numpy(x).split(BATCH)]).double().numpy()
    return figures(y, logit, 0.0)


def figures(y: NDArray[np.int64], score: NDArray[np.float64], threshold: float) -> dict[str, float]:
    f1 = float(f1_score(y, score > threshold, average="macro"))
    return {"auroc": round(auroc(y, score), 6), "macro_f1": round(f1, 6)}


def measure(case: Case, seed: int, number: int, development: bool) -> Iterator[tuple[str, dict[str, float]]]:
    """AUROC and macro-F1 by what the network has learned from."""
    rng = np.random.default_rng([seed, number])
    order = rng.permutation(len(case.defects))
    drawn, rest = case.defects[order[:PHOTOS_OF_DEFECT]], case.defects[order[PHOTOS_OF_DEFECT:]]
    x, y = case.x_test, case.y_test
    if case.rest_too:
        x, y = np.concatenate([x, rest]), np.append(y, np.ones(len(rest), dtype=np.int64))
    detector = case.model.detector
    yield "no defect: the detector", figures(y, detector.anomaly_score(x), detector.threshold_)
    for name, augment in augmentations(case, development).items():
        training = augment(drawn, np.random.default_rng([seed, number, 1]))
        yield name, judge(learn(*training, seed), x, y)
    if not development:
        yield ALL, judge(learn(case.good, case.defects, seed), x, y)


def main(folder: Path, development: bool) -> None:
    torch.set_num_threads(1)
    file = OUT / ("development.csv" if development else "results.csv")
    done = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=COLUMNS)
    for seed in SEEDS[:1] if development else SEEDS:
        for name in DATA:
            have = set(done[(done["case"] == name) & (done["seed"] == seed)]["draw"])
            left = [number for number in range(DRAWS) if number not in have]
            if not left:
                continue
            built = case(folder / name, seed, development)
            for number in tqdm(left, desc=f"{name}, seed {seed}"):
                rows = [
                    {"case": name, "seed": seed, "draw": number, "learned from": how} | found
                    for how, found in measure(built, seed, number, development)
                ]
                done = pd.concat([done, pd.DataFrame(rows)], ignore_index=True)
                write_text(file, done.to_csv(index=False))


if __name__ == "__main__":
    main(Path(sys.argv[1]), "--development" in sys.argv[2:])
