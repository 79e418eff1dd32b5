"""The case that reads the web client's configuration, against answers made up here."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import Any

import httpx
import pytest

from vestibule.access.cases import CASES
from vestibule.access.play import judge
from vestibule.access.scene import Entrance
from vestibule.access.tokens import Issuer
from vestibule.access.transports import Door, WebSocketTransport

DOMAIN = "meet.example.org"
LOGIN = "https://login.example.org/?room={room}"
ALONE: dict[str, Any] = {"tokenAuthUrl": LOGIN, "tokenAuthUrlAutoRedirect": True, "hosts": {}}
BESIDE_GUESTS: dict[str, Any] = {
    "tokenAuthUrl": LOGIN,
    "tokenAuthUrlAutoRedirect": False,
    "hosts": {"anonymousdomain": "guest.meet.example.org"},
}


def verdict(content: str, features: frozenset[str], status: int = 200) -> str:
    """What the case says of a server that serves this as config.js, and nothing else."""

    def answer(request: httpx.Request) -> httpx.Response:
        assert (request.url.path, request.headers["Host"]) == ("/config.js", DOMAIN)
        return httpx.Response(status, text=content)

    async def judged() -> str:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
            door = Door(DOMAIN, "192.0.2.1", 443, ssl.create_default_context(), http)
            entrance = Entrance(
                door,
                WebSocketTransport,
                Issuer("", "vestibule", "jitsi", DOMAIN),
                1,
                features,
                {"token_auth_url": LOGIN},
            )
            result = await judge(CASES["login_page_is_announced"], entrance)
            assert result.ok == (result.got == "is announced")
            return result.got

    return asyncio.run(judged())


def script(config: object) -> str:
    return f"// made by a test\nvar config = {json.dumps(config)};\n"


@pytest.mark.parametrize(
    ("config", "features", "expected"),
    [
        (ALONE, [], "is announced"),
        (BESIDE_GUESTS, ["guests"], "is announced"),
        ({**ALONE, "tokenAuthUrl": ""}, [], "is another one, or none [config.js]"),
        ({**ALONE, "tokenAuthUrlAutoRedirect": False}, [], "waits for a password [config.js]"),
        (ALONE, ["guests"], "guests are sent there as well [config.js]"),
        (
            {**BESIDE_GUESTS, "hosts": {}},
            ["guests"],
            "does not know where guests log in [config.js]",
        ),
        (
            {**ALONE, "hosts": BESIDE_GUESTS["hosts"]},
            [],
            "sends guests nowhere [config.js]",
        ),
        ([], [], "broken: config.js: no mapping [config.js]"),
    ],
)
def test_the_login_page_has_to_be_announced(
    config: object, features: list[str], expected: str
) -> None:
    assert verdict(script(config), frozenset(features)) == expected


def test_what_is_no_configuration_is_named() -> None:
    assert verdict("<html/>", frozenset()) == "broken: config.js: no JSON [config.js]"
    missing = verdict("", frozenset(), status=404)
    assert missing == "broken: config.js: HTTP status 404 [config.js]"
