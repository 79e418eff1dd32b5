"""People inside a meeting, or before it, and what they can do to others."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest

from vestibule.access.attempts import item, members_only
from vestibule.access.cases.breakout import change_rooms, open_breakout_room
from vestibule.access.cases.inside import IN_TIME, enter_undelayed, hammer
from vestibule.access.participant import Participant
from vestibule.access.scene import Entrance, Scene
from vestibule.access.xmpp import (
    CLIENT,
    FOCUS,
    MUC,
    NICK,
    Refused,
    Room,
    Stage,
    element,
    text,
)

from .conftest import DOMAIN, Server
from .people import administer, bare, guest, held, member, message, owner, presence, switch_lobby

JITSI = "http://jitsi.org/jitmeet"
CROWD = 20
FEW = 8  # people, who are more than come or leave in a second, and fewer than a meeting takes

pytestmark = pytest.mark.anyio


def joining(room: Room, nick: str) -> str:
    name = element("nick", {"xmlns": NICK}, "Test")
    return presence(room, nick, element("x", {"xmlns": MUC}), name)


async def errors_of(somebody: Participant) -> list[str]:
    """Conditions of the errors that have arrived so far."""
    found = []
    for stanza in await somebody.hear():
        error = stanza.find("{jabber:client}error")
        if error is not None:
            found.append(error[0].tag.rpartition("}")[2])
    return found


@contextlib.asynccontextmanager
async def crowd(entrance: Entrance, room: Room, size: int) -> AsyncIterator[list[Participant]]:
    """Guests who have logged in and stand before the room."""
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(entrance.guest(room)) for _ in range(size)]


# Seats


async def test_two_who_wait_do_not_share_a_nick(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host:
        await switch_lobby(host, room, True)
        async with held(entrance, room) as first, held(entrance, room) as second:
            with pytest.raises(Refused, match="conflict"):
                await second.join(room.lobby, first.nick, room.lobby.mapped_address)


async def test_a_nick_in_a_breakout_room_belongs_to_one(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, member(entrance, room) as first:
        beside = await open_breakout_room(host, room)
        await change_rooms(host, room, beside)
        leaving = element("status", {}, "switch_room")
        await first.send(presence(room, first.nick, leaving, type="unavailable"))
        await first.wait_for_departure(room)
        with pytest.raises(Refused, match="conflict"):
            await first.join(beside, host.nick)
        assert host.standing(beside).moderates


async def test_who_comes_while_many_leave_is_seen(entrance: Entrance) -> None:
    """Upstream tells of those who leave one after the other, by the nick that they had."""
    room = entrance.room()
    async with (
        owner(entrance, room) as host,
        crowd(entrance, room, FEW) as people,
        entrance.login(room, entrance.token(room)) as other,
    ):
        for somebody in people:
            await somebody.join(room)
        taken = people[-1].nick
        for somebody in people:
            await somebody.send(presence(room, somebody.nick, type="unavailable"))
        await people[-1].hear()
        await other.join(room, taken)
        for somebody in people[:-1]:  # all of them have been told of
            await host.wait_for_departure(room, somebody.nick)
        await host.settle(room)
        told = [
            stanza.get("type")
            for stanza in await host.hear()
            if stanza.get("from") == f"{room.address}/{taken}"
        ]
        assert told == [None, "unavailable", None]


# The queue at the door, and other ways to take everybody's time


async def test_twenty_who_hammer_delay_no_owner(entrance: Entrance) -> None:
    room = entrance.room()
    async with crowd(entrance, room, CROWD) as people, owner(entrance, entrance.room()) as host:
        await host.request_conference(room)
        for somebody in people:
            await hammer(room, somebody)
        assert await enter_undelayed(Scene(entrance, room), room) == IN_TIME


async def test_a_crowd_comes_in_one_after_the_other(entrance: Entrance) -> None:
    """The queue is for those who may come in; an owner passes it."""
    room = entrance.room()
    async with owner(entrance, room) as host, crowd(entrance, room, FEW) as people:
        for somebody in people:
            await somebody.send(joining(room, somebody.nick))
        async with owner(entrance, room):
            pass
        for somebody in people:
            await host.wait_for_occupant(room, somebody.nick)


async def test_who_waits_when_the_meeting_ends_is_told(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, crowd(entrance, room, FEW) as people:
        for somebody in people:
            await somebody.send(joining(room, somebody.nick))
            await somebody.hear()
        await host.request(
            "set",
            room.address,
            element("query", {"xmlns": f"{MUC}#owner"}, element("destroy")),
        )
        answers = [await errors_of(somebody) for somebody in people]
        assert ["not-allowed"] in answers
        inside = [answer for answer in answers if not answer]
        assert len(inside) < FEW


async def test_one_who_sends_without_pause_is_stopped(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, guest(entrance, room) as nuisance:
        for number in range(400):
            mood = element("mood", {}, str(number))
            await nuisance.send(presence(room, nuisance.nick, mood))
        assert "resource-constraint" in await errors_of(nuisance)
        await nuisance.leave(room)  # is never too much
        assert host.standing(room).moderates


async def test_one_session_opens_few_rooms(entrance: Entrance) -> None:
    room = entrance.room()
    async with entrance.guest(room) as somebody:
        opened = 0
        with contextlib.suppress(Refused):
            while opened < 40:
                await somebody.request_conference(entrance.room())
                opened += 1
        assert 0 < opened < 20
        known = entrance.room()
        async with entrance.guest(known) as other:
            await other.request_conference(known)


async def test_one_session_waits_for_few_meetings(entrance: Entrance) -> None:
    rooms = [entrance.room() for _ in range(3)]
    async with entrance.guest(rooms[0]) as somebody:
        for room in rooms[:2]:
            await somebody.request_conference(room)
            await somebody.wait_in_lobby(room)
        await somebody.request_conference(rooms[2])
        with pytest.raises(Refused, match="resource-constraint"):
            await somebody.wait_in_lobby(rooms[2])
        address = f"{rooms[0].lobby.address}/{somebody.nick}"
        await somebody.send(
            element("presence", {"xmlns": CLIENT, "to": address, "type": "unavailable"})
        )
        await somebody.wait_for_departure(rooms[0].lobby)
        await somebody.wait_in_lobby(rooms[2])


# What modules do not expect

ODD = ("5", "null", "true", '"text"', "[]", "[[[[", "", '{"key": 5}', "1e999")


def odd_messages(room: Room) -> list[str]:
    """Messages whose content is not what upstream's modules take it for."""
    found = []
    for odd in map(text, ODD):
        chat = element("json-message", {"xmlns": JITSI}, odd)
        metadata = element("room_metadata", {"xmlns": JITSI, "room": room.address}, odd)
        found += [
            message(f"polls.{DOMAIN}", chat),
            message(f"metadata.{DOMAIN}", metadata),
            message(room.address, chat, type="groupchat"),
        ]
    vote = '{"type":"polls","command":"answer-poll","pollId":"p","answers":[true,true,true]}'
    poll = (
        '{"type":"polls","command":"new-poll","pollId":"p","question":"q","answers":[{"name":"a"}]}'
    )
    return [
        *found,
        *(
            message(f"polls.{DOMAIN}", element("json-message", {"xmlns": JITSI}, text(each)))
            for each in (poll, vote)
        ),
        message(f"speakerstats.{DOMAIN}", element("speakerstats", {"xmlns": JITSI})),
        message(f"speakerstats.{DOMAIN}", element("faceLandmarks", {"xmlns": JITSI})),
        message(f"avmoderation.{DOMAIN}", element("av_moderation")),
        message(f"breakout.{DOMAIN}", element("breakout_rooms")),
    ]


