"""What Prosody, Jitsi's plugins and ours take for their settings: ``prosody_options.yml``."""

from __future__ import annotations

import difflib
import functools
import math
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from vestibule.model import ModelError
from vestibule.model.features import LOADER, MISSPELT, is_foreign
from vestibule.values import type_name

# As in util.human.units and core.moduleapi: a number of seconds, or with a unit
_PERIOD = re.compile(r"[0-9]{1,9} ?(s|m|h|d|w|(second|minute|hour|day|week|month|year)s?)")
# Which every host has switched off here, whatever else loads them
_DISABLED = ("offline", "s2s")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


# Type in the file: whether a value is one, and how to write it
_TYPES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "boolean": (lambda value: isinstance(value, bool), "true or false, without quotes"),
    "integer": (
        lambda value: isinstance(value, int) and not isinstance(value, bool),
        "a whole number without quotes",
    ),
    "number": (_is_number, "a number without quotes"),
    "seconds": (
        lambda value: _is_number(value) and 0 < value < math.inf,
        "a number of seconds above 0, without quotes",
    ),
    "period": (
        lambda value: (
            (_is_number(value) and value >= 0)
            or (isinstance(value, str) and bool(_PERIOD.fullmatch(value)))
        ),
        'seconds without quotes, or a time such as "1 day"',
    ),
    "text": (lambda value: isinstance(value, str), "a text, in quotes"),
    "list": (lambda value: isinstance(value, list), "a list"),
}


@functools.lru_cache(maxsize=1)
def table() -> dict[str, list[str]]:
    """Names of settings by type, and those of modules."""
    path = Path(__file__).with_name("prosody_options.yml")
    content: dict[str, list[str]] = yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER)  # noqa: S506 — a safe loader
    return content


@functools.lru_cache(maxsize=1)
def _types() -> dict[str, str]:
    names = (*_TYPES, "other")
    return {setting: kind for kind in names for setting in table()[kind]}


def check_setting(where: str, name: str, value: Any, foreign: Iterable[str]) -> None:
    """Refuses a setting of another type than its module asks for, and one that is misspelt."""
    kind = _types().get(name)
    if kind is None:
        _refuse_misspelt(f"{where} sets {name}, which", name, _types(), foreign)
    elif kind in _TYPES and not _TYPES[kind][0](value):
        raise ModelError(
            f"{where}.{name} is of type {type_name(value)} and not what Prosody takes there:"
            f" {_TYPES[kind][1]}. Correct it, or remove it."
        )


def check_module(where: str, name: str, foreign: Iterable[str], *, component: bool) -> None:
    """Refuses a module that cannot be loaded there, and one that is misspelt."""
    if name.startswith("mod_"):
        raise ModelError(f"{where} has {name}. Write it without mod_: {name[4:]}.")
    if name in _DISABLED:
        raise ModelError(
            f"{where} has {name}, which is switched off for all hosts. Remove it: nobody of"
            " another server comes in, and nothing is kept for those who are away."
        )
    if name in table()["component_modules"] and not component:
        raise ModelError(
            f"{where} has {name}, which loads on components alone. Name it for a component, or"
            " remove it."
        )
    _refuse_misspelt(
        f"{where} has {name}, which",
        name,
        [*table()["modules"], *table()["other_modules"]],
        foreign,
    )


def _refuse_misspelt(what: str, name: str, known: Iterable[str], foreign: Iterable[str]) -> None:
    if name in known or is_foreign(name, foreign):
        return
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=MISSPELT)
    if near:
        raise ModelError(
            f"{what} nothing here knows. Did you mean {near[0]}? Correct it; or, where a module"
            " that you installed has that name, add it to jitsi_foreign_variables."
        )
