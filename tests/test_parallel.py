"""Two processes are one: the same step, the same files, and a clear end when one is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import QUICK_GAN, stripes
from torch import distributed
from torch.testing._internal.distributed.fake_pg import FakeStore

from anogan import parallel
from anogan.errors import ParallelError
from anogan.gan.training import GANTraining, train
from anogan.runs.bundle import Bundle

TESTS = Path(__file__).parent
X = torch.from_numpy(stripes(48, (1, 12, 12)))
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS)}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
TRAIN = ["-m", "anogan", "train", "--preset", "digits", "--data", "digits", "--normal", "3", "--gan.width", "8"]
SCORE = ["-m", "anogan", "score"]
TRAIN += ["--gan.steps", "300", "--encoder.steps", "100", "--detectors", "neighbourgan", "--checkpoint-seconds", "0"]


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(map(str, command), cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["non_saturating", "wgan_gp"])
def test_two_processes_take_the_step_of_one_with_the_whole_batch(tmp_path: Path, loss: str) -> None:
    script = TESTS / "parallel_step.py"
    for command, out in (([sys.executable], "one.json"), (TORCHRUN, "two.json")):
        done = run(*command, script, tmp_path / out, loss, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    one, two = (json.loads((tmp_path / name).read_text()) for name in ("one.json", "two.json"))
    for name, values in one.items():
        assert np.allclose(values, two[name], rtol=2e-3, atol=2e-4), name


@pytest.mark.slow
def test_a_job_is_resumed_after_a_process_was_killed_and_scores_like_one_process(tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "killed")]
    process = subprocess.Popen(
        [*TORCHRUN, *TRAIN, *out], cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    checkpoint = tmp_path / "killed" / "checkpoint" / "gan.safetensors"
    while not checkpoint.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(worker(process.pid, rank=1), signal.SIGKILL)
    _, error = process.communicate(timeout=60)
    assert process.returncode != 0, "the job ends; it does not hang"
    assert "SIGKILL" in error or "has lost the others" in error

    done = run(*TORCHRUN, *TRAIN, "--resume", *out, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    detector = Bundle.open(tmp_path / "killed").detector()
    assert np.isfinite(detector.threshold_)
    lines = [json.loads(line) for line in (tmp_path / "killed" / "metrics.jsonl").read_text().splitlines()]
    steps = [line["step"] for line in lines if line["stage"] == "gan"]
    assert steps == sorted(set(steps)), "one process logs"
    assert done.stdout.count("held-out images") == 1, "one process speaks"

    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (2100, 1, 28, 28), np.uint8))
    for command, name in (([sys.executable], "one.csv"), (TORCHRUN, "two.csv")):
        done = run(*command, *SCORE, tmp_path / "killed", tmp_path / "x.npy", "--out", tmp_path / name, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    assert not list(tmp_path.glob("*.part"))


def worker(parent: int, rank: int) -> int:
    """Process number of the worker of this rank."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                environment = (folder / "environ").read_bytes().split(b"\0")
                mine = f"PPid:\t{parent}\n" in (folder / "status").read_text()
            except OSError:
                continue
            if mine and f"RANK={rank}".encode() in environment:
                return int(folder.name)
    raise AssertionError("no such worker")


def test_a_batch_that_cannot_be_shared_equally_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_size", 2)
    parallel.check_batch(32)
    with pytest.raises(ValueError, match="a batch of 33 cannot be shared equally by 2 processes"):
        parallel.check_batch(33)


def test_alone_nothing_is_shared() -> None:
    assert (parallel.rank(), parallel.size()) == (0, 1)
    assert parallel.share(list(range(5))) == list(range(5))  # type: ignore[arg-type]
    assert parallel.mean([1.5]) == [1.5]


def test_threads_are_set_by_one_switch() -> None:
    before = torch.get_num_threads()
    try:
        parallel.use_threads(3)
        assert torch.get_num_threads() == 3
        parallel.use_threads(0)
        assert torch.get_num_threads() == 3, "0 changes nothing"
    finally:
        torch.set_num_threads(before)
    with pytest.raises(ValueError, match="expected --threads of 0 or more, got -1"):
        parallel.use_threads(-1)


@pytest.fixture
def two_graphics_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """A torchrun job where CUDA is said to be there; real backends are replaced by one that sends nothing, for the very
    devices that they serve."""
    join = distributed.init_process_group

    def stand_in(backend: str, **options: Any) -> None:
        devices = distributed.distributed_c10d.BackendConfig(distributed.Backend(backend)).get_device_backend_map()
        fake = ",".join(f"{device}:fake" for device in devices)
        join(fake, store=FakeStore(), rank=0, world_size=2, **options)

    monkeypatch.setattr(distributed, "init_process_group", stand_in)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    for name, value in {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("device", ["auto", "cuda", "cpu"])
@pytest.mark.usefixtures("two_graphics_cards")
def test_a_job_exchanges_what_lies_on_the_cpu_and_on_its_device(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with parallel.group(device):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)  # nothing below may look for it
        assert parallel.size() == 2
        backends = distributed.distributed_c10d._get_default_group()._device_types
        assert torch.device("cpu") in backends
        assert device == "cpu" or torch.device("cuda") in backends
        parallel.mean([1.5])  # as at every line of the log
        train(X, GANTraining(tuple(X.shape[1:]), replace(QUICK_GAN, steps=2), 0), lambda step, metrics: None)


@pytest.mark.usefixtures("two_graphics_cards")
def test_a_process_without_a_graphics_card_of_its_own_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ParallelError, match="has no graphics card of its own"), parallel.group("auto"):
        pass
    with parallel.group("cpu"):
        assert parallel.size() == 2
