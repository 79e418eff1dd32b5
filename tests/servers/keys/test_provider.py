"""Keys of an identity provider on a server that runs: they come, are exchanged, stay, and go."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from tests.authority import issue
from tests.servers.prosody_modules.people import log_in
from tests.servers.support import Controller, Server

from .test_keys import FEW, entrance_of, issuer_of, secret_of, starts

PROVIDER = "https://id.example.org"
FOLDER = "/root/provider"
FILE = "/etc/vestibule/tokens/provider.json"
# As often as it is asked for, which systemd would not do for a unit that fails
UNIT = "vestibule-token-keys.service"
FETCH = f"systemctl reset-failed {UNIT}; systemctl start {UNIT}"
# The one secret has no kid, so it is the one that is tried
UNKNOWN = "Invalid or incorrect alg"
METRICS = "/var/lib/vestibule-tokens/token_keys.prom"
# On the loopback of the server itself: it shows what is in a file
PROGRAM = f"""
import http.server, ssl

class Provider(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(open("{FOLDER}/keys.json", "rb").read())

server = http.server.HTTPServer(("127.0.0.1", 8443), Provider)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("{FOLDER}/own.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""
WISH: dict[str, Any] = {
    **FEW,
    "jitsi_verify_browser": "none",
    "jitsi_token_issuers": ["vestibule", PROVIDER],
    "jitsi_token_jwks_url": "https://localhost:8443/keys",
    "jitsi_token_jwks_issuers": [PROVIDER],
    "jitsi_tokens_provider_authority": f"{FOLDER}/authority.pem",
}


def put(server: Server, name: str, text: str) -> None:
    server.run(f"umask 077; mkdir -p {FOLDER}; cat > {FOLDER}/{name}", stdin=text)


def show(server: Server, **keys: rsa.RSAPrivateKey) -> None:
    """Have the provider show the public halves of these, by kid."""
    listed = []
    for kid, key in keys.items():
        jwk: dict[str, Any] = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        jwk.pop("key_ops", None)
        listed.append({**jwk, "kid": kid, "use": "sig", "alg": "RS256"})
    put(server, "keys.json", json.dumps({"keys": listed}))


@pytest.fixture(scope="module")
def keys() -> dict[str, rsa.RSAPrivateKey]:
    """Two that the provider has, one after the other."""
    return {kid: rsa.generate_private_key(65537, 2048) for kid in ("old", "new")}


@pytest.fixture(scope="module")
def provider(server: Server, keys: dict[str, rsa.RSAPrivateKey]) -> Iterator[None]:
    """It runs beside Prosody, with a certificate of an authority of its own."""
    authority = issue("Provider", authority=True)
    own = issue("localhost", authority)
    put(server, "authority.pem", authority.pem)
    put(server, "own.pem", own.key + own.pem)
    put(server, "provider.py", PROGRAM)
    show(server, old=keys["old"])
    server.run(f"systemd-run --quiet --unit provider /usr/bin/python3 {FOLDER}/provider.py")
    yield
    server.run("systemctl stop provider.service", ok=(0, 5))


def answers(server: Server, keys: dict[str, rsa.RSAPrivateKey]) -> dict[str, str]:
    """What the server says to a token signed with each of these."""

    async def asked() -> dict[str, str]:
        issuer = issuer_of("", "token_secret")
        async with entrance_of(server, issuer) as entrance:
            room = entrance.room()
            claims = entrance.issuer.claims(room=room.name, iss=PROVIDER)
            tokens = {
                kid: jwt.encode(claims, key, "RS256", {"kid": kid}) for kid, key in keys.items()
            }
            # Whoever mints here does not sign for the provider
            tokens["own"] = jwt.encode(claims, secret_of("token_secret"), "HS256")
            return {kid: await log_in(entrance, room, token) for kid, token in tokens.items()}

    return asyncio.run(asked())


def test_no_provider_no_deployment(server: Server, controller: Controller) -> None:
    put(server, "authority.pem", issue("Nobody", authority=True).pem)
    run = controller.deploy(**WISH)
    assert run.returncode != 0
    assert "The keys of https://localhost:8443/keys cannot be used" in run.output
    assert server.run(f"ls {FILE}", ok=(2,)) == ""


@pytest.mark.usefixtures("provider")
def test_keys_come_are_exchanged_and_stay(
    server: Server, controller: Controller, keys: dict[str, rsa.RSAPrivateKey]
) -> None:
    run = controller.deploy(**WISH)
    assert run.returncode == 0, run.output[-4000:]
    assert server.run(f"stat --format '%a %U %G' {FILE}").split() == ["640", "root", "prosody"]
    server.run("systemctl is-active --quiet vestibule-token-keys.timer")
    own = "invalid 'iss' claim"
    assert answers(server, keys) == {"old": "", "new": UNKNOWN, "own": own}
    before = starts(server)

    # At once, also where somebody logged in a moment before
    for there, gone in [("new", "old"), ("old", "new")] * 2 + [("new", "old")]:
        show(server, **{there: keys[there]})
        server.run(FETCH)
        assert answers(server, keys) == {there: "", gone: UNKNOWN, "own": own}

    put(server, "keys.json", '{"keys": []}')
    server.run(FETCH, ok=(1,))
    assert "vestibule_token_keys_fetch_success 0" in server.run(f"cat {METRICS}")
    server.run("systemctl stop provider.service")
    server.run(FETCH, ok=(1,))
    assert answers(server, keys)["new"] == ""
    assert "Those from before count" in server.run("journalctl --unit vestibule-token-keys")
    assert starts(server) == before
    again = controller.deploy(**WISH)
    assert again.returncode == 0, again.output[-4000:]
    assert "changed=0" in again.output


def test_without_a_provider_its_keys_go(
    server: Server, controller: Controller, keys: dict[str, rsa.RSAPrivateKey]
) -> None:
    run = controller.deploy(**FEW, jitsi_token_issuers=["vestibule", PROVIDER])
    assert run.returncode == 0, run.output[-4000:]
    assert server.run(f"ls {FILE} {METRICS}", ok=(2,)) == ""
    units = server.run("systemctl list-unit-files --no-legend 'vestibule-token-keys*'", ok=(0, 1))
    assert units == ""
    assert answers(server, keys)["new"] == UNKNOWN
