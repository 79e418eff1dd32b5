"""Tokens that a server must accept, and tokens made by hand that it must refuse."""

from __future__ import annotations

import base64
import functools
import hmac
import json
import os
import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from vestibule.model.token_keys import COUNTS

ABSENT: Final = object()  # as value of a claim: the token shall not have it

HEADER: Mapping[str, str] = {"alg": "HS256", "typ": "JWT"}

_VALID_FOR = 600  # seconds
_PATIENCE = 30  # seconds that a command has for a token
_SKEW = 60  # seconds that the server's clock may be off without changing a verdict


class SecretUnknownError(Exception):
    """What signs is known to somebody's command alone, so nothing can be forged with it."""


class MintError(Exception):
    """The operator's command did not mint. The message is a sentence, without a token."""


def context(affiliation: str = "owner", **more: Any) -> dict[str, Any]:
    """The context claim of an owner, or of somebody else. ``more`` stands beside the user."""
    return {
        "user": {"id": "vestibule", "name": "Access case", "affiliation": affiliation},
        **more,
    }


@dataclass(frozen=True)
class Issuer:
    """What the server expects of the tokens that it accepts."""

    secret: str = field(repr=False)
    issuer: str
    audience: str
    domain: str
    max_lifetime: int = 86400  # seconds from iat to exp
    kid: str = ""
    command: tuple[str, ...] = ()  # mints in place of the secret

    @property
    def header(self) -> dict[str, str]:
        """The header of the tokens, which names the key where there are several."""
        return {**HEADER, **({"kid": self.kid} if self.kid else {})}

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Valid claims of an owner for the room that ``changes`` name.

        The value ABSENT removes a claim.
        """
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": self.domain,
            "iat": now,
            "nbf": now - _SKEW,
            "exp": now + min(_VALID_FOR, self.max_lifetime),
            "context": context(),
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not ABSENT}

    def token(self, **changes: Any) -> str:
        """A token signed as agreed. Valid unless ``changes`` make it otherwise."""
        return self.sign(json.dumps(self.claims(**changes)))

    def sign(self, claims: str | bytes) -> str:
        """A token with this text as claims, whatever it says."""
        content = claims.encode() if isinstance(claims, str) else claims
        if self.command:
            return minted_by(self.command, content)
        # PyJWS, not encode(): it signs claims that no honest issuer would write
        return jwt.PyJWS().encode(
            content, self.secret, algorithm=HEADER["alg"], headers=self.header
        )


def minted_by(command: tuple[str, ...], claims: bytes) -> str:
    """What the operator's command prints for these claims: a token that has them as they are.

    It gets them on standard input, and has no shell. Raises MintError.
    """
    name = "jitsi_verify_mint_command"
    try:
        done = subprocess.run(
            command,
            input=claims,
            capture_output=True,
            check=False,
            timeout=_PATIENCE,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
    except OSError as error:
        raise MintError(f"{name}: {command[0]} cannot be run ({error.strerror}).") from None
    except subprocess.TimeoutExpired:
        raise MintError(f"{name} printed no token within {_PATIENCE} s.") from None
    if done.returncode:
        raise MintError(
            f"{name} ended with exit code {done.returncode}. Run it by hand with claims in JSON on"
            " its standard input; what it said may hold a key, so it is not shown here."
        )
    token = done.stdout.strip().decode("ascii", "replace")
    try:
        told = base64.urlsafe_b64decode(token.split(".")[1] + "==")
        same = told == claims or json.loads(told) == json.loads(claims)
        kept = same and re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", token, re.ASCII) is not None
    except (IndexError, ValueError):
        kept = False
    if not kept:
        raise MintError(
            f"{name} did not print a token with the claims that it was given, and nothing else."
            " It has to sign what it reads as it is: cases try claims that a server has to refuse."
        )
    return token


@dataclass(frozen=True)
class Key:
    """A key of the server, and what signs with it where that is known here."""

    kid: str
    algorithm: str
    issuers: tuple[str, ...]
    tenants: tuple[str, ...] = ()
    state: str = COUNTS
    public: str = ""  # in PEM form
    private: str = field(default="", repr=False)  # the secret, or the private half in PEM form

    def sign(self, claims: Mapping[str, Any], *, named: bool = True) -> str:
        """A token with these claims, with or without the kid in its header."""
        headers = {"kid": self.kid} if named else {}
        content = json.dumps(claims).encode()
        return jwt.PyJWS().encode(content, self.private, self.algorithm, headers)


def keys_of(options: Mapping[str, Any], private: Mapping[str, str]) -> tuple[Key, ...]:
    """The keys of a server with these options; ``private`` has what signs, by kid."""
    return tuple(
        Key(
            key["kid"],
            key["algorithm"],
            tuple(key["issuers"]),
            tuple(key["tenants"]),
            key["state"],
            key["public_key"] or "",
            private.get(key["kid"], ""),
        )
        for key in options.get("token_keys", [])
    )


def from_now(seconds: int) -> int:
    """A numeric date (RFC 7519, section 2), in the past where ``seconds`` is negative."""
    return int(time.time()) + seconds


def encode_part(content: bytes) -> str:
    """One part of a token: base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def forge(header: object, claims: object, secret: str, digest: str = "sha256") -> str:
    """A token with any JSON as header and claims and a true HMAC, whatever the header says."""
    signed = ".".join(encode_part(json.dumps(part).encode()) for part in (header, claims))
    return f"{signed}.{encode_part(hmac.digest(secret.encode(), signed.encode(), digest))}"


def forge_rsa(claims: Mapping[str, Any]) -> str:
    """A token signed with an RSA key of our own, RS256."""
    return jwt.PyJWS().encode(json.dumps(claims).encode(), _own_key(), algorithm="RS256")


@functools.cache
def _own_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)
