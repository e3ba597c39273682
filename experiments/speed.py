"""How fast: every figure beside the loop a reader would write from a tutorial, A B A B in one run: reports/speed/.

python -m experiments.speed [PART ...] [--data-root ROOT]     all parts, about seventy minutes on two quiet cores
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from anogan import parallel, threads
from anogan.config.gan import SearchConfig
from anogan.config.presets import DEFAULT
from anogan.detectors import AnoGAN, FAnoGAN, Hybrid
from anogan.digits.arrays import ArrayFile, scorer
from anogan.digits.datasets import load_dataset
from anogan.digits.model import DigitModel
from anogan.evaluation.metrics import auroc
from anogan.files import write_json, write_text
from anogan.gan.inversion import ROWS_AT_ONCE
from anogan.gan.networks import GAN
from anogan.gan.training import EncoderTraining, GANTraining, train
from anogan.pictures.sources import PhotoFiles
from anogan.pictures.verdicts import inspector
from anogan.runs import bundle
from anogan.runs.bundle import Bundle
from anogan.runs.scoring import SAMPLES_AT_ONCE, score_stream
from experiments.development import development_split
from experiments.reference import HEAD, PAPERS, SHAPE, Ours, images, loops, plain_networks, search_one, unit_range
from experiments.speed_page import OUT, write_speed_page
from experiments.timing import Row, Variants, alternate, rate, rows, seconds_each, timed

NOTEBOOK = replace(PAPERS.gan, width=128, batch_size=128)
NETWORKS = {"256-128 channels": NOTEBOOK, "64-32 channels": DEFAULT.gan}
LABEL = "8"  # the hardest digit


def fastest(work: int, *variants: Callable[[], object]) -> float:
    """Operations per second at best, of `work` operations done in any of these ways."""
    return max(rate(work, variant) for variant in variants for _ in range(4))


def matrix_product() -> float:
    """Operations per second of a large matrix product, torch's or NumPy's, whichever is faster here."""
    a = torch.randn(2048, 2048)
    return fastest(2 * 2048**3, lambda: a @ a, lambda: a.numpy() @ a.numpy())


@torch.no_grad()
def convolution() -> float:
    """Operations per second of the networks' middle layer, forward, alone: often faster than a matrix product."""
    layer = nn.Conv2d(128, 256, 4, 2, 1).to(memory_format=torch.channels_last)
    x = torch.randn(128, 128, 14, 14).to(memory_format=torch.channels_last)
    return fastest(2 * layer.weight.numel() * 7 * 7 * len(x), lambda: layer(x))


def training(data_root: str | None, steps: int = 4) -> Iterator[Row]:
    """Images per second, and arithmetic as a share of what the machine's matrix product reaches."""
    for networks, config in NETWORKS.items():
        runs, n = loops(images(2560), config), steps * config.batch_size
        flops = {}
        for name, loop in runs.items():
            with FlopCounterMode(display=False) as counter:
                loop.steps(1)
            flops[name] = counter.get_total_flops() / config.batch_size
        variants: Variants = {name: partial(rate, n, partial(loop.steps, steps)) for name, loop in runs.items()}
        found = alternate(variants | {"matrix product": matrix_product, "convolution": convolution})
        peaks = {name: found.pop(name) for name in ("matrix product", "convolution")}
        yield from rows(f"GAN, {networks}", "images/s", found)
        for what, peak in peaks.items():
            shares = {
                name: [speed * flops[name] / top for speed, top in zip(speeds, peak, strict=True)]
                for name, speeds in found.items()
            }
            yield from rows(f"GAN, {networks}", f"arithmetic over that of a {what}", shares)
        variants = {name: partial(rate, n, partial(loop.encoder_steps, steps)) for name, loop in runs.items()}
        yield from rows(f"encoder, {networks}", "images/s", alternate(variants))


