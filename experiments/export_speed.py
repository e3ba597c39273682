"""Exported models beside Python, for each kind of model: reports/export/.

python -m experiments.export_speed [--threads N]     trains small models first; about four minutes

How long a network was trained changes neither how fast it is nor how both paths round.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import onnxruntime
import pandas as pd
import torch

from anogan.config.presets import PHOTOS, PRESETS, SENSORS
from anogan.config.runs import RunConfig
from anogan.export.export import export, graph_of
from anogan.files import write_json, write_text
from anogan.kinds import KINDS
from anogan.report.page import Section, write_tables
from anogan.runs.bundle import Bundle
from anogan.runs.directory import C, Run
from anogan.simulators.boards import write_folder
from anogan.simulators.pump import CHANNELS, simulate
from experiments.visual import refuse

OUT = Path("reports/export")
STEPS = 300
DAYS = 2 * 86_400
PHOTO = 256  # pixels


def short(config: C) -> C:
    return replace(config, gan=replace(config.gan, steps=STEPS), encoder=replace(config.encoder, steps=STEPS))


def train(config: RunConfig, path: Path) -> None:
    kind = KINDS[config.kind]
    kind.train(Run.create(path, config), kind.prepare(config, refuse), device="cpu")


def trained(folder: Path) -> Iterator[tuple[str, Path, str]]:
    """What it is, its run and its detector."""
    digits = replace(short(PRESETS["digits"]), detectors=("neighbourgan", "fanogan"))
    train(digits, folder / "digits")
    for detector in digits.detectors:
        yield "digits, 28x28", folder / "digits", detector
    photos = short(replace(PHOTOS, photos=replace(PHOTOS.photos, size=64)))
    write_folder(folder / "boards", 120, 0, 0, PHOTO, 0)
    for name in ("whole", "tiles"):
        framing, locator = replace(photos.photos, tiles=name == "tiles"), replace(photos.locator, steps=STEPS)
        train(replace(photos, data=str(folder / "boards"), photos=framing, locator=locator), folder / name)
        kind = "as 25 tiles of 64x64" if name == "tiles" else "shrunk to 64x64"
        yield f"photos, {PHOTO}x{PHOTO} in colour, {kind}", folder / name, "locatorgan"
    simulate(DAYS, 0, (), 10).to_csv(folder / "pump.csv", index=False)
    rows = replace(SENSORS.sensors, time_column="time", channels=tuple(CHANNELS))
    train(replace(short(SENSORS), data=str(folder / "pump.csv"), sensors=rows), folder / "pump")
    yield f"sensors, {len(CHANNELS)} channels", folder / "pump", "subspacegan"


def measured(folder: Path) -> Iterator[dict[str, object]]:
    for model, run, detector in trained(folder):
        file = folder / "model.onnx"
        parity, speeds = export(Bundle.open(run), graph_of(Bundle.open(run), detector), file)
        for speed in speeds:
            size = {"megabytes": file.stat().st_size / 1e6}
            yield {"model": model, "detector": detector} | size | parity._asdict() | speed._asdict()


def write_export_page(out: Path) -> Path:
    """Write index.html and tables from results.csv and machine.json; returns the page."""
    results = pd.read_csv(out / "results.csv")
    machine = json.loads((out / "machine.json").read_text())
    once = results.drop_duplicates(["model", "detector"])
    figures = ["score", "tolerance", "p_value", "anomaly_map", "reconstruction"]
    agreement = once[["model", "detector", "samples"]].assign(
        **{name.replace("_", " "): once[name].map("{:.2g}".format) for name in figures},
        **{"verdicts that differ": once["verdicts"], "MB": once["megabytes"].map("{:.1f}".format)},
    )
    speed = results[["model", "detector", "batch"]].assign(
        **{
            "Python, ms each": results["python"].map("{:.3g}".format),
            "onnxruntime, ms each": results["onnxruntime"].map("{:.3g}".format),
            "times as fast": results["ratio"].map("{:.2f}".format),
        }
    )
    sections = [
        Section("Agreement", ("Largest differences between both paths on generated samples.",), agreement),
        Section(
            "Speed",
            (
                "Both paths from pixels or rows to score, p-value, verdict, map and reconstruction, in turn; medians. "
                "Python computes chunks of one size, so that a score never depends on its batch: one sample costs it "
                "as much as a chunk. The second batch is such a chunk. Python also finds the regions of photos that "
                "are anomalies.",
            ),
            speed,
        ),
    ]
    about = ", ".join(f"{key}: {value}" for key, value in machine.items())
    intro = [f"anogan export on small models. {about}.", "Made by python -m experiments.export_speed."]
    return write_tables(out, "export", "Exported models beside Python", intro, sections)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    threads = parser.parse_args(arguments).threads
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as name:
        found = pd.DataFrame(measured(Path(name)))
    print(found.to_string(index=False, float_format="%.4g"))
    write_text(OUT / "results.csv", found.to_csv(index=False, float_format="%.5g"))
    machine = {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads of each path": threads,
        "processes running on average, others included": f"{os.getloadavg()[1]:.1f}",
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
    }
    write_json(OUT / "machine.json", machine)
    print(write_export_page(OUT))


if __name__ == "__main__":
    main()
