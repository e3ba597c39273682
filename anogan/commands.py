"""What each command does, with progress bars."""

from __future__ import annotations

import dataclasses
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from anogan import bundle, cli, parallel, pipeline
from anogan.config import PRESETS, RunConfig
from anogan.data import DATASETS, ImageSet, Split, load_dataset, one_vs_rest
from anogan.data.photos import find_images
from anogan.errors import DataUnavailableError, RunError, SampleError
from anogan.files import write_bytes, write_text
from anogan.images import heatmap, picture, png, tile
from anogan.pipeline import Update
from anogan.runs import Run
from anogan.streaming import ArrayFile, ImageFiles, Source, score_stream
from anogan.training import latents, random_stream

DEMO_RUN, DEMO_REPORT = Path("runs/demo"), Path("reports/demo")
BLOCK = 1024  # files in memory at once
WALK = 10  # pictures between two latents
TIMEOUT = 10  # seconds to reach a scheduler


@contextmanager
def bar(name: str, total: int) -> Iterator[Update]:
    """A progress bar on a terminal; elsewhere one line at the end. Of several processes the first shows it."""
    start = time.monotonic()
    with tqdm(total=total, desc=name, disable=bool(parallel.rank()) or None, dynamic_ncols=True) as shown:

        def update(done: int, note: str) -> None:
            shown.update(done)
            if note:
                shown.set_postfix_str(note)

        yield update
    if not sys.stderr.isatty() and not parallel.rank():
        print(f"{name}: {total} in {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)


@contextmanager
def ticking(shown: tqdm) -> Iterator[tqdm]:
    """A bar whose clock goes on while the work cannot say how far it is."""
    done = threading.Event()

    def tick() -> None:
        while not done.wait(0.5):
            shown.refresh()

    thread = threading.Thread(target=tick, daemon=True)
    with shown:
        thread.start()
        try:
            yield shown
        finally:
            done.set()
            thread.join()


def get(name: str, root: str | None) -> ImageSet:
    with ticking(tqdm(desc=f"get {name}", disable=None, bar_format="{desc}: {elapsed}")):
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
    if not parallel.rank():
        Run.create(path, config)
    parallel.wait_for_all()
    run = Run(path)
    if run.finished:
        print(f"{path} is already trained")
        return 0
    pipeline.train_run(run, split, device=options.device, checkpoint_seconds=options.checkpoint_seconds, stage=bar)
    if parallel.rank():
        return 0
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
        return 0 if parallel.rank() else _score_dataset(options)
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
    inputs = [Path(name) for name in options.inputs]
    array = inputs[0] if len(inputs) == 1 and inputs[0].suffix == ".npy" and inputs[0].is_file() else None
    files = [] if array else find_images(inputs)
    detector = bundle.load(options.run, options.detector, options.device)
    model = bundle.read_manifest(options.run)["files"] | {"detector": options.detector}
    shape, out = detector.gan_.shape, options.out or options.run / "scores-files.csv"
    source: Source = (
        ArrayFile(array, shape) if array else ImageFiles([path for path, _ in files], shape, options.resize)
    )

    def tell(name: str, error: SampleError) -> None:
        tqdm.write(f"anogan: {name}: {error}", file=sys.stderr)

    def draw(row: int, anomaly_map: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
        assert options.maps is not None
        name = files[row][1] if files else f"row-{row:07d}"
        write_bytes(options.maps / f"{name}.map.png", png(heatmap(anomaly_map), zoom=4))

    with bar("score", len(source)) as update:

        def on_block(rows: int) -> None:
            update(rows * parallel.size(), "")

        counts = score_stream(detector, source, out, model, on_block, tell, draw if options.maps else None)
    if parallel.rank():
        return 0
    print(", ".join(f"{counts[verdict]} {verdict}" for verdict in ("normal", "anomaly", "error")))
    print(out)
    if counts["error"]:
        return 2
    return int(options.fail_on_anomaly and counts["anomaly"] > 0)


def benchmark(options: cli.Benchmark) -> int:
    from anogan.benchmark import choose_methods, run_benchmark
    from anogan.comparison import compare, summarise

    methods = choose_methods(options.detectors)
    try:
        seeds = list(dict.fromkeys(int(seed) for seed in options.seeds.split(",")))
    except ValueError:
        raise ValueError(f"--seeds must be whole numbers separated by commas, got {options.seeds!r}") from None
    cells = tqdm(desc="cells", disable=None, dynamic_ncols=True)
    with _cluster(options.scheduler, options.workers) as workers, ticking(cells) as shown:

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
