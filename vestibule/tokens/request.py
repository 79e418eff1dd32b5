"""What people ask for when they want a token: on the command line, or in a table of people."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vestibule.model.features import load_features
from vestibule.model.options import reserved_labels
from vestibule.model.token_keys import signs_itself
from vestibule.numbers import changed_number
from vestibule.tokens.address import HEALTH_ROOMS, PATHS, address_part, decoded
from vestibule.tokens.shown import shown
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
LONGEST_NAME = 255  # bytes
_LONGEST_TEXT = 8192  # bytes
# Embeddings, overrides and isolates of the direction of writing, and the mark of the order of bytes
_REORDER = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
_ANSWERS = {"true": True, "yes": True, "false": False, "no": False}
# As in the name of a host of Prosody, of which upstream takes no full stop for a tenant
_TENANT = re.compile(r"[A-Za-z0-9_-]{1,63}")
_NEAR = 0.8  # of difflib


class RequestError(ValueError):
    """What was asked for cannot be minted. The message is a sentence for the operator."""


@dataclass(frozen=True)
class Spelling:
    """How an argument is called and given, for sentences; as mint.yml is given it by default."""

    names: Mapping[str, str] = field(default_factory=dict)
    give: str = "-e {name}={value}"  # an argument on the command line

    def name(self, argument: str) -> str:
        """What it is called."""
        return self.names.get(argument, argument)

    def example(self, argument: str, value: object) -> str:
        """How it is given."""
        return self.give.format(name=self.name(argument), value=value)


MINT_YML = Spelling()


def read(
    given: Mapping[str, Any],
    options: Mapping[str, Any],
    names: Iterable[str],
    spelling: Spelling = MINT_YML,
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
    moderates = _answer(given.get("moderator", True), spelling)
    tenant = (
        _tenant(given["tenant"], options.get("tenants"), spelling) if "tenant" in given else None
    )
    request = {
        "room": _room(given.get("room"), tenant, spelling),
        "tenant": tenant,
        "moderator": moderates,
        "role": "Moderator" if moderates else "Member",
        "lifetime": _lifetime(given.get("lifetime"), options["token_max_lifetime"], spelling),
        "features": _features(given.get("features", ""), spelling),
    }
    name = given.get("display_name", request["role"])
    return {**request, "display_name": _text("display_name", name, "Ada", LONGEST_NAME, spelling)}


def _refuse_misspelt(names: Iterable[str]) -> None:
    for name in names:
        near = difflib.get_close_matches(name.lower().replace("-", "_"), ARGUMENTS, 1, _NEAR)
        if near and name not in ARGUMENTS:
            raise RequestError(
                f"{name} is nothing that a token is minted with. Did you mean {near[0]}? There are"
                f" {', '.join(ARGUMENTS)}."
            )


def _text(argument: str, value: Any, example: str, longest: int, spelling: Spelling) -> str:
    name, say = spelling.name(argument), spelling.example(argument, example)
    if not isinstance(value, str):
        raise RequestError(
            f"{name} is of type {type_name(value)}, not a text. Say {say}, or quote it in YAML."
        )
    if not value.strip() or breaks_lines(value):
        raise RequestError(f"{name} is empty, or has a control character. Name one, e.g. {say}.")
    _refuse_long(name, len(value.encode(errors="replace")), longest)
    return value


def _refuse_long(name: str, size: int, longest: int) -> None:
    if size > longest:
        raise RequestError(f"{name} is longer than {longest} bytes. Choose a shorter one.")


def breaks_lines(text: str) -> bool:
    """Whether it has what no name of any script needs: controls, and what reorders text.

    Joiners belong to words in Persian and in India, and to pictures.
    """
    if text.isprintable():
        return False
    return any(
        unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp")
        or each in _REORDER
        or ord(each) & 0xFFFE == 0xFFFE
        for each in text
    )


def _room(value: Any, tenant: str | None, spelling: Spelling) -> str:
    if value is None:
        raise RequestError(
            f"{spelling.name('room')} is not set. Name the room the token is for, e.g."
            f" {spelling.example('room', 'standup')}."
        )
    room = _text("room", value, "standup", _LONGEST_TEXT, spelling)
    name = spelling.name("room")
    path = _text("room", decoded(room), "standup", _LONGEST_TEXT, spelling)
    part = address_part(room)
    # In its address the room is [tenant]room
    longest = _LONGEST_PART - (len(tenant.encode()) + 2 if tenant else 0)
    if len(part) > longest:
        raise RequestError(
            f"{name} is longer than {longest} bytes in the address of the room, where each byte of"
            " other letters than a to z takes three. Choose a shorter one."
        )
    if path in PATHS or part.lower().startswith(HEALTH_ROOMS):
        raise RequestError(
            f"{name} is {shown(room)}, which the server keeps for itself. Choose another name."
        )
    return room


def _answer(value: Any, spelling: Spelling) -> bool:
    answer = _ANSWERS.get(str(value).lower()) if isinstance(value, (str, bool)) else None
    if answer is None:
        raise RequestError(
            f"{spelling.name('moderator')} is {shown(value)}. Say"
            f" {spelling.example('moderator', 'false')}, or leave it out."
        )
    return answer


def _lifetime(value: Any, longest: int, spelling: Spelling) -> int:
    if value is None:
        return min(LIFETIME, longest)
    if isinstance(value, bool) or not re.fullmatch("[1-9][0-9]{0,9}", str(value)):
        raise RequestError(
            f"{spelling.name('lifetime')} is {shown(value)}, not a whole number of seconds above 0."
            f" Say e.g. {spelling.example('lifetime', min(LIFETIME, longest))}."
        )
    if int(value) > longest:
        raise RequestError(
            f"{spelling.name('lifetime')} is more than the {longest} seconds that the server takes."
            " Ask for less, or raise jitsi_token_max_lifetime and deploy that first."
        )
    return int(value)


def _tenant(value: Any, tenants: list[str] | None, spelling: Spelling) -> str:
    """The tenant, of these; of an empty list any is one, and of None there is none."""
    tenant = _text("tenant", value, "sales", LONGEST_NAME, spelling)
    if tenants is None:
        raise RequestError(
            f"{spelling.name('tenant')} needs the feature tenants. Add tenants to jitsi_features"
            f" and deploy that first, or leave {spelling.name('tenant')} out."
        )
    if not tenants and not _TENANT.fullmatch(tenant):
        raise RequestError(
            f"{spelling.name('tenant')} is no name of a tenant. Use letters without accents,"
            " digits, hyphens and underscores, at most 63, e.g."
            f" {spelling.example('tenant', 'sales')}."
        )
    if not tenants and tenant.lower() in reserved_labels(load_features(), "tenants"):
        raise RequestError(
            f"{spelling.name('tenant')} is {tenant}, which is a component or a path of the server"
            " itself. Choose another name."
        )
    if tenants and tenant not in tenants:
        near = difflib.get_close_matches(tenant, tenants, 1)
        raise RequestError(
            f"{spelling.name('tenant')} is {shown(tenant)}, which is not in jitsi_tenants."
            f"{f' Did you mean {near[0]}?' if near else ''} There are {', '.join(tenants)}."
        )
    return tenant


def _features(value: Any, spelling: Spelling) -> dict[str, bool]:
    called = spelling.name("features")
    if not isinstance(value, str):
        raise RequestError(
            f"{called} is of type {type_name(value)}, not a text. Say"
            f" {spelling.example('features', 'recording,livestreaming')}."
        )
    names = [name for name in map(str.strip, value.split(",")) if name]
    for name in names:
        if name not in FEATURES:
            near = difflib.get_close_matches(name, FEATURES, 1)
            raise RequestError(
                f"{called} has {shown(name)}, which Jitsi does not know."
                f"{f' Did you mean {near[0]}?' if near else ''} There are {', '.join(FEATURES)}."
            )
    return dict.fromkeys(names, True)
