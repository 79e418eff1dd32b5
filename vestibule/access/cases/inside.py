"""People who are in the meeting already, or wait before it: nobody changes what others have."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from ..attempts import (
    BREWERY,
    HEALTH_ROOM,
    Attempt,
    form,
    item,
    kick,
    members_only,
)
from ..participant import FOCUS_NICK, Participant
from ..scene import Entrance, Scene, room_is_open
from ..xmpp import (
    CLIENT,
    DATA_FORM,
    FOCUS,
    MUC,
    MUC_OWNER,
    NICK,
    REGISTER,
    Broken,
    NoAnswer,
    Refused,
    Room,
    Stage,
    element,
    fresh_name,
    qualified,
    text,
)
from .case import Case, Refusal, at_join
from .lobby import Arrive, guest, member

UNCHANGED = "nobody's rights change"
NO_EFFECT = "has no effect"
IN_TIME = "enters in time"

HAMMERED = 60  # joins in a row, which three a second would be let in for 20 s
ANSWERED_WITHIN = 3.0  # seconds, for an owner whom nothing delays
MUCH_LONGER = 10  # times as long as entering takes otherwise, on a machine that is slow
BREAKOUT_ROOM = "00000000-0000-4000-8000-000000000000"  # that no moderator has made


@contextlib.asynccontextmanager
async def moderator_and_another(entrance: Entrance) -> AsyncIterator[Scene]:
    """Somebody moderates the room, and somebody else is in it, each with a nick of their own."""
    async with room_is_open(entrance) as scene:
        await scene.first.wait_for_affiliation(scene.room, "owner")
        async with entrance.subordinate(scene.room, scene.first) as second:
            yield Scene(entrance, scene.room, (scene.first, second))


# Nicks that somebody else has


async def rights_of(scene: Scene) -> str:
    """Whether the first one moderates and the second does not, once all is handled."""
    for somebody in scene.people:
        await somebody.settle(scene.room)
    if not scene.first.standing(scene.room).moderates:
        return "who moderated does no more"
    if scene.second.standing(scene.room).moderates:
        return "who did not moderate does now"
    return UNCHANGED


def owner(scene: Scene) -> contextlib.AbstractAsyncContextManager[Participant]:
    """Somebody with an owner's token."""
    return scene.entrance.login(scene.room, scene.token())


def collide(arrive: Arrive, whose: int) -> Attempt:
    """Join with the nick of one who is there."""

    async def attempt(scene: Scene) -> str:
        nick = scene.people[whose].nick
        async with arrive(scene) as newcomer:
            with contextlib.suppress(Refused):
                await newcomer.join(scene.room, nick)
                return "takes the seat"
            return await rights_of(scene)

    return attempt


async def collide_from_lobby(scene: Scene) -> str:
    """Wait in the lobby, and join with the nick of who moderates."""
    await scene.first.request("set", scene.room.address, members_only(scene))
    try:
        async with member(scene) as newcomer:
            await newcomer.wait_in_lobby(scene.room)
            with contextlib.suppress(Refused):
                await newcomer.join(scene.room, scene.first.nick)
                return "takes the seat"
            return await rights_of(scene)
    finally:
        await scene.first.request("set", scene.room.address, members_only(scene, "0"))


async def rename_to_owner(scene: Scene) -> str:
    """Change to the nick of who moderates."""
    with contextlib.suppress(Refused):
        await scene.second.show_presence(scene.room, scene.first.nick)
        return "takes the seat"
    return await rights_of(scene)


def order(payload: Callable[[Scene], str]) -> Attempt:
    """Send an order to the room as who does not moderate."""

    async def attempt(scene: Scene) -> str:
        with contextlib.suppress(Refused):
            await scene.second.request("set", scene.room.address, payload(scene))
            return "is obeyed"
        return await rights_of(scene)

    return attempt


def bare(somebody: Participant) -> str:
    """Their address without the resource."""
    return somebody.jid.partition("/")[0]


def two_names(scene: Scene) -> str:
    """Order that names the second by address and the first by nick."""
    return item({"affiliation": "member", "jid": bare(scene.second), "nick": scene.first.nick})


def reserve_nick(scene: Scene) -> str:
    """Request to keep the nick of who moderates for oneself (XEP-0045, section 7.10)."""
    fields = {
        "FORM_TYPE": f"{MUC}#register",
        "muc#register_roomnick": scene.first.nick,
    }
    registration = element(
        "x",
        {"xmlns": DATA_FORM, "type": "submit"},
        *(
            element("field", {"var": name}, element("value", None, text(value)))
            for name, value in fields.items()
        ),
    )
    return element("query", {"xmlns": REGISTER}, registration)


# Ways to Jicofo


def conference(address: str) -> str:
    """Request that Jicofo opens the room at this address."""
    return element("conference", {"xmlns": FOCUS, "room": address, "machine-uid": "vestibule"})


def internal_room(scene: Scene) -> str:
    """A new room of the internal MUC."""
    return scene.entrance.room(component="internal.auth").address


