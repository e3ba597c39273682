"""What scoring needs, on disk: safetensors and JSON with hashes. Loading executes nothing and trusts nothing."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypedDict

import torch
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from anogan.config.gan import GANConfig
from anogan.config.runs import KindName
from anogan.config.serialise import from_dict, to_dict
from anogan.detectors import Detector, detector_class
from anogan.detectors.base import resolve_device
from anogan.errors import BundleError
from anogan.files import write_bytes, write_json
from anogan.gan.networks import GAN

FORMAT = 2
MANIFEST = "bundle.json"
NETWORKS = ("generator", "discriminator", "encoder", "locator")
CALIBRATION = "calibration.safetensors"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _seal(manifest: Mapping[str, Any]) -> str:
    return _sha256(json.dumps(manifest, sort_keys=True).encode())


def _params(detector: Detector) -> dict[str, Any]:
    """Constructor arguments as JSON; the device belongs to the machine, not to the model."""
    params = detector.get_params(deep=False)
    return {
        k: to_dict(v) if dataclasses.is_dataclass(v) else v for k, v in params.items() if k not in ("device", "gan")
    }


def save(folder: Path, gan: GAN, detectors: Mapping[str, Detector], kind: KindName, about: Mapping[str, Any]) -> None:
    """Write the bundle into `folder`, which appears whole or not at all. `about` says what it was trained on, and what
    a model of its kind needs besides the detectors."""
    parts = {f"{name}.safetensors": getattr(gan, name) for name in NETWORKS if getattr(gan, name) is not None}
    contents = {file: save_tensors(_cpu(network.state_dict())) for file, network in parts.items()}
    memories = {name: detector.memory_ for name, detector in detectors.items() if detector.memory_}
    contents |= {_memory_file(name): save_tensors(_cpu(memory)) for name, memory in memories.items()}
    contents[CALIBRATION] = save_arrays({name: d.calibration_scores_ for name, d in detectors.items()})
    manifest: Manifest = {
        "format": FORMAT,
        "kind": kind,
        "about": dict(about),
        "shape": list(gan.shape),
        "gan": to_dict(gan.config),
        "detectors": {
            name: {"params": _params(d), "threshold": d.threshold_, "map_scale": d.map_scale_}
            for name, d in detectors.items()
        },
        "files": {file: _sha256(content) for file, content in contents.items()},
    }
    partial = folder.with_name(folder.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    for file, content in contents.items():
        write_bytes(partial / file, content)
    write_manifest(partial / MANIFEST, manifest)
    old, whole = _old(folder), (folder / MANIFEST).is_file()
    shutil.rmtree(old if whole else folder, ignore_errors=True)  # where an earlier save was stopped, `old` is the model
    if whole:
        folder.rename(old)  # two renames, not a deletion: whatever stops us, `find` finds one of the two whole
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _cpu(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}


def _memory_file(detector: str) -> str:
    return f"{detector}.memory.safetensors"


def _old(folder: Path) -> Path:
    """Where a bundle is while a new one takes its place."""
    return folder.with_name(folder.name + ".old")


def home(path: Path) -> Path:
    """The folder that the bundle of a run directory, or of itself, is saved in. Raises `BundleError` where there is
    none, nor an older one that an interrupted save left behind."""
    homes = (path, path / "bundle")
    for there in (lambda folder: folder, _old):
        for folder in homes:
            if (there(folder) / MANIFEST).is_file():
                return folder
    raise BundleError(
        f"{path} holds no trained model ({MANIFEST} is missing); train one with: anogan train --out {path}"
    )


def find(path: Path) -> Path:
    """The bundle folder of a run directory, or of itself; where a save was interrupted, that of the bundle before it.
    Raises `BundleError`."""
    folder = home(path)
    return folder if (folder / MANIFEST).is_file() else _old(folder)


def is_there(path: Path) -> bool:
    """Whether a run directory holds a trained model."""
    try:
        return bool(home(path))
    except BundleError:
        return False


def run_name(path: Path) -> str:
    """What people call a run: its folder's name, but for a folder called run or bundle that of the one it is in."""
    whole = Path(os.path.abspath(path))  # a symbolic link keeps its name
    while whole.name in ("run", "bundle"):
        whole = whole.parent
    return whole.name


def unsealed(file: Path, expected: int, older: str = "") -> dict[str, Any]:
    """The contents of a manifest of one format, if nobody has changed them; raises `BundleError`. `older` says what to
    do about one of an earlier format."""
    try:
        manifest = json.loads(file.read_bytes())
        seal, found = manifest.pop("sha256"), manifest.get("format")
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise BundleError(f"{file} cannot be read: {error!r}") from error
    if found != expected:
        advice = f"; {older}" if older and found in range(expected) else ""
        raise BundleError(f"{file} has format {found!r}; this version reads format {expected}{advice}")
    if seal != _seal(manifest):
        raise BundleError(f"{file} has been changed since it was written (SHA-256 differs)")
    return typing.cast(dict[str, Any], manifest)


def write_manifest(file: Path, manifest: Mapping[str, Any]) -> None:
    """Write it with the seal that tells whether anybody has changed it."""
    write_json(file, {**manifest, "sha256": _seal(manifest)})


class Entry(TypedDict):
    """What the manifest says of a detector: its parameters, and the scale of its maps. The threshold is there to be
    read by people; it follows from the calibration scores."""

    params: dict[str, Any]
    threshold: float
    map_scale: float


