from __future__ import annotations

import os
import subprocess
import sys

import pytest

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
