"""The run directory: created once, logged to, resumed exactly, finished by its bundle."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import subprocess
import sys
import time
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from anogan import parallel
from anogan.config.runs import CONFIGS, RunConfig
from anogan.config.serialise import from_dict, refuse_other_settings, to_dict
from anogan.errors import BundleError, DataUnavailableError, RunError
from anogan.files import Json, write_bytes, write_json, write_text
from anogan.gan.training import Training
from anogan.runs import bundle

PACKAGES = ("anogan", "torch", "torchvision", "numpy", "scipy", "scikit-learn", "pandas", "matplotlib", "safetensors")


def environment() -> Json:
    """Collect versions, machine, command line, commit and start time."""
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        commit = subprocess.run(git, capture_output=True, text=True, timeout=10, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        commit = ""
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": sys.argv,
        "commit": commit or None,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


C = TypeVar("C", bound=RunConfig)


def as_saved(config: RunConfig) -> Json:
    """Return the contents of config.json."""
    return {"kind": config.kind} | to_dict(config)


class Run(Generic[C]):
    """A directory: config.json, env.json, metrics.jsonl, samples/, checkpoint/, bundle/, scores.csv, results.json."""

    def __init__(self, path: Path) -> None:
        """Open an existing run. Raises `RunError` if there is none."""
        self.path = path
        try:
            saved = json.loads((path / "config.json").read_text())
            if isinstance(saved, dict) and not saved.keys() >= {"kind", "views"}:  # what earlier versions did not store
                raise RunError(f"{path} was made by an earlier version; convert it with: anogan convert {path}")
            self.config: C = typing.cast(C, from_dict(CONFIGS[saved.pop("kind")], saved))
        except OSError as error:
            raise RunError(f"{path} is not a run directory (config.json: {error.strerror})") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise RunError(f"{path / 'config.json'} cannot be read: {error}") from error

    @classmethod
    def of(cls, path: Path, config: type[C]) -> Run[C]:
        """Open an existing run of one kind. Raises `RunError` if it is of another kind."""
        run: Run[C] = cls(path)
        if run.config.kind != config.kind:
            raise RunError(f"{path} is a run on {run.config.data}, of kind {run.config.kind}, not {config.kind}")
        return run

    @classmethod
    def create(cls, path: Path, config: C) -> Run[C]:
        """Start a run, or open the one in this folder if its settings are the same. Raises `RunError` otherwise."""
        if (path / "config.json").exists():
            run = cls(path)
            refuse_other_settings(path, as_saved(run.config), as_saved(config))
            return run
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise RunError(f"{path} exists and is not a run directory; choose another --out")
        write_json(path / "env.json", environment())
        write_json(path / "config.json", as_saved(config))
        return cls(path)

    @property
    def finished(self) -> bool:
        """Whether the run holds a trained model."""
        return bundle.is_there(self.path)

    def training_data(self) -> Path:
        """Return the recording or folder it was trained on. Raises `DataUnavailableError` if it no longer exists."""
        if not Path(self.config.data).exists():
            raise DataUnavailableError(f"{self.config.data}, which the run was trained on, no longer exists")
        return Path(self.config.data)

    # Metrics.

    @property
    def metrics(self) -> list[Json]:
        """All log lines. A last line that a crash cut short is dropped."""
        file = self.path / "metrics.jsonl"
        lines = []
        for line in file.read_text().splitlines() if file.exists() else []:
            try:
                lines.append(json.loads(line))
            except ValueError:
                break
        return lines

    def log(self, line: Json) -> None:
        """Append a line to the log. Of several processes only the first writes."""
        if parallel.rank():
            return
        with (self.path / "metrics.jsonl").open("a") as stream:
            stream.write(json.dumps(line) + "\n")

    def forget_after(self, stage: str, step: int) -> None:
        """Drop the log lines after the checkpoint from which training resumes."""
        kept = [line for line in self.metrics if line["stage"] != stage or line["step"] <= step]
        write_text(self.path / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in kept))

    # Checkpoints.

    def save_checkpoint(self, stage: str, training: Training) -> None:
        """Save the state of a stage, replacing the checkpoint before."""
        state = {name: tensor.cpu().contiguous() for name, tensor in training.state_dict().items()}
        content = save_tensors(state | {"step": torch.tensor(training.step)})
        write_bytes(self.path / "checkpoint" / f"{stage}.safetensors", content)

    def load_checkpoint(self, stage: str, training: Training) -> None:
        """Continue from the last checkpoint of this stage, if any. Raises `BundleError` if it cannot be used."""
        file = self.path / "checkpoint" / f"{stage}.safetensors"
        if file.exists():
            try:
                state = load_tensors(file.read_bytes())
                training.load_state_dict(state, int(state.pop("step")))
            except (SafetensorError, RuntimeError, KeyError, ValueError) as error:
                raise BundleError(f"{file} cannot be used ({error}); delete it to start this stage again") from error
        self.forget_after(stage, training.step)

    # Times.

    @property
    def seconds(self) -> dict[str, float]:
        """Wall time of each stage, in seconds."""
        file = self.path / "seconds.json"
        times: dict[str, float] = json.loads(file.read_text()) if file.exists() else {}
        return times

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the wall time of a stage to seconds.json, also if the stage is interrupted."""
        start = time.monotonic()
        try:
            yield
        finally:
            spent = self.seconds.get(stage, 0.0) + time.monotonic() - start
            write_json(self.path / "seconds.json", self.seconds | {stage: round(spent, 3)})
