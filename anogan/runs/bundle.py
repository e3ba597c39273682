"""The bundle: all that scoring needs, as safetensors and JSON with hashes. Loading executes and trusts nothing."""

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
from anogan.errors import BundleError
from anogan.files import Json, write_bytes, write_json
from anogan.gan.device import resolve_device
from anogan.gan.networks import GAN

FORMAT = 3
MANIFEST = "bundle.json"
NETWORKS = ("generator", "discriminator", "encoder", "locator")
CALIBRATION = "calibration.safetensors"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _seal(manifest: Mapping[str, Any]) -> str:
    return _sha256(json.dumps(manifest, sort_keys=True).encode())


def _params(detector: Detector) -> Json:
    """Return the constructor arguments as JSON, with the seed that was used and without the device of this machine."""
    params = detector.get_params(deep=False) | {"random_state": detector.random_state_}
    return {
        k: to_dict(v) if dataclasses.is_dataclass(v) else v for k, v in params.items() if k not in ("device", "gan")
    }


def save(folder: Path, gan: GAN, detectors: Mapping[str, Detector], kind: KindName, about: Mapping[str, Any]) -> None:
    """Write the bundle into `folder`, which appears whole or not at all.

    `about` holds what the model was trained on, and what a model of its kind needs besides the detectors.
    """
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
    """Return the folder that keeps a bundle while a new one takes its place."""
    return folder.with_name(folder.name + ".old")


def home(path: Path) -> Path:
    """Return the folder in which the bundle of a run directory is saved; a bundle folder gives itself.

    An interrupted save may have left only an older bundle next to it. Raises `BundleError` if there is neither.
    """
    homes = (path, path / "bundle")
    for there in (lambda folder: folder, _old):
        for folder in homes:
            if (there(folder) / MANIFEST).is_file():
                return folder
    raise BundleError(
        f"{path} holds no trained model ({MANIFEST} is missing); train one with: anogan train --out {path}"
    )


def find(path: Path) -> Path:
    """Return the folder to read, after an interrupted save the old one. Raises `BundleError` if there is none."""
    folder = home(path)
    return folder if (folder / MANIFEST).is_file() else _old(folder)


def is_there(path: Path) -> bool:
    """Tell whether a run directory holds a trained model."""
    try:
        return bool(home(path))
    except BundleError:
        return False


def run_name(path: Path) -> str:
    """Return the name of a run: that of its folder, or of the parent if the folder is "run" or "bundle"."""
    whole = Path(os.path.abspath(path))  # a symbolic link keeps its name
    while whole.name in ("run", "bundle"):
        whole = whole.parent
    return whole.name


def unsealed(file: Path, expected: int, older: str = "") -> Json:
    """Read a manifest and check its format and seal. Raises `BundleError` if it was changed or has another format.

    `older` is the advice for a manifest of an earlier format.
    """
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
    return typing.cast(Json, manifest)


def write_manifest(file: Path, manifest: Mapping[str, Any]) -> None:
    """Write a manifest with a hash of its contents, the seal, which shows whether it was changed later."""
    write_json(file, {**manifest, "sha256": _seal(manifest)})


class Entry(TypedDict):
    """What the manifest holds about a detector: its parameters and the scale of its anomaly maps.

    The threshold is for people to read; it follows from the calibration scores.
    """

    params: Json
    threshold: float
    map_scale: float


class Manifest(TypedDict):
    """The contents of bundle.json, without its seal.

    `about` holds what the model was trained on, and what a model of its kind needs besides the detectors. `files` maps
    each file's name to its SHA-256.
    """

    format: int
    kind: KindName
    about: Json
    shape: list[int]
    gan: Json
    detectors: dict[str, Entry]
    files: dict[str, str]


@dataclass(frozen=True)
class Bundle:
    """A bundle whose manifest has been read and checked, once.

    Its files are read when they are needed and must have the hashes in the manifest. If the bundle was replaced in the
    meantime, it is refused; files of two bundles are never mixed.
    """

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open the bundle of a run.

        Parameters
        ----------
        path : Path or str
            Run directory or bundle folder.

        Returns
        -------
        Bundle

        Raises
        ------
        BundleError
            If there is no bundle, or its manifest is damaged, was changed, or has another format.
        """
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
        """Kind of data: "digits", "sensors" or "photos"."""
        return self.manifest["kind"]

    @property
    def about(self) -> Json:
        """What the model was trained on, and what a model of its kind needs besides the detectors."""
        return self.manifest["about"]

    @property
    def detectors(self) -> list[str]:
        """Names of the detectors, in the order in which they were trained."""
        return list(self.manifest["detectors"])

    @property
    def digest(self) -> str:
        """Hash of the manifest, which holds the hashes of all files: it identifies the bundle."""
        return _seal(self.manifest)

    def of(self, kind: KindName, data: str) -> Self:
        """Return this bundle. Raises `BundleError` if it is of another kind, which was not trained on such `data`."""
        if self.kind != kind:
            raise BundleError(f"{self.folder} was trained on {self.about.get('data')}, not on {data}")
        return self

    def name(self, detector: str | None) -> str:
        """Return the name of a detector; None gives the first one.

        Raises `ValueError` if there is no such detector, and `BundleError` if the bundle has none at all.
        """
        if not self.detectors:
            raise BundleError(f"{self.folder} was trained without a detector; it can only generate samples")
        for name in self.detectors:
            if name == (detector or name):
                return name
        raise ValueError(f"no detector {detector!r} in {self.folder}; choose from {', '.join(self.detectors)}")

    def gan(self, device: str = "auto") -> GAN:
        """Load the trained networks.

        Parameters
        ----------
        device : str
            "cpu", "cuda" or "auto", which takes a graphics card if there is one.

        Returns
        -------
        GAN
            Frozen, in evaluation mode.

        Raises
        ------
        BundleError
            If a key, shape, type or hash is wrong.
        """
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
        """Load a fitted detector.

        Parameters
        ----------
        detector : str, optional
            Its name; the first one by default.
        device : str
            "cpu", "cuda" or "auto", which takes a graphics card if there is one.

        Returns
        -------
        Detector

        Raises
        ------
        BundleError
            If the files were changed or do not fit together.
        ValueError
            If there is no such detector.
        """
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
        raise BundleError(f"{file} is not a safetensors file: {error}") from error
    expected = {name: (tensor.shape, tensor.dtype) for name, tensor in network.state_dict().items()}
    if {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()} != expected:
        raise BundleError(f"{file} does not fit the architecture that {MANIFEST} describes")
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise BundleError(f"{file} holds NaN or infinity")
    network.load_state_dict(tensors, assign=True)
