"""Ways around a door: by what is no stanza, by what comes before a login, by the id of a stanza."""

from __future__ import annotations

import contextlib
import xml.etree.ElementTree as ET

import httpx
import pytest

from vestibule.access.participant import Participant
from vestibule.access.scene import Entrance
from vestibule.access.transports import HTTP_BIND
from vestibule.access.xmpp import (
    CLIENT,
    DATA_FORM,
    MUC_ADMIN,
    MUC_USER,
    SMACKS,
    Broken,
    Refused,
    Room,
    Stage,
    element,
    text,
)

from .conftest import DOMAIN, Server
from .people import guest, member, owner, status_of, switch_lobby

TENANTS_MUC = f"conference.sales.{DOMAIN}"
TRACEBACK = (
    "journalctl -u prosody -o cat --since @{} | grep -c -i -e traceback -e 'attempt to' || true"
)

pytestmark = pytest.mark.anyio


# Elements that are no stanzas


@pytest.mark.parametrize("via", ["guest.", ""])
@pytest.mark.parametrize("closed", ["auth", "recorder", "gateway"])
async def test_no_other_host_answers_a_login(way_in: Entrance, closed: str, via: str) -> None:
    async with way_in.approach(way_in.room()) as somebody:
        with pytest.raises((Refused, Broken)):
            await become_one_of(somebody, f"{closed}.{DOMAIN}", f"{via}{DOMAIN}")


async def become_one_of(somebody: Participant, host: str, via: str) -> None:
    await somebody.open(host)
    await somebody.authenticate("ANONYMOUS", to=via)
    await somebody.bind(host)


async def test_who_is_not_local_is_not_bound(server: Server, way_in: Entrance) -> None:
    """Even where another host has answered the login."""
    server.shell("module", "unload", "plain_elements", DOMAIN)
    try:
        async with way_in.approach(way_in.room()) as somebody:
            with pytest.raises((Refused, Broken)):
                await become_one_of(somebody, f"recorder.{DOMAIN}", f"guest.{DOMAIN}")
    finally:
        server.shell("module", "load", "plain_elements", DOMAIN)


async def test_guests_have_no_stream_management(entrance: Entrance) -> None:
    room = entrance.room()
    async with entrance.guest(room) as somebody:
        enable = element("enable", {"xmlns": SMACKS, "resume": "true", "to": DOMAIN})
        with pytest.raises((Refused, Broken)):
            await somebody.ask_for_smacks(enable)


@pytest.mark.parametrize("number", [None, "", "a", "nan", "0.5", "1e308", "-1"])
async def test_a_stream_is_not_resumed_half(entrance: Entrance, number: str | None) -> None:
    room = entrance.room()
    async with entrance.enter(room, entrance.token(room)) as first:
        await first.ask_for_smacks(element("enable", {"xmlns": SMACKS, "resume": "true"}))
        handled = {} if number is None else {"h": number}
        async with entrance.approach(room, entrance.token(room)) as somebody:
            await somebody.open(DOMAIN)
            await somebody.authenticate("ANONYMOUS")
            await somebody._transport.restart(DOMAIN)
            resume = {"xmlns": SMACKS, "previd": first.stream, **handled}
            with pytest.raises(Refused, match="feature-not-implemented"):
                await somebody.ask_for_smacks(element("resume", resume))
        await first.settle(room)


# What comes before a login


@pytest.mark.parametrize(
    "attributes",
    [
        "",
        f"to='{DOMAIN}'",
        f"rid='' to='{DOMAIN}'",
        f"rid='x' to='{DOMAIN}'",
        f"rid='-1' to='{DOMAIN}'",
        f"rid='1e3' to='{DOMAIN}'",
        f"rid='nan' to='{DOMAIN}'",
        f"rid='0x10' to='{DOMAIN}'",
        f"rid='{'9' * 400}' to='{DOMAIN}'",
        f"rid='1' to='{DOMAIN.upper()}'",
        f"rid='1' to='Guest.{DOMAIN}'",
    ],
)
async def test_odd_requests_leave_no_traceback(
    server: Server, entrance: Entrance, attributes: str
) -> None:
    began = server.host.check_output("date +%s.%N")
    body = f"<body xmlns='{HTTP_BIND}' {attributes}/>"
    assert await status_of(entrance, "POST", "/http-bind", body) == httpx.codes.BAD_REQUEST
    assert server.host.check_output(TRACEBACK.format(began)) == "0"


# The id of a stanza


@pytest.mark.parametrize("kind", ["message", "presence", "iq", "long iq"])
async def test_an_id_changes_no_sender(entrance: Entrance, kind: str) -> None:
    room = entrance.room()
    async with (
        owner(entrance, room) as host,
        member(entrance, room) as listener,
        entrance.guest(entrance.room()) as nuisance,
    ):
        key = "x" * 200 if kind == "long iq" else "chosen"
        types = {"iq": "result", "long iq": "get"}
        await nuisance.send(
            element(
                kind.rpartition(" ")[2],
                {"xmlns": CLIENT, "to": TENANTS_MUC, "id": key, "type": types.get(kind, "error")},
                element("x", {"xmlns": DATA_FORM}),  # which ends what forgets the id
            )
        )
        await nuisance.hear()
        said = {"xmlns": CLIENT, "to": room.address, "type": "groupchat", "id": key}
        await host.send(element("message", said, element("body", {}, text("hello"))))
        heard = await listener.wait_for(
            lambda stanza: stanza.findtext(f"{{{CLIENT}}}body") == "hello", "what the owner says"
        )
        assert heard.get("from") == f"{room.address}/{host.nick}"


