"""`anogan train`."""

from __future__ import annotations

from anogan import bundle, cli, parallel, pipeline
from anogan.commands.progress import bar, get
from anogan.config import RunConfig
from anogan.data import DATASETS, one_vs_rest
from anogan.errors import RunError
from anogan.runs import Run


def run(options: cli.Train) -> int:
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
    started = Run(path)
    if started.finished:
        print(f"{path} is already trained")
        return 0
    pipeline.train_run(started, split, device=options.device, checkpoint_seconds=options.checkpoint_seconds, stage=bar)
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
