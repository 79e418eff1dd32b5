"""mod_token_guard on a deployed server: what the access cases leave out of the claims of tokens."""

from __future__ import annotations

import hmac
import json
import string
from collections.abc import Iterator
from typing import Any

import pytest

from vestibule.access.cases.tokens import YEAR_9999
from vestibule.access.scene import Entrance
from vestibule.access.tokens import ABSENT, HEADER, context, encode_part, forge, from_now
from vestibule.access.xmpp import Room

from .conftest import DOMAIN, Server, Setting
from .people import log_in

BASE64URL = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
MAX_LIFETIME, LEEWAY = 86400, 30  # seconds

pytestmark = pytest.mark.anyio


def literal(entrance: Entrance, room: Room, *members: str, **changes: Any) -> str:
    """A token with more members in its claims, as they stand here."""
    claims = json.dumps(entrance.issuer.claims(room=room.name, **changes))
    return entrance.issuer.sign(f"{claims[:-1]}, {', '.join(members)}}}")


@pytest.mark.parametrize(
    "exp",
    [
        YEAR_9999 + 1,
        1e308,
        -1e308,
        float("inf"),
        float("-inf"),
        float("nan"),
        10**18,
        2**63,
        2**64,
        -(2**63),
        0,
        0.5,
        [1],
        {},
        "",
        True,
    ],
    ids=repr,
)
async def test_an_exp_that_is_no_end_is_refused(entrance: Entrance, exp: object) -> None:
    room = entrance.room()
    assert await log_in(entrance, room, entrance.token(room, exp=exp))
    assert not await log_in(entrance, room, entrance.token(room, exp=from_now(60) + 0.5))


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(
    "number", ["1e999", "-1e999", "0x7fffffff", "017", "NaN", "Infinity", "+1"]
)
async def test_numbers_that_json_has_not_are_refused(
    entrance: Entrance, name: str, number: str
) -> None:
    room = entrance.room()
    token = literal(entrance, room, f'"{name}": {number}', **{name: ABSENT})
    assert await log_in(entrance, room, token)


@pytest.mark.parametrize("key", ["exp", "\\u0065xp", "ex\\u0070"])
async def test_the_last_of_two_members_counts(entrance: Entrance, key: str) -> None:
    """As upstream's parser has it (RFC 7519, section 4)."""
    room = entrance.room()
    for refused in (1, YEAR_9999, f"{from_now(600)}000", '"x"', "null"):
        assert await log_in(entrance, room, literal(entrance, room, f'"{key}": {refused}'))
    within = f'"{key}": {from_now(60)}'
    assert not await log_in(entrance, room, literal(entrance, room, within, exp=YEAR_9999))


@pytest.mark.parametrize(
    ("changes", "accepted"),
    [
        ({"iat": 0, "exp": MAX_LIFETIME}, True),
        ({"iat": 0, "exp": MAX_LIFETIME + 1}, False),
        ({"iat": -MAX_LIFETIME, "exp": 60}, False),
        ({"iat": 1 - MAX_LIFETIME, "exp": 1}, True),
        # Moving the start moves no end
        ({"iat": MAX_LIFETIME, "exp": 2 * MAX_LIFETIME}, False),
        ({"iat": MAX_LIFETIME, "exp": 60}, True),
        ({"iat": ABSENT, "nbf": ABSENT, "exp": MAX_LIFETIME}, True),
        ({"iat": ABSENT, "nbf": ABSENT, "exp": MAX_LIFETIME + LEEWAY + 10}, False),
        ({"iat": ABSENT, "nbf": -10 * MAX_LIFETIME, "exp": 60}, True),
        # Clocks that differ by no more than the leeway
        ({"nbf": LEEWAY - 2}, True),
        ({"nbf": LEEWAY + 5}, False),
        ({"exp": 5 - LEEWAY}, True),
        ({"exp": -LEEWAY - 1}, False),
        ({"nbf": LEEWAY - 2, "exp": 5 - LEEWAY}, True),
        ({"nbf": LEEWAY + 5, "exp": 5 - LEEWAY}, False),
        ({"nbf": LEEWAY - 2, "exp": MAX_LIFETIME + 1}, False),
    ],
    ids=repr,
)
async def test_times(entrance: Entrance, changes: dict[str, Any], accepted: bool) -> None:
    """In seconds from now."""
    room = entrance.room()
    times = {name: value if value is ABSENT else from_now(value) for name, value in changes.items()}
    said = await log_in(entrance, room, entrance.token(room, **times))
    assert (not said) is accepted
    assert accepted or said.startswith("Not acceptable by ")


async def test_a_leeway_changes_no_other_claim(server: Server, entrance: Entrance) -> None:
    """Also not one that a decoder and an encoder would change between them."""
    room = entrance.room()
    claims = {"nbf": from_now(20), "context": {"user": {"name": "\u00e9 \U0001f511 }", "list": []}}}
    token = literal(entrance, room, '"x": 12345678901234567890', '"exp": 1', **claims)
    assert await log_in(entrance, room, token)
    token = literal(entrance, room, '"x": 12345678901234567890', **claims)
    async with entrance.login(room, token) as somebody:
        code = f'> local s = prosody.full_sessions["{somebody.jid}"]; return s.auth_token'
        assert "not kept" in server.shell(code)
        name = "jitsi_meet_context_user.name"
        assert "\u00e9 \U0001f511 }" in server.shell(code.replace("auth_token", name))


