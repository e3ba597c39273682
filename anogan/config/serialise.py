"""A config as JSON-ready dict, and back: an unknown key is an error."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any, Literal, TypeVar

T = TypeVar("T")


def to_dict(config: Any) -> dict[str, Any]:
    """The config as JSON-ready dict."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in _items(config)}


def _items(config: Any) -> typing.Iterator[tuple[str, Any]]:
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        yield f.name, to_dict(value) if dataclasses.is_dataclass(value) else value


def from_dict(cls: type[T], values: object, where: str = "config") -> T:
    """Rebuild a config saved by `to_dict`; a missing or unknown key or a value of another type is a `ValueError`."""
    of_class = typing.get_type_hints(cls)
    hints = {f.name: of_class[f.name] for f in dataclasses.fields(typing.cast(Any, cls))}
    if not isinstance(values, dict) or set(values) != set(hints):
        got = sorted(set(values) ^ set(hints)) if isinstance(values, dict) else values
        raise ValueError(f"{where}: keys missing or unknown: {got}")
    return cls(**{name: _coerce(hints[name], values[name], f"{where}.{name}") for name in hints})


def _coerce(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_dict(hint, value, where)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal and value in arguments:
        return value
    if origin is tuple and isinstance(value, list):
        variadic = len(arguments) == 2 and arguments[1] is Ellipsis
        if variadic or len(arguments) == len(value):
            inner = [arguments[0]] * len(value) if variadic else arguments
            return tuple(_coerce(h, v, where) for h, v in zip(inner, value, strict=True))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is hint:
        return value
    raise ValueError(f"{where}: expected {hint}, got {value!r}")


def differing_keys(a: dict[str, Any], b: dict[str, Any], prefix: str = "") -> list[str]:
    """Dotted names of the settings in which two config dicts differ."""
    found = []
    for key in sorted(set(a) | set(b)):
        left, right = a.get(key), b.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            found += differing_keys(left, right, f"{prefix}{key}.")
        elif left != right:
            found.append(prefix + key)
    return found
