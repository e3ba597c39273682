"""The picture of the README: digits, sensors and photos, from the runs of the three demos.

anogan demo && anogan demo sensors && anogan demo photos && python -m experiments.readme_picture
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

from anogan.digits.datasets import load_dataset
from anogan.digits.splits import one_vs_rest
from anogan.files import replacing
from anogan.photos.folders import GOOD, find_photos
from anogan.photos.model import PhotoModel
from anogan.pictures.drawing import heatmap, overlay, picture
from anogan.pictures.files import read_photo
from anogan.pictures.verdicts import Inspection
from anogan.report import figures
from anogan.runs.bundle import Bundle
from anogan.runs.directory import Run
from anogan.sensors.model import SensorModel
from anogan.simulators.pump import DAY, DEMO_FAULTS

FILE = Path("reports/readme/three_uses.png")
DIGITS, SENSORS, PHOTOS = (Path("runs") / name for name in ("demo", "demo-sensors", "demo-photos"))
ACROSS = 5  # normal digits, and as many others
KINDS = 3  # of defects, of which the first photo is shown


def digits(part: SubFigure) -> None:
    """The first normal digits of the test split and the first others, and where they are odd."""
    config = Run(DIGITS).config
    split = one_vs_rest(load_dataset(config.data), config.normal)
    normal, other = (np.flatnonzero(split.y_test == y) for y in (0, 1))
    detector = Bundle.open(DIGITS).detector()
    axes = part.subplots(4, ACROSS)
    for rows, pair in ((normal[:ACROSS], axes[:2]), (other[:ACROSS], axes[2:])):
        x = split.x_test[rows]
        found, p, flagged = detector.explain(x), detector.p_value(x), detector.predict(x) < 0
        for i, (above, below) in enumerate(pair.T):
            _image(above, picture(x[i]), _verdict(p[i], flagged[i]), flagged[i])
            _image(below, heatmap(found.anomaly_map[i]), "", False)
    part.suptitle(f"Digits: trained on the {config.normal} alone", fontsize=11)


def sensors(part: SubFigure) -> None:
    """The score of the watched days, the threshold, alarms and true faults."""
    model = SensorModel.load(Bundle.open(SENSORS / "run"))
    watched = model.score(model.read(SENSORS / "watched.csv"))
    days = np.arange(len(watched.table)) * model.step / DAY
    axes = part.subplots()
    axes.plot(days, watched.table["score"], color=figures.NORMAL, linewidth=0.7)
    axes.axhline(model.rule.threshold, color=figures.QUIET, linestyle="--", linewidth=1, label="threshold")
    top = float(np.nanmax(watched.table["score"])) * 1.15
    for fault in DEMO_FAULTS:
        axes.plot([fault.start / DAY, fault.end / DAY], [top, top], color=figures.TEXT, linewidth=3)
        axes.text(fault.start / DAY, top * 1.02, fault.name, fontsize=8, va="bottom")
    active = watched.table["alarm"].to_numpy() > 0
    axes.fill_between(days, -top, top, where=active, color=figures.ANOMALOUS, alpha=0.3, linewidth=0, label="alarm")
    axes.set(xlim=(0, days[-1]), ylim=(-0.15 * top, top * 1.15), xlabel="days", ylabel="anomaly score")
    axes.legend(loc="center right", fontsize=8)
    part.suptitle("Sensors: trained on healthy weeks of a pump", fontsize=11)


def photos(part: SubFigure) -> None:
    """A good board and the first of some kinds of defects, as `anogan score --maps` draws them."""
    model = PhotoModel.load(Bundle.open(PHOTOS / "run"))
    test = find_photos(Path(Run(PHOTOS / "run").config.data)).test
    kinds = [GOOD, *sorted({photo.kind for photo in test} - {GOOD})[:KINDS]]
    first = [next(photo.path for photo in test if photo.kind == kind) for kind in kinds]
    read = [read_photo(path, model.framing.shape[0]) for path in first]
    for axes, kind, photo, said in zip(part.subplots(2, 2).flat, kinds, read, model.inspect(read), strict=True):
        assert isinstance(said, Inspection)
        boxes = [(r.left, r.top, r.width, r.height) for r in said.regions]
        _image(axes, overlay(photo, said.map, boxes), f"{kind}: {_verdict(said.p_value, said.anomaly)}", said.anomaly)
    part.suptitle("Photos: trained on good boards", fontsize=11)


def _verdict(p: float, flagged: bool) -> str:
    return f"{'anomaly' if flagged else 'normal'}, p = {p:.2g}"


def _image(axes: Axes, image: NDArray[np.uint8], title: str, flagged: bool) -> None:
    axes.imshow(image, interpolation="nearest")
    axes.set_axis_off()
    colour = figures.ANOMALOUS if flagged else figures.TEXT
    axes.set_title(title.replace(", ", "\n"), fontsize=7, color=colour)


def main() -> None:
    with rc_context(figures.STYLE):
        figure = Figure(figsize=(12, 4))
        parts = figure.subfigures(1, 3, width_ratios=(3.6, 4.4, 3.6), wspace=0.03)
        for part, draw in zip(parts, (digits, sensors, photos), strict=True):
            draw(part)
        with replacing(FILE) as stream:
            figure.savefig(stream, format="png", dpi=130, transparent=False, metadata={"Software": None})
    print(FILE)


if __name__ == "__main__":
    main()
