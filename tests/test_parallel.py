"""Two processes are one: the same step, the same files, and a clear end when one is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from anogan import bundle, parallel

TESTS = Path(__file__).parent
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
    detector = bundle.load(tmp_path / "killed")
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
