"""Keys come and go on a server that runs, and nobody is dropped but whom that concerns."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest

from tests.servers.prosody_modules.people import log_in, lose_connection
from tests.servers.support import DOMAIN, ROOT, Controller, Server
from vestibule.access.scene import Entrance
from vestibule.access.tokens import Issuer
from vestibule.access.transports import TRANSPORTS, front_door
from vestibule.secret_store import parse

from .conftest import KEYS, PROVEN, PROVIDER, Pair

KEY_FILE = "/etc/vestibule/tokens/keys.json"
BROKEN = ("", "{", "[]", '{"keys": [{}]}', '{"keys": 5}', "null")
SAID = 'journalctl --unit prosody --quiet | grep --fixed-strings "cannot be used"'
FEW = {"jitsi_verify_cases": ["valid_token_enters"]}


def secret_of(name: str) -> str:
    """A secret of the store beside the inventory."""
    store = ROOT / "molecule/keys/.secrets/keys.yml"
    return parse(store, store.read_bytes())[name]


def issuer_of(kid: str, name: str, issuer: str = "vestibule") -> Issuer:
    return Issuer(secret_of(name), issuer, "jitsi", DOMAIN, kid=kid)


@contextlib.asynccontextmanager
async def entrance_of(server: Server, issuer: Issuer) -> AsyncIterator[Entrance]:
    address = server.run("hostname -I").split()[0]
    certificate = server.run(f"cat /etc/vestibule/web/{DOMAIN}.crt")
    async with front_door(DOMAIN, address, 443, certificate) as door:
        yield Entrance(door, TRANSPORTS["websocket"], issuer, 30.0)


def starts(server: Server) -> str:
    """By what one knows a Prosody that was neither restarted nor reloaded."""
    pid = "systemctl show prosody --property MainPID --property ActiveEnterTimestampMonotonic"
    reloads = "journalctl --unit prosody --quiet | grep --count 'Reload' || true"
    return server.run(f"{pid}; {reloads}")


def written(server: Server, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the file of keys as a deployment does: another file in its place."""
    content = json.loads(server.run(f"cat {KEY_FILE}"))
    change(content)
    put(server, json.dumps(content))


def put(server: Server, text: str) -> None:
    server.run(
        f"umask 027; cat > {KEY_FILE}.new; chgrp prosody {KEY_FILE}.new;"
        f" mv {KEY_FILE}.new {KEY_FILE}",
        stdin=text,
    )


@pytest.fixture
def restored(server: Server, deployed: Mapping[str, Any]) -> Iterator[None]:
    """The file of keys, as it was before."""
    assert deployed
    before = server.run(f"cat {KEY_FILE}")
    yield
    put(server, before)


def test_every_rule_of_keys_is_proven(deployed: dict[str, Any]) -> None:
    assert deployed
    report = json.loads((ROOT / "build/reports/keys-access.json").read_text(encoding="utf-8"))
    verdicts = {each["case"]: each["ok"] for each in report}
    assert verdicts.keys() >= PROVEN
    assert all(verdicts.values())


def test_nobody_else_may_read_the_keys(server: Server, deployed: dict[str, Any]) -> None:
    assert deployed
    assert server.run(f"stat --format '%a %U %G' {KEY_FILE}").split() == ["640", "root", "prosody"]


def test_keys_come_and_go_without_a_restart(
    server: Server, controller: Controller, deployed: dict[str, Any]
) -> None:
    """Who is inside stays; a new key counts, and one that is withdrawn counts no more."""
    new = {"kid": "new", "algorithm": "HS256", "secret_name": "token_key_6"}
    fewer = [each for each in KEYS if each["kid"] != "app-2"]
    before = starts(server)

    async def played() -> None:
        async with entrance_of(server, issuer_of("app-1", "token_key_1")) as entrance:
            room = entrance.room()
            old = replace(entrance, issuer=issuer_of("app-2", "token_key_2", "other-app"))
            assert await log_in(old, room, old.token(room)) == ""
            async with old.enter(room, old.token(room)) as inside:
                wish = {**deployed, "jitsi_token_keys": [*fewer, new], **FEW}
                run = await asyncio.to_thread(controller.deploy, **wish)
                assert run.returncode == 0, run.output[-3000:]
                assert await log_in(old, room, old.token(room)) == "Unknown kid"
                unnamed = replace(old, issuer=replace(old.issuer, kid=""))
                assert await log_in(old, room, unnamed.token(room)) == "Invalid signature"
                newer = replace(entrance, issuer=issuer_of("new", "token_key_6"))
                assert await log_in(newer, room, newer.token(room)) == ""
                await inside.settle(room)  # and is in the room all the same

    asyncio.run(played())
    assert starts(server) == before
    again = controller.deploy(**{**deployed, **FEW})
    assert again.returncode == 0, again.output[-3000:]
    assert starts(server) == before


