"""What those come back to who were thrown out, went to another room, or left something behind."""

from __future__ import annotations

import contextlib

import pytest

from vestibule.access.cases.breakout import change_rooms, listed_rooms, open_breakout_room
from vestibule.access.participant import Participant
from vestibule.access.scene import Entrance
from vestibule.access.xmpp import (
    CLIENT,
    DATA_FORM,
    MUC_ADMIN,
    MUC_OWNER,
    Refused,
    Room,
    element,
    text,
)

from .conftest import DOMAIN
from .people import (
    BREAKOUT,
    administer,
    bare,
    guest,
    is_in,
    member,
    owner,
    presence,
    switch_lobby,
)
from .test_inside import errors_of
from .test_power import AV_MODERATION, switch_av_moderation

COMMAND = "features/breakout-rooms/"
PLACES = 10  # of a meeting on the servers of this scenario

pytestmark = pytest.mark.anyio


async def throw_out(host: Participant, somebody: Participant, room: Room) -> None:
    await administer(host, room, nick=somebody.nick, role="none")
    await somebody.wait_for_departure(room)


async def be_held_at_the_door(room: Room, *people: Participant) -> None:
    for somebody in people:
        with pytest.raises(Refused, match="registration-required"):
            await somebody.join(room)


async def who_may_speak(moderator: Participant) -> str:
    """The next list that the moderator hears."""
    heard = await moderator.wait_for(
        lambda stanza: stanza.get("from") == AV_MODERATION, "the list of those who may speak"
    )
    return "".join(heard.itertext())


async def leave_by_the_breakout_room(host: Participant, somebody: Participant, room: Room) -> Room:
    """Be thrown out of a breakout room while on the way from the main room."""
    beside = await open_breakout_room(host, room)
    await somebody.request_conference(beside)
    await somebody.join(beside)
    leaving = element("status", {}, "switch_room")
    await somebody.send(presence(room, somebody.nick, leaving, type="unavailable"))
    await somebody.wait_for_departure(room)
    await throw_out(host, somebody, beside)
    return beside


