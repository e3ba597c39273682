"""What each command does, with progress bars."""

from __future__ import annotations

import dataclasses
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from anogan import bundle, cli, pipeline
from anogan.calibration import p_values
from anogan.config import PRESETS, RunConfig
from anogan.data import DATASETS, ImageSet, Split, load_dataset, one_vs_rest
from anogan.data.photos import find_images, read_images
from anogan.detectors import Detector
from anogan.errors import DataUnavailableError, RunError, SampleError
from anogan.files import write_bytes, write_text
from anogan.images import heatmap, picture, png, tile
from anogan.pipeline import Update
from anogan.runs import Run
from anogan.training import latents, random_stream

DEMO_RUN, DEMO_REPORT = Path("runs/demo"), Path("reports/demo")
BLOCK = 1024  # files in memory at once
WALK = 10  # pictures between two latents
TIMEOUT = 10  # seconds to reach a scheduler


@contextmanager
def bar(name: str, total: int) -> Iterator[Update]:
    """A progress bar on a terminal; elsewhere one line at the end."""
    start = time.monotonic()
    with tqdm(total=total, desc=name, disable=None, dynamic_ncols=True) as shown:

        def update(done: int, note: str) -> None:
            shown.update(done)
            if note:
                shown.set_postfix_str(note)

        yield update
    if not sys.stderr.isatty():
        print(f"{name}: {total} in {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)


@contextmanager
def ticking(name: str) -> Iterator[None]:
    """A bar for work that cannot say how far it is: it shows the time spent."""
    done = threading.Event()

    def tick() -> None:
        with tqdm(desc=name, disable=None, bar_format="{desc}: {elapsed}") as shown:
            while not done.wait(0.5):
                shown.update()

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def get(name: str, root: str | None) -> ImageSet:
    with ticking(f"get {name}"):
        return load_dataset(name, root)


def data(options: cli.Data) -> int:
    images = get(options.name, options.data_root)
    print(f"{images.name}: {'x'.join(map(str, images.x_train.shape[1:]))} from {images.source}")
    table = pd.DataFrame(
        {
            "train": np.bincount(images.label_train, minlength=len(images.classes)),
            "test": np.bincount(images.label_test, minlength=len(images.classes)),
        },
        index=list(images.classes),
    )
    table.loc["all"] = table.sum()
    print(table.to_string())
    return 0


def train(options: cli.Train) -> int:
    path = cli.run_path(options)
    config = RunConfig(**cli.vars_of(options))
    if (path / "config.json").exists() and not options.resume and not Run(path).finished:
        raise RunError(f"{path} holds an unfinished run; continue it with --resume, or choose another --out")
    if config.data not in DATASETS:
        raise ValueError(f"unknown data set {config.data!r}; choose from {', '.join(DATASETS)}")
    split = one_vs_rest(get(config.data, options.data_root), config.normal)
    pipeline.normal_rows(config, split)  # says what is wrong before anything is written
    run = Run.create(path, config)
    if run.finished:
        print(f"{path} is already trained")
        return 0
    pipeline.train_run(run, split, device=options.device, checkpoint_seconds=options.checkpoint_seconds, stage=bar)
    for name in config.detectors:
        detector = bundle.load(path, name, options.device)
        print(
            f"{name}: threshold {detector.threshold_:.4g} at a false-alarm rate of {config.false_alarm_rate:g}, "
            f"from {len(detector.calibration_scores_)} held-out images"
        )
    print(path / "bundle")
    return 0


def score(options: cli.Score) -> int:
    if len(options.inputs) == 1 and options.inputs[0] in DATASETS and not Path(options.inputs[0]).exists():
        return _score_dataset(options)
    return _score_files(options)


def _score_dataset(options: cli.Score) -> int:
    run, name = Run(options.run), options.inputs[0]
    if name != run.config.data:
        raise ValueError(f"{options.run} was trained on {run.config.data}; its test split is the one to evaluate on")
    split = one_vs_rest(get(name, options.data_root), run.config.normal)
    evaluate(run, split, options.subset, options.device)
    print(run.path / "scores.csv")
    table = pd.read_csv(run.path / "scores.csv")
    return int(options.fail_on_anomaly and (table["verdict"] == "anomaly").any())


def evaluate(run: Run, split: Split, subset: int, device: str, notice: str = "") -> None:
    summary = pipeline.evaluate_run(run, split, subset=subset, device=device, stage=bar, notice=notice)
    rows = {
        name: {
            "images": f"{result['n_test']}",
            "AUROC": "{:.4f} [{:.4f}, {:.4f}]".format(result["auroc"], *result["auroc_ci"]),
            "AUPRC": f"{result['auprc']:.4f}",
            "FPR at 95 % TPR": f"{result['fpr95']:.4f}",
            "false alarms": f"{result['false_alarm_rate']['achieved']:.2%}",
            "caught": f"{result['detection_rate']:.1%}",
            "ms/image": f"{1000 * result['seconds_per_image']:.2f}",
        }
        for name, result in summary["detectors"].items()
    }
    print(pd.DataFrame(rows).T.to_string())


def _score_files(options: cli.Score) -> int:
    files = find_images(Path(name) for name in options.inputs)
    detector = bundle.load(options.run, options.detector, options.device)
    out = options.out or options.run / "scores-files.csv"
    table = pd.concat([part for part in _score_blocks(detector, files, options)], ignore_index=True)
    write_text(out, table.to_csv(index=False, float_format="%.6g"))
    counts = table["verdict"].value_counts()
    print(", ".join(f"{counts.get(verdict, 0)} {verdict}" for verdict in ("normal", "anomaly", "error")))
    print(out)
    if counts.get("error", 0):
        return 2
    return int(options.fail_on_anomaly and counts.get("anomaly", 0) > 0)


def _score_blocks(detector: Detector, files: Sequence[tuple[Path, Path]], options: cli.Score) -> Iterator[pd.DataFrame]:
    shape, read = detector.gan_.shape, iter(files)
    with bar("score", len(files)) as update:
        while block := list(islice(read, BLOCK)):
            samples = read_images((path for path, _ in block), shape, options.resize)
            rows = pd.DataFrame({"file": [str(path) for path, _ in block]})
            good = []
            for i, sample in enumerate(samples):
                if isinstance(sample, SampleError):
                    rows.loc[i, ["verdict", "error"]] = "error", str(sample)
                    tqdm.write(f"anogan: {block[i][0]}: {sample}", file=sys.stderr)
                else:
                    good.append((i, sample))
            if good:
                found = detector.explain(np.stack([sample for _, sample in good]))
                index = [i for i, _ in good]
                rows.loc[index, "score"] = found.score
                rows.loc[index, "p_value"] = p_values(detector.calibration_scores_, found.score)
                rows.loc[index, "verdict"] = np.where(found.score > detector.threshold_, "anomaly", "normal")
                for name, term in found.terms.items():
                    rows.loc[index, name] = term
                if options.maps:
                    for i, anomaly_map in zip(index, found.anomaly_map, strict=True):
                        write_bytes(options.maps / f"{block[i][1]}.map.png", png(heatmap(anomaly_map), zoom=4))
            columns = ["file", "score", "p_value", "verdict", *detector.terms, "error"]
            yield rows.reindex(columns=columns)
            update(len(block), "")


def benchmark(options: cli.Benchmark) -> int:
    from anogan.benchmark import choose_methods, run_benchmark
    from anogan.comparison import compare, summarise

    methods = choose_methods(options.detectors)
    try:
        seeds = list(dict.fromkeys(int(seed) for seed in options.seeds.split(",")))
    except ValueError:
        raise ValueError(f"--seeds must be whole numbers separated by commas, got {options.seeds!r}") from None
    bar = tqdm(desc="cells", disable=None, dynamic_ncols=True)
    with _cluster(options.scheduler, options.workers) as workers, _ticking(bar) as shown:

        def on_cells(done: int, total: int) -> None:
            shown.total, shown.n = total, done
            shown.refresh()

        table = run_benchmark(
            options.out,
            options.data,
            options.protocol,
            methods,
            options.classes,
            seeds,
            workers=workers,
            threads=options.threads,
            subset=options.subset,
            data_root=options.data_root,
            device=options.device,
            on_cells=on_cells,
        )
    tables = {"summary": summarise(table), "differences": compare(table, methods[0])}
    for name, shown_table in tables.items():
        write_text(options.out / f"{name}.csv", shown_table.to_csv(index=False, float_format="%.5f"))
        if len(shown_table):
            print(shown_table.to_string(index=False, float_format=lambda value: f"{value:.4f}"), end="\n\n")
    print(options.out / "results.csv")
    return 0


@contextmanager
def _cluster(address: str | None, workers: int) -> Iterator[int]:
    """How many jobs run at a time: `workers` here, or one on every worker of a Dask scheduler, where one is named."""
    if address is None:
        yield workers
        return
    try:
        from distributed import Client
    except ImportError:
        raise ValueError("--scheduler needs the extra 'dask': pip install 'anogan[dask]'") from None
    try:
        client = Client(address, timeout=TIMEOUT)  # type: ignore[no-untyped-call]
    except OSError:
        raise ValueError(f"no Dask scheduler answers at {address} within {TIMEOUT} s") from None
    with client, joblib.parallel_config("dask"):
        yield max(1, len(client.scheduler_info(n_workers=-1)["workers"]))


@contextmanager
def _ticking(bar: tqdm) -> Iterator[tqdm]:
    """A bar whose clock goes on while a cell takes minutes."""
    ended = threading.Event()

    def tick() -> None:
        while not ended.wait(1):
            bar.refresh()

    with bar:
        if not bar.disable:
            threading.Thread(target=tick, daemon=True).start()
        try:
            yield bar
        finally:
            ended.set()


def report(options: cli.Report) -> int:
    from anogan.reporting import write_report
    from anogan.reporting.benchmark import is_benchmark, write_benchmark_report

    out = options.out or Path("reports") / options.run.resolve().name
    benchmark = is_benchmark(options.run)
    print(write_benchmark_report(options.run, out) if benchmark else write_report(Run(options.run), out))
    return 0


def sample(options: cli.Sample) -> int:
    manifest = bundle.read_manifest(options.run)
    gan = bundle.load_gan(options.run, options.device)
    if len(gan.shape) != 3:
        raise ValueError(f"expected a model of images, got samples of shape {gan.shape}")
    out = options.out or options.run / "generated"
    stream = random_stream(options.seed, "sample", 0)

    @torch.no_grad()
    def generate(z: torch.Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        parts = [gan.generator(part.to(gan.device)).cpu() for part in torch.split(z, BLOCK)]
        return torch.cat(parts).numpy()

    def draw(n: int) -> torch.Tensor:
        return latents(n, gan.config.latent_dim, stream)

    if options.grid:
        target = out / f"generated_{manifest['about']['data']}_grid.png"
        write_bytes(target, png(tile(generate(draw(options.grid**2))), zoom=4))
        print(target)
    if options.interpolations:
        ends = draw(2 * options.interpolations).view(2, options.interpolations, -1)
        walk = torch.stack([slerp(ends[0], ends[1], t) for t in np.linspace(0, 1, WALK)], dim=1).flatten(0, 1)
        write_bytes(out / "interpolations.png", png(tile(generate(walk), columns=WALK), zoom=4))
        print(out / "interpolations.png")
    for i, x in enumerate(generate(draw(options.n)) if options.n else ()):
        write_bytes(out / f"sample-{i:05d}.png", png(picture(x)))
    if options.n:
        print(f"{options.n} images in {out}")
    return 0


def slerp(a: torch.Tensor, b: torch.Tensor, t: float) -> torch.Tensor:
    """From rows of a to rows of b along the sphere, where N(0, I) has its mass (White 2016, arXiv:1609.04468)."""
    angle = torch.nn.functional.cosine_similarity(a, b, dim=-1).clamp(-1, 1).acos().unsqueeze(-1)
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)


def demo(options: cli.Demo) -> int:
    config, notice = dataclasses.replace(PRESETS["default"], normal=options.normal, seed=options.seed), ""
    try:
        images = get(config.data, options.data_root)
    except DataUnavailableError as error:
        config = dataclasses.replace(PRESETS["digits"], normal=options.normal, seed=options.seed)
        notice = "MNIST could not be had, so this demo ran on scikit-learn's 1,797 small digits instead."
        print(f"anogan: {error}\nanogan: {notice}", file=sys.stderr)
        images = get(config.data, options.data_root)
    split = one_vs_rest(images, config.normal)
    pipeline.normal_rows(config, split)
    try:
        run = Run.create(DEMO_RUN, config)
    except RunError:  # of other settings; the folder is the demo's own
        shutil.rmtree(DEMO_RUN)
        run = Run.create(DEMO_RUN, config)
    if not run.finished:
        pipeline.train_run(run, split, device=options.device, stage=bar)
    if not (DEMO_RUN / "results.json").exists():
        evaluate(run, split, subset=306, device=options.device, notice=notice)
    return report(cli.Report(DEMO_RUN, DEMO_REPORT))