class Manifest(TypedDict):
    """The contents of bundle.json, without its seal. `about` says what the model was trained on, and what a model of
    its kind needs besides the detectors; `files` has the SHA-256 of each file by its name."""

    format: int
    kind: KindName
    about: dict[str, Any]
    shape: list[int]
    gan: dict[str, Any]
    detectors: dict[str, Entry]
    files: dict[str, str]


@dataclass(frozen=True)
class Bundle:
    """A bundle whose manifest has been read and checked, once. Its files are read when they are asked for and must have
    the hashes in the manifest: a bundle that is replaced meanwhile is refused, never mixed."""

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """The bundle of a run, or of itself. Raises `BundleError` where there is none, or its manifest is damaged, of
        another format, or has been changed."""
        folder = find(Path(path))
        file = folder / MANIFEST
        manifest = unsealed(file, FORMAT, f"convert it with: anogan convert {path}")
        expected = Manifest.__required_keys__
        if set(manifest) != expected:
            got = ", ".join(sorted(map(str, manifest)))
            raise BundleError(f"{file} holds {got}; expected {', '.join(sorted(expected))}")
        if manifest["kind"] not in typing.get_args(KindName):
            raise BundleError(
                f"{file} is of kind {manifest['kind']!r}; expected {', '.join(typing.get_args(KindName))}"
            )
        return cls(folder, typing.cast(Manifest, manifest))

    @property
    def kind(self) -> KindName:
        return self.manifest["kind"]

    @property
    def about(self) -> dict[str, Any]:
        return self.manifest["about"]

    @property
    def detectors(self) -> list[str]:
        """Their names, in the order they were trained in."""
        return list(self.manifest["detectors"])

    @property
    def digest(self) -> str:
        """What tells it from any other bundle: the hash of its manifest, which holds those of its files."""
        return _seal(self.manifest)

    def of(self, kind: KindName, data: str) -> Self:
        """This bundle; raises `BundleError` where it is of another kind, which was not trained on such `data`."""
        if self.kind != kind:
            raise BundleError(f"{self.folder} was trained on {self.about.get('data')}, not on {data}")
        return self

    def name(self, detector: str | None) -> str:
        """The name of a detector, the first one unless another is asked for. Raises `ValueError` where there is no such
        detector, and `BundleError` where there is none at all."""
        if not self.detectors:
            raise BundleError(f"{self.folder} was trained without a detector; it can only generate samples")
        for name in self.detectors:
            if name == (detector or name):
                return name
        raise ValueError(f"no detector {detector!r} in {self.folder}; choose from {', '.join(self.detectors)}")

    def gan(self, device: str = "auto") -> GAN:
        """The frozen networks; raises `BundleError` if a key, shape, type or hash is wrong."""
        try:
            config = from_dict(GANConfig, self.manifest["gan"], "gan")
            with torch.device("meta"):  # nothing is allocated before the shapes have been compared
                trained = [f"{name}.safetensors" in self.manifest["files"] for name in NETWORKS[2:]]
                gan = GAN(tuple(self.manifest["shape"]), config, *trained)
        except (ValueError, TypeError, KeyError) as error:
            raise BundleError(f"{self.folder / MANIFEST}: {error}") from error
        for name in NETWORKS:
            network = getattr(gan, name)
            if network is not None:
                _fill(network, self.folder / f"{name}.safetensors", self._read(f"{name}.safetensors"))
        return gan.arranged().to(resolve_device(device)).frozen()

    def detector(self, detector: str | None = None, device: str = "auto") -> Detector:
        """A fitted detector, by name or the first one. Raises `BundleError` if the files cannot be trusted and
        `ValueError` if there is no such detector."""
        name = self.name(detector)
        gan, entry = self.gan(device), self.manifest["detectors"][name]
        try:
            fitted = from_dict(detector_class(name), entry["params"], name, gan=gan.config, device=device)
            scores = load_arrays(self._read(CALIBRATION))[name]
            file = _memory_file(name)
            memory = load_tensors(self._read(file)) if file in self.manifest["files"] else {}
            return fitted.load_state(gan, scores, float(entry["map_scale"]), memory)
        except (SafetensorError, ValueError, TypeError, KeyError) as error:
            raise BundleError(f"{self.folder / MANIFEST}, detector {name}: {error!r}") from error

    def _read(self, file: str) -> bytes:
        try:
            content = (self.folder / file).read_bytes()
        except OSError as error:
            raise BundleError(f"{self.folder / file} cannot be read: {error.strerror}") from error
        if _sha256(content) != self.manifest["files"].get(file):
            raise BundleError(f"{self.folder / file} has been changed since it was written (SHA-256 differs)")
        return content


def _fill(network: torch.nn.Module, file: Path, content: bytes) -> None:
    try:
        tensors = load_tensors(content)
    except (SafetensorError, ValueError) as error:
        raise BundleError(f"{file} is no safetensors file: {error}") from error
    expected = {name: (tensor.shape, tensor.dtype) for name, tensor in network.state_dict().items()}
    if {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()} != expected:
        raise BundleError(f"{file} does not fit the architecture that {MANIFEST} describes")
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise BundleError(f"{file} holds NaN or infinity")
    network.load_state_dict(tensors, assign=True)
