"""What people ask mint.yml for on the command line, where every value is a text."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from vestibule.model.token_keys import signs_itself
from vestibule.numbers import changed_number
from vestibule.values import type_name

ARGUMENTS = ("room", "moderator", "lifetime", "display_name", "tenant", "features")
# What Jitsi looks for in context.features (upstream: react/features/base/jwt/constants.ts)
FEATURES = (
    *("branding", "calendar", "create-polls", "file-upload", "flip", "inbound-call"),
    *(
        "list-visitors",
        "livestreaming",
        "lobby",
        "moderation",
        "outbound-call",
        "recording",
        "room",
    ),
    *("screen-sharing", "send-groupchat", "sip-inbound-call", "sip-outbound-call"),
    "transcription",
)
LIFETIME = 3600  # seconds
_LONGEST_PART = 1023  # bytes of the room in its address, with the tenant: RFC 7622 section 3.3.1
_LONGEST_NAME = 255  # characters
_ANSWERS = {"true": True, "yes": True, "false": False, "no": False}
_NEAR = 0.8  # of difflib


class RequestError(ValueError):
    """What was asked for cannot be minted. The message is a sentence for the operator."""


def read(
    given: Mapping[str, Any], options: Mapping[str, Any], names: Iterable[str]
) -> dict[str, Any]:
    """The request with the types that jitsi_jwt takes, and its defaults.

    ``given`` are the arguments that are there, ``options`` those of the model, ``names`` all
    variables, of which one may be an argument that is misspelt. Raises RequestError.
    """
    _refuse_misspelt(names)
    problem = changed_number(given)
    if problem:
        raise RequestError(problem)
    if not signs_itself(options):
        raise RequestError(
            "jitsi_token_keys has no key that mints: HS256, without tenants, and counting now. Mint"
            " where the private key of a public one is, or add such a key."
        )
    moderates = _answer(given.get("moderator", True))
    tenant = _tenant(given["tenant"], options.get("tenants", [])) if "tenant" in given else None
    request = {
        "room": _room(given.get("room"), tenant),
        "tenant": tenant,
        "moderator": moderates,
        "role": "Moderator" if moderates else "Member",
        "lifetime": _lifetime(given.get("lifetime"), options["token_max_lifetime"]),
        "features": _features(given.get("features", "")),
    }
    name = given.get("display_name", request["role"])
    return {**request, "display_name": _text("display_name", name, "Ada", _LONGEST_NAME)}


def _refuse_misspelt(names: Iterable[str]) -> None:
    for name in names:
        near = difflib.get_close_matches(name.lower().replace("-", "_"), ARGUMENTS, 1, _NEAR)
        if near and name not in ARGUMENTS:
            raise RequestError(
                f"{name} is nothing that a token is minted with. Did you mean {near[0]}? There are"
                f" {', '.join(ARGUMENTS)}."
            )


def _text(name: str, value: Any, example: str, longest: int) -> str:
    if not isinstance(value, str):
        raise RequestError(
            f"{name} is of type {type_name(value)}, not a text. Say -e {name}={example}, or quote"
            " it in YAML."
        )
    if not value.strip() or not value.isprintable():
        raise RequestError(
            f"{name} is empty, or has a control character. Name one, e.g. -e {name}={example}."
        )
    if len(value.encode(errors="replace")) > longest:
        raise RequestError(f"{name} is longer than {longest} bytes. Choose a shorter one.")
    return value


def _room(value: Any, tenant: str | None) -> str:
    if value is None:
        raise RequestError("room is not set. Name the room the token is for, e.g. -e room=standup.")
    # In its address the room is [tenant]room
    prefix = len(tenant.encode()) + 2 if tenant else 0
    return _text("room", value, "standup", _LONGEST_PART - prefix)


def _answer(value: Any) -> bool:
    answer = _ANSWERS.get(str(value).lower()) if isinstance(value, (str, bool)) else None
    if answer is None:
        raise RequestError(f'moderator is "{value}". Say -e moderator=false, or leave it out.')
    return answer


def _lifetime(value: Any, longest: int) -> int:
    if value is None:
        return min(LIFETIME, longest)
    if isinstance(value, bool) or not re.fullmatch("[1-9][0-9]{0,9}", str(value)):
        raise RequestError(
            f'lifetime is "{value}", not a whole number of seconds above 0. Say e.g. -e'
            f" lifetime={min(LIFETIME, longest)}."
        )
    if int(value) > longest:
        raise RequestError(
            f"lifetime is more than the {longest} seconds that the server takes. Ask for less, or"
            " raise jitsi_token_max_lifetime and deploy that first."
        )
    return int(value)


def _tenant(value: Any, tenants: list[str]) -> str:
    tenant = _text("tenant", value, "sales", _LONGEST_NAME)
    if tenants and tenant not in tenants:
        near = difflib.get_close_matches(tenant, tenants, 1)
        raise RequestError(
            f"tenant is {tenant}, which is not in jitsi_tenants."
            f"{f' Did you mean {near[0]}?' if near else ''} There are {', '.join(tenants)}."
        )
    return tenant


def _features(value: Any) -> dict[str, bool]:
    if not isinstance(value, str):
        raise RequestError(
            f"features is of type {type_name(value)}, not a text. Say -e"
            " features=recording,livestreaming."
        )
    names = [name for name in map(str.strip, value.split(",")) if name]
    for name in names:
        if name not in FEATURES:
            near = difflib.get_close_matches(name, FEATURES, 1)
            raise RequestError(
                f"features has {name}, which Jitsi does not know."
                f"{f' Did you mean {near[0]}?' if near else ''} There are {', '.join(FEATURES)}."
            )
    return dict.fromkeys(names, True)
