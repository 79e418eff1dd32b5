"""mod_login_guard on a deployed server: who is turned away in a flood, and what ends by itself."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from vestibule.access.cases.floods import bad_token
from vestibule.access.scene import Entrance
from vestibule.access.tokens import from_now
from vestibule.access.transports import HTTP_BIND, TRANSPORTS
from vestibule.access.xmpp import Broken, Refused, Stage, element

from .conftest import DOMAIN, Server, configured
from .people import ask, status_of, until_it_ends

TOO_MANY = httpx.codes.TOO_MANY_REQUESTS
FLOOD = Path(__file__).parents[3] / "scripts/lib/flood.py"

pytestmark = pytest.mark.anyio


@pytest.fixture
def flooded(server: Server) -> Iterator[None]:
    """There are more refusals than Prosody takes."""
    with configured(server, "login_guard_refusals", 0.001):
        yield


@pytest.mark.usefixtures("flooded")
async def test_a_flood_lets_good_tokens_in(way_in: Entrance) -> None:
    room = way_in.room()
    async with way_in.enter(room, way_in.token(room)):
        pass
    header = f"Bearer {way_in.token(room)}"
    async with way_in.enter(room, header=header):
        pass


@pytest.mark.usefixtures("flooded")
@pytest.mark.parametrize("kind", ["signature", "expired", "no exp", "text exp", "no token at all"])
async def test_a_flood_turns_bad_tokens_away(way_in: Entrance, kind: str) -> None:
    room = way_in.room()
    token = {
        "signature": bad_token(way_in, room),
        "expired": way_in.token(room, exp=from_now(-120)),
        "no exp": way_in.token(room, exp=None),
        "text exp": way_in.token(room, exp="9999999999"),
        "no token at all": "...",
    }[kind]
    with pytest.raises(Refused) as caught:
        async with way_in.login(room, token):
            pass
    assert (caught.value.stage, caught.value.condition) == (Stage.HTTP, "429")


@pytest.mark.usefixtures("flooded")
async def test_a_good_token_enters_from_an_address_that_was_just_turned_away(
    way_in: Entrance,
) -> None:
    """It goes the way of the crowd, where it waits and is let in."""
    for kind in TRANSPORTS.values():
        room = way_in.room()
        with pytest.raises(Refused, match="429"):
            async with replace(way_in, kind=kind).login(room, bad_token(way_in, room)):
                pass
    room = way_in.room()
    async with way_in.enter(room, way_in.token(room)):
        pass


NO_LOGINS = {
    "session that there is not": (
        "POST",
        "/http-bind",
        f"<body xmlns='{HTTP_BIND}' rid='7' sid='x'/>",
    ),
    "other document": ("POST", "/http-bind", "<html/>"),
    "no document": ("POST", "/http-bind", ""),
    "session in a child": (
        "POST",
        "/http-bind",
        f"<b:body xmlns:b='{HTTP_BIND}' rid='7'><body sid='x'/></b:body>",
    ),
    "page": ("GET", "/http-bind", ""),
    "head of the page": ("HEAD", "/http-bind", ""),
    "question of another site": ("OPTIONS", "/http-bind", ""),
    "WebSocket's page": ("GET", "/xmpp-websocket", ""),
}


@pytest.mark.parametrize(
    "request_line", ["PUT /http-bind", "FOO /http-bind", "POST /xmpp-websocket", "PUT /a/http-bind"]
)
async def test_other_methods_do_not_reach_prosody(entrance: Entrance, request_line: str) -> None:
    assert await status_of(entrance, *request_line.split()) == httpx.codes.FORBIDDEN


@pytest.mark.parametrize("kind", NO_LOGINS)
async def test_what_is_no_login_is_answered_as_long_as_there_is_no_flood(
    server: Server, entrance: Entrance, kind: str
) -> None:
    with configured(server, "login_guard_refusals", 40):  # starts anew, with nothing counted
        assert await status_of(entrance, *NO_LOGINS[kind]) != TOO_MANY


@pytest.mark.usefixtures("flooded")
@pytest.mark.parametrize("kind", NO_LOGINS)
async def test_a_flood_turns_away_what_is_no_login(entrance: Entrance, kind: str) -> None:
    assert await status_of(entrance, *NO_LOGINS[kind]) == TOO_MANY


@pytest.mark.parametrize("kind", NO_LOGINS)
async def test_what_is_no_login_makes_a_flood(
    server: Server, entrance: Entrance, kind: str
) -> None:
    with configured(server, "login_guard_refusals", 2):
        async with asyncio.TaskGroup() as group:
            many = [group.create_task(status_of(entrance, *NO_LOGINS[kind])) for _ in range(30)]
        assert [task.result() for task in many].count(TOO_MANY) > 15


async def test_sessions_that_never_log_in_leave_room_for_guests(
    server: Server, way_in: Entrance
) -> None:
    """During a flood an address has five of them."""
    with configured(server, "login_guard_refusals", 0.001):
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(5):
                somebody = await stack.enter_async_context(way_in.approach(way_in.room()))
                await somebody.open(DOMAIN)
            with pytest.raises(Refused, match="429"):
                async with way_in.guest(way_in.room()):
                    pass


async def test_one_address_has_a_share_of_the_requests(server: Server, entrance: Entrance) -> None:
    with configured(server, "login_guard_requests", 2):
        answers = [await status_of(entrance, *NO_LOGINS["no document"]) for _ in range(20)]
    assert TOO_MANY not in answers[:2]
    assert TOO_MANY in answers


@pytest.mark.usefixtures("flooded")
@pytest.mark.parametrize(
    "attributes",
    ["""foo=" sid='x'" """, """foo=' sid="x"'""", """a="'" b=' sid=1'""", 'SID="x"', 'x:sid="x"'],
)
async def test_a_request_that_only_looks_like_one_of_a_session(
    entrance: Entrance, attributes: str
) -> None:
    body = f"<body xmlns='{HTTP_BIND}' xmlns:x='x' rid='1' to='{DOMAIN}' wait='30' {attributes}/>"
    answer = await ask(entrance, "POST", "/http-bind", body, b"token=x.y.z")
    turned_away = answer.status_code == TOO_MANY
    assert turned_away or "type='terminate'" in answer.text
    assert "mechanism" not in answer.text


async def test_guests_come_in_during_a_flood_from_elsewhere(
    server: Server, way_in: Entrance
) -> None:
    # The server starts anew with the addresses that it suspects, and none has been refused
    with configured(server, "login_guard_refusals", 0.001):
        async with way_in.guest(way_in.room()):
            pass


async def test_a_refusal_is_said_before_the_session_ends(way_in: Entrance) -> None:
    room = way_in.room()
    async with way_in.approach(room, bad_token(way_in, room)) as somebody:
        with pytest.raises(Refused, match="Invalid signature"):
            await somebody.login()
        await until_it_ends(somebody)


async def test_who_does_not_log_in_is_put_out(server: Server, way_in: Entrance) -> None:
    with configured(server, "login_guard_timeout", 1):
        async with way_in.approach(way_in.room()) as somebody:
            await somebody.open(DOMAIN)
            await until_it_ends(somebody)
        # Who has logged in stays
        async with way_in.guest(way_in.room()) as somebody, way_in.approach(way_in.room()) as late:
            await late.open(DOMAIN)
            await until_it_ends(late)
            await somebody.hear()


async def test_the_oldest_goes_when_too_many_wait(server: Server, way_in: Entrance) -> None:
    with configured(server, "login_guard_waiting", 2):
        async with contextlib.AsyncExitStack() as stack:
            people = []
            for _ in range(3):
                somebody = await stack.enter_async_context(way_in.approach(way_in.room()))
                await somebody.open(DOMAIN)
                people.append(somebody)
            await until_it_ends(people[0])
            with pytest.raises(Refused, match="token required"):
                await people[-1].authenticate("ANONYMOUS")


def test_the_quick_decoder_says_what_the_slow_one_says(server: Server) -> None:
    program = """