async def test_a_conference_is_asked_for_at_jicofos_address_alone(entrance: Entrance) -> None:
    """Also without the namespace, as upstream's mapper takes it."""
    room = entrance.room()
    async with owner(entrance, room) as host, guest(entrance, room) as nuisance:
        request = element("conference", {"xmlns": CLIENT, "room": TENANTS_MUC})
        with pytest.raises(Refused, match="not-allowed"):
            await nuisance.request("set", f"{room.address}/{host.nick}", request, Stage.FOCUS)


# What is copied for each part of it


def invitations(room: Room, people: int) -> str:
    invited = [element("invite", {"to": f"{number}@guest.{DOMAIN}"}) for number in range(people)]
    x = element("x", {"xmlns": MUC_USER}, *invited)
    return element("message", {"xmlns": CLIENT, "to": room.address, "id": "invitations"}, x)


async def refusal_of(somebody: Participant) -> str:
    """Condition of the errors about invitations that have arrived so far, or an empty string."""
    for stanza in await somebody.hear():
        error = stanza.find(f"{{{CLIENT}}}error")
        if error is not None and stanza.get("id") == "invitations":
            return error[0].tag.rpartition("}")[2]
    return ""


async def test_a_moderator_lets_a_whole_lobby_in_at_once(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host:
        await switch_lobby(host, room, on=True)
        async with contextlib.AsyncExitStack() as stack:
            waiting = []
            for _ in range(3):
                somebody = await stack.enter_async_context(entrance.guest(room))
                await somebody.request_conference(room)
                await somebody.wait_in_lobby(room)
                waiting.append(somebody)
            invited = [element("invite", {"to": somebody.jid}) for somebody in waiting]
            x = element("x", {"xmlns": MUC_USER}, *invited)
            await host.send(element("message", {"xmlns": CLIENT, "to": room.address}, x))
            for somebody in waiting:
                await somebody.wait_for_invitation(room)
                await somebody.join(room)


async def test_few_are_invited_by_one_message(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, guest(entrance, room) as nuisance:
        await nuisance.send(invitations(room, 2))
        assert await refusal_of(nuisance) == "resource-constraint"
        await host.send(invitations(room, 100))
        assert await refusal_of(host) != "resource-constraint"
        await host.send(invitations(room, 100))
        await host.send(invitations(room, 100))
        assert await refusal_of(host) == "resource-constraint"


async def test_one_person_is_named_at_a_time(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host:
        items = [
            element("item", {"jid": f"{number}@{DOMAIN}", "affiliation": "member"})
            for number in range(2)
        ]
        with pytest.raises(Refused, match="one person at a time"):
            await host.request("set", room.address, element("query", {"xmlns": MUC_ADMIN}, *items))


# The lobby, from inside


async def test_who_is_inside_and_does_not_moderate_has_nothing_in_the_lobby(
    entrance: Entrance,
) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, member(entrance, room) as somebody:
        await switch_lobby(host, room, on=True)
        await host.join(room.lobby)
        with pytest.raises(Refused, match="not-allowed"):
            await somebody.join(room.lobby)


# What a room would keep, or tell of others


@pytest.mark.parametrize("kind", ["get", "set"])
@pytest.mark.parametrize("name", ["vcard-temp vCard", "jabber:iq:register query"])
@pytest.mark.parametrize("where", ["conference", "breakout"])
async def test_nobody_leaves_a_card_or_reserves_a_nick(
    entrance: Entrance, kind: str, name: str, where: str
) -> None:
    namespace, _, tag = name.partition(" ")
    room = entrance.room()
    async with owner(entrance, room) as host:
        address = room.address if where == "conference" else f"{room.name}@breakout.{DOMAIN}"
        with pytest.raises(Refused, match="not-allowed"):
            await host.request(kind, address, element(tag, {"xmlns": namespace}))
    async with owner(entrance, room), member(entrance, room):
        pass  # it is as every other


async def test_who_left_before_the_lobby_came_knocks_as_everybody(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, member(entrance, room) as somebody:
        await somebody.leave(room)
        async with member(entrance, room) as another:
            await switch_lobby(host, room, on=True)
            with pytest.raises(Refused, match="registration-required"):
                await somebody.join(room)
            await another.settle(room)  # who is inside stays


async def test_nobody_speaks_for_others(entrance: Entrance) -> None:
    forged = (
        element(
            "display-name",
            {"xmlns": "http://jitsi.org/protocol/display-name", "source": "visitor"},
            text("Boss"),
        ),
        element("json-message", {"xmlns": "http://jitsi.org/jitmeet"}, text("{}")),
        element("subject", {}, text("another one")),
    )
    room = entrance.room()
    async with (
        owner(entrance, room) as host,
        member(entrance, room) as somebody,
        member(entrance, room) as listener,
    ):
        for kind, to in (("groupchat", room.address), ("chat", f"{room.address}/{listener.nick}")):
            words = f"hello by {kind}"
            said = {"xmlns": CLIENT, "to": to, "type": kind}
            await somebody.send(element("message", said, element("body", {}, text(words)), *forged))

            def has_said(stanza: ET.Element, words: str = words) -> bool:
                return words in ET.tostring(stanza, "unicode")

            heard = await listener.wait_for(has_said, "a text")
            names = {each.tag.rpartition("}")[2] for each in heard}
            assert names.isdisjoint({"display-name", "json-message", "subject"}), names
        await host.settle(room)