def convergence(data_root: str | None, every: int = 50, patience: int = 6) -> Iterator[Row]:
    """Seconds from nothing until the encoder's held-out reconstruction stops improving, and what it is worth then."""
    split = development_split(load_dataset("mnist", data_root), LABEL, 0, "one_vs_rest")
    pixels = np.rint((split.x_train + 1) * 127.5).astype(np.uint8)
    x, normal = torch.from_numpy(split.x_test), torch.from_numpy(split.y_test == 0)
    found: dict[str, dict[str, list[float]]] = {"seconds": {}, "held-out error": {}, "AUROC": {}}
    for seed in range(3):
        for name, loop in loops(pixels, DEFAULT.gan, seed).items():
            seconds = timed(partial(loop.steps, DEFAULT.gan.steps))
            best = {"seconds": 0.0, "held-out error": float("inf"), "AUROC": 0.0}
            idle = 0
            while idle < patience:
                seconds += timed(partial(loop.encoder_steps, every))
                scores = loop.scores(x)
                error, idle = float(scores[normal].mean()), idle + 1
                if error < 0.99 * best["held-out error"]:
                    area = auroc(split.y_test, scores.double().numpy())
                    best, idle = {"seconds": seconds, "held-out error": error, "AUROC": area}, 0
            for what, value in best.items():
                found[what].setdefault(name, []).append(value)
    for what, values in found.items():
        yield from rows("GAN and encoder until the encoder stops improving", what, values)


def search_all(generator: nn.Module, features: nn.Module, x: Tensor, setting: SearchConfig) -> list[float]:
    """Scores of x (n, 1, 28, 28), one image after another."""
    weight = setting.discrimination_weight
    return [search_one(generator, features, one, setting.steps, setting.learning_rate, weight) for one in x.split(1)]


def search(data_root: str | None, steps: int = 20, n: int = 64) -> Iterator[Row]:
    """Latent search per image and step."""
    for networks, config in NETWORKS.items():
        gan = GAN(SHAPE, config).frozen()
        generator, discriminator, _ = (network.eval() for network in plain_networks(gan))
        x = unit_range(images(n))
        setting = replace(PAPERS.search, steps=steps, patience=0)
        detector = AnoGAN(gan=config, search=setting, false_alarm_rate=0.5, device="cpu")
        detector.load_state(gan, np.arange(2.0), 1.0, {})  # uncalibrated: how fast it scores is measured
        one_by_one = partial(search_all, generator, discriminator[:-HEAD], x[:4], setting)
        ours = partial(detector.anomaly_score, x.numpy())
        variants: Variants = {
            "one image at a time": partial(seconds_each, 4 * steps, one_by_one),
            "ours": partial(seconds_each, n * steps, ours),
        }
        yield from rows(f"latent search, {networks}", "s per image and step", alternate(variants, 5))


