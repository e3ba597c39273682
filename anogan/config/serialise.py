"""A config as JSON-ready dict, and back: a missing or unknown key is an error, and so is a value of another type."""

from __future__ import annotations

import dataclasses
import inspect
import sys
import typing
from contextlib import suppress
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar

from anogan.errors import RunError
from anogan.files import Json

T = TypeVar("T")


def to_dict(config: Any) -> Json:
    """Return the config as JSON-ready dict."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in _items(config)}


def _items(config: Any) -> typing.Iterator[tuple[str, Any]]:
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        yield f.name, to_dict(value) if dataclasses.is_dataclass(value) else value


def from_dict(cls: type[T], values: object, where: str = "config", **given: Any) -> T:
    """Rebuild a config saved by `to_dict`, or another object from all arguments of its constructor but those `given`.

    A missing or unknown key or a value of another type is a `ValueError` that names the setting, after `where`.
    """
    hints, expected = typing.get_type_hints(cls), inspect.signature(cls).parameters.keys() - given.keys()
    if not isinstance(values, dict):
        raise ValueError(f"{where}: expected settings, got {values!r}")
    if wrong := sorted(values.keys() ^ expected):
        raise ValueError(f"missing or unknown: {', '.join(f'{where}.{name}' for name in wrong)}")
    return cls(**{name: _coerce(hints[name], value, f"{where}.{name}") for name, value in values.items()}, **given)


def _coerce(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_dict(hint, value, where)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal and value in arguments:
        return value
    if origin is tuple and isinstance(value, list):
        inner = arguments[:1] * len(value) if Ellipsis in arguments else arguments
        if len(inner) == len(value):
            return tuple(_coerce(h, v, where) for h, v in zip(inner, value, strict=True))
    if origin is UnionType:
        for one in arguments:
            with suppress(ValueError):
                return _coerce(one, value, where)
    if hint is float and type(value) is int and abs(value) <= sys.float_info.max:
        return float(value)
    if type(value) is hint:
        return value
    raise ValueError(f"{where}: expected {inspect.formatannotation(hint)}, got {value!r}")


def refuse_other_settings(folder: Path, saved: Json, wanted: Json) -> None:
    """Raise `RunError` where a folder was filled with other settings than those wanted, naming them."""
    if differing := differing_keys(saved, wanted):
        raise RunError(f"{folder} was made with other settings ({', '.join(differing)}); choose another --out")


def differing_keys(a: Json, b: Json, prefix: str = "") -> list[str]:
    """Dotted names of the settings in which two config dicts differ."""
    found = []
    for key in sorted(set(a) | set(b)):
        left, right = a.get(key), b.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            found += differing_keys(left, right, f"{prefix}{key}.")
        elif left != right:
            found.append(prefix + key)
    return found
