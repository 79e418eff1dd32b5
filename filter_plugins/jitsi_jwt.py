"""Filter ``jitsi_jwt``: a signed token that lets one person into a meeting."""

from __future__ import annotations

import difflib
import math
import re
import time
import unicodedata
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import jwt
from ansible.errors import AnsibleFilterError
from ansible.module_utils.datatag import native_type_name

DOCUMENTATION = r"""
name: jitsi_jwt
short_description: Mint a token for a Jitsi meeting
description:
  - Signs a JSON Web Token (RFC 7519) with HS256, as Jitsi's token authentication reads it.
  - Fills in the claims C(iss), C(aud), C(sub), C(iat), C(nbf) and C(exp). Others, such as C(jti),
    are taken from the value.
  - Whoever has the token gets in. Keep the task that handles it out of logs.
options:
  _input:
    description: >-
      The claims of the token. C(room) is required, V(*) opens every room. C(sub) may be given to
      replace the one made from I(domain), V(*) opens the rooms of every tenant. A room with other
      characters than those of plain addresses is percent-encoded, as in the address of the room.
    type: dict
    required: true
  secret:
    description: The secret that the server verifies with, 32 characters or more.
    type: str
    required: true
  issuer:
    description: The claim C(iss). Prosody calls it C(app_id).
    type: str
    required: true
  audience:
    description: The claim C(aud), one text. Prosody refuses lists.
    type: str
    required: true
  domain:
    description: Public name of the server, the claim C(sub) for rooms without a tenant.
    type: str
    required: true
  tenant:
    description: Tenant whose room it is, the claim C(sub) for C(/tenant/room).
    type: str
  lifetime:
    description: Seconds from now until the token expires.
    type: int
    default: 3600
  max_lifetime:
    description: >-
      The longest lifetime that the server takes, V(jitsi_token_max_lifetime). More is an error.
    type: int
  user:
    description: >-
      Who it is for, C(context.user), for example C(id), C(name), C(email), C(affiliation),
      C(moderator).
    type: dict
  features:
    description: What that person may do, C(context.features), for example C(recording).
    type: dict
  now:
    description: >-
      Seconds since 1970 from which the times count, by default the clock of the controller. The
      token is valid from 10 seconds before, so that a server whose clock is behind takes it.
    type: float
"""

EXAMPLES = r"""
- name: Mint a token for a moderator
  ansible.builtin.set_fact:
    token: >-
      {{ {'room': 'standup'}
         | jitsi_jwt(secret=jitsi_token_secret, issuer='vestibule', audience='jitsi',
                     domain='meet.example.org', lifetime=900,
                     user={'name': 'Ada', 'affiliation': 'owner'}, features={'recording': true}) }}
  no_log: true
"""

RETURN = r"""
_value:
  description: The token, three parts of base64url joined by dots (RFC 7515, compact serialization).
  type: str
"""

SECRET_LENGTH = 32  # characters, and so at least the 256 bits that RFC 7518 section 3.2 asks for
SKEW = 10  # seconds

_PLAIN = re.compile(r"[\w.~*%-]+", re.ASCII)
_REQUIRED = frozenset({"secret", "issuer", "audience", "domain"})
_ARGUMENTS = _REQUIRED | {"tenant", "lifetime", "max_lifetime", "user", "features", "now"}
_MADE_FROM = {
    "iss": "issuer",
    "aud": "audience",
    "iat": "now",
    "nbf": "now",
    "exp": "lifetime",
    "context": "user and features",
}


class TokenError(ValueError):
    """The token cannot be made. The message names arguments, places and types, never values."""


def jitsi_jwt(
    claims: dict[str, Any],
    *,
    secret: str,
    issuer: str,
    audience: str,
    domain: str,
    tenant: str | None = None,
    lifetime: int = 3600,
    max_lifetime: int | None = None,
    user: dict[str, Any] | None = None,
    features: dict[str, bool] | None = None,
    now: float | None = None,
) -> str:
    """Sign `claims`, completed, as a token (RFC 7519; the claims are those of Jitsi's token docs).

    Both lifetimes are in seconds, `now` in seconds since 1970. Raises TokenError with the remedy.
    """
    _demand_secret(secret)
    issued = int(_time(now)) if now is not None else int(time.time())
    given = _demand_mapping(claims, "claims")
    for claim in given:
        if claim in _MADE_FROM:
            raise TokenError(
                f"The claim {claim} is made from {_MADE_FROM[claim]}. Give that instead."
            )
    if "room" not in given:
        raise TokenError("The claim room is missing. Name the room, or '*' for every room.")
    token = {
        "iss": _demand_text(issuer, "issuer"),
        "aud": _demand_text(audience, "audience"),
        "sub": _demand_text(domain, "domain"),
        "iat": issued,
        "nbf": issued - SKEW,
        "exp": issued + _lifetime(lifetime, max_lifetime),
        **given,
        "room": _address_part(_demand_text(given["room"], "claims['room']")),
    }
    if tenant is not None:
        if "sub" in given:
            raise TokenError("Both tenant and the claim sub are given. Leave one of them out.")
        token["sub"] = _address_part(_demand_text(tenant, "tenant"))
    _demand_text(token["sub"], "claims['sub']")
    context = {}
    if user is not None:
        context["user"] = _demand_mapping(user, "user")
    if features is not None:
        context["features"] = _demand_mapping(features, "features")
        for name, allowed in features.items():
            if not isinstance(allowed, bool):
                kind = native_type_name(allowed)
                raise TokenError(f"features[{name!r}] is of type {kind}. Use true or false.")
    if context:
        token["context"] = context
    return _sign(token, secret)


