"""How fast: every figure beside the loop a reader would write from a tutorial, A B A B in one run: reports/speed/.

python -m experiments.speed [PART ...]     all parts, or some of: training search scoring memory processes start
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from anogan import bundle
from anogan.config import DEFAULT, PRESETS, GANConfig
from anogan.detectors import AnoGAN, FAnoGAN
from anogan.files import write_json, write_text
from anogan.networks import GAN
from anogan.streaming import ArrayFile, ImageFiles, score_stream
from anogan.training import EncoderTraining, GANTraining, train_encoder, train_gan
from experiments.reference import ReferenceGAN, search_one

OUT = Path("reports/speed")
NOTEBOOK = replace(PRESETS["papers"].gan, width=128, batch_size=128)  # 256-128 channels
SHAPE = (1, 28, 28)
ROUNDS = 7

Variants = dict[str, Callable[[], float]]  # name -> one measurement, in the unit of its row


def alternate(variants: Variants, rounds: int = ROUNDS) -> dict[str, list[float]]:
    """A B A B: whatever else this machine does hits all of them alike. The first round warms up and is dropped."""
    found: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds + 1):
        for name, measure in variants.items():
            found[name].append(measure())
    return {name: values[1:] for name, values in found.items()}


def rows(part: str, unit: str, found: dict[str, list[float]]) -> Iterator[dict[str, Any]]:
    """Median, extremes and the median of the ratios to the first variant, round by round."""
    first = next(iter(found.values()))
    for name, values in found.items():
        ratio = statistics.median(value / base for value, base in zip(values, first, strict=True))
        yield {
            "part": part,
            "variant": name,
            "unit": unit,
            "median": statistics.median(values),
            "low": min(values),
            "high": max(values),
            "ratio": ratio,
        }


def timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def images(n: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """n random images (n, 1, 28, 28): speed does not depend on what they show."""
    return np.random.default_rng(0).integers(0, 256, (n, *SHAPE), np.uint8)


class OurTraining:
    """Our loop, a few steps at a time."""

    def __init__(self, pixels: np.ndarray[Any, np.dtype[np.uint8]], config: GANConfig) -> None:
        self.x = torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1)
        self.training = GANTraining(SHAPE, replace(config, steps=10**9), 0)

    def steps(self, count: int) -> None:
        self.training.config = replace(self.training.config, steps=self.training.step + count)
        train_gan(self.x, self.training)


def training(steps: int = 4) -> Iterator[dict[str, Any]]:
    """Images per second, and arithmetic as a share of what the machine's matrix product reaches."""
    pixels = images(2560)
    ours, reference = OurTraining(pixels, NOTEBOOK), ReferenceGAN(pixels, SHAPE, NOTEBOOK)
    batch, per_call = NOTEBOOK.batch_size, steps * NOTEBOOK.batch_size
    a, b = torch.randn(2, 2048, 2048)
    flops = {}
    for name, loop in (("reference", reference), ("ours", ours)):
        with FlopCounterMode(display=False) as counter:
            loop.steps(1)
        flops[name] = counter.get_total_flops()
    found = alternate(
        {
            "reference": lambda: per_call / timed(lambda: reference.steps(steps)),
            "ours": lambda: per_call / timed(lambda: ours.steps(steps)),
            "matrix product": lambda: 2 * 2048**3 / timed(lambda: a @ b),
        }
    )
    peak = found.pop("matrix product")
    yield from rows("training", "images/s", found)
    shares = {
        name: [speed / batch * flops[name] / top for speed, top in zip(found[name], peak, strict=True)]
        for name in found
    }
    yield from rows("training: arithmetic over matrix product", "share", shares)


def search(steps: int = 20, n: int = 64) -> Iterator[dict[str, Any]]:
    """Latent search per image and step."""
    gan = GAN(SHAPE, NOTEBOOK).frozen()
    x = torch.from_numpy(images(n).astype(np.float32) / 127.5 - 1)
    config = replace(PRESETS["papers"].search, steps=steps, patience=0)
    detector = AnoGAN(gan=NOTEBOOK, search=config, device="cpu")
    detector.gan_, detector.map_scale_ = gan, 1.0

    def one_by_one() -> float:
        few = x[:4]
        return 1000 * timed(lambda: [search_one(gan, each[None], steps, 0.02, 0.1) for each in few]) / len(few) / steps

    def ours() -> float:
        return 1000 * timed(lambda: detector.anomaly_score(x.numpy())) / n / steps

    yield from rows("latent search", "ms per image and step", alternate({"one by one": one_by_one, "ours": ours}, 5))


def fitted(folder: Path) -> FAnoGAN:
    """A detector with untrained networks, in a bundle: speed does not depend on the weights."""
    x = torch.from_numpy(images(600).astype(np.float32) / 127.5 - 1)
    gan = train_gan(x, GANTraining(SHAPE, replace(DEFAULT.gan, steps=1), 0))
    gan = train_encoder(x, EncoderTraining(gan, replace(DEFAULT.encoder, steps=1), 0))
    detector = FAnoGAN(gan=gan.config, encoder=DEFAULT.encoder, device="cpu").adopt(
        gan, x[:500].numpy(), x[500:].numpy()
    )
    bundle.save(folder, gan, {"fanogan": detector}, {"data": "random"})
    return detector


