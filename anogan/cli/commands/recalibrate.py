"""`anogan recalibrate`."""

from __future__ import annotations

import sys

from anogan.budgets import in_words
from anogan.cli.options.scoring import Recalibrate
from anogan.runs import bundle
from anogan.runs.bundle import Bundle
from anogan.sensors.model import SensorModel, about_sensors
from anogan.sensors.training import recalibrate


def run(options: Recalibrate) -> int:
    """Set new thresholds from another healthy recording. Returns the exit status."""
    opened = Bundle.open(options.run)
    models = {}
    for i, name in enumerate(opened.detectors):
        model = SensorModel.load(opened, name, options.device)
        recording = model.read(options.recording)
        for note in () if i else recording.notes:
            print(f"anogan: {options.recording}: {note}", file=sys.stderr)
        models[name] = recalibrate(model, recording, options.budget)
        old, new = model.rule, models[name].rule
        print(
            f"{name}: alarm above {new.threshold:.4g} (before: {old.threshold:.4g}), {new.promise}, "
            f"from {len(new.peaks)} blocks of {in_words(new.block * new.step)}"
        )
    detectors = {name: model.detector for name, model in models.items()}
    about = opened.about | {"sensors": about_sensors(models), "recalibrated": str(options.recording)}
    bundle.save(bundle.home(options.run), next(iter(detectors.values())).gan_, detectors, "sensors", about)
    return 0
