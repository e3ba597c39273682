"""Which width of its kernel, and which components, a one-class support-vector machine wants, on the development split.

python -m experiments.baseline_settings [DATA_ROOT]     some minutes on one thread

It takes three of the classes that NeighbourGAN's settings were chosen on: `experiments.neighbourgan_parts`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from sklearn.decomposition import PCA

from anogan.benchmark.baselines import SmallOneClassSVM, flat
from anogan.digits.splits import Split
from anogan.evaluation.metrics import auroc
from experiments.development import REPORTS, run_cells

FILE = REPORTS / "baselines.csv"
CLASSES = "823"
COMPONENTS = (20, 40, 80)
GAMMAS = ("scale", 0.005, 0.01, 0.02, 0.05, 0.1)


def measure(split: Split, seed: int) -> Iterator[dict[str, Any]]:
    x, x_test = flat(split.x_train), flat(split.x_test)
    pca = PCA(max(COMPONENTS), random_state=seed).fit(x)
    seen = {str(k): (pca.transform(x)[:, :k], pca.transform(x_test)[:, :k]) for k in COMPONENTS}
    for components, (train, test) in ({"all pixels": (x, x_test)} | seen).items():
        for gamma in ("scale",) if components == "all pixels" else GAMMAS:
            svm = SmallOneClassSVM(nu=0.1, gamma=gamma).fit(train)
            score = -svm.score_samples(test)
            yield {"components": components, "gamma": str(gamma), "auroc": auroc(split.y_test, score)}


if __name__ == "__main__":
    root = next(iter(sys.argv[1:]), None)
    table = run_cells(FILE, "mnist", [(label, 0) for label in CLASSES], measure, root)
    print(table.pivot_table(index=["components", "gamma"], columns="class", values="auroc", sort=False).to_string())
