"""The command line starts without torch, and the public names exist. Who imports whom: see `make lint`."""

from __future__ import annotations

import subprocess
import sys

import pytest


def test_the_package_and_its_command_line_are_imported_without_torch() -> None:
    code = "import sys, anogan, anogan.cli.main; print([m for m in ('torch', 'sklearn', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_exists() -> None:
    import anogan

    assert all(getattr(anogan, name) is not None for name in anogan.__all__)
    with pytest.raises(AttributeError, match="attribute nothing"):
        _ = anogan.nothing
