"""The journal names the claim that did not fit, what was expected and what came."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from vestibule.access.scene import Entrance
from vestibule.access.tokens import ABSENT, HEADER, forge, from_now
from vestibule.access.xmpp import Refused, Room

from .conftest import DOMAIN, Server

pytestmark = pytest.mark.anyio

OTHER = "kanarienvogel-of-somebody-else-4Zx8k2Qv9LmT"


def token(entrance: Entrance, room: Room, /, **changes: Any) -> str:
    """A token with these claims, in place of those that open the room."""
    return entrance.issuer.token(**{"room": room.name} | changes)


def claims(**changes: Any) -> Callable[[Entrance, Room], str]:
    """Makes tokens with these claims."""
    return lambda entrance, room: token(entrance, room, **changes)


def expired(entrance: Entrance, room: Room) -> str:
    """A token whose time is over."""
    return token(entrance, room, exp=from_now(-300))


def not_yet_valid(entrance: Entrance, room: Room) -> str:
    """A token whose time has not come."""
    return token(entrance, room, nbf=from_now(300))


def forged(secret: str = "", **header: Any) -> Callable[[Entrance, Room], str]:
    """Makes tokens with this header, or signed with another secret."""

    def make(entrance: Entrance, room: Room) -> str:
        whole = {k: v for k, v in {**HEADER, **header}.items() if v is not ABSENT}
        content = entrance.issuer.claims(room=room.name)
        return forge(whole, content, secret or entrance.issuer.secret)

    return make


def said(server: Server, began: float, pattern: str) -> str:
    """The line of the journal since then, waited for."""
    server.host.check_output("journalctl --sync")
    lines: str = server.host.check_output(f"journalctl -u prosody --since @{began:.6f} -o cat")
    found = [line for line in lines.splitlines() if re.search(r"Token (refused|does not)", line)]
    assert any(re.search(pattern, line) for line in found), (pattern, found)
    assert "eyJ" not in "".join(found)
    (first, *_) = (line for line in found if re.search(pattern, line))
    return first


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        pytest.param(
            claims(iss="somebody"), r'iss claim is "somebody", expected "vestibule"', id="issuer"
        ),
        pytest.param(claims(iss=ABSENT), r"iss claim is missing, expected", id="no issuer"),
        pytest.param(claims(aud="other"), r'aud claim is "other", expected "jitsi"', id="audience"),
        pytest.param(
            claims(aud=["other", "others"]),
            r'aud claim is \["other", "others"\], expected "jitsi"',
            id="audiences",
        ),
        pytest.param(claims(aud=ABSENT), r"aud claim is missing", id="no audience"),
        pytest.param(expired, r"exp \(\d{3} sec since expired\)", id="expired"),
        pytest.param(not_yet_valid, r"nbf \(valid in \d{3} sec\)", id="not yet valid"),
        pytest.param(claims(exp=ABSENT), r"exp claim is missing", id="no end"),
        pytest.param(claims(room=ABSENT), r"room claim is missing", id="no room"),
        pytest.param(
            claims(sub=ABSENT), r'sub claim is missing, expected "meet.example.org"', id="no sub"
        ),
        pytest.param(claims(room=7), r"room must be string", id="room of another type"),
        pytest.param(
            forged(alg="none"), r'alg in its header is "none", expected "HS256"', id="alg"
        ),
        pytest.param(forged(typ="at+jwt"), r'typ in its header is "at\+jwt"', id="typ"),
        pytest.param(forged(OTHER), r"not signed with the key of this server", id="signature"),
        pytest.param(lambda *_: "garbage", r"it is no JWT", id="garbage"),
        pytest.param(
            claims(iss="a\u202eb\nc\u0085\x7f" + "x" * 500),
            r'iss claim is "a\?b\?c\?\?x{10,60}\.\.\.", expected',
            id="text that would do harm",
        ),
        pytest.param(
            claims(iss="eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.abc"),
            r'iss claim is "\(token removed\)"',
            id="a token in a claim",
        ),
    ],
)
async def test_a_login_says_which_claim(
    server: Server, entrance: Entrance, make: Callable[[Entrance, Room], str], expected: str
) -> None:
    room, began = entrance.room(), time.time()
    async with entrance.approach(room, make(entrance, room)) as somebody:
        await somebody.open(DOMAIN)
        with pytest.raises(Refused):
            await somebody.authenticate("ANONYMOUS")
    line = said(server, began, expected)
    assert f'on the way to the room "{room.name}"' in line


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"room": "other"}, r'its room claim is "other", expected "{0}"', id="room"),
        pytest.param(
            {"sub": "acme"},
            r'its sub claim is "acme", expected "meet.example.org", as the room has no tenant',
            id="tenant",
        ),
        pytest.param(
            {"room": "x.*", "context": {"room": {"regex": True}}},
            r'its room claim as a pattern is "x.*", expected "{0}"',
            id="pattern",
        ),
    ],
)
async def test_a_join_says_which_claim(
    server: Server, entrance: Entrance, changes: dict[str, Any], expected: str
) -> None:
    room, began = entrance.room(), time.time()
    async with (
        entrance.enter(room, entrance.token(room)),
        entrance.login(room, token(entrance, room, **changes)) as somebody,
    ):
        with pytest.raises(Refused):
            await somebody.join(room)
        expected = expected.replace(".*", r"\.\*").replace("{0}", room.name)
        said(server, began, rf'does not open the room "{room.name}": {expected}')


async def test_a_token_that_fits_says_nothing(server: Server, entrance: Entrance) -> None:
    room, began = entrance.room(), time.time()
    async with entrance.enter(room, entrance.token(room)):
        pass
    async with entrance.enter(room, token(entrance, room, room="*", sub="*")):
        pass
    lines = server.host.check_output(f"journalctl -u prosody --since @{began:.6f} -o cat")
    assert not re.search(r"Token (refused|does not)", lines)


async def test_many_bad_tokens_do_not_fill_the_journal(server: Server, entrance: Entrance) -> None:
    room, began = entrance.room(), time.time()
    for _ in range(35):
        async with entrance.approach(room, entrance.token(room, iss="flood")) as somebody:
            await somebody.open(DOMAIN)
            with pytest.raises(Refused):
                await somebody.authenticate("ANONYMOUS")
    seconds = time.time() - began
    lines = server.host.check_output(f"journalctl -u prosody --since @{began:.6f} -o cat")
    written = re.findall(r'Token refused.*"flood"', lines)
    assert 0 < len(written) <= 21 + 2 * seconds