def _sign(claims: dict[str, Any], secret: str) -> str:
    try:
        return jwt.encode(claims, secret, algorithm="HS256")
    except jwt.InvalidKeyError:
        raise TokenError(
            "The secret is a key in PEM or SSH form, not a secret of HS256. Put random text into "
            "jitsi_token_secret, or leave that variable out and some is made."
        ) from None


def _demand_secret(value: object) -> None:
    if len(_demand_text(value, "secret")) < SECRET_LENGTH:
        raise TokenError(
            f"The secret is shorter than {SECRET_LENGTH} characters. Put a longer one into "
            "jitsi_token_secret, or leave that variable out and one is made."
        )


def _lifetime(value: object, longest: int | None) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise TokenError("lifetime is no whole number of seconds above 0. Use for example 3600.")
    if longest is not None and value > longest:
        raise TokenError(
            f"lifetime is more than the {longest} seconds that the server takes. Ask for less, or"
            " raise jitsi_token_max_lifetime and deploy that first."
        )
    return value


def _time(value: object) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise TokenError("now is no time in seconds since 1970. Leave it out for the clock.")
    return value


def _demand_text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise TokenError(f"{name} is of type {native_type_name(value)}. Use text.")
    if not value.strip():
        raise TokenError(f"{name} is empty. Give it some text.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise TokenError(f"{name} is text that UTF-8 cannot encode. Use other text.") from None
    return value


def _demand_mapping(value: object, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TokenError(f"{place} is of type {native_type_name(value)}. Use a mapping.")
    for key, item in value.items():
        if not isinstance(key, str):
            raise TokenError(f"{place} has a key of type {native_type_name(key)}. Use text.")
        if not isinstance(item, (str, int)):  # most items are text or booleans, which are int
            _demand_json(item, f"{place}[{key!r}]")
    return value


def _demand_json(value: object, place: str) -> None:
    """Refuse what JSON cannot say, and null, which is true in Lua."""
    if isinstance(value, dict):
        _demand_mapping(value, place)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _demand_json(item, f"{place}[{index}]")
    elif value is None:
        raise TokenError(f"{place} is null, which Prosody takes for true. Leave it out.")
    elif not isinstance(value, (str, int, float)) or not _is_finite(value):
        raise TokenError(
            f"{place} is of type {native_type_name(value)}, or infinite. "
            "Use text, a number, a boolean, a list or a mapping."
        )


def _is_finite(value: str | float) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _address_part(name: str) -> str:
    """Write a room or tenant as Jitsi's client writes it into the room's address.

    The claim must equal that (upstream: getBackendSafeRoomName in react/features/base/util/uri.ts).
    """
    if _PLAIN.fullmatch(name):
        return name
    return quote(unicodedata.normalize("NFKC", name).lower(), safe="!'()*").lower()


def _jitsi_jwt(claims: Any, **arguments: Any) -> str:
    if not arguments.keys() <= _ARGUMENTS:
        raise AnsibleFilterError(_unknown(min(arguments.keys() - _ARGUMENTS)))
    if not arguments.keys() >= _REQUIRED:
        raise AnsibleFilterError(f"The argument {min(_REQUIRED - arguments.keys())} is missing.")
    try:
        return jitsi_jwt(claims, **arguments)
    except TokenError as error:
        raise AnsibleFilterError(str(error)) from None


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, _ARGUMENTS, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(sorted(_ARGUMENTS))}."
    return f"There is no argument {name}. {hint}"


class FilterModule:
    """The filter as Ansible finds it."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters of this file by name."""
        return {"jitsi_jwt": _jitsi_jwt}