async def test_odd_content_is_no_error_of_the_server(entrance: Entrance, server: Server) -> None:
    room = entrance.room()
    since = server.host.check_output("date +%s.%N")
    async with owner(entrance, room) as host:
        for odd in odd_messages(room):
            await host.send(odd)
        assert "bad-request" in await errors_of(host)
        assert host.standing(room).moderates
    log = server.host.check_output(f"journalctl --unit prosody --since @{since} --output cat")
    assert "failed: " in log  # so the log is the right one
    assert "Traceback" not in log


@pytest.mark.parametrize("data", ["5", '"text"', "[1]", f'{{"x": "{"y" * 20000}"}}'])
async def test_metadata_is_an_object_of_bounded_size(entrance: Entrance, data: str) -> None:
    def setting(key: str, value: str) -> str:
        order = text(f'{{"key": "{key}", "data": {value}}}')
        content = element("room_metadata", {"xmlns": JITSI, "room": room.address}, order)
        return message(f"metadata.{DOMAIN}", content)

    room = entrance.room()
    async with owner(entrance, room) as host, member(entrance, room) as other:
        await host.send(setting("permissions", data))
        await host.send(setting("whiteboard", '{"is": "an object"}'))
        await other.wait_for(
            lambda stanza: "an object" in "".join(stanza.itertext()), "the news of the metadata"
        )
        assert not any(
            '"permissions"' in "".join(stanza.itertext()) for stanza in await other.hear()
        )


