"""Breakout rooms of a running meeting: for its people, under its moderators."""

from __future__ import annotations

import contextlib
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Awaitable, Callable

from ..attempts import ENTERED, Attempt, item, kick, members_only
from ..participant import Participant
from ..scene import Entrance, Scene, room_is_open
from ..xmpp import CLIENT, Room, element, json_message
from .case import Case, at_join

SENT_OUT = "is sent out"

Act = Callable[[Scene, Room, Participant], Awaitable[str]]


def listed_rooms(stanza: ET.Element) -> list[str]:
    """Names of the breakout rooms in a message of their component, none where it lists none."""
    try:
        content = json_message(stanza)
        rooms = content.get("rooms", {}).values()
        return [room["id"] for room in rooms if not room.get("isMainRoom")]
    except (ValueError, AttributeError, KeyError, TypeError):
        return []


async def open_breakout_room(moderator: Participant, room: Room) -> Room:
    """Let a moderator open the first breakout room of the meeting."""
    component = f"breakout.{room.domain}"
    order = element("breakout_rooms", {"type": "features/breakout-rooms/add", "subject": "Beside"})
    await moderator.send(element("message", {"xmlns": CLIENT, "to": component}, order))
    news = await moderator.wait_for(
        lambda stanza: stanza.get("from") == component and bool(listed_rooms(stanza)),
        "the list of breakout rooms",
    )
    return Room(listed_rooms(news)[0], room.domain, component="breakout")


async def change_rooms(somebody: Participant, old: Room, new: Room) -> None:
    """Go from one room of a meeting to another, as clients do."""
    leaving = {
        "xmlns": CLIENT,
        "to": f"{old.address}/{somebody.nick}",
        "type": "unavailable",
    }
    await somebody.send(element("presence", leaving, element("status", None, "switch_room")))
    await somebody.wait_for_departure(old)
    await somebody.request_conference(new)
    await somebody.join(new)


@contextlib.asynccontextmanager
async def breakout_room_is_open(entrance: Entrance) -> AsyncIterator[Scene]:
    """A moderator has opened a breakout room, and somebody from the meeting has gone into it.

    The room of the scene is the meeting's; the breakout room is the one that ``beside`` finds.
    """
    async with room_is_open(entrance) as scene:
        await scene.first.wait_for_affiliation(scene.room, "owner")
        beside = await open_breakout_room(scene.first, scene.room)
        async with entrance.subordinate(scene.room, scene.first) as second:
            await change_rooms(second, scene.room, beside)
            yield Scene(entrance, scene.room, (scene.first, second), beside)


def beside(scene: Scene) -> Room:
    """The breakout room of the scene."""
    if scene.beside is None:
        raise AssertionError("the control has opened no breakout room")
    return scene.beside


def from_outside(
    arrive: Callable[[Scene], contextlib.AbstractAsyncContextManager[Participant]],
) -> Attempt:
    """Join the breakout room without having been in the meeting."""

    async def attempt(scene: Scene) -> str:
        async with arrive(scene) as stranger:
            await stranger.join(beside(scene))
            return ENTERED

    return attempt


def with_token(scene: Scene) -> contextlib.AbstractAsyncContextManager[Participant]:
    """Somebody with an owner's token for the meeting."""
    return scene.entrance.login(scene.room, scene.token())


def with_other_token(scene: Scene) -> contextlib.AbstractAsyncContextManager[Participant]:
    """Somebody with a token for another meeting."""
    other = scene.entrance.room()
    return scene.entrance.login(other, scene.entrance.token(other))


def as_guest(scene: Scene) -> contextlib.AbstractAsyncContextManager[Participant]:
    """A guest."""
    return scene.entrance.guest(scene.room)


def after(way: Callable[[Scene, Participant], Awaitable[None]]) -> Attempt:
    """Be in the meeting, leave it in this way, and join the breakout room."""

    async def attempt(scene: Scene) -> str:
        async with scene.entrance.subordinate(scene.room, scene.first) as somebody:
            await way(scene, somebody)
            await somebody.join(beside(scene))
            return ENTERED

    return attempt


async def leaving(scene: Scene, somebody: Participant) -> None:
    """Leave for good."""
    await somebody.leave(scene.room)


async def being_kicked(scene: Scene, somebody: Participant) -> None:
    """Be thrown out by the moderator."""
    await scene.first.request("set", scene.room.address, kick(somebody.nick)(scene))
    await somebody.wait_for_departure(scene.room)


async def being_banned(scene: Scene, somebody: Participant) -> None:
    """Be banned by the moderator."""
    await scene.first.request("set", scene.room.address, ban(somebody))
    await somebody.wait_for_departure(scene.room)


def ban(somebody: Participant) -> str:
    """Order to ban somebody."""
    return item({"affiliation": "outcast", "jid": somebody.jid.partition("/")[0]})


async def wait_and_slip_in(scene: Scene) -> str:
    """Wait in the lobby of the meeting, and join the breakout room."""
    await scene.first.request("set", scene.room.address, members_only(scene))
    try:
        async with scene.entrance.login(scene.room, scene.member_token()) as newcomer:
            await newcomer.wait_in_lobby(scene.room)
            await newcomer.join(beside(scene))
            return ENTERED
    finally:
        await scene.first.request("set", scene.room.address, members_only(scene, "0"))


def remove(order: Callable[[Scene], tuple[str, str]]) -> Attempt:
    """Let the moderator, who is in the main room, send somebody out of the breakout room."""

    async def attempt(scene: Scene) -> str:
        async with scene.entrance.subordinate(scene.room, scene.first) as somebody:
            await change_rooms(somebody, scene.room, beside(scene))
            people = Scene(scene.entrance, scene.room, (scene.first, somebody), scene.beside)
            to, payload = order(people)
            await scene.first.request("set", to, payload)
            await somebody.wait_for_departure(beside(scene))
            return SENT_OUT

    return attempt


def by_kick(scene: Scene) -> tuple[str, str]:
    """Address and order that throw the second out of the breakout room."""
    return beside(scene).address, kick(scene.second.nick)(scene)


def by_ban(scene: Scene) -> tuple[str, str]:
    """Address and order that ban the second from the meeting."""
    return scene.room.address, ban(scene.second)


BREAKOUT = (
    Case(
        "breakout_room_for_its_meeting",
        "breakout room, from outside its meeting",
        {
            "token of the meeting": from_outside(with_token),
            "other token": from_outside(with_other_token),
            "guest": from_outside(as_guest),
            "left": after(leaving),
            "thrown out": after(being_kicked),
            "banned": after(being_banned),
            "waits in the lobby": wait_and_slip_in,
        },
        (at_join("", "not-allowed", "registration-required", "forbidden"),),
        breakout_room_is_open,
        needs={"guest": "guests", "waits in the lobby": "lobby"},
    ),
    Case(
        "breakout_room_under_its_moderator",
        "person kicked from outside the room",
        {"kick": remove(by_kick), "ban": remove(by_ban)},
        control=breakout_room_is_open,
        outcome=SENT_OUT,
    ),
)
