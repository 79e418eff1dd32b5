"""Who sends without end is sent away: mod_session_rate, and mod_login_guard where it is markup.

Many stanzas come over BOSH, where one request holds them all; upstream's mod_rate_limit reads
slowly from a WebSocket.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import httpx
import pytest

from vestibule.access.participant import Participant
from vestibule.access.scene import Entrance
from vestibule.access.transports import HTTP_BIND
from vestibule.access.xmpp import CLIENT, PING, SMACKS, Broken, Room, element, text

from .conftest import DOMAIN, Server, configured
from .people import guest, owner, status_of, until_it_ends

ENDLESS = 1500  # stanzas
LARGE = 40_000  # bytes
GROUP = {"type": "groupchat"}

pytestmark = pytest.mark.anyio


def stanza(name: str, to: str, *children: str, **attributes: str) -> str:
    return element(name, {"xmlns": CLIENT, "to": to, **attributes}, *children)


async def is_sent_away(somebody: Participant) -> bool:
    """Whether the server ends a session with a reason, or with more of it on the way."""
    reason = await until_it_ends(somebody)
    return "policy-violation" in reason or "413" in reason or reason.startswith("broken")


KINDS: dict[str, Callable[[Room, str], str]] = {
    "question to the server": lambda _, __: stanza(
        "iq", DOMAIN, element("ping", {"xmlns": PING}), type="get", id="1"
    ),
    "question of no type": lambda _, __: stanza("iq", DOMAIN, id="1"),
    "answer that nobody awaits": lambda room, _: stanza(
        "iq", f"{room.address}/focus", type="result", id="1"
    ),
    "error": lambda room, _: stanza("message", room.address, type="error"),
    "presence": lambda room, nick: stanza("presence", f"{room.address}/{nick}"),
    "leaving of another room": lambda room, nick: stanza(
        "presence", f"x{room.address}/{nick}", type="unavailable"
    ),
    "message to all": lambda room, _: stanza("message", room.address, **GROUP),
    "message to nobody": lambda _, __: stanza("message", f"nobody@{DOMAIN}"),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_who_sends_without_end_is_sent_away(bosh: Entrance, kind: str) -> None:
    room = bosh.room()
    async with owner(bosh, room) as host, bosh.guest(room) as nuisance:
        await nuisance.request_conference(room)
        await nuisance.join(room)
        await nuisance.send(KINDS[kind](room, nuisance.nick) * ENDLESS)
        assert await is_sent_away(nuisance)
        await host.wait_for_departure(room, nuisance.nick)


async def test_who_asks_for_acknowledgements_without_end_is_sent_away(entrance: Entrance) -> None:
    """They are no stanzas, and upstream's module does not count them."""
    room = entrance.room()
    async with entrance.login(room, entrance.token(room)) as nuisance:
        await nuisance.ask_for_smacks(element("enable", {"xmlns": SMACKS}))
        with contextlib.suppress(Broken):  # while they are sent
            for _ in range(ENDLESS):
                await nuisance.send(element("r", {"xmlns": SMACKS}))
        assert await is_sent_away(nuisance)


async def test_a_large_message_to_all_counts_as_several(bosh: Entrance) -> None:
    room = bosh.room()
    async with owner(bosh, room), guest(bosh, room) as nuisance:
        said = element("body", {}, text("x" * LARGE))
        for _ in range(2):
            await nuisance.send(stanza("message", room.address, said, **GROUP) * 5)
        refused = await nuisance.wait_for(
            lambda heard: heard.get("type") == "error", "the answer to what was too much"
        )
        assert refused.find(".//{*}resource-constraint") is not None


MUCH, FEW = 12_000, 300  # elements or attributes
MARKUP = {
    "elements beside each other": "<a/>" * MUCH,
    "elements in each other": "<a>" * MUCH + "</a>" * MUCH,
    "attributes": "<a " + " ".join(f"a{number}=''" for number in range(MUCH)) + "/>",
}


@pytest.mark.parametrize("kind", MARKUP)
async def test_much_markup_in_one_stanza_is_not_read(way_in: Entrance, kind: str) -> None:
    room = way_in.room()
    async with owner(way_in, room) as host, guest(way_in, room) as nuisance:
        await nuisance.send(stanza("message", room.address, MARKUP[kind], **GROUP))
        assert await is_sent_away(nuisance)
        await host.wait_for_departure(room, nuisance.nick)


async def test_much_markup_before_the_login_is_not_read(way_in: Entrance) -> None:
    async with way_in.approach(way_in.room()) as nuisance:
        await nuisance.open(DOMAIN)
        await nuisance.send(stanza("message", DOMAIN, "<a/>" * FEW))
        assert await is_sent_away(nuisance)


async def test_much_markup_without_a_session_is_not_read(bosh: Entrance) -> None:
    body = element("body", {"xmlns": HTTP_BIND, "rid": "1"}, "<a/>" * FEW)
    status = await status_of(bosh, "POST", "/http-bind", body)
    assert status == httpx.codes.REQUEST_ENTITY_TOO_LARGE


async def test_one_address_has_a_share_of_the_markup(server: Server, entrance: Entrance) -> None:
    """Each session alone sends less than it may."""
    room = entrance.room()
    with configured(server, "login_guard_markup", 1000):
        async with entrance.guest(room) as one, entrance.guest(room) as other:
            with contextlib.suppress(Broken):
                for somebody in (one, other) * 4:
                    await somebody.send(stanza("message", f"nobody@{DOMAIN}", "<a/>" * 1900))
            assert await is_sent_away(other)


async def test_who_has_not_logged_in_sends_little(entrance: Entrance) -> None:
    async with entrance.approach(entrance.room()) as nuisance:
        await nuisance.open(DOMAIN)
        for _ in range(30):
            await nuisance.send(KINDS["message to nobody"](entrance.room(), ""))
        assert await is_sent_away(nuisance)