def brewery(scene: Scene) -> str:
    """Where Jicofo meets the bridges."""
    return scene.entrance.room(BREWERY, component="internal.auth").address


def health_room(scene: Scene) -> str:
    """A room named like those of Jicofo's health check."""
    return scene.entrance.room(fresh_name(HEALTH_ROOM)).address


def meeting(scene: Scene) -> str:
    """A room that one may ask for at the right address."""
    return scene.entrance.room().address


def ask_occupant(address: Callable[[Scene], str], nick: str = FOCUS_NICK) -> Attempt:
    """Send a conference request through the meeting, to Jicofo in it."""

    async def attempt(scene: Scene) -> str:
        to = f"{scene.room.address}/{nick}"
        await scene.second.request("set", to, conference(address(scene)))
        return "sends Jicofo there"

    return attempt


def ask_proxy(address: Callable[[Scene], str]) -> Attempt:
    """Send a conference request for a room that is no meeting to Jicofo's own address."""

    async def attempt(scene: Scene) -> str:
        focus = f"focus.{scene.entrance.domain}"
        await scene.second.request("set", focus, conference(address(scene)), Stage.FOCUS)
        return "sends Jicofo there"

    return attempt


def at(template: str) -> Callable[[Scene], str]:
    """An address at this server, with a name that nobody has used."""

    def address(scene: Scene) -> str:
        return template.format(name=fresh_name(), domain=scene.entrance.domain)

    return address


# Configuration that clients never set

_ALLOWED = ("membersonly", "roomsecret", "passwordprotectedroom", "whois")


async def form_of(owner_: Participant, room: Room) -> Mapping[str, tuple[str, list[str]]]:
    """Type and values of the fields of a room's configuration, by name."""
    answer = await owner_.request("get", room.address, element("query", {"xmlns": MUC_OWNER}))
    return {
        field.get("var", ""): (
            field.get("type", "text-single"),
            [value.text or "" for value in field.findall(qualified(DATA_FORM, "value"))],
        )
        for field in answer.iter(qualified(DATA_FORM, "field"))
        if field.get("type") not in ("fixed", "hidden")
        and not field.get("var", "").endswith(_ALLOWED)
        and not field.get("var", "").startswith("muc#roominfo")
    }


def changed(kind: str, values: list[str]) -> list[str]:
    """Other values for a field of this type."""
    if kind == "boolean":
        return ["0" if values in (["1"], ["true"]) else "1"]
    if kind == "list-single":
        return ["none" if values != ["none"] else "participant"]
    if kind == "list-multi":
        return ["moderator"]
    return ["7"] if values != ["7"] else ["8"]


async def configure_everything(scene: Scene) -> str:
    """Change all fields of the room's form, as its owner, but those that clients set."""
    before = await form_of(scene.first, scene.room)
    if not before:
        return "the room shows no form"
    fields = {name: changed(*field) for name, field in before.items()}
    # What other versions of Prosody have, or list as choices
    fields |= {
        "muc#roomconfig_persistentroom": ["1"],
        "muc#roomconfig_whois": ["moderators"],
        "muc#roomconfig_allowpm": ["none"],
    }
    with contextlib.suppress(Refused):
        await scene.first.request("set", scene.room.address, form(fields))
    after = await form_of(scene.first, scene.room)
    changes = sorted(name for name in before if before[name] != after.get(name))
    return f"changes {', '.join(changes)}" if changes else NO_EFFECT


def refused_to_owner(payload: Callable[[Scene], str], room: Callable[[Scene], str]) -> Attempt:
    """Send an order as the owner of the meeting, which is refused."""

    async def attempt(scene: Scene) -> str:
        try:
            await scene.first.request("set", room(scene), payload(scene))
        except Refused:
            return NO_EFFECT
        return "is obeyed"

    return attempt


def of_meeting(scene: Scene) -> str:
    """Address of the meeting."""
    return scene.room.address


def empty_form(_: Scene) -> str:
    """Form without any field, which stands for the defaults (XEP-0045, section 10.1.2)."""
    empty = element("x", {"xmlns": DATA_FORM, "type": "submit"})
    return element("query", {"xmlns": MUC_OWNER}, empty)


# One who hammers at the door


async def hammer(room: Room, nuisance: Participant) -> None:
    """Join again and again without a pause, and return when the server has seen to all of it."""
    join = element(
        "presence",
        {"xmlns": CLIENT, "to": f"{room.address}/{nuisance.nick}"},
        element("x", {"xmlns": MUC}),
        element("nick", {"xmlns": NICK}, "Access case"),
    )
    with contextlib.suppress(Broken):  # whom a server cuts off hammers no more
        for _ in range(HAMMERED):
            await nuisance.send(join)
        await nuisance.hear()


