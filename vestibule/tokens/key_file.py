"""The files of keys as mod_token_keys reads them, and the secrets that go into them."""

from __future__ import annotations

import json
import secrets as random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vestibule.model.token_keys import PROOF
from vestibule.rotation.state import NO_ROTATIONS, TOKEN_SECRET, Rotations, with_rotations

_KEPT = (
    *("kid", "algorithm", "secret", "public_key", "issuers", "tenants"),
    *("not_before", "not_after"),
)


def secrets_by_kid(
    keys: Iterable[Mapping[str, Any]],
    given: Sequence[Mapping[str, Any]],
    named: Mapping[str, str],
) -> dict[str, str]:
    """The secret of each key that has one.

    ``keys`` are those of the model, which has no secrets, ``given`` the same ones as the operator
    wrote them, and ``named`` the secrets of the store by name.
    """
    written = {key["kid"]: key for key in given}
    return {
        key["kid"]: named[key["secret_name"]]
        if key["secret_name"]
        else written[key["kid"]]["secret"]
        for key in keys
        if key["public_key"] is None
    }


def keys_of(
    options: Mapping[str, Any], secrets: Mapping[str, str], rotations: Rotations
) -> list[dict[str, Any]]:
    """The keys by which a deployment verifies, with their secrets, former and next ones as well.

    ``secrets`` are those of the keys of a model by kid; that of "" signs where there are no keys.
    """
    one = {
        "algorithm": "HS256",
        "secret_name": TOKEN_SECRET,
        "issuers": options["token_own_issuers"],
    }
    return with_rotations(options["token_keys"] or [one], secrets, rotations)


def key_file(
    options: Mapping[str, Any],
    secrets: Mapping[str, str],
    secret: str,
    rotations: Rotations = NO_ROTATIONS,
) -> str:
    """The text of the file, for the options of a model.

    ``secrets`` are those of the keys by kid, ``secret`` the one that signs where there are no keys.
    """
    keys = [
        {name: key[name] for name in _KEPT if key.get(name) not in (None, [])}
        for key in keys_of(options, {**secrets, "": secret}, rotations)
    ]
    revoked = {name: each for name, each in options["token_revoked"].items() if each}
    return text_of(keys, revoked, rotations.count)


def text_of(keys: Sequence[Mapping[str, Any]], revoked: Mapping[str, Any], rotated: int = 0) -> str:
    """A file with these keys. How often they were rotated is for who deploys next."""
    content: dict[str, Any] = {"made_by": "Vestibule", "keys": keys, "revoked": revoked}
    if rotated:
        content["rotated"] = rotated
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def key_of_proof(now: float, lifetime: int) -> dict[str, Any]:
    """A key for one proof, which ends by itself after ``lifetime`` seconds, whatever happens."""
    return {
        "kid": f"{PROOF}-{random.token_hex(4)}",
        "algorithm": "HS256",
        "secret": random.token_urlsafe(32),
        "issuers": [PROOF],
        "not_after": int(now) + lifetime,
    }
