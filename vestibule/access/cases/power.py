"""Power over a meeting: closing it sends nobody out, and whoever may moderate it gets in again."""

from __future__ import annotations

import contextlib
import secrets
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Callable

from ..attempts import Attempt, configuration, kick
from ..participant import FOCUS_NICK, Participant
from ..scene import MODERATES, Entrance, Scene, bring_in, owner_configures, room_is_open
from ..xmpp import MUC_ADMIN, Refused, Stage, element, json_message
from .case import Case, Refusal, at_join
from .guests import order_to_be_silent, speech_host
from .limits import crowd
from .lobby import Arrive, guest, lobby_is_on, member

STAYS = "stays inside"
WAITS = "waits in the lobby"
SPEAKS = "moderates, and may speak"
LOCKED = at_join("", "not-authorized")
NOT_ALLOWED = Refusal(Stage.REQUEST, ("not-allowed",))
MEDIA = ("audio", "video", "desktop")


@contextlib.asynccontextmanager
async def meeting_with(entrance: Entrance, arrive: Arrive) -> AsyncIterator[Scene]:
    """Somebody is in the room beside its moderator."""
    async with room_is_open(entrance) as scene, arrive(scene) as somebody:
        await scene.first.wait_for_moderation(scene.room)
        await bring_in(somebody, scene.room, scene.first)
        yield Scene(entrance, scene.room, (scene.first, somebody))


async def configure(moderator: Participant, scene: Scene, **fields: str) -> None:
    """Let a moderator change the room."""
    await moderator.request("set", scene.room.address, configuration(**fields))


# Who is inside stays


def be_inside(arrive: Arrive, **fields: str) -> Attempt:
    """Be in the room when its moderator closes it, whose client makes nobody a member before."""

    async def attempt(scene: Scene) -> str:
        async with meeting_with(scene.entrance, arrive) as meeting:
            await configure(meeting.first, meeting, **fields)
            await meeting.second.show_presence(meeting.room, meeting.second.nick)
            return STAYS

    return attempt


def knock_after(**fields: str) -> Attempt:
    """Come when the moderator has sent a form that says nothing of the lobby, which is on."""

    async def attempt(scene: Scene) -> str:
        await configure(scene.first, scene, **fields)
        async with member(scene) as newcomer:
            await newcomer.wait_in_lobby(scene.room)
            return WAITS

    return attempt


def administration(attributes: Callable[[Scene], dict[str, str]]) -> Attempt:
    """Send an order on affiliations or roles as the room's owner."""

    async def attempt(scene: Scene) -> str:
        order = element("query", {"xmlns": MUC_ADMIN}, element("item", attributes(scene)))
        await scene.first.request("set", scene.room.address, order)
        return "is obeyed"

    return attempt


@contextlib.asynccontextmanager
async def owner_throws_out(entrance: Entrance) -> AsyncIterator[Scene]:
    """The owner of a room has thrown somebody out."""
    async with owner_configures(entrance) as scene:
        order = kick(scene.second.nick)(scene)
        await scene.first.request("set", scene.room.address, order)
        await scene.second.wait_for_departure(scene.room)
        yield scene


# Who may moderate gets in


@contextlib.asynccontextmanager
async def password_is_set(entrance: Entrance) -> AsyncIterator[Scene]:
    """A room has a password, and whoever says it enters."""
    word = secrets.token_hex(8)
    async with room_is_open(entrance) as scene:
        await scene.first.wait_for_moderation(scene.room)
        # Where every room starts with its lobby on, that has to go
        await configure(scene.first, scene, membersonly="0", roomsecret=word)
        async with member(scene) as somebody:
            await somebody.join(scene.room, password=word)
            yield Scene(entrance, scene.room, (scene.first, somebody))


def come_without_password(arrive: Arrive, word: str = "") -> Attempt:
    """Join the room with no password or a wrong one."""

    async def attempt(scene: Scene) -> str:
        async with arrive(scene) as somebody:
            await somebody.join(scene.room, password=word)
            return "enters"

    return attempt


def come_back(**fields: str) -> Attempt:
    """Enter with a moderator's token what the last moderator closed before leaving."""

    async def attempt(scene: Scene) -> str:
        entrance = scene.entrance
        stays = guest if "guests" in entrance.features else member
        async with meeting_with(entrance, stays) as meeting:
            await configure(meeting.first, meeting, **fields)
            await meeting.first.leave(meeting.room)
            await meeting.second.wait_for_departure(meeting.room, meeting.first.nick)
            async with entrance.login(meeting.room, meeting.token()) as moderator:
                await moderator.request_conference(meeting.room)
                await moderator.join(meeting.room)
                await moderator.wait_for_moderation(meeting.room)
                await configure(moderator, meeting, membersonly="0", roomsecret="")
                return MODERATES

    return attempt


