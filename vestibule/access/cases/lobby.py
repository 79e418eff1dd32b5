"""The lobby: newcomers wait in it until a moderator admits them, and owners pass it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable

from ..attempts import ENTERED, Attempt, destruction, members_only, password
from ..participant import FOCUS_NICK, Participant
from ..scene import Control, Entrance, Scene
from ..xmpp import CLIENT, MUC_ADMIN, Refused, Room, element, fresh_name
from .case import Case, at_join

PASSED = "passes"
ADMITTED = "waits, then is admitted"
WAITS = "newcomers wait"
THROWN_OUT = "307"  # status code of who was thrown out, XEP-0045

HELD = at_join("", "registration-required", detail="lobbyroom")

Arrive = Callable[[Scene], contextlib.AbstractAsyncContextManager[Participant]]


def lobby_is_on(tenant: Callable[[Entrance], str] = lambda _: "") -> Control:
    """A moderator has turned the lobby on, waits in it for others, and has admitted somebody."""

    @contextlib.asynccontextmanager
    async def control(entrance: Entrance) -> AsyncIterator[Scene]:
        room = entrance.room(tenant=tenant(entrance))
        async with entrance.enter(room, entrance.token(room)) as first:
            await first.wait_for_moderation(room)
            scene = Scene(entrance, room, (first,))
            await first.request("set", room.address, members_only(scene))
            await first.join(room.lobby, address=room.lobby.mapped_address)
            async with entrance.subordinate(room, first) as second:
                yield Scene(entrance, room, (first, second))

    return control


def member(scene: Scene) -> contextlib.AbstractAsyncContextManager[Participant]:
    """Somebody whose token makes no moderator."""
    return scene.entrance.login(scene.room, scene.entrance.member_token(scene.room))


def guest(scene: Scene) -> contextlib.AbstractAsyncContextManager[Participant]:
    """A guest."""
    return scene.entrance.guest(scene.room)


def knock(arrive: Arrive, *, mapped: bool = False) -> Attempt:
    """Join the room, by its mapped address if so wished."""

    async def attempt(scene: Scene) -> str:
        async with arrive(scene) as newcomer:
            address = scene.room.mapped_address if mapped else ""
            await newcomer.join(scene.room, address=address)
            return ENTERED

    return attempt


def knock_nameless(arrive: Arrive) -> Attempt:
    """Join the room without a display name, then with one."""

    async def attempt(scene: Scene) -> str:
        async with arrive(scene) as newcomer:
            try:
                await newcomer.join(scene.room, named=False)
            except Refused as refused:
                if "displayname-required" not in refused.details:
                    raise
                await newcomer.join(scene.room)
            return ENTERED

    return attempt


def knock_as_another(arrive: Arrive) -> Attempt:
    """Join the room under a second nick, while the first one waits in the lobby."""

    async def attempt(scene: Scene) -> str:
        async with arrive(scene) as newcomer:
            await newcomer.wait_in_lobby(scene.room)
            await newcomer.join(scene.room, "another")
            return ENTERED

    return attempt


def be_admitted(arrive: Arrive) -> Attempt:
    """Wait in the lobby, be seen there and invited by the moderator, and enter."""

    async def attempt(scene: Scene) -> str:
        async with arrive(scene) as newcomer:
            await newcomer.wait_in_lobby(scene.room)
            await scene.first.wait_for_occupant(scene.room.lobby, newcomer.nick)
            await scene.first.invite(scene.room, newcomer.jid)
            await newcomer.wait_for_invitation(scene.room)
            await newcomer.join(scene.room)
            await scene.first.wait_for_occupant(scene.room, newcomer.nick)
            return ADMITTED

    return attempt


def be_thrown_out(arrive: Arrive) -> Attempt:
    """Be thrown out of the lobby by the moderator, and join the room all the same."""

    async def attempt(scene: Scene) -> str:
        async with arrive(scene) as newcomer:
            await newcomer.wait_in_lobby(scene.room)
            await scene.first.wait_for_occupant(scene.room.lobby, newcomer.nick)
            await throw_out(scene.first, scene.room.lobby, newcomer.nick)
            departure = await newcomer.wait_for_departure(scene.room.lobby)
            if THROWN_OUT not in departure.codes:
                return "is not told that it was thrown out"
            await newcomer.join(scene.room)
            return ENTERED

    return attempt


def admit_oneself(arrive: Arrive) -> Attempt:
    """Send oneself the invitation that a moderator would send, and join the room."""

    async def attempt(scene: Scene) -> str:
        async with arrive(scene) as newcomer:
            await newcomer.wait_in_lobby(scene.room)
            await newcomer.invite(scene.room, newcomer.jid)
            await newcomer.join(scene.room)
            return ENTERED

    return attempt


def turn_off(arrive: Arrive) -> Attempt:
    """Turn the lobby off from within it, and join the room."""

    async def attempt(scene: Scene) -> str:
        async with arrive(scene) as newcomer:
            await newcomer.wait_in_lobby(scene.room)
            with contextlib.suppress(Refused):
                off = members_only(scene, "0")
                await newcomer.request("set", scene.room.address, off)
            await newcomer.join(scene.room)
            return ENTERED

    return attempt


async def throw_out(moderator: Participant, room: Room, nick: str) -> None:
    """Throw ``nick`` out. The lobby's answer to that never arrives: upstream filters it."""
    item = element("item", {"role": "none", "nick": nick})
    order = element("query", {"xmlns": MUC_ADMIN}, item)
    attributes = {"xmlns": CLIENT, "type": "set", "id": f"out-{nick}", "to": room.mapped_address}
    await moderator.send(element("iq", attributes, order))


