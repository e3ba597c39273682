"""How our dataclasses become options with their help."""

from __future__ import annotations

import dataclasses
import types
import typing
from pathlib import Path
from typing import Annotated, Any

import docstring_parser
import tyro
from tyro.constructors import ConstructorRegistry, StructConstructorSpec, StructFieldSpec, StructTypeInfo

UNTOLD = ("None", "", "''")  # defaults
NAMES = {Path: "PATH", str: "STR", tuple[int, int]: "INT INT"}


def registry(everything: bool) -> ConstructorRegistry:
    """Return the rule by which tyro makes options; unless `everything`, it leaves out the rare ones."""
    rules = ConstructorRegistry()

    @rules.struct_rule
    def options(info: StructTypeInfo) -> StructConstructorSpec | None:
        cls = info.type
        if not dataclasses.is_dataclass(cls):
            return None
        hints, told = typing.get_type_hints(cls, include_extras=True), texts(cls)
        specs = []
        # Groups with a name of their own stand last; before them, what commands have in common.
        for f in sorted(dataclasses.fields(cls), key=lambda f: (dataclasses.is_dataclass(hints[f.name]), f.kw_only)):
            hint: Any = hints[f.name]
            hint = Annotated[hint, tyro.conf.arg(help_behavior_hint=_default, metavar=_metavar(hint))]
            if not everything and f.name in rare(cls):
                hint = Annotated[hint, tyro.conf.Suppress]
            default = getattr(info.default, f.name, getattr(cls, f.name, tyro.MISSING_NONPROP))
            specs.append(StructFieldSpec(f.name, hint, default, told.get(f.name)))
        return StructConstructorSpec(cls, tuple(specs))

    return rules


def texts(cls: type) -> dict[str, str]:
    """Return what the docstrings in a class and its parents say of every field, each in one piece."""
    parents = reversed(cls.__mro__[:-1])
    params = [param for parent in parents for param in docstring_parser.parse_from_object(parent).params]
    return {param.arg_name: " ".join((param.description or "").split()) for param in params}


def rare(cls: type) -> set[str]:
    """Return the fields that plain help leaves out: those a class calls `rare`, or all but its `common` ones."""
    names = {f.name for f in dataclasses.fields(cls)} if dataclasses.is_dataclass(cls) else set()
    return {*getattr(cls, "rare", ())} | names.difference(getattr(cls, "common", names))


def rare_options(cls: type) -> list[str]:
    """Names of the options and groups that plain help leaves out, or of which it shows a few."""
    whole, names = typing.get_type_hints(cls, include_extras=True), []
    for name, hint in typing.get_type_hints(cls).items():
        if whole[name] != hint:  # a group without a prefix
            names += [f.name for f in dataclasses.fields(hint) if f.name in rare(hint)] if rare(hint) else []
        elif name in rare(cls) or rare(hint):
            names.append(f"{name}.*" if dataclasses.is_dataclass(hint) else name)
    return [f"--{name.replace('_', '-')}" for name in names]


def _default(shown: str) -> str:
    return "" if shown in UNTOLD else f"(default: {shown})"


def _metavar(hint: Any) -> str | None:
    """Metavar of an optional option; hides tyro's None."""
    first, *others = typing.get_args(hint) or (None,)
    if others != [types.NoneType]:
        return None
    choices = typing.get_args(first)
    return "{" + ",".join(choices) + "}" if typing.get_origin(first) is typing.Literal else NAMES.get(first)
