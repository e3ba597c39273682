"""Help that reads well. tyro keeps the line breaks of indented docstrings, and tells of defaults that say nothing."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from pathlib import Path
from typing import Annotated, Any

import docstring_parser
import tyro

UNTOLD = ("None", "", "''")  # defaults
NAMES = {Path: "PATH", str: "STR", tuple[int, int]: "INT INT"}


@functools.cache
def explained(cls: Any) -> Any:
    """The options, and those inside them, with their help in one piece."""
    parents = [parent for parent in reversed(cls.__mro__) if dataclasses.is_dataclass(parent)]
    told = {
        param.arg_name: param.description for p in parents for param in docstring_parser.parse_from_object(p).params
    }
    bare, whole = typing.get_type_hints(cls), typing.get_type_hints(cls, include_extras=True)
    for name in (f.name for f in dataclasses.fields(cls)):
        hint = whole[name]
        if dataclasses.is_dataclass(bare[name]):
            explained(bare[name])
            continue
        text = " ".join((told.get(name) or "").split()) or None
        cls.__annotations__[name] = Annotated[
            hint, tyro.conf.arg(help=text, help_behavior_hint=_default, metavar=_metavar(hint))
        ]
    return cls


def _default(shown: str) -> str:
    return "" if shown in UNTOLD else f"(default: {shown})"


def _metavar(hint: Any) -> str | None:
    """Metavar of an optional option; hides tyro's None."""
    first, *others = typing.get_args(hint) or (None,)
    if others != [types.NoneType]:
        return None
    choices = typing.get_args(first)
    return "{" + ",".join(choices) + "}" if typing.get_origin(first) is typing.Literal else NAMES.get(first)