async def come_to_silence(scene: Scene) -> str:
    """Enter with an owner's token when the last owner has silenced everybody and left."""
    entrance = scene.entrance
    async with meeting_with(entrance, member) as meeting:
        room = meeting.room
        for medium in MEDIA:
            await meeting.first.send(order_to_be_silent(entrance, medium))
            await meeting.first.wait_for(
                lambda stanza: stanza.get("from") == speech_host(entrance), f"moderated {medium}"
            )
        await meeting.first.leave(room)
        async with entrance.login(room, meeting.token()) as moderator:
            await moderator.join(room)
            await moderator.wait_for_moderation(room)
            speaker = f"{room.address}/{moderator.nick}"
            await moderator.wait_for(
                lambda stanza: (
                    stanza.get("from") == speech_host(entrance)
                    and all(speaker in each for each in speakers(stanza))
                ),
                "the right to speak",
            )
            return SPEAKS


def speakers(stanza: ET.Element) -> list[list[str]]:
    """Who may use each medium, as moderators are told."""
    content = json_message(stanza)
    return [content.get("whitelists", {}).get(medium, []) for medium in MEDIA]


@contextlib.asynccontextmanager
async def full_of_members(entrance: Entrance) -> AsyncIterator[Scene]:
    """As many people as a meeting takes are in it, and none of them moderates."""
    number = entrance.options["max_occupants"]
    async with crowd(entrance, number, entrance.member_token) as scene:
        async with member(scene) as late:
            with contextlib.suppress(Refused):
                await late.join(scene.room)
                raise Refused(Stage.JOIN, "not-full", "the meeting takes more members")
        yield scene


async def come_to_full(scene: Scene) -> str:
    """Enter the full meeting with an owner's token."""
    async with scene.entrance.login(scene.room, scene.token()) as owner:
        await owner.join(scene.room)
        await owner.wait_for_moderation(scene.room)
        return MODERATES


POWER: tuple[Case, ...] = (
    Case(
        "closing_sends_nobody_out",
        "people inside when the lobby is turned on",
        {
            "lobby and password": be_inside(member, membersonly="1", roomsecret="word"),
            "guest": be_inside(guest, membersonly="1"),
        },
        outcome=STAYS,
        needs={"guest": "guests"},
    ),
    Case(
        "lobby_outlives_other_forms",
        "newcomer after an unrelated form",
        {
            "subject": knock_after(roomdesc="Another subject"),
            "password": knock_after(roomsecret="word"),
        },
        control=lobby_is_on(),
        outcome=WAITS,
    ),
    Case(
        "nobody_is_locked_out_at_once",
        "owner's request that locks others out",
        {
            "ban of the main host": administration(
                lambda scene: {"affiliation": "outcast", "jid": scene.entrance.domain}
            ),
            "ban of the guest host": administration(
                lambda scene: {"affiliation": "outcast", "jid": scene.entrance.guest_host}
            ),
            "membership of a host": administration(
                lambda scene: {"affiliation": "member", "jid": scene.entrance.guest_host}
            ),
            "an admin": administration(
                lambda scene: {
                    "affiliation": "admin",
                    "jid": scene.second.jid.partition("/")[0],
                }
            ),
            "kick of Jicofo": administration(lambda _: {"role": "none", "nick": FOCUS_NICK}),
            "Jicofo muted": administration(lambda _: {"role": "visitor", "nick": FOCUS_NICK}),
        },
        (NOT_ALLOWED,),
        owner_throws_out,
    ),
    Case(
        "password_holds_newcomers",
        "newcomer without the room's password",
        {
            "no password": come_without_password(member),
            "wrong password": come_without_password(member, "wrong"),
            "guest": come_without_password(guest),
            "guest with a wrong one": come_without_password(guest, "wrong"),
        },
        (LOCKED,),
        password_is_set,
        needs={"guest": "guests", "guest with a wrong one": "guests"},
    ),
    Case(
        "moderator_comes_back",
        "moderator whom nobody inside can let in",
        {
            "password": come_back(membersonly="0", roomsecret="word"),
            "lobby and password": come_back(membersonly="1", roomsecret="word"),
        },
        outcome=MODERATES,
    ),
    Case(
        "moderator_may_speak",
        "owner who comes when everybody is muted",
        {"token": come_to_silence},
        outcome=SPEAKS,
    ),
    Case(
        "full_meeting_takes_moderator",
        "owner at a full meeting without an owner",
        {"token": come_to_full},
        control=full_of_members,
        outcome=MODERATES,
        slow=True,
    ),
)
