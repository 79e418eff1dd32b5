"""Texts with ``{{ … }}`` in feature files, and the conditions of rules: Jinja, compiled once."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Environment, StrictUndefined, Undefined, UndefinedError

from vestibule.model import ModelError

_EXPRESSION = re.compile(r"\{\{((?:(?!\}\}).)*)\}\}", re.DOTALL)
_REFERENCE = re.compile(r"\{\{ (names|options)\.(\w+) \}\}")


@functools.cache
def environment(undefined: type[Undefined]) -> Environment:
    """Jinja, and what it makes of a name that does not exist."""
    return Environment(undefined=undefined)  # noqa: S701 — makes no HTML


@functools.cache
def _compile(text: str) -> Callable[[Mapping[str, Any]], Any]:
    """What replaces ``{{ … }}`` in a text, given ``names``, ``options`` and ``features``.

    A text that is one expression keeps the type of its value.
    """
    alone = _REFERENCE.fullmatch(text)
    if alone:
        part, key = alone.groups()
        return lambda variables: variables[part][key]
    if "{{" not in _REFERENCE.sub("", text):  # most of them, and Jinja compiles slowly
        return lambda variables: _REFERENCE.sub(
            lambda found: str(variables[found[1]][found[2]]), text
        )
    expression = _EXPRESSION.fullmatch(text)
    if not expression:
        return environment(StrictUndefined).from_string(text).render
    # Jinja's own native types would turn the issuer "123" into a number
    evaluate = environment(StrictUndefined).compile_expression(
        expression[1], undefined_to_none=False
    )

    def value_of(variables: Mapping[str, Any]) -> Any:
        value = evaluate(variables)
        if isinstance(value, Undefined):
            value._fail_with_undefined_error()
        return value

    return value_of


def substitute(value: Any, variables: Mapping[str, Any], where: str) -> Any:
    """The value with every ``{{ … }}`` in its texts replaced."""
    if isinstance(value, str):
        if "{{" not in value:
            return value
        try:
            return _compile(value)(variables)
        except (KeyError, UndefinedError) as error:
            raise ModelError(f"Feature {where}: {error} is not defined in {value}.") from error
    if isinstance(value, dict):
        return {key: substitute(each, variables, where) for key, each in value.items()}
    if isinstance(value, list):
        return [substitute(each, variables, where) for each in value]
    return value