@pytest.mark.parametrize("seconds", [-20, 20])
async def test_a_leeway_forgives_no_signature(entrance: Entrance, seconds: int) -> None:
    room = entrance.room()
    claims = entrance.issuer.claims(room=room.name, exp=from_now(20), nbf=from_now(seconds))
    assert not await log_in(entrance, room, forge(HEADER, claims, entrance.issuer.secret))
    forged = forge(HEADER, claims, entrance.issuer.secret + "x")
    assert await log_in(entrance, room, forged) == "Invalid signature"
    forged = forge({**HEADER, "alg": "HS512"}, claims, entrance.issuer.secret, "sha512")
    assert await log_in(entrance, room, forged) == "Invalid or incorrect alg"
    forged = forge({**HEADER, "typ": "JOSE"}, claims, entrance.issuer.secret)
    assert await log_in(entrance, room, forged) == "Invalid typ"


@pytest.mark.parametrize("seconds", [3600, -20])
async def test_a_token_that_leaves_out_its_type_is_taken(entrance: Entrance, seconds: int) -> None:
    """RFC 7519, section 5.1, lets it, and many libraries do."""
    room = entrance.room()
    claims = entrance.issuer.claims(room=room.name, exp=from_now(seconds))
    secret = entrance.issuer.secret
    assert not await log_in(entrance, room, forge({"alg": "HS256"}, claims, secret))
    assert await log_in(entrance, room, forge({"alg": "HS256"}, claims, secret + "x")) == (
        "Invalid signature"
    )
    for kind in (None, "at+jwt", "", 5):
        forged = forge({"alg": "HS256", "typ": kind}, claims, secret)
        assert await log_in(entrance, room, forged) == "Invalid typ"


async def test_what_has_to_be_understood_is_refused(entrance: Entrance) -> None:
    room = entrance.room()
    claims, secret = entrance.issuer.claims(room=room.name), entrance.issuer.secret
    critical = {**HEADER, "crit": ["b64"], "b64": True}
    assert await log_in(entrance, room, forge(critical, claims, secret)) == "Invalid token"
    assert not await log_in(entrance, room, forge({**HEADER, "kid": "x"}, claims, secret))


async def test_base64_has_one_form(entrance: Entrance) -> None:
    """Decoders differ over what a last character says beyond the last byte."""

    def sign(claims: str) -> str:
        signed = f"{head}.{claims}"
        digest = hmac.digest(entrance.issuer.secret.encode(), signed.encode(), "sha256")
        return f"{signed}.{encode_part(digest)}"

    room = entrance.room()
    content = json.dumps(entrance.issuer.claims(room=room.name))
    head, claims, _ = entrance.issuer.sign(content + " " * (-len(content) % 3 + 1)).split(".")
    assert len(claims) % 4 == 2  # so that four bits of the last character say nothing
    last = BASE64URL.index(claims[-1])
    assert not await log_in(entrance, room, sign(claims))
    odd = sign(claims[:-1] + BASE64URL[last + 1])
    assert await log_in(entrance, room, odd) == "Invalid token"


@pytest.mark.parametrize(
    "name",
    [b"\xff", b"\xed\xa0\x80", b"\\ud800", b"\x01", b"\\u0001", b"\\u001F", b"\x00", b"\\uFFFE"],
    ids=repr,
)
async def test_text_that_xml_cannot_carry_is_refused(entrance: Entrance, name: bytes) -> None:
    """It would end the streams of everybody who is told of such a name."""
    room = entrance.room()
    usual = json.dumps(entrance.issuer.claims(room=room.name, context=context())).encode()
    assert usual.count(b"Access case") == 1
    odd = usual.replace(b"Access case", name)
    assert await log_in(entrance, room, entrance.issuer.sign(odd)) == "Invalid token"
    fine = usual.replace(b"Access case", b"a\\tb\\u000ac \\u00e9")
    assert not await log_in(entrance, room, entrance.issuer.sign(fine))


@pytest.fixture
def no_leeway(server: Server) -> Iterator[None]:
    settings = (
        Setting(DOMAIN, "token_guard", "token_guard_leeway", "0"),
        Setting(DOMAIN, "token_guard", "token_guard_max_lifetime", "60"),
    )
    with server.configured(*settings):
        yield


@pytest.mark.usefixtures("no_leeway")
async def test_the_operator_decides(entrance: Entrance) -> None:
    room = entrance.room()

    async def said(**times: int) -> str:
        changes = {name: from_now(value) for name, value in times.items()}
        return await log_in(entrance, room, entrance.token(room, **changes))

    assert not await said(exp=60)
    assert "60 are allowed" in await said(exp=61)
    assert "by nbf" in await said(exp=60, nbf=5)
    assert "by exp" in await said(exp=-1)


@pytest.fixture
def other_algorithm(server: Server) -> Iterator[None]:
    """What the guard takes for a host with keys of another kind. auth_token goes on with HS256."""
    setting = Setting(DOMAIN, "token_guard", "signature_algorithm", '"RS256"')
    with server.configured(setting):
        yield


@pytest.mark.usefixtures("other_algorithm")
async def test_without_the_secret_auth_token_verifies_alone(entrance: Entrance) -> None:
    room = entrance.room()
    assert not await log_in(entrance, room, entrance.token(room))
    forged = forge(HEADER, entrance.issuer.claims(room=room.name), entrance.issuer.secret + "x")
    assert await log_in(entrance, room, forged) == "Invalid signature"
    for times in ({"nbf": from_now(20)}, {"exp": from_now(-5)}, {"exp": YEAR_9999}):
        said = await log_in(entrance, room, entrance.token(room, **times))
        assert said.startswith("Not acceptable by ")