async def test_who_was_thrown_out_on_the_way_is_no_member_of_the_lobby(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, guest(entrance, room) as somebody:
        await leave_by_the_breakout_room(host, somebody, room)
        with pytest.raises(Refused, match="forbidden"):
            await somebody.join(room)
        await switch_lobby(host, room, True)
        await be_held_at_the_door(room, somebody)


async def test_who_was_thrown_out_is_no_member_when_others_wait_for_a_host(
    entrance: Entrance,
) -> None:
    room = entrance.room()
    async with (
        owner(entrance, room) as host,
        member(entrance, room),
        guest(entrance, room) as somebody,
        entrance.guest(room) as newcomer,
    ):
        await leave_by_the_breakout_room(host, somebody, room)
        await host.leave(room)
        await be_held_at_the_door(room, newcomer, somebody)


async def test_an_owner_who_was_thrown_out_is_not_the_awaited_one(entrance: Entrance) -> None:
    room = entrance.room()
    async with (
        owner(entrance, room) as host,
        owner(entrance, room) as other,
        guest(entrance, room),
        entrance.guest(room) as newcomer,
    ):
        await throw_out(host, other, room)
        await host.leave(room)
        await be_held_at_the_door(room, newcomer, other)


async def test_who_lost_membership_has_no_seat_left(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, guest(entrance, room) as somebody:
        beside = await open_breakout_room(host, room)
        await somebody.request_conference(beside)
        await somebody.join(beside)
        await switch_lobby(host, room, True)
        await administer(host, room, jid=bare(somebody), affiliation="none")
        await host.settle(room)
        assert not await is_in(somebody, beside)
        await switch_lobby(host, room, False)
        await switch_lobby(host, room, True)
        with contextlib.suppress(Refused):  # what it still has to hear may look like an entrance
            await somebody.join(room)
        assert not await is_in(somebody, room)


async def test_who_was_promoted_is_an_owner_after_a_breakout_room(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, member(entrance, room) as somebody:
        await administer(host, room, jid=bare(somebody), affiliation="owner")
        await somebody.wait_for_affiliation(room, "owner")
        beside = await open_breakout_room(host, room)
        await change_rooms(somebody, room, beside)
        await change_rooms(somebody, beside, room)
        await somebody.settle(room)
        assert somebody.standing(room).moderates


async def test_who_was_demoted_is_a_member_after_a_breakout_room(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, owner(entrance, room) as somebody:
        await administer(host, room, jid=bare(somebody), affiliation="member")
        await somebody.wait_for_affiliation(room, "member")
        beside = await open_breakout_room(host, room)
        await change_rooms(somebody, room, beside)
        await change_rooms(somebody, beside, room)
        await somebody.settle(room)
        standing = somebody.standing(room)
        assert (standing.affiliation, standing.moderates) == ("member", False)


async def test_the_right_to_speak_does_not_pass_to_the_next_one(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, guest(entrance, room) as speaker:
        await switch_av_moderation(host, "audio")
        nick = f"{room.address}/{speaker.nick}"
        order = element("av_moderation", {"mediaType": "audio", "jidToWhitelist": nick})
        await host.send(element("message", {"xmlns": CLIENT, "to": AV_MODERATION}, order))
        await host.settle(room)
        await speaker.leave(room)
        async with owner(entrance, room) as second:
            assert nick not in await who_may_speak(second)


async def test_seats_of_one_person_take_one_place(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, guest(entrance, room) as somebody:
        for number in range(PLACES - 2):
            order = element("breakout_rooms", {"type": COMMAND + "add", "subject": f"B{number}"})
            await host.send(element("message", {"xmlns": CLIENT, "to": BREAKOUT}, order))
        news = await host.wait_for(
            lambda stanza: len(listed_rooms(stanza)) >= PLACES - 2, "the breakout rooms"
        )
        for name in listed_rooms(news):
            beside = Room(name, DOMAIN, component="breakout")
            await somebody.request_conference(beside)
            await somebody.join(beside)
        async with member(entrance, room):
            pass


@pytest.mark.parametrize(
    ("order", "condition"),
    [
        ({"type": COMMAND + "add"}, "bad-request"),
        ({"type": COMMAND + "rename", "breakoutRoomJid": "{room}"}, "bad-request"),
        ({"type": COMMAND + "rename", "subject": "x"}, "item-not-found"),
        (
            {"type": COMMAND + "rename", "subject": "x", "breakoutRoomJid": f"other@{BREAKOUT}"},
            "item-not-found",
        ),
        ({"type": COMMAND + "remove"}, "item-not-found"),
        ({"type": COMMAND + "remove", "breakoutRoomJid": f"other@{BREAKOUT}"}, "item-not-found"),
    ],
)
async def test_no_order_makes_a_breakout_room_one_of_no_meeting(
    entrance: Entrance, order: dict[str, str], condition: str
) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, guest(entrance, room) as somebody:
        beside = await open_breakout_room(host, room)
        await change_rooms(somebody, room, beside)
        order = {name: value.format(room=beside.address) for name, value in order.items()}
        payload = element("breakout_rooms", order)
        await host.send(element("message", {"xmlns": CLIENT, "to": BREAKOUT}, payload))
        assert await errors_of(host) == [condition]
        await throw_out(host, somebody, beside)


@pytest.mark.parametrize(
    "field",
    [
        element(
            "field",
            {"xmlns": "urn:other", "var": "muc#roomconfig_membersonly"},
            element("value", {}, text("1")),
        ),
        element("field", {"var": "muc#roomconfig_membersonly"}),
        element(
            "field", {"var": "muc#roomconfig_membersonly"}, element("value", {}, text("perhaps"))
        ),
    ],
    ids=["other namespace", "no value", "odd value"],
)
async def test_a_field_that_says_nothing_leaves_the_lobby_on(
    entrance: Entrance, field: str
) -> None:
    room = entrance.room()
    kind = "http://jabber.org/protocol/muc#roomconfig"
    async with owner(entrance, room) as host, entrance.guest(room) as somebody:
        await switch_lobby(host, room, True)
        head = element("field", {"var": "FORM_TYPE"}, element("value", {}, text(kind)))
        form = element("x", {"xmlns": DATA_FORM, "type": "submit"}, head, field)
        await host.request("set", room.address, element("query", {"xmlns": MUC_OWNER}, form))
        refused = await somebody.wait_in_lobby(room)
        assert refused.condition == "registration-required"


@pytest.mark.parametrize("affiliation", ["owner", "member", "none", "outcast"])
async def test_a_lobby_gives_no_rights(entrance: Entrance, affiliation: str) -> None:
    """Upstream drops what a lobby answers to requests."""
    room = entrance.room()
    async with owner(entrance, room) as host, entrance.guest(room) as somebody:
        await switch_lobby(host, room, True)
        await host.join(room.lobby, address=room.lobby.mapped_address)
        await somebody.wait_in_lobby(room)
        before = somebody.standing(room.lobby)
        entry = element("item", {"jid": bare(somebody), "affiliation": affiliation})
        query = element("query", {"xmlns": MUC_ADMIN}, entry)
        order = {"xmlns": CLIENT, "type": "set", "id": "rights", "to": room.lobby.mapped_address}
        await host.send(element("iq", order, query))
        await host.hear()
        await somebody.hear()
        assert somebody.standing(room.lobby) == before
