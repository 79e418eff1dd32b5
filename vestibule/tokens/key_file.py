"""The files of keys as mod_token_keys reads them, and the secrets that go into them."""

from __future__ import annotations

import json
import secrets as random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vestibule.model.token_keys import PROOF

_KEPT = ("kid", "algorithm", "public_key", "issuers", "tenants", "not_before", "not_after")


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


def key_file(options: Mapping[str, Any], secrets: Mapping[str, str], secret: str) -> str:
    """The text of the file, for the options of a model.

    ``secrets`` are those of the keys by kid, ``secret`` the one that signs where there are no keys.
    """
    keys = [
        {
            **{name: key[name] for name in _KEPT if key[name] not in (None, [])},
            **({"secret": secrets[key["kid"]]} if key["kid"] in secrets else {}),
        }
        for key in options["token_keys"]
    ] or [{"algorithm": "HS256", "secret": secret, "issuers": options["token_own_issuers"]}]
    revoked = {name: each for name, each in options["token_revoked"].items() if each}
    return text_of(keys, revoked)


def text_of(keys: Sequence[Mapping[str, Any]], revoked: Mapping[str, Any]) -> str:
    """A file with these keys."""
    content = {"made_by": "Vestibule", "keys": keys, "revoked": revoked}
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