local quick = require "basexx".from_url64;
local slow = dofile(package.searchpath("basexx", package.path)).from_url64;
assert(quick ~= slow, "the library is as it was");
local texts = { "", "=", "QQ==", "Q$", "Q+/", "Q Q", "-_-_", "Q", "QQ", "QQQ", "QQQQQ" };
for length = 0, 70 do
    local bytes = {};
    for i = 1, length do
        bytes[i] = string.char(("A0z-_aZ9"):byte(math.random(8)));
    end
    texts[#texts + 1] = table.concat(bytes);
end
for _, text in ipairs(texts) do
    local a, b = { quick(text) }, { slow(text) };
    assert(a[1] == b[1] and a[2] == b[2], text);
end
return #texts
"""
    assert "82" in server.shell(f"> {' '.join(program.split())}")


def test_a_flood_from_many_addresses_is_one_line(server: Server) -> None:
    """The generator runs on the server, which is where the many addresses are."""
    script = base64.b64encode(FLOOD.read_bytes()).decode()
    with configured(server, "login_guard_refusals", 0.001):
        began = server.host.check_output("date +%s")
        printed = server.host.check_output(
            f"echo {script} | base64 -d > /root/flood.py; echo x.y.z |"
            f" python3 /root/flood.py --domain {DOMAIN} --rate 100 --seconds 2 --sources 50"
        )
        assert json.loads(printed).pop("turned away") == 200
        said = server.host.check_output(
            f"timeout 20 journalctl -u prosody --since @{began} -f -o cat"
            " | grep -m1 'Too many logins'"
        )
        lines = server.host.check_output(f"journalctl -u prosody --since @{began} -o cat | wc -l")
    # A line in ten seconds may hold a part of them; nginx asks twice about an unknown address
    counted = re.search(r"turned away (\d+) from (\d+) addresses", said)
    assert counted
    assert 1 < int(counted[2]) <= int(counted[1]) <= 400
    assert int(lines) < 50  # of 200, beside what else the server has to say


async def test_a_long_body_costs_no_more_than_it_is_long(entrance: Entrance) -> None:
    """Half a minute for 40 kB, once."""
    await status_of(entrance, "POST", "/http-bind", f"<body {'a' * 250_000}/>")
    room = entrance.room()
    async with asyncio.timeout(10), entrance.enter(room, entrance.token(room)):
        pass


async def test_a_body_may_hold_one_refused_login(entrance: Entrance) -> None:
    over_bosh = replace(entrance, kind=TRANSPORTS["bosh"])
    room = over_bosh.room()
    attempt = element(
        "auth", {"xmlns": "urn:ietf:params:xml:ns:xmpp-sasl", "mechanism": "ANONYMOUS"}
    )
    async with over_bosh.approach(room, bad_token(over_bosh, room)) as somebody:
        await somebody.open(DOMAIN)
        await somebody.send(attempt * 15)
        failures = 0
        with contextlib.suppress(Refused, Broken):
            while True:
                await somebody.wait_for(lambda stanza: stanza.tag.endswith("}failure"), "a refusal")
                failures += 1
        assert failures == 1


@pytest.mark.usefixtures("flooded")
async def test_a_flood_turns_a_signed_token_away_that_was_refused(
    server: Server, way_in: Entrance
) -> None:
    room = way_in.room()
    token = way_in.token(room, nbf=from_now(3600))
    with pytest.raises(Refused) as caught:
        async with way_in.login(room, token):
            pass
    assert caught.value.stage == Stage.LOGIN
    with pytest.raises(Refused, match="429"):
        async with way_in.login(room, token):
            pass


async def test_what_makes_no_session_makes_a_flood(server: Server, entrance: Entrance) -> None:
    unknown = f"<body xmlns='{HTTP_BIND}' rid='7' to='nobody.example.org' wait='1' hold='1'/>"
    with (
        configured(server, "login_guard_refusals", 2),
        configured(server, "login_guard_sessions", 10_000),  # no share of one address ends first
        configured(server, "login_guard_requests", 10_000),
    ):
        async with asyncio.timeout(10):  # bounded; they count when no session came of them
            while await status_of(entrance, "POST", "/http-bind", unknown) != TOO_MANY:
                pass
