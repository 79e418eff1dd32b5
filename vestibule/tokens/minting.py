"""A signed token that lets one person into a meeting."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from typing import Any

import jwt

from vestibule.arguments import unknown
from vestibule.secret_strength import LENGTH
from vestibule.tokens.address import address_part
from vestibule.values import type_name

SECRET_LENGTH = LENGTH  # characters, and so at least the 256 bits of RFC 7518 section 3.2
SKEW = 10  # seconds

# jwt.encode makes an encoder for each token, and looks for times that are no numbers
_JSON = json.JSONEncoder(separators=(",", ":"))
_SIGNER = jwt.PyJWS()
_REQUIRED = frozenset({"secret", "issuer", "audience", "domain"})
_ARGUMENTS = _REQUIRED | {"tenant", "lifetime", "max_lifetime", "user", "features", "now", "kid"}
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


def mint(
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
    kid: str = "",
) -> str:
    """Sign `claims`, completed, as a token (RFC 7519; the claims are those of Jitsi's token docs).

    Both lifetimes are in seconds, `now` in seconds since 1970. `kid` names the key in the header,
    unless it is empty. Raises TokenError with the remedy.
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
        "room": address_part(_demand_text(given["room"], "claims['room']")),
    }
    if tenant is not None:
        if "sub" in given:
            raise TokenError("Both tenant and the claim sub are given. Leave one of them out.")
        token["sub"] = address_part(_demand_text(tenant, "tenant"))
    elif "sub" in given:
        _demand_text(given["sub"], "claims['sub']")
    context = {}
    if user is not None:
        context["user"] = _demand_mapping(user, "user")
    if features is not None:
        context["features"] = _demand_mapping(features, "features")
        for name, allowed in features.items():
            if not isinstance(allowed, bool):
                kind = type_name(allowed)
                raise TokenError(f"features[{name!r}] is of type {kind}. Use true or false.")
    if context:
        token["context"] = context
    return _sign(token, secret, _kid(kid))


def _kid(value: object) -> dict[str, Any] | None:
    if not isinstance(value, str):
        raise TokenError(f"kid is of type {type_name(value)}. Use text.")
    return {"kid": value} if value else None


def _sign(claims: dict[str, Any], secret: str, header: dict[str, Any] | None) -> str:
    try:
        return _SIGNER.encode(
            _JSON.encode(claims).encode(), secret, algorithm="HS256", headers=header
        )
    except jwt.InvalidKeyError:
        raise TokenError(
            "The secret is a key in PEM or SSH form, not a secret of HS256. Put random text into "
            "jitsi_token_secret, or leave that variable out and some is made."
        ) from None


# Whether it can be guessed is looked at where a server gets it
def _demand_secret(value: object) -> None:
    if len(_demand_text(value, "secret")) < SECRET_LENGTH:
        raise TokenError(
            f"The secret is shorter than {SECRET_LENGTH} characters. Put a longer one into "
            "jitsi_token_secret, or leave that variable out and one is made."
        )


def _lifetime(value: object, longest: object) -> int:
    seconds = _seconds(value, "lifetime")
    if longest is not None and seconds > _seconds(longest, "max_lifetime"):
        raise TokenError(
            f"lifetime is more than the {longest} seconds that the server takes. Ask for less, or"
            " raise jitsi_token_max_lifetime and deploy that first."
        )
    return seconds


def _seconds(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise TokenError(f"{name} is no whole number of seconds above 0. Use for example 3600.")
    return value


def _time(value: object) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise TokenError("now is no time in seconds since 1970. Leave it out for the clock.")
    return value


def _demand_text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise TokenError(f"{name} is of type {type_name(value)}. Use text.")
    if not value.strip():
        raise TokenError(f"{name} is empty. Give it some text.")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise TokenError(f"{name} is text that UTF-8 cannot encode. Use other text.") from None
    return value


def _demand_mapping(value: object, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TokenError(f"{place} is of type {type_name(value)}. Use a mapping.")
    for key, item in value.items():
        if not isinstance(key, str):
            raise TokenError(f"{place} has a key of type {type_name(key)}. Use text.")
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
            f"{place} is of type {type_name(value)}, or infinite. "
            "Use text, a number, a boolean, a list or a mapping."
        )


def _is_finite(value: str | float) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def mint_with(claims: Any, arguments: Mapping[str, Any]) -> str:
    """`mint` for arguments that people wrote. Raises TokenError for names that are not its own."""
    if not arguments.keys() <= _ARGUMENTS:
        raise TokenError(unknown(min(arguments.keys() - _ARGUMENTS), _ARGUMENTS))
    if not arguments.keys() >= _REQUIRED:
        raise TokenError(f"The argument {min(_REQUIRED - arguments.keys())} is missing.")
    return mint(claims, **arguments)
