"""What playbooks/rotate.yml is asked for with -e."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vestibule.rotation import RotationError

TOKENS, FOCUS, BRIDGES, TURN = "tokens", "focus", "bridges", "turn"
WHAT = (TOKENS, FOCUS, BRIDGES, TURN)
ARGUMENTS = ("rotate", "kid", "successor", "now", "status")
_ANSWERS = {"true": True, "yes": True, "false": False, "no": False}
_NEAR = 0.8  # of difflib


@dataclass(frozen=True)
class Request:
    """What the operator asks for."""

    what: tuple[str, ...] = (TOKENS,)
    kid: str = ""
    successor: str = ""
    now: bool = False
    status: bool = False


def request_of(given: Mapping[str, Any], names: Iterable[str]) -> Request:
    """What was asked for; ``names`` are all variables, of which one may be misspelt.

    Raises RotationError.
    """
    for name in names:
        near = difflib.get_close_matches(name.lower().replace("-", "_"), ARGUMENTS, 1, _NEAR)
        if near and name not in ARGUMENTS:
            raise RotationError(
                f"{name} is nothing that a rotation goes by. Did you mean {near[0]}? There are"
                f" {', '.join(ARGUMENTS)}."
            )
    what = tuple(
        dict.fromkeys(part.strip() for part in str(given.get("rotate", TOKENS)).split(","))
    )
    for each in what:
        if each not in WHAT:
            raise RotationError(
                f'rotate is "{given["rotate"]}". Say -e rotate= and one or more of'
                f" {', '.join(WHAT[1:])}, with commas between them, or leave it out for the keys of"
                " tokens."
            )
    if TOKENS in what and len(what) > 1:
        raise RotationError(
            "rotate has tokens and others, and only they go in stages without a restart. Rotate one"
            " after the other."
        )
    texts = {}
    for name in ("kid", "successor"):
        texts[name] = given.get(name, "")
        if not isinstance(texts[name], str) or (name in given and not texts[name]):
            raise RotationError(
                f"{name} is no kid of jitsi_token_keys. Say e.g. -e {name}=app-2026, or leave it"
                " out."
            )
        if texts[name] and TOKENS not in what:
            raise RotationError(
                f"{name} is about keys of tokens. Leave it out, or leave out rotate."
            )
    answers = {}
    for name in ("now", "status"):
        value = given.get(name, False)
        answer = _ANSWERS.get(str(value).lower()) if isinstance(value, (str, bool)) else None
        if answer is None:
            raise RotationError(
                f'{name} is "{value}", and neither true nor false. Say -e {name}=true, or leave it'
                " out."
            )
        answers[name] = answer
    return Request(what, texts["kid"], texts["successor"], answers["now"], answers["status"])
