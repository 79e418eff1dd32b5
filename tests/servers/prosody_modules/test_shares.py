"""One person's share of the server: of what they send, leave untaken, or have kept."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from vestibule.access.participant import Participant
from vestibule.access.scene import Entrance
from vestibule.access.transports import WebSocketTransport
from vestibule.access.xmpp import (
    CLIENT,
    MUC,
    NICK,
    SMACKS,
    Broken,
    Refused,
    Room,
    element,
    qualified,
    text,
)

from .conftest import DOMAIN, Server, Setting
from .people import (
    BREAKOUT,
    administer,
    bare,
    guest,
    lose_connection,
    member,
    message,
    owner,
    presence,
    until_it_ends,
)

JITSI = "http://jitsi.org/jitmeet"
GUEST = f"guest.{DOMAIN}"
METADATA, AV_MODERATION = f"metadata.{DOMAIN}", f"avmoderation.{DOMAIN}"
LARGE = 200_000  # bytes
# Seconds, less than a session is kept for that asks for nothing, or that is away
SOON, SOON_AWAY = 25.0, 50.0

pytestmark = pytest.mark.anyio


def said(length: int) -> str:
    return element("body", {}, text("x" * length))


async def errors_of(somebody: Participant) -> list[str]:
    """Conditions of the errors that have arrived so far."""
    errors = [stanza.find(qualified(CLIENT, "error")) for stanza in await somebody.hear()]
    return [error[0].tag.rpartition("}")[2] for error in errors if error is not None]


# What somebody is sent and does not take


async def ask_for_nothing(somebody: Participant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the server without a request to answer, over BOSH."""
    monkeypatch.setattr(somebody._transport, "_pump", lambda: None)


async def stop_reading(somebody: Participant, _: pytest.MonkeyPatch) -> None:
    transport = somebody._transport
    assert isinstance(transport, WebSocketTransport)
    transport._connection.transport.pause_reading()


async def acknowledge_nothing(somebody: Participant, _: pytest.MonkeyPatch) -> None:
    await somebody.ask_for_smacks(element("enable", {"xmlns": SMACKS, "resume": "true"}))


async def be_away(somebody: Participant, _: pytest.MonkeyPatch) -> None:
    await lose_connection(somebody)


@pytest.fixture
def without_bounds(server: Server) -> Iterator[None]:
    """People may send what they like."""
    with server.configured(
        *(
            Setting(host, "session_rate", f"session_rate_{option}", "1e6")
            for host in (DOMAIN, GUEST)
            for option in ("burst", "broadcast_burst")
        ),
    ):
        yield


TAKES_NOTHING: dict[str, Callable[[Participant, pytest.MonkeyPatch], Awaitable[None]]] = {
    "asks for nothing": ask_for_nothing,
    "reads nothing": stop_reading,
    "acknowledges nothing": acknowledge_nothing,
    "is away": be_away,
}