def pass_by(user: dict[str, object]) -> Attempt:
    """Enter with a token that makes this user an owner, and moderate."""

    async def attempt(scene: Scene) -> str:
        token = scene.token(context={"user": {"id": "vestibule", **user}})
        async with scene.entrance.login(scene.room, token) as owner:
            await owner.join(scene.room)
            await owner.wait_for_moderation(scene.room)
            return PASSED

    return attempt


# Orders that would take the lobby away, or shut it


def lobby_outlives(order: Callable[[Scene], tuple[str, str]]) -> Attempt:
    """Send an order as the moderator, whose answer upstream may filter, and wait as a newcomer."""

    async def attempt(scene: Scene) -> str:
        to, payload = order(scene)
        attributes = {"xmlns": CLIENT, "type": "set", "id": fresh_name("order"), "to": to}
        await scene.first.send(element("iq", attributes, payload))
        await scene.first.hear()  # so that the server has seen to it
        async with member(scene) as newcomer:
            await newcomer.wait_in_lobby(scene.room)
            await scene.first.wait_for_occupant(scene.room.lobby, newcomer.nick)
            return WAITS

    return attempt


def to_lobby(payload: Callable[[Scene], str]) -> Callable[[Scene], tuple[str, str]]:
    """An order to the lobby itself."""
    return lambda scene: (scene.room.lobby.mapped_address, payload(scene))


# People whom no door has sent to the lobby


def knock_unsent(token: Callable[[Scene], str], nick: str = "", *, asked: bool = False) -> Attempt:
    """Go to the lobby of the meeting by its address alone, having asked at the door or not."""

    async def attempt(scene: Scene) -> str:
        async with scene.entrance.login(scene.room, token(scene)) as stranger:
            if asked:
                with contextlib.suppress(Refused):
                    await stranger.join(scene.room)
            address = scene.room.lobby.mapped_address
            await stranger.join(scene.room.lobby, nick, address)
            return "waits in the lobby"

    return attempt


def token_for_another_room(scene: Scene) -> str:
    """A member's token that opens another room."""
    return scene.entrance.member_token(scene.entrance.room())


def token_for_this_room(scene: Scene) -> str:
    """A member's token for the meeting."""
    return scene.entrance.member_token(scene.room)


# Every room from its start


@contextlib.asynccontextmanager
async def owner_came_first(entrance: Entrance) -> AsyncIterator[Scene]:
    """An owner has entered a room in which nobody turned the lobby on."""
    room = entrance.room()
    async with entrance.enter(room, entrance.token(room)) as first:
        yield Scene(entrance, room, (first,))


def come_first(arrive: Arrive) -> Attempt:
    """Enter a room in which nobody has ever been."""

    async def attempt(scene: Scene) -> str:
        empty = Scene(scene.entrance, scene.entrance.room())
        async with arrive(empty) as newcomer:
            await newcomer.request_conference(empty.room)
            await newcomer.join(empty.room)
            return ENTERED

    return attempt


LOBBY = (
    Case(
        "lobby_newcomer_waits",
        "newcomer while the lobby is on",
        {
            "member": knock(member),
            "mapped address": knock(member, mapped=True),
            "without a name": knock_nameless(member),
            "under another nick": knock_as_another(member),
            "own invitation": admit_oneself(member),
            "turned off": turn_off(member),
            "guest": knock(guest),
            "guest without a name": knock_nameless(guest),
            "guest's own invitation": admit_oneself(guest),
            "turned off by a guest": turn_off(guest),
        },
        (HELD,),
        lobby_is_on(lambda entrance: entrance.tenant),
        needs={
            "guest": "guests",
            "guest without a name": "guests",
            "guest's own invitation": "guests",
            "turned off by a guest": "guests",
        },
    ),
    Case(
        "lobby_moderator_admits",
        "newcomer whom a moderator admits",
        {"member": be_admitted(member), "guest": be_admitted(guest)},
        control=lobby_is_on(),
        outcome=ADMITTED,
        needs={"guest": "guests"},
    ),
    Case(
        "lobby_refused_stays_out",
        "newcomer whom a moderator refuses",
        {"member": be_thrown_out(member), "guest": be_thrown_out(guest)},
        (HELD,),
        lobby_is_on(),
        needs={"guest": "guests"},
    ),
    Case(
        "lobby_owner_passes",
        "owner's token while the lobby is on",
        {
            "owner": pass_by({"affiliation": "owner"}),
            "teacher": pass_by({"affiliation": "teacher"}),
            "moderator": pass_by({"moderator": True}),
        },
        control=lobby_is_on(),
        outcome=PASSED,
    ),
    Case(
        "lobby_stays_as_it_is",
        "lobby that other requests would close",
        {
            "its end": lobby_outlives(to_lobby(destruction)),
            "its password": lobby_outlives(to_lobby(password)),
        },
        control=lobby_is_on(),
        outcome=WAITS,
    ),
    Case(
        "lobby_for_those_it_holds",
        "lobby, entered without being sent there",
        {
            "token for another room": knock_unsent(token_for_another_room, asked=True),
            "unasked": knock_unsent(token_for_this_room),
            "as Jicofo": knock_unsent(token_for_this_room, FOCUS_NICK, asked=True),
        },
        (at_join("", "not-allowed"),),
        lobby_is_on(),
    ),
    Case(
        "lobby_is_on_from_the_start",
        "lobby that nobody turned on",
        {
            "member": knock(member),
            "first member": come_first(member),
            "guest": knock(guest),
            "first guest": come_first(guest),
        },
        (HELD,),
        owner_came_first,
        needs={"guest": "guests", "first guest": "guests"},
    ),
)
