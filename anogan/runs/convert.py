"""Conversion of runs and bundles from earlier formats to this one. Networks and scores stay as they are."""

from __future__ import annotations

import json
from pathlib import Path

from anogan.config.runs import CONFIGS, KindName
from anogan.config.serialise import from_dict
from anogan.errors import RunError
from anogan.files import Json, write_json
from anogan.runs import bundle
from anogan.runs.bundle import Bundle

KIND_BY_KEY = 1  # the format of bundles that gave their kind by a key in `about`; format 2 lacked settings alone
ALARM = {"confidence": 0.9, "usual_quantile": 0.95, "slow_rise": 0.5}
# Values of settings that earlier formats did not store.
SETTINGS: dict[str, Json] = {
    "neighbour": {"directions": 8, "cell": 3 / 14},
    "subspace": {"quantile": 0.99, "shrinkage": 0.01},
    "places": {"quantile": 0.9},
    "locator": {"warm_up": 0.1, "spoiled": [0.75, 0.4], "foreign": 0.4, "drawn": 0.5, "defect_weight": 3.0},
    "sensors": {"reach": 6.0},
    "alarm": ALARM,
    "rule": ALARM,
}
VIEWS: Json = {"views": []}  # all of a detector's
RENAMED: dict[str, KindName] = {"signal": "sensors", "photo": "photos"}


def convert(path: Path) -> list[Path]:
    """Bring config.json and bundle.json of a run, or of a bundle alone, to this version's format.

    Returns the files that were written; none if both have this format already. Raises `RunError` or `BundleError` if
    they cannot be read.
    """
    written = []
    if (config := path / "config.json").exists():
        try:
            saved = json.loads(config.read_text())
            content = VIEWS | (saved if "kind" in saved else _with_kind(saved))
            _complete(content)
            from_dict(CONFIGS[content["kind"]], {name: content[name] for name in content if name != "kind"})
            if content != saved:
                write_json(config, content)
                written.append(config)
        except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
            raise RunError(f"{config} cannot be converted: {error}") from error
    if bundle.is_there(path):
        file = bundle.find(path) / bundle.MANIFEST
        found = _format(file)
        if found not in range(1, bundle.FORMAT):
            Bundle.open(path)  # says what is wrong with it, if anything is
        else:
            manifest = bundle.unsealed(file, found)
            about = _with_kind(manifest["about"]) if found == KIND_BY_KEY else manifest["about"]
            _complete(about)
            for entry in manifest["detectors"].values():
                if "harmless" in entry["params"]:
                    entry["params"]["augment"] = entry["params"].pop("harmless")
                _complete(entry["params"])
                entry["params"] = VIEWS | {"sample_shape": None} | entry["params"]
            kind = about.pop("kind") if found == KIND_BY_KEY else manifest["kind"]
            bundle.write_manifest(file, manifest | {"format": bundle.FORMAT, "kind": kind, "about": about})
            written.append(file)
    elif not written:
        bundle.home(path)  # says what is missing
    return written


def _format(file: Path) -> int:
    """Return the format of a manifest; 0 if it cannot be read."""
    try:
        return int(json.loads(file.read_bytes())["format"])
    except (OSError, ValueError, TypeError, KeyError):
        return 0


def _with_kind(saved: Json) -> Json:
    """Return settings, or a bundle's `about`, with their kind and with the names of today."""
    kind = next((RENAMED[name] for name in saved if name in RENAMED), "digits")
    kept = {RENAMED.get(name, name): value for name, value in saved.items() if kind == "digits" or name != "normal"}
    return {"kind": kind} | kept


def _complete(settings: Json) -> None:
    """Add the settings that earlier formats did not have to the groups that are there."""
    for name, group in settings.items():
        if isinstance(group, dict):
            settings[name] = SETTINGS.get(name, {}) | group
            _complete(settings[name])