def inversion(data_root: str | None, n: int = 400) -> Iterator[Row]:
    """Seconds per image, and AUROC: the published search one image at a time, and what replaces it."""
    split = development_split(load_dataset("mnist", data_root), LABEL, 0, "one_vs_rest")
    held_out = split.x_test[split.y_test == 0]
    rng = np.random.default_rng(0)
    chosen = np.concatenate([rng.permutation(np.flatnonzero(split.y_test == y))[: n // 2] for y in (0, 1)])
    x, y = split.x_test[chosen], split.y_test[chosen]
    x_train = torch.from_numpy(split.x_train)
    gan = train(x_train, GANTraining(SHAPE, DEFAULT.gan, 0))
    training = EncoderTraining(gan, DEFAULT.encoder, 0)
    seconds = timed(partial(train, x_train, training))
    gan = training.result()
    generator, discriminator, _ = (network.eval() for network in plain_networks(gan))
    published = PAPERS.search

    def detector(kind: type[AnoGAN], setting: SearchConfig) -> Callable[[], Any]:
        found = kind(gan=gan.config, search=setting, device="cpu").calibrate(gan, x, held_out[:64])
        return partial(found.anomaly_score, x)

    variants: dict[str, Callable[[], Any]] = {
        "one image at a time, 500 steps": partial(
            search_all, generator, discriminator[:-HEAD], torch.from_numpy(x), published
        ),
        "batched, published score, every step": detector(AnoGAN, replace(published, patience=0)),
        "batched, published score, rows stop": detector(AnoGAN, published),
        "batched, our score, 60 steps": detector(AnoGAN, DEFAULT.search),
        "from the encoder, our score, 5 steps": detector(Hybrid, DEFAULT.hybrid),
    }
    took: dict[str, list[float]] = {}
    areas: dict[str, list[float]] = {}
    for name, score in variants.items():
        begin = time.perf_counter()
        scores = np.asarray(score())
        took[name], areas[name] = [(time.perf_counter() - begin) / len(x)], [auroc(y, scores)]
    yield from rows("inversion, 64-32 channels", "s per image", took)
    yield from rows("inversion, 64-32 channels", "AUROC", areas)
    yield from rows("inversion, 64-32 channels", "s, once", {"training the encoder": [seconds]})


def fitted(folder: Path) -> FAnoGAN:
    """A detector with untrained networks, in a bundle: speed does not depend on the weights."""
    x = unit_range(images(600))
    gan = train(x, GANTraining(SHAPE, replace(DEFAULT.gan, steps=1), 0))
    gan = train(x, EncoderTraining(gan, replace(DEFAULT.encoder, steps=1), 0))
    detector = FAnoGAN(gan=gan.config, encoder=DEFAULT.encoder, device="cpu").calibrate(
        gan, x[:500].numpy(), x[500:].numpy()
    )
    bundle.save(folder, gan, {"fanogan": detector}, "digits", {"data": "random"})
    return detector


@torch.no_grad()
def raw_passes(detector: FAnoGAN, x: Tensor) -> None:
    """The forward passes that scoring cannot do without."""
    gan = detector.gan_
    assert gan.encoder is not None
    for part in x.split(ROWS_AT_ONCE):
        x_hat = gan.generator(gan.encoder(part))
        gan.discriminator.features(part)
        gan.discriminator.features(x_hat)


def scoring(data_root: str | None, n: int = 4096) -> Iterator[Row]:
    """Encoder scoring end to end from arrays and from PNG files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        detector, pixels = fitted(folder / "bundle"), images(n)
        x = unit_range(pixels)
        files = [folder / f"{i:05d}.png" for i in range(n)]
        for file, image in zip(files, pixels, strict=True):
            Image.fromarray(image[0]).save(file)
        source = PhotoFiles(files, SHAPE[0], SAMPLES_AT_ONCE)

        def from_files() -> None:
            rows_of = inspector(DigitModel.of(detector))
            score_stream(rows_of, source, folder / "s.csv", time.time(), lambda rows: None, lambda *error: None)

        variants: Variants = {
            "raw forward passes": lambda: rate(n, lambda: raw_passes(detector, x)),
            "from an array": lambda: rate(n, lambda: detector.anomaly_score(x.numpy())),
            "from PNG files to CSV": lambda: rate(n, from_files),
            "decoding the PNG files alone": lambda: rate(n, lambda: [np.asarray(Image.open(file)) for file in files]),
        }
        yield from rows("scoring by the encoder", "images/s", alternate(variants, 11))


def memory(data_root: str | None, n: int = 1_000_000) -> Iterator[Row]:
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
    detector = Bundle.open(Path(folder) / "bundle").detector(device="cpu")
    source = ArrayFile(Path(folder) / "x.npy", SHAPE)
    detector.anomaly_score(np.stack([row for row in source.read(0, 64)[1] if isinstance(row, np.ndarray)]))
    idle = resident("VmRSS")
    rows_of = scorer(detector)
    seconds = timed(lambda: score_stream(rows_of, source, Path(folder) / "s.csv", 0, lambda r: None, lambda *e: None))
    print(json.dumps({"peak": resident("VmHWM") - idle, "seconds": seconds}))


def resident(what: str) -> float:
    """MB of memory of this process (Linux): VmRSS now, VmHWM at most so far."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what)]
    return int(line.split()[1]) / 1024


def processes(data_root: str | None, steps: int = 12) -> Iterator[Row]:
    """Training with one and with two processes of one thread each, the same batch in all."""
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    code = ["-m", "experiments.speed", "--one-of-them", str(steps)]

    def measure(count: int) -> float:
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        command = [*run, "--nproc-per-node", str(count), *code]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return float(done.stdout.split()[-1])

    variants: Variants = {"1 process": lambda: measure(1), "2 processes": lambda: measure(2)}
    yield from rows("torchrun, 256-128 channels", "images/s", alternate(variants, 5))
    weights = sum(p.numel() for p in GAN(SHAPE, NOTEBOOK).parameters())
    yield from rows("torchrun, 256-128 channels", "MB exchanged per step", {"each process": [4 * weights / 2**20]})


def one_of_them(steps: int) -> None:
    """What every process of `processes` does."""
    with parallel.group():
        ours = Ours(images(1280), NOTEBOOK, PAPERS.encoder, seed=0)
        ours.steps(2)
        speed = rate(steps * NOTEBOOK.batch_size, lambda: ours.steps(steps))
        if not parallel.rank():
            print(speed)


def start(data_root: str | None) -> Iterator[Row]:
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


SET_BY_USER = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS")
SPIN = "while True: pass"
COME_AND_GO = """import time
while True:
    begin = time.perf_counter()
    while time.perf_counter() - begin < 1:
        pass
    time.sleep(1)"""
BESIDE = {
    "alone": [],
    "beside one busy process": [SPIN],
    "beside two busy processes": [SPIN, SPIN],
    "beside one that comes and goes": [COME_AND_GO],
}


def busy(data_root: str | None, seconds: float = 4, rounds: int = 5) -> Iterator[Row]:
    """Training of the default GAN while the machine does other work too; about six minutes."""
    clean = {name: value for name, value in os.environ.items() if name not in SET_BY_USER}
    settings = {
        "one thread": {"OMP_NUM_THREADS": "1"},
        "all threads, as OpenMP has them wait": {},
        "threads chosen while training": {},
    }
    with ExitStack() as stack:

        def start(command: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            process = subprocess.Popen([sys.executable, *command], env=clean | environment, text=True, **pipes)
            stack.callback(process.kill)
            return process

        def ask(process: subprocess.Popen[str]) -> float:
            assert process.stdin is not None
            assert process.stdout is not None
            print(seconds, file=process.stdin, flush=True)
            return float(process.stdout.readline())

        code = ["-m", "experiments.speed", "--train-when-asked"]
        workers = {name: start([*code, str("chosen" in name)], change) for name, change in settings.items()}
        variants: Variants = {name: partial(ask, worker) for name, worker in workers.items()}
        for beside, others in BESIDE.items():
            running = [start(["-c", other], {}) for other in others]
            yield from rows(f"GAN, 64-32 channels, {beside}", "images/s", alternate(variants, rounds))
            for process in running:
                process.kill()


def train_when_asked(adapting: bool) -> None:
    """For every line, a number of seconds, train about as long and print images per second."""
    ours = Ours(images(2560), DEFAULT.gan, PAPERS.encoder, seed=0)
    ours.steps(3)
    batch = DEFAULT.gan.batch_size
    with threads.adapting(adapting):
        speed = rate(10 * batch, lambda: ours.steps(10))
        for line in sys.stdin:
            steps = max(10, int(float(line) * speed / batch))  # one loop, in which the choice of threads is at home
            speed = rate(steps * batch, partial(ours.steps, steps))
            print(speed, flush=True)


PARTS = {f.__name__: f for f in (training, busy, search, scoring, memory, processes, start, convergence, inversion)}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", choices=[[], *PARTS], help=", ".join(PARTS))
    parser.add_argument("--data-root", help="folder of the data sets, for convergence and inversion")
    parser.add_argument("--one-of-them", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--train-when-asked", choices=["True", "False"], help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.one_of_them:
        one_of_them(given.one_of_them)
        return
    if given.train_when_asked:
        train_when_asked(given.train_when_asked == "True")
        return
    file = OUT / "results.csv"
    kept = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=["measured"])
    machines = json.loads((OUT / "machines.json").read_text()) if file.exists() else {}
    for name in given.parts or PARTS:
        found = pd.DataFrame([{"measured": name} | row for row in PARTS[name](given.data_root)])
        print(found.to_string(index=False, float_format="%.4g"), flush=True)
        kept = pd.concat([kept[kept["measured"] != name], found])
        write_text(file, kept.to_csv(index=False, float_format="%.5g"))
        machines[name] = {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "python": platform.python_version(),
            "torch": torch.__version__,
        }
        write_json(OUT / "machines.json", machines)
    write_speed_page(OUT)


if __name__ == "__main__":
    main()
