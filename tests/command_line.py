"""The command line as a user meets it, for tests."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from PIL import Image

from anogan.cli import main

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default"}


def anogan(*args: object, cwd: Path | None = None) -> subprocess.CompletedProcess:
    """The command in this process, which spares the import of torch; output and status as from a process."""
    out, err, before, argv = io.StringIO(), io.StringIO(), Path.cwd(), sys.argv
    os.chdir(cwd or before)
    sys.argv = ["anogan", *map(str, args)]
    try:
        with warnings.catch_warnings(), redirect_stdout(out), redirect_stderr(err):
            warnings.simplefilter("default")
            status = main.main()
    except SystemExit as error:
        status = error.code
    finally:
        os.chdir(before)
        sys.argv = argv
    return subprocess.CompletedProcess(args, status, out.getvalue(), err.getvalue())


def refusal(*args: object, cwd: Path) -> str:
    """The one line that a wrong call prints."""
    done = anogan(*args, cwd=cwd)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("anogan: ")
    return done.stderr


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size