# Thrown out


async def test_who_was_thrown_out_waits_where_the_lobby_is_on(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, member(entrance, room) as somebody:
        scene = Scene(entrance, room, (host, somebody))
        await host.request("set", room.address, members_only(scene))
        await host.join(room.lobby, address=room.lobby.mapped_address)
        await administer(host, room, nick=somebody.nick, role="none")
        await somebody.wait_for_departure(room)
        await somebody.wait_in_lobby(room)
        await host.invite(room, somebody.jid)
        await somebody.wait_for_invitation(room)
        await somebody.join(room)


async def test_another_login_of_who_was_thrown_out_is_somebody_else(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, member(entrance, room) as somebody:
        await administer(host, room, nick=somebody.nick, role="none")
        await somebody.wait_for_departure(room)
        async with member(entrance, room):
            pass


# Breakout rooms


async def test_rights_count_in_all_rooms_of_a_meeting(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, member(entrance, room) as somebody:
        beside = await open_breakout_room(host, room)
        await change_rooms(somebody, room, beside)
        assert not somebody.standing(beside).moderates
        await administer(host, room, jid=bare(somebody), affiliation="owner")
        await somebody.wait_for_moderation(beside)
        await administer(host, room, jid=bare(somebody), affiliation="member")
        await somebody.settle(beside)
        assert somebody.standing(beside).role == "participant"


async def test_rights_given_in_a_breakout_room_are_those_of_the_meeting(
    entrance: Entrance,
) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, member(entrance, room) as somebody:
        beside = await open_breakout_room(host, room)
        await change_rooms(host, room, beside)
        await host.request(
            "set", beside.address, item({"affiliation": "owner", "jid": bare(somebody)})
        )
        await somebody.wait_for_affiliation(room, "owner")


async def test_people_of_other_meetings_are_not_moved(entrance: Entrance) -> None:
    room, other = entrance.room(), entrance.room()
    async with (
        owner(entrance, room) as host,
        member(entrance, room) as own,
        owner(entrance, other) as stranger,
    ):
        beside = await open_breakout_room(host, room)
        for target in (stranger, own):
            order = {
                "type": "features/breakout-rooms/move-to-room",
                "participantJid": target.jid,
                "roomJid": beside.address,
            }
            await host.send(message(f"breakout.{DOMAIN}", element("breakout_rooms", order)))
        assert await errors_of(host) == ["item-not-found"]
        await own.wait_for(
            lambda stanza: "move-to-room" in "".join(stanza.itertext()), "an order to move"
        )
        assert not any("move-to-room" in "".join(s.itertext()) for s in await stranger.hear())


async def test_jicofo_is_asked_for_breakout_rooms_that_there_are(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host:
        beside = await open_breakout_room(host, room)
        await host.request_conference(beside)
        unknown = entrance.room(component="breakout")
        order = {"xmlns": FOCUS, "room": unknown.address, "machine-uid": "x"}
        with pytest.raises(Refused, match="not-allowed"):
            await host.request("set", f"focus.{DOMAIN}", element("conference", order), Stage.FOCUS)


@pytest.mark.parametrize("kind", ["get", "set"])
@pytest.mark.parametrize("name", ["conference", "login-url", "logout"])
async def test_jicofo_answers_at_its_own_address(entrance: Entrance, kind: str, name: str) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host:
        payload = element(name, {"xmlns": FOCUS, "room": entrance.room().address})
        for to in (f"{room.address}/focus", room.address, f"conference.{DOMAIN}"):
            with pytest.raises(Refused, match="not-allowed"):
                await host.request(kind, to, payload)


# Machines, past the doors that are closed to people


@pytest.mark.parametrize(
    "target", [f"focus@auth.{DOMAIN}/focus", f"jvb@auth.{DOMAIN}", f"recorder@recorder.{DOMAIN}/x"]
)
async def test_no_room_carries_an_invitation_to_a_machine(entrance: Entrance, target: str) -> None:
    def invitation(to: str) -> str:
        return element("x", {"xmlns": f"{MUC}#user"}, element("invite", {"to": to}))

    room = entrance.room()
    async with owner(entrance, room) as host, entrance.guest(room) as outsider:
        await host.send(message(room.address, invitation(target)))
        assert await errors_of(host) == ["not-allowed"]
        await outsider.send(message(room.address, invitation(host.jid)))
        assert await errors_of(outsider) == ["not-allowed"]
        await host.invite(room, outsider.jid)
        await outsider.wait_for_invitation(room)


@pytest.mark.parametrize("kind", ["chat", "groupchat", "headline"])
async def test_nothing_reaches_the_room_of_the_bridges(entrance: Entrance, kind: str) -> None:
    brewery = f"jvbbrewery@internal.auth.{DOMAIN}"
    room = entrance.room()
    async with owner(entrance, room) as host:
        for to in (brewery, f"{brewery}/jvb", f"internal.auth.{DOMAIN}"):
            await host.send(message(to, element("body", {}, "x"), type=kind))
            assert (await errors_of(host))[-1] == "item-not-found"
            with pytest.raises(Refused, match="item-not-found"):
                await host.request("get", to, element("ping", {"xmlns": "urn:xmpp:ping"}))


# Found by those who tried to get round all this


async def test_who_left_takes_nobodys_place(entrance: Entrance) -> None:
    """Only who changes between rooms that there are is awaited, and nobody without a session."""
    room = entrance.room()
    async with owner(entrance, room) as host:
        await open_breakout_room(host, room)
        for _ in range(9):
            async with guest(entrance, room) as somebody:
                leaving = element("status", {}, "switch_room")
                await somebody.send(presence(room, somebody.nick, leaving, type="unavailable"))
                await somebody.wait_for_departure(room)
        async with guest(entrance, room), member(entrance, room):
            pass


async def test_a_kick_takes_all_seats(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, member(entrance, room) as somebody:
        beside = await open_breakout_room(host, room)
        await somebody.request_conference(beside)
        await somebody.join(beside)
        await administer(host, room, nick=somebody.nick, role="none")
        await somebody.wait_for_departure(room)
        await somebody.wait_for_departure(beside)


async def test_who_waits_has_no_nick_of_who_is_inside(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host:
        await switch_lobby(host, room, True)
        async with entrance.login(room, entrance.member_token(room)) as somebody:
            with pytest.raises(Refused, match="registration-required"):
                await somebody.join(room)
            with pytest.raises(Refused, match="conflict"):
                await somebody.join(room.lobby, host.nick, room.lobby.mapped_address)
            await somebody.join(room.lobby, address=room.lobby.mapped_address)


async def test_a_nick_is_kept_for_nobody_else(entrance: Entrance) -> None:
    room = entrance.room()
    async with (
        owner(entrance, room) as host,
        entrance.login(room, entrance.member_token(room)) as rightful,
        entrance.login(room, entrance.member_token(room)) as other,
    ):
        await open_breakout_room(host, room)
        await other.join(room, rightful.nick)
        leaving = element("status", {}, "switch_room")
        await other.send(presence(room, rightful.nick, leaving, type="unavailable"))
        await other.wait_for_departure(room, rightful.nick)
        await rightful.join(room)


async def test_a_moderator_in_a_breakout_room_admits_and_throws_out(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, member(entrance, room) as inside:
        await switch_lobby(host, room, True)
        await host.join(room.lobby, address=room.lobby.mapped_address)
        beside = await open_breakout_room(host, room)
        async with held(entrance, room) as somebody:
            await change_rooms(host, room, beside)
            await host.invite(room, somebody.jid)
            await somebody.wait_for_invitation(room)
            await somebody.join(room)
            await administer(host, room, nick=inside.nick, role="none")
            await inside.wait_for_departure(room)


async def test_a_breakout_room_that_is_none_answers(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host:
        with pytest.raises(Refused, match="not-allowed"):
            await host.join(entrance.room(component="breakout"))


async def test_who_leaves_the_queue_does_not_come_in(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, crowd(entrance, room, FEW) as people:
        last = people[-1]
        for somebody in people:
            await somebody.send(joining(room, somebody.nick))
        await last.send(presence(room, last.nick, type="unavailable"))
        for somebody in people[:-1]:
            await host.wait_for_occupant(room, somebody.nick)
        async with member(entrance, room):  # whose turn comes after
            await host.settle(room)
            told = [
                stanza.get("type")
                for stanza in await host.hear()
                if stanza.get("from") == f"{room.address}/{last.nick}"
            ]
        assert told in ([], [None, "unavailable"])  # the machine may be too slow for a queue