async def enter_undelayed(scene: Scene, room: Room) -> str:
    """Enter as an owner, within the time that entering takes here and now."""
    entrance, other = scene.entrance, scene.entrance.room()
    async with (
        entrance.login(other, entrance.token(other)) as elsewhere,
        entrance.login(room, entrance.token(room)) as host,
    ):
        await elsewhere.request_conference(other)
        await host.request_conference(room)
        began = time.perf_counter()
        await elsewhere.join(other)
        usual = time.perf_counter() - began
        within = max(ANSWERED_WITHIN, MUCH_LONGER * usual)
        try:
            async with asyncio.timeout(within):
                await host.join(room)
        except TimeoutError:
            raise NoAnswer("the owner's join", within) from None
        return IN_TIME


def hammering(arrive: Arrive, *, opened: bool = False) -> Attempt:
    """Hammer at the door of a room that waits for its host, or of an open one."""

    async def attempt(scene: Scene) -> str:
        entrance = scene.entrance
        room = scene.room if opened else entrance.room()
        there = Scene(entrance, room)
        async with arrive(there) as nuisance:
            with contextlib.suppress(Refused):  # where only who has a token opens rooms
                await nuisance.request_conference(room)
            await hammer(room, nuisance)
            return await enter_undelayed(scene, room)

    return attempt


async def hammer_at_lobby(scene: Scene) -> str:
    """Hammer at the door of a room whose lobby is on, and which an owner's token opens."""
    await scene.first.request("set", scene.room.address, members_only(scene))
    async with member(scene) as nuisance:
        await hammer(scene.room, nuisance)
        return await enter_undelayed(scene, scene.room)


# Thrown out


def come_back(way: Callable[[Scene], Awaitable[None]]) -> Attempt:
    """Be thrown out by the moderator, and come back in this way with the same login."""

    async def attempt(scene: Scene) -> str:
        async with scene.entrance.subordinate(scene.room, scene.first) as somebody:
            await scene.first.request("set", scene.room.address, kick(somebody.nick)(scene))
            await somebody.wait_for_departure(scene.room)
            await way(Scene(scene.entrance, scene.room, (scene.first, somebody)))
            return "is inside again"

    return attempt


async def by_door(scene: Scene) -> None:
    """Join again."""
    await scene.second.join(scene.room)


async def under_another_nick(scene: Scene) -> None:
    """Join under a nick never used before."""
    await scene.second.join(scene.room, "another")


INSIDE = (
    Case(
        "taken_nick_changes_no_rights",
        "nick that somebody else has",
        {
            "member with the owner's": collide(member, 0),
            "owner with a member's": collide(owner, 1),
            "guest with the owner's": collide(guest, 0),
            "change to the owner's": rename_to_owner,
            "order with two names": order(two_names),
            "reserved for oneself": order(reserve_nick),
            "from the lobby": collide_from_lobby,
        },
        control=moderator_and_another,
        outcome=UNCHANGED,
        needs={"guest with the owner's": "guests", "from the lobby": "lobby"},
    ),
    Case(
        "jicofo_asked_past_its_address",
        "request to Jicofo by another way",
        {
            "internal room": ask_occupant(internal_room),
            "bridges' room": ask_occupant(brewery),
            "health check": ask_occupant(health_room),
            "another meeting": ask_occupant(meeting),
            "to another occupant": ask_occupant(meeting, "x"),
        },
        (Refusal(Stage.REQUEST, ("not-allowed",)),),
        moderator_and_another,
    ),
    Case(
        "jicofo_asked_for_odd_rooms",
        "invalid room, asked of Jicofo",
        {
            "in brackets": ask_proxy(at("[x]{name}@conference.{domain}")),
            "in empty brackets": ask_proxy(at("[]{name}@conference.{domain}")),
            "bracket": ask_proxy(at("[{name}@conference.{domain}")),
            "tenant in brackets": ask_proxy(at("[x]{name}@conference.y.{domain}")),
            "tenant of a tenant": ask_proxy(at("{name}@conference.x.y.{domain}")),
            "lobby": ask_proxy(at("{name}@lobby.{domain}")),
            "breakout room": ask_proxy(at(f"{BREAKOUT_ROOM}@breakout.{{domain}}")),
            "no name": ask_proxy(at("conference.{domain}")),
        },
        (Refusal(Stage.FOCUS, ("not-allowed",)),),
        moderator_and_another,
    ),
    Case(
        "unused_configuration_has_no_effect",
        "options that no client sets, by an owner",
        {
            "form": configure_everything,
            "empty form": refused_to_owner(empty_form, of_meeting),
        },
        control=moderator_and_another,
        outcome=NO_EFFECT,
    ),
    Case(
        "hammering_delays_no_owner",
        "owner's entry while somebody hammers",
        {
            "guest before the host": hammering(guest),
            "member inside": hammering(member, opened=True),
            "member before the lobby": hammer_at_lobby,
        },
        control=room_is_open,
        outcome=IN_TIME,
        needs={
            "guest before the host": "guests",
            "member before the lobby": "affiliation",
        },
    ),
    Case(
        "thrown_out_stays_out",
        "kicked person with the same login",
        {"joins": come_back(by_door), "under another nick": come_back(under_another_nick)},
        (at_join("", "forbidden", "registration-required"),),
        moderator_and_another,
    ),
)
