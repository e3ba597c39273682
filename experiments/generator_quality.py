"""How good the default generator is, for every normal class: reports/benchmark/generator_quality.csv.

python -m experiments.generator_quality [DATA_ROOT]     a minute per class where the benchmark's networks are kept
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from anogan.benchmark.run import Job, Networks
from anogan.config.presets import DEFAULT
from anogan.detectors.calibration import hold_out
from anogan.digits.datasets import load_dataset
from anogan.digits.splits import ImageSet, one_vs_rest
from anogan.evaluation.realism import precision_recall
from anogan.files import write_text
from anogan.gan.training import latents, random_stream
from anogan.pictures.files import to_unit_range
from experiments.benchmark import OUT
from experiments.generator_metrics import (
    Classifier,
    features,
    frechet_distance,
    kernel_distance,
    nearest_distances,
    train_classifier,
)

FILE = OUT / "generator_quality.csv"
SEEDS = (0, 1, 2)


def measure(data: str, images: ImageSet, classifier: Classifier, label: str, seed: int) -> dict[str, Any]:
    """Generated images against held-out normal ones; the floor is as many training images in their place."""
    split = one_vs_rest(images, label)
    training, held_out = hold_out(len(split.x_train), DEFAULT.holdout, seed)
    x, real = torch.from_numpy(split.x_train[training]), torch.from_numpy(split.x_train[held_out])
    gan, _ = Networks(Job(data, "one_vs_rest", label, seed, ()), x, OUT.resolve() / "networks").get(DEFAULT.gan, {})
    z = latents(len(real), gan.config.latent_dim, random_stream(seed, "quality", 0))
    generated = torch.cat([gan.generator(part) for part in z.split(500)])
    floor = x[torch.randperm(len(x), generator=random_stream(seed, "quality", 1))[: len(real)]]
    seen, row = features(classifier, real), {"data": data, "class": label, "seed": seed, "n": len(real)}
    for suffix, sample in (("", generated), ("_floor", floor)):
        found = features(classifier, sample)
        precision, recall = precision_recall(seen, found)
        row |= {f"kid{suffix}": kernel_distance(seen, found), f"fid{suffix}": frechet_distance(seen, found)}
        row |= {f"precision{suffix}": precision, f"recall{suffix}": recall}
    nearest = {"generated": nearest_distances(generated, x), "held_out": nearest_distances(real, x)}
    return row | {f"nearest_{name}": float(np.median(distances)) for name, distances in nearest.items()}


def right(classifier: Classifier, images: ImageSet) -> float:
    """Share of the training images whose class it knows."""
    parts = np.array_split(images.x_train, 100)
    guess = np.concatenate([classifier(torch.from_numpy(to_unit_range(part))).argmax(1).numpy() for part in parts])
    return float((guess == images.label_train).mean())


def main(data_root: str | None) -> None:
    torch.set_num_threads(1)
    rows: list[Any] = pd.read_csv(FILE, dtype={"class": str}).to_dict("records") if FILE.exists() else []
    finished = {(row["data"], row["class"], row["seed"]) for row in rows}
    for data in ("mnist", "fashion-mnist"):
        images = load_dataset(data, data_root)
        cells = [(c, seed) for seed in SEEDS for c in images.classes if (data, c, seed) not in finished]
        if not cells:
            continue
        # Trained on the test images: no other image here is one of them, and nothing is chosen by it.
        x, label = torch.from_numpy(to_unit_range(images.x_test)), torch.from_numpy(images.label_test).long()
        classifier = train_classifier(x, label, seed=0, epochs=10)
        accuracy = right(classifier, images)
        for c, seed in tqdm(cells, desc=data, disable=None):
            rows.append(measure(data, images, classifier, c, seed) | {"classifier_accuracy": accuracy})
            table = pd.DataFrame(rows).sort_values(["data", "class", "seed"])
            write_text(FILE, table.to_csv(index=False, float_format="%.5g"))


if __name__ == "__main__":
    main(next(iter(sys.argv[1:]), None))
