"""The reference (docs/api.md) is complete: whoever calls a function finds each of its parameters there."""

from __future__ import annotations

import inspect
import pkgutil
import re
from pathlib import Path

import docstring_parser
import pytest

API = (Path(__file__).parent.parent / "docs" / "api.md").read_text()
ENTRY = re.compile(r"^::: (\S+)(?:\n    options:\s*\{?\s*members: (\[[^\]]*\]|false))?", re.M)


def entries() -> dict[str, list[str]]:
    """Full name of everything in the reference, with the members that are shown of it."""
    return {name: re.findall(r"\w+", shown.replace("false", "")) for name, shown in ENTRY.findall(API)}


FUNCTIONS = [f"{name}.{member}" for name, shown in entries().items() for member in shown]
FUNCTIONS += [name for name in entries() if inspect.isfunction(pkgutil.resolve_name(name))]
CLASSES = [name for name in entries() if inspect.isclass(pkgutil.resolve_name(name))]


def described(name: str, section: str) -> list[str]:
    """The names that a section of a docstring describes."""
    text = inspect.getdoc(pkgutil.resolve_name(name)) or ""
    parsed = docstring_parser.parse(text, docstring_parser.DocstringStyle.NUMPYDOC)
    assert parsed.short_description
    return [part for one in parsed.params if one.args[0] == section for part in one.arg_name.split(", ")]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_parameter_of_a_function_is_described(name: str) -> None:
    parameters = inspect.signature(pkgutil.resolve_name(name)).parameters
    assert described(name, "param") == [parameter for parameter in parameters if parameter != "self"]


@pytest.mark.parametrize("name", CLASSES)
def test_what_is_described_of_a_class_is_there(name: str) -> None:
    found = pkgutil.resolve_name(name)
    fields = {field for cls in found.__mro__ for field in vars(cls).get("__annotations__", {})}
    attributes = {part.strip() for given in described(name, "attribute") for part in given.split(",")}
    assert {part for part in attributes if not part.endswith("_")} <= fields  # what is learned ends in _
    if parameters := described(name, "param"):
        assert parameters == list(inspect.signature(found).parameters)