@pytest.mark.usefixtures("restored")
def test_what_is_revoked_is_refused_and_closed(server: Server) -> None:
    async def played(revoked: dict[str, Any], *, lost: bool = False, **claims: Any) -> None:
        async with entrance_of(server, issuer_of("app-1", "token_key_1")) as entrance:
            room = entrance.room()
            token, other = entrance.token(room, **claims), entrance.token(room, jti="other")
            async with entrance.enter(room, other) as stays, entrance.enter(room, token) as goes:
                if lost:  # and waited for, to come back
                    await lose_connection(goes)
                before = await asyncio.to_thread(server.run, f"cat {KEY_FILE}")
                await asyncio.to_thread(written, server, lambda it: it.update(revoked=revoked))
                await stays.wait_for_departure(room, goes.nick)
                assert await log_in(entrance, room, token) == "Token revoked"
                assert await log_in(entrance, room, other) == ""
                await stays.settle(room)
                await asyncio.to_thread(put, server, before)

    asyncio.run(played({"jtis": ["j-1"]}, jti="j-1"))
    asyncio.run(played({"jtis": ["j-2"]}, jti="j-2", lost=True))
    asyncio.run(played({"users": ["u-1"]}, context={"user": {"id": "u-1"}}))
    asyncio.run(played({"issued_before": int(time.time()) - 60}, iat=int(time.time()) - 120))


@pytest.mark.usefixtures("restored")
def test_a_broken_file_changes_nothing(server: Server) -> None:
    async def played() -> None:
        async with entrance_of(server, issuer_of("app-1", "token_key_1")) as entrance:
            room = entrance.room()
            said_before = int(server.run(f"{SAID} | wc -l", ok=(0, 1)))
            for number, text in enumerate(BROKEN, said_before):
                await asyncio.to_thread(put, server, text)
                seen = f"until [ $({SAID} | wc -l) -gt {number} ]; do sleep 0.1; done"
                await asyncio.to_thread(server.run, f"timeout 60 sh -c '{seen}'")
                assert await log_in(entrance, room, entrance.token(room)) == ""
            assert entrance.issuer.secret not in server.run(SAID)

    asyncio.run(played())


def test_a_public_key_and_its_tokens(server: Server, deployed: dict[str, Any], pair: Pair) -> None:
    assert deployed

    async def played() -> None:
        async with entrance_of(server, issuer_of("app-1", "token_key_1")) as entrance:
            room = entrance.room()
            for kid, alg, issuer, answer in (
                ("idp-1", "RS384", PROVIDER, ""),
                (None, "RS384", PROVIDER, ""),
                ("idp-1", "RS256", PROVIDER, "Invalid or incorrect alg"),
                ("idp-1", "RS384", "vestibule", "invalid 'iss' claim"),
                ("app-1", "RS384", PROVIDER, "Invalid or incorrect alg"),
            ):
                claims = entrance.issuer.claims(room=room.name, iss=issuer)
                headers = {"kid": kid} if kid else None
                token = jwt.encode(claims, pair.private, alg, headers)
                assert await log_in(entrance, room, token) == answer, (kid, alg, issuer)
            # What Jitsi's own modules go by is no key of tokens any more
            others = replace(entrance.issuer, secret=secret_of("token_secret"), kid="")
            assert await log_in(entrance, room, others.token(room=room.name)) == "Invalid signature"

    asyncio.run(played())


# Few, as a program is started for each token
MINTED = [
    *("valid_token_enters", "bad_signature_refused", "alg_confusion_refused"),
    *("wrong_issuer_refused", "list_audience_enters"),
]
MINT = """import sys, jwt
private = open(sys.argv[1]).read()
print(jwt.PyJWS().encode(sys.stdin.buffer.read(), private, "RS384", {"kid": "idp-1"}))
"""


def test_where_there_are_public_keys_alone_a_proof_brings_its_own(
    server: Server,
    controller: Controller,
    deployed: dict[str, Any],
    pair: Pair,
    tmp_path: Path,
) -> None:
    """Or a command of the operator's mints, and nobody else's key comes to the server."""
    public = [each for each in deployed["jitsi_token_keys"] if "public_key" in each]
    wish = {**deployed, **FEW, "jitsi_token_keys": public}
    run = controller.deploy(**wish)
    assert run.returncode == 0, run.output[-3000:]
    assert "a key of this proof alone" in run.output
    assert server.run("ls /etc/vestibule/tokens").split() == ["keys.json"]
    refused = controller.play("mint.yml", jitsi_domain=DOMAIN, room="standup", **wish)
    assert refused.returncode != 0
    assert "has no key that mints" in refused.output
    key, program = tmp_path / "idp.pem", tmp_path / "mint.py"
    key.write_text(pair.private, encoding="utf-8")
    program.write_text(MINT, encoding="utf-8")
    proven = controller.play(
        "verify.yml",
        jitsi_domain=DOMAIN,
        **wish
        | {
            "jitsi_verify_mint_command": [sys.executable, str(program), str(key)],
            "jitsi_verify_mint_issuer": PROVIDER,
            "jitsi_verify_cases": MINTED,
        },
    )
    assert proven.returncode == 0, proven.output[-6000:]
    assert f"; signed by {sys.executable}; report" in " ".join(proven.output.split())
    assert "alg_confusion_refused" in proven.output
    again = controller.deploy(**{**deployed, **FEW})
    assert again.returncode == 0, again.output[-3000:]
