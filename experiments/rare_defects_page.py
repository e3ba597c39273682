"""The page of `experiments.rare_defects`: reports/rare_defects/index.html from its CSV files alone.

python -m experiments.rare_defects_page
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from anogan.report.page import Section, write_tables
from experiments.rare_defects import OUT
from experiments.rare_faults_page import COLUMN, dots, table

TEXTS = {
    "elpv_mono": (
        "Solar cells",
        "Electroluminescence images of monocrystalline cells: cracks, dead areas, interrupted fingers. Half of the "
        "defective cells teach, the other half tests.",
    ),
    "kolektorsdd": (
        "Commutators",
        "Fine cracks in plastic. Cracks on surfaces of the items whose good photos were trained on teach, cracks on "
        "other items test.",
    ),
}
INTRO = (
    "Of a defect there are 20 photos, without masks, and many of good parts. A small convolutional network learns from "
    "the good ones, from the 20, and from what each line below makes of the 20; it is tested on photos of other parts. "
    "AUROC and macro-F1: mean ± standard deviation over the seeds 0, 1 and 2 of the model, each the mean of two draws "
    "of 20. The column 'ours, difference' compares on the same draws, with a 95 % bootstrap interval over the draws: "
    "the test photos are the same in all of them, and the draws of one seed share its model, so that it is too narrow "
    "for another model or other test photos.",
    "Jittered copies are moved, brightened and made noisy like the good photos beside them, so that jitter itself "
    "betrays nothing. The fine-tuned generator is the model's own GAN, trained on from the 20. 'Put onto good photos, "
    "no GAN' is what the idea does with the nearest good photo in the reconstruction's place. 'The detector' is "
    "anogan's LocatorGAN, which has seen no defect at all: what a network learns from 20 photos is worth the trouble "
    "where it beats that line.",
)


def write(out: Path) -> Path:
    results, development = (pd.read_csv(out / f"{name}.csv") for name in ("results", "development"))
    sections = []
    for case, part in results.groupby("case", sort=False):
        title, text = TEXTS[case]
        f1 = table(part, "macro_f1").drop(columns=["draws", "ours, difference"])
        shown = table(part, "auroc").merge(f1, on=COLUMN)
        drawing = (case, "Every draw a dot, the mean a line.", dots(part, "AUROC on photos of other parts", "auroc"))
        sections.append(Section(title, (text,), shown, (drawing,)))
    means = development.pivot_table(index=COLUMN, columns="case", values="auroc").round(3)
    text = (
        "Where the settings were chosen: AUROC on the defects of the teaching side that were not drawn, and on good "
        "photos that the model was not trained on, seed 0. Differences between the settings are within what another "
        "draw changes, and the first ones were kept."
    )
    sections.append(Section("Development", (text,), means.reset_index()))
    return write_tables(out, "Experiment", "Imitating a defect of which 20 photos were taken", INTRO, sections)


if __name__ == "__main__":
    print(write(OUT))