@pytest.mark.parametrize("kind", TAKES_NOTHING)
@pytest.mark.usefixtures("without_bounds")
async def test_who_takes_nothing_is_sent_away(
    entrance: Entrance, bosh: Entrance, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    room = entrance.room()
    way_in = bosh if kind == "asks for nothing" else entrance
    async with owner(bosh, room) as host, member(way_in, room) as sink:
        await TAKES_NOTHING[kind](sink, monkeypatch)

        async def send() -> None:
            while True:
                await host.send(message(sink.jid, said(LARGE)))
                await host.hear()  # so that no request holds two

        sending = asyncio.create_task(send())
        try:
            soon = SOON if way_in is bosh else SOON_AWAY
            await host.wait_for_departure(room, sink.nick, within=soon)
        finally:
            sending.cancel()


# What somebody sends


@pytest.fixture
async def nuisance(entrance: Entrance) -> AsyncIterator[tuple[Room, Participant, Participant]]:
    """A guest in an owner's meeting, with the room and the owner."""
    room = entrance.room()
    async with owner(entrance, room) as host, guest(entrance, room) as somebody:
        yield room, host, somebody


Meeting = tuple[Room, Participant, Participant]


@pytest.mark.parametrize("kind", ["chat", "error"])
async def test_who_sends_much_to_one_is_sent_away(bosh: Entrance, kind: str) -> None:
    room = bosh.room()
    async with owner(bosh, room) as host, guest(bosh, room) as somebody:
        with contextlib.suppress(Broken, Refused):
            for _ in range(40):
                await somebody.send(message(host.jid, said(LARGE), type=kind))
                await somebody.hear()
        assert "policy-violation" in await until_it_ends(somebody)


async def test_answers_of_jingle_reach_others(nuisance: Meeting) -> None:
    room, host, somebody = nuisance
    sources = "".join(element("source", {"ssrc": str(each)}) for each in range(400))
    for number in range(5):
        await somebody.send(message(f"{room.address}/{host.nick}", sources, id=f"j{number}"))
    for number in range(5):
        # Jicofo sends of its own as well
        heard = await host.wait_for(
            lambda heard: re.fullmatch("j[0-4]", heard.get("id", "")) is not None, "an answer"
        )
        assert heard.get("id") == f"j{number}"


async def test_who_joins_again_and_again_is_refused(nuisance: Meeting) -> None:
    """Each time they would be told of everybody who is inside."""
    room, _, somebody = nuisance
    for _ in range(15):
        await somebody.send(presence(room, somebody.nick, element("x", {"xmlns": MUC})))
    assert "resource-constraint" in await errors_of(somebody)


@pytest.mark.parametrize("kind", [None, "unavailable"])
async def test_a_large_presence_is_refused(nuisance: Meeting, kind: str | None) -> None:
    room, host, somebody = nuisance
    attributes = {"type": kind} if kind else {}
    fill = element("status", {}, text("x" * 60_000))
    await somebody.send(presence(room, somebody.nick, fill, **attributes))
    assert "resource-constraint" in await errors_of(somebody)
    assert not any("xxx" in "".join(heard.itertext()) for heard in await host.hear())


async def test_a_long_name_is_refused(nuisance: Meeting) -> None:
    room, _, somebody = nuisance
    name = element("nick", {"xmlns": NICK}, text("x" * 1000))
    await somebody.send(presence(room, somebody.nick, name))
    assert "resource-constraint" in await errors_of(somebody)


async def test_orders_to_a_room_count_as_messages_to_all(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, guest(entrance, room) as somebody:

        async def promote_and_demote() -> None:
            for _ in range(50):
                for affiliation in ("owner", "member"):
                    await administer(host, room, jid=bare(somebody), affiliation=affiliation)

        with pytest.raises(Refused, match="resource-constraint"):
            await promote_and_demote()


# What components keep


def news_from(component: str, heard: list[ET.Element]) -> list[str]:
    return ["".join(stanza.itertext()) for stanza in heard if stanza.get("from") == component]


def change(room: Room, key: str, data: object) -> str:
    order = json.dumps({"key": key, "data": data})
    attributes = {"xmlns": JITSI, "room": room.address}
    return message(METADATA, element("room_metadata", attributes, text(order)))


async def test_metadata_is_small_in_all(nuisance: Meeting) -> None:
    room, host, _ = nuisance
    for key in ("first", "second", "third"):
        await host.send(change(room, key, {"x": "y" * 12_000}))
    await host.hear()
    news = news_from(METADATA, await host.hear())
    assert any("second" in each for each in news)
    assert not any("third" in each for each in news)


async def test_metadata_with_a_long_key_is_refused(nuisance: Meeting) -> None:
    room, host, _ = nuisance
    await host.send(change(room, "k" * 15_000, {}))
    await host.send(change(room, "k" * 15_001, {}))
    await host.send(change(room, "k" * 15_002, {}))
    assert not any("k" * 15_002 in each for each in news_from(METADATA, await host.hear()))


async def test_metadata_changes_so_often(server: Server, entrance: Entrance) -> None:
    room = entrance.room()
    with server.configured(Setting(DOMAIN, "metadata_guard", "metadata_guard_rate", "0.1")):
        async with owner(entrance, room) as host:
            for number in range(30):
                await host.send(change(room, "last", {"number": number}))
            news = [each for each in news_from(METADATA, await host.hear()) if "last" in each]
            assert 20 <= len(news) < 30


async def test_a_breakout_room_has_a_short_name(nuisance: Meeting) -> None:
    _, host, _ = nuisance
    order = {"type": "features/breakout-rooms/add"}
    for length in (129, 100_000):
        await host.send(
            message(BREAKOUT, element("breakout_rooms", {**order, "subject": "x" * length}))
        )
    assert (await errors_of(host)).count("not-acceptable") == 2


async def test_breakout_rooms_change_so_often(server: Server, entrance: Entrance) -> None:
    room = entrance.room()
    with server.configured(Setting(BREAKOUT, "breakout_guard", "breakout_guard_burst", "5")):
        async with owner(entrance, room) as host:
            order = {"type": "features/breakout-rooms/add", "subject": "x"}
            for _ in range(10):
                await host.send(message(BREAKOUT, element("breakout_rooms", order)))
            assert "resource-constraint" in await errors_of(host)


async def test_a_bound_that_changes_counts_in_a_meeting_that_there_is(
    server: Server, entrance: Entrance
) -> None:
    """By a reload of the configuration; the module goes on."""
    room = entrance.room()
    order = {"type": "features/breakout-rooms/add", "subject": "x"}
    add = message(BREAKOUT, element("breakout_rooms", order))
    changed = (
        'local config = require "core.configmanager";'
        f' config.set("{BREAKOUT}", "breakout_guard_burst", 3);'
        f' config.set("{BREAKOUT}", "breakout_guard_rate", 0.1);'
        ' prosody.events.fire_event("config-reloaded", { config = config.getconfig() });'
    )
    async with owner(entrance, room) as host:
        for _ in range(6):
            await host.send(add)
        assert "resource-constraint" not in await errors_of(host)
        server.shell(f"> {changed}")
        try:
            for _ in range(6):
                await host.send(add)
            assert (await errors_of(host)).count("resource-constraint") == 3
        finally:
            server.shell("> prosody.reload_config()")


def moderate(**attributes: str) -> str:
    order = element("av_moderation", {"mediaType": "audio", **attributes})
    return message(AV_MODERATION, order)


async def speakers(host: Participant) -> list[str]:
    """The list of those who may speak that a moderator was sent last."""
    lists = [
        json.loads(each)["whitelists"].get("audio", [])
        for each in news_from(AV_MODERATION, await host.hear())
        if "whitelists" in each
    ]
    found: list[str] = lists[-1]
    return found


async def test_who_may_speak_is_listed_once(nuisance: Meeting) -> None:
    room, host, somebody = nuisance
    await host.send(moderate(enable="true"))
    address = f"{room.address}/{somebody.nick}"
    for _ in range(5):
        await host.send(moderate(jidToWhitelist=address))
    assert (await speakers(host)).count(address) == 1


async def test_who_is_made_owner_is_listed_once(nuisance: Meeting) -> None:
    room, host, somebody = nuisance
    await host.send(moderate(enable="true"))
    address = f"{room.address}/{somebody.nick}"
    for affiliation in ("owner", "member", "owner", "member", "owner"):
        await administer(host, room, jid=bare(somebody), affiliation=affiliation)
    assert (await speakers(host)).count(address) == 1


async def test_who_asks_a_component_much_is_refused(nuisance: Meeting) -> None:
    room, host, somebody = nuisance
    address = f"{room.address}/{somebody.nick}"
    await host.send(moderate(enable="true"))
    for _ in range(80):
        await host.send(moderate(jidToWhitelist=address))
    assert "resource-constraint" in await errors_of(host)


@pytest.mark.parametrize(
    "component",
    ["avmoderation", "metadata", "polls", "speakerstats", "endconference", "filesharing"],
)
async def test_a_message_to_a_component_is_small(nuisance: Meeting, component: str) -> None:
    _, _, somebody = nuisance
    await somebody.send(message(f"{component}.{DOMAIN}", said(30_000)))
    assert "policy-violation" in await errors_of(somebody)


async def test_one_meeting_does_not_use_up_what_another_may_ask(
    server: Server, entrance: Entrance
) -> None:
    """The people of one meeting share; who only names it does not count."""
    polls = f"polls.{DOMAIN}"
    room = entrance.room()
    with server.configured(
        Setting(polls, "component_guard", "component_guard_meeting_burst", "10")
    ):
        async with owner(entrance, room) as host, entrance.guest(room) as outside:
            for _ in range(30):
                await outside.send(message(polls, said(1)))
            await outside.hear()
            await host.send(message(polls, said(1)))
            assert "resource-constraint" not in await errors_of(host)
            for _ in range(30):
                await host.send(message(polls, said(1)))
            assert "resource-constraint" in await errors_of(host)


# What is kept when somebody is gone


async def test_contacts_are_not_kept(nuisance: Meeting) -> None:
    _, host, somebody = nuisance
    for each in (host, somebody):
        item = element("item", {"jid": f"x@{DOMAIN}", "name": "x" * 1000})
        with pytest.raises(Refused, match="not-allowed"):
            await each.request("set", "", element("query", {"xmlns": "jabber:iq:roster"}, item))
        for kind in ("subscribe", "subscribed"):
            to = {"xmlns": CLIENT, "to": f"x@{DOMAIN}", "type": kind}
            await each.send(element("presence", to))
        assert (await errors_of(each)).count("not-allowed") == 2