@torch.no_grad()
def raw_passes(detector: FAnoGAN, x: torch.Tensor) -> None:
    """The forward passes that scoring cannot do without."""
    gan = detector.gan_
    assert gan.encoder is not None
    for part in x.split(64):
        x_hat = gan.generator(gan.encoder(part))
        gan.discriminator.features(part)
        gan.discriminator.features(x_hat)


def scoring(n: int = 4096) -> Iterator[dict[str, Any]]:
    """Encoder scoring end to end from arrays and from PNG files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        detector, pixels = fitted(folder / "bundle"), images(n)
        x = torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1)
        files = [folder / f"{i:05d}.png" for i in range(n)]
        for file, image in zip(files, pixels, strict=True):
            Image.fromarray(image[0]).save(file)

        def from_files() -> None:
            source = ImageFiles(files, SHAPE, resize=False)
            score_stream(detector, source, folder / "s.csv", time.time(), lambda rows: None, lambda *error: None)

        variants: Variants = {
            "raw forward passes": lambda: n / timed(lambda: raw_passes(detector, x)),
            "arrays in memory": lambda: n / timed(lambda: detector.anomaly_score(x.numpy())),
            "PNG files to CSV": lambda: n / timed(from_files),
        }
        yield from rows("encoder scoring", "images/s", alternate(variants, 5))


def memory(n: int = 1_000_000) -> Iterator[dict[str, Any]]:
    """Peak memory of scoring a memory-mapped file, in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fitted(folder / "bundle")
        array = np.lib.format.open_memmap(folder / "x.npy", mode="w+", dtype=np.uint8, shape=(n, *SHAPE))
        some = images(10_000)
        for begin in range(0, n, len(some)):
            array[begin : begin + len(some)] = some[: n - begin]
        array.flush()
        code = f"from experiments.speed import score_file; score_file({str(folder)!r})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        told = json.loads(done.stdout.splitlines()[-1])
        yield from rows(f"scoring {n:,} images from a file", "MB above idle", {"peak": [told["peak"]]})
        yield from rows(f"scoring {n:,} images from a file", "images/s", {"ours": [n / told["seconds"]]})


def score_file(folder: str) -> None:
    """Score FOLDER/x.npy and print what it took."""
    detector = bundle.load(Path(folder) / "bundle", device="cpu")
    source = ArrayFile(Path(folder) / "x.npy", SHAPE)
    detector.anomaly_score(source.array[:64] / np.float32(127.5) - 1)
    idle = resident("VmRSS")
    seconds = timed(lambda: score_stream(detector, source, Path(folder) / "s.csv", 0, lambda r: None, lambda *e: None))
    print(json.dumps({"peak": resident("VmHWM") - idle, "seconds": seconds}))


def resident(what: str) -> float:
    """MB of memory of this process (Linux): VmRSS now, VmHWM at most so far."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what)]
    return int(line.split()[1]) / 1024


def processes(steps: int = 12) -> Iterator[dict[str, Any]]:
    """Training with one and with two processes of one thread each, the same batch in all."""
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    code = ["-m", "experiments.speed", "--one-of-them", str(steps)]

    def measure(count: int) -> float:
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        command = [*run, "--nproc-per-node", str(count), *code]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return float(done.stdout.split()[-1])

    yield from rows(
        "torchrun", "images/s", alternate({"1 process": lambda: measure(1), "2 processes": lambda: measure(2)}, 3)
    )
    gan = GAN(SHAPE, NOTEBOOK)
    weights = sum(p.numel() for p in gan.parameters())
    yield from rows("torchrun", "MB of gradients per step", {"each process": [4 * weights / 2**20]})


def one_of_them(steps: int) -> None:
    """What every process of `processes` does."""
    from anogan import parallel

    with parallel.group():
        ours = OurTraining(images(1280), NOTEBOOK)
        ours.steps(2)
        speed = steps * NOTEBOOK.batch_size / timed(lambda: ours.steps(steps))
        if not parallel.rank():
            print(speed)


def start() -> Iterator[dict[str, Any]]:
    """Wall time of the first answer, and where it goes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fitted(folder / "bundle")
        Image.fromarray(images(1)[0, 0]).save(folder / "one.png")
        anogan = [sys.executable, "-m", "anogan"]
        score = [*anogan, "score", str(folder / "bundle"), str(folder / "one.png"), "--out", str(folder / "s.csv")]
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "anogan --help": [*anogan, "--help"],
            "python -c 'import torch'": [sys.executable, "-c", "import torch"],
            "anogan score BUNDLE one.png": score,
        }

        def run(command: list[str]) -> float:
            return timed(lambda: subprocess.run(command, capture_output=True, check=True))

        yield from rows("start", "s", alternate({name: partial(run, c) for name, c in commands.items()}, 5))


PARTS = {f.__name__: f for f in (training, search, scoring, memory, processes, start)}


def main(names: list[str]) -> None:
    file = OUT / "results.csv"
    kept = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=["measured"])
    for name in names or PARTS:
        found = pd.DataFrame([{"measured": name} | row for row in PARTS[name]()])
        print(found.to_string(index=False, float_format="%.4g"), flush=True)
        kept = pd.concat([kept[kept["measured"] != name], found])
        write_text(file, kept.to_csv(index=False, float_format="%.5g"))
        machine = {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
        }
        write_json(OUT / "machine.json", machine)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one-of-them"]:
        one_of_them(int(sys.argv[2]))
    else:
        main(sys.argv[1:])
