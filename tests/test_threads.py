from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from anogan import threads

ASKED = "import os, sys; {}; print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)"


def told(code: str, **environment: str) -> str:
    clean = {name: value for name, value in os.environ.items() if name not in threads.SET_BY_USER}
    done = subprocess.run(
        [sys.executable, "-c", ASKED.format(code)], env=clean | environment, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-1]


def test_the_command_line_has_threads_wait_briefly_before_torch_is_there() -> None:
    command = "sys.argv = ['anogan', '--version']; from anogan.cli import main; main()"
    assert told(command) == f"{threads.SPINS} False"
    assert told("import anogan.cli, anogan.threads") == "None False", "a library that is imported changes nothing"


@pytest.mark.parametrize("name", threads.SET_BY_USER)
def test_what_the_user_says_of_threads_stays(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for other in threads.SET_BY_USER:
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, "7")
    threads.wait_briefly()
    assert {key: os.environ[key] for key in threads.SET_BY_USER if key in os.environ} == {name: "7"}


@pytest.mark.parametrize(
    ("all_of_them", "one"), [(0.028, 0.039), (0.12, 0.039), (1.3, 0.039), (0.002, 0.003), (0.9, 0.4)]
)
def test_no_more_than_a_tenth_is_lost_to_the_better_number_of_threads(all_of_them: float, one: float) -> None:
    pace, spent, steps, count = threads.Pace(2), 0.0, 0, 2
    while spent < 120:
        seconds = all_of_them if count == 2 else one
        spent, steps = spent + seconds, steps + 1
        count = pace.after_step(seconds)
    assert spent / steps < 1.1 * min(all_of_them, one)


def test_threads_follow_other_work_that_comes_and_goes() -> None:
    pace, spent, steps, count = threads.Pace(2), 0.0, 0, 2
    while spent < 120:
        seconds = (0.12 if spent % 4 < 2 else 0.028) if count == 2 else 0.039
        spent, steps = spent + seconds, steps + 1
        count = pace.after_step(seconds)
    assert spent / steps < 1.1 * 0.039


def test_steps_choose_their_threads_in_a_command_alone_and_all_are_there_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "ROUND", 1e-9)
    torch.set_num_threads(2)

    def seen(allowed: bool, device: str = "cpu") -> set[int]:
        with threads.adapting(allowed), threads.paced(lambda _: torch.get_num_threads(), device) as step:
            counts = {step(None) for _ in range(10)}
        assert torch.get_num_threads() == 2
        return counts

    assert seen(True) == {1, 2}
    assert seen(False) == seen(True, "cuda") == {2}
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert seen(True) == {2}
