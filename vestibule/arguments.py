"""The arguments of a filter, checked by what its DOCUMENTATION says of them."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, KeysView, Mapping, Sequence, ValuesView
from typing import Any

import yaml

from vestibule.values import type_name

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Kinds of values by the names that Ansible's documentation has for them: what fits, what to use
_KINDS: Mapping[str, tuple[tuple[type[Any], ...], str]] = {
    "str": ((str,), "text"),
    "path": ((str,), "text"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "bool": ((bool,), "true or false"),
    "list": ((list, tuple), "a list"),
    "dict": ((Mapping,), "a mapping"),
}


class ArgumentError(ValueError):
    """An argument is not as documented. The message names it and its type, never its value."""


def unknown(name: str, known: Iterable[str]) -> str:
    """The sentence for an argument that a filter does not have."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(sorted(known))}."
    return f"There is no argument {name}. {hint}"


def checked(filter_: Callable[..., Any], documentation: str, error: type[Exception]) -> Any:
    """``filter_`` behind a check of its arguments, which raises ``error`` with a sentence."""
    positions = [
        each.name
        for each in inspect.signature(filter_).parameters.values()
        if each.kind is not inspect.Parameter.VAR_KEYWORD
    ]

    @functools.wraps(filter_)
    def shell(*values: Any, **named: Any) -> Any:
        try:
            check(documentation, positions, values, named)
        except ArgumentError as problem:
            raise error(str(problem)) from None
        return filter_(*values, **named)

    return shell


def check(
    documentation: str, positions: Sequence[str], values: Sequence[Any], named: Mapping[str, Any]
) -> None:
    """Refuse what is not documented. ``positions`` are the names of the ``values``."""
    name, options = _documented(documentation)
    own = [each for each in options if each != "_input"]
    for argument in named:
        if argument not in own:
            raise ArgumentError(f"{name}: {unknown(argument, own)}")
    if len(values) > len(positions):
        raise ArgumentError(f"{name} takes {len(positions)} values. Give the others by name.")
    # The value that is filtered has a name of its own in Python
    given = dict(zip(["_input", *positions[1:]], values, strict=False)) | dict(named)
    for argument, spec in options.items():
        if argument in given:
            _fit(name if argument == "_input" else f"{name}: {argument}", given[argument], spec)
        elif spec.get("required"):
            raise ArgumentError(f"{name}: the argument {argument} is missing.")


def _fit(where: str, value: Any, spec: Mapping[str, Any]) -> None:
    if spec["type"] == "raw" or (value is None and not spec.get("required")):
        return
    kinds, words = _KINDS[spec["type"]]
    # Jinja hands over what map and select give as it is
    if spec["type"] == "list" and isinstance(value, (Iterator, KeysView, ValuesView)):
        return
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise ArgumentError(f"{where} takes {words}, not {type_name(value)}.")
    if "elements" in spec:
        for item in value or ():
            _fit(f"{where}, item by item,", item, {"type": spec["elements"], "required": True})


@functools.cache
def _documented(documentation: str) -> tuple[str, dict[str, dict[str, Any]]]:
    content = yaml.load(documentation, Loader=_LOADER)  # noqa: S506 — a safe loader
    return content["name"], content["options"]
