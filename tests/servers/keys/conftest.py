"""One server with keys of every kind, and the controller that has all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.servers.support import Controller, Server

PROVEN = {
    *("token_without_kid_enters", "each_key_enters", "unknown_kid_refused", "strange_kid_refused"),
    *("key_of_other_issuer_refused", "key_of_other_tenant_refused", "expired_key_refused"),
    *("key_not_yet_valid_refused", "public_key_as_secret_refused", "list_audience_enters"),
}
# What keys could have opened or closed
ROUND_ABOUT = {
    *("valid_token_enters", "bad_signature_refused", "other_key_refused", "alg_none_refused"),
    *("alg_confusion_refused", "wrong_issuer_refused", "wrong_audience_refused"),
    *("other_clock_enters", "tenant_token_enters", "other_tenant_refused", "truncated_refused"),
}
PROVIDER = "https://id.example.org"
OPTIONS: Mapping[str, Any] = {
    "jitsi_features": ["tenants", "affiliation"],
    "jitsi_tenants": ["acme", "globex"],
    "jitsi_token_issuers": ["vestibule", PROVIDER, "other-app"],
    "jitsi_token_audiences": ["jitsi", "meet"],
    "jitsi_verify_browser": "none",
}
KEYS: list[dict[str, Any]] = [
    {"kid": "app-1", "algorithm": "HS256", "secret_name": "token_key_1", "issuers": ["vestibule"]},
    {"kid": "app-2", "algorithm": "HS256", "secret_name": "token_key_2", "issuers": ["other-app"]},
    {"kid": "acme", "algorithm": "HS256", "secret_name": "token_key_3", "tenants": ["acme"]},
    {
        "kid": "app-0",
        "algorithm": "HS256",
        "secret_name": "token_key_4",
        "not_after": "2026-01-01T00:00:00+01:00",
    },
    {
        "kid": "app-9",
        "algorithm": "HS256",
        "secret_name": "token_key_5",
        "not_before": "2199-01-01T00:00:00Z",
    },
]


@dataclass(frozen=True)
class Pair:
    """An RSA key, both halves in PEM form."""

    private: str
    public: str


@pytest.fixture(scope="session")
def scenario() -> str:
    """What the server is booted for."""
    return "keys"


@pytest.fixture(scope="session")
def pair() -> Pair:
    """The key of an identity provider."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = serialization.Encoding.PEM
    return Pair(
        key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
        key.public_key()
        .public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode(),
    )


@pytest.fixture(scope="session")
def wishes(pair: Pair) -> dict[str, Any]:
    """Variables of a deployment with all of these keys, as somebody with Windows exports one."""
    provider = {
        "kid": "idp-1",
        "algorithm": "RS384",
        "public_key": "\ufeff" + pair.public.replace("\n", "\r\n"),
        "issuers": [PROVIDER],
    }
    return {
        **OPTIONS,
        "jitsi_token_keys": [*KEYS, provider],
        "jitsi_verify_private_keys": {"idp-1": pair.private},
    }


@pytest.fixture(scope="session")
def deployed(server: Server, controller: Controller, wishes: dict[str, Any]) -> dict[str, Any]:
    """The server with these keys, of which every case was played."""
    del server
    run = controller.deploy(**wishes, jitsi_verify_cases=sorted({*PROVEN, *ROUND_ABOUT}))
    assert run.returncode == 0, run.output[-6000:]
    return wishes
