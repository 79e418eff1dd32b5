"""Guests: they wait for somebody with a token, never moderate, and no token makes them more."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from ..attempts import (
    ENTERED,
    Attempt,
    ask_room,
    configuration_form,
    destruction,
    kick,
    kick_owner,
    log_in_without_token,
    moderation,
    ownership,
    password,
    silence_owner,
)
from ..participant import FOCUS_NICK, Participant
from ..scene import (
    Entrance,
    Scene,
    bring_in,
    judged_by_role,
    room_is_open,
)
from ..xmpp import CLIENT, SMACKS, Refused, Room, Stage, element
from .case import Case, Refusal, at_join, at_login, by_role

WAITS = at_join("", "registration-required", detail="lobbyroom")
RESUMABLE = element("enable", {"xmlns": SMACKS, "resume": "true"})
ASKED_TO_LOG_IN = Refusal(Stage.FOCUS, ("not-authorized",))  # Jicofo's own way to let guests wait


@contextlib.asynccontextmanager
async def guest_is_inside(entrance: Entrance) -> AsyncIterator[Scene]:
    """A guest has entered the room of somebody who moderates it."""
    async with room_is_open(entrance) as scene, entrance.guest(scene.room) as guest:
        await scene.first.wait_for_moderation(scene.room)
        await bring_in(guest, scene.room, scene.first)
        yield Scene(entrance, scene.room, (scene.first, guest))


@contextlib.asynccontextmanager
async def moderator_may(entrance: Entrance) -> AsyncIterator[Scene]:
    """A guest is in the room, and moderators may do what the guest shall not."""
    async with (
        guest_is_inside(entrance) as scene,
        entrance.guest(scene.room) as other,
    ):
        room, moderator = scene.room, scene.first
        await bring_in(other, room, moderator)
        await moderator.request("get", room.address, configuration_form(scene))
        await moderator.request("set", room.address, kick(other.nick)(scene))
        await other.wait_for_departure(room)
        if "av_moderation" in entrance.features:
            await moderator.send(order_to_be_silent(entrance, "video"))
            await scene.second.wait_for(
                lambda stanza: stanza.get("from") == speech_host(entrance), "moderated video"
            )
        if "end_conference" in entrance.features:
            async with room_is_open(entrance) as ending:
                await ending.first.wait_for_moderation(ending.room)
                await ending.first.send(order_to_end(entrance))
                await ending.first.wait_for_departure(ending.room)
        yield scene


@contextlib.asynccontextmanager
async def moderator_may_resume(entrance: Entrance) -> AsyncIterator[Scene]:
    """A guest is in the room, and its moderator is given a stream that can be resumed."""
    async with guest_is_inside(entrance) as scene:
        await scene.first.ask_for_smacks(RESUMABLE)
        yield scene


@contextlib.asynccontextmanager
async def guest_is_accepted(entrance: Entrance) -> AsyncIterator[Scene]:
    """A guest logs in on the host of the guests."""
    scene = Scene(entrance, entrance.room())
    async with entrance.guest(scene.room):
        yield scene


# Waiting


async def knock(guest: Participant, room: Room, entrance: Entrance) -> str:
    """Ask Jicofo for ``room`` as clients do, and join it."""
    await guest.request_conference(room)
    return await join_as_guest(guest, room, entrance)


async def join_as_guest(guest: Participant, room: Room, entrance: Entrance) -> str:
    """Join ``room``, which has to say that its host is awaited unless its own lobby is on."""
    try:
        await guest.join(room)
    except Refused as refused:
        says_why = "waiting-for-host" in refused.details or "lobby_always" in entrance.features
        if "lobbyroom" in refused.details and not says_why:
            return "waits, and is not told for whom"
        raise
    return ENTERED


async def knock_first(scene: Scene) -> str:
    """Go to a room in which there is nobody yet."""
    room = scene.entrance.room()
    async with scene.entrance.guest(room) as guest:
        return await knock(guest, room, scene.entrance)


async def knock_again(scene: Scene) -> str:
    """Go to a room for which another guest waits already, and try twice."""
    room, entrance = scene.entrance.room(), scene.entrance
    async with entrance.guest(room) as waiting, entrance.guest(room) as guest:
        with contextlib.suppress(Refused):
            await knock(waiting, room, entrance)
        with contextlib.suppress(Refused):
            await knock(guest, room, entrance)
        return await knock(guest, room, entrance)


async def join_unasked(scene: Scene) -> str:
    """Join a room that Jicofo was never asked for."""
    room = scene.entrance.room()
    async with scene.entrance.guest(room) as guest:
        return await join_as_guest(guest, room, scene.entrance)


async def come_after_host(scene: Scene) -> str:
    """Come when somebody with a token is in the room."""
    async with room_is_open(scene.entrance) as opened, scene.entrance.guest(opened.room) as guest:
        await bring_in(guest, opened.room, opened.first)
        await guest.wait_for_occupant(opened.room, opened.first.nick)
        return ENTERED


async def wait_for_host(scene: Scene) -> str:
    """Come before everybody else, wait, and go in when sent there."""
    room, entrance = scene.room, scene.entrance
    async with entrance.guest(room) as guest:
        waits = await wait_at_door(guest, room)
        async with entrance.enter(room, scene.token()) as host:
            if waits:
                await be_let_in(guest, room, host, entrance)
            else:
                await bring_in(guest, room, host)
            await guest.wait_for_occupant(room, host.nick)
            return ENTERED


async def wait_at_door(guest: Participant, room: Room) -> bool:
    """Whether ``guest`` waits in a lobby. Where Jicofo asks for a login, clients wait outside."""
    try:
        await guest.request_conference(room)
    except Refused as refused:
        if ASKED_TO_LOG_IN.covers(refused):
            return False
        raise
    await guest.wait_in_lobby(room)
    return True


async def be_let_in(guest: Participant, room: Room, host: Participant, entrance: Entrance) -> None:
    """Join ``room`` once its lobby ends, or once ``host`` admits where every room has a lobby."""
    if "lobby_always" in entrance.features:
        await host.invite(room, guest.jid)
        await guest.wait_for_invitation(room)
    else:
        ended = await guest.wait_for_departure(room.lobby)
        if not ended.destroyed or ended.moved_to != room.address:
            raise Refused(Stage.JOIN, "not-sent-in", f"the lobby ends towards {ended.moved_to!r}")
    await guest.join(room)


# Moderation


async def stay(scene: Scene) -> str:
    """Be in the room with its moderator."""
    return await judged_by_role(scene.second, scene.room)


async def return_to_room(scene: Scene) -> str:
    """Leave the room and come back."""
    await scene.second.leave(scene.room)
    await bring_in(scene.second, scene.room, scene.first)
    return await judged_by_role(scene.second, scene.room)


async def outstay_moderator(scene: Scene) -> str:
    """Stay when the only moderator leaves."""
    await scene.first.leave(scene.room)
    await scene.second.wait_for_departure(scene.room, scene.first.nick)
    return await judged_by_role(scene.second, scene.room)


async def moderate_speech(scene: Scene) -> str:
    """Forbid everybody to speak, as clients order it."""
    host = speech_host(scene.entrance)
    await scene.second.send(order_to_be_silent(scene.entrance, "audio"))
    heard = await scene.second.hear()
    if any(each.get("from") == host and each.get("type") != "error" for each in heard):
        return "is granted it"
    raise Refused(Stage.REQUEST, "ignored", "the order is announced to nobody")


async def end_meeting(scene: Scene) -> str:
    """End the meeting for everybody, as clients order it."""
    await scene.second.send(order_to_end(scene.entrance))
    await scene.second.hear()
    if scene.second.standing(scene.room).role == "none":
        return "ends the meeting"
    raise Refused(Stage.REQUEST, "ignored", "the meeting goes on")


def speech_host(entrance: Entrance) -> str:
    """The XMPP host that takes orders about who may speak."""
    return f"avmoderation.{entrance.domain}"


def order_to_be_silent(entrance: Entrance, medium: str) -> str:
    """Order that nobody may use a medium unless a moderator allows it."""
    order = element("av_moderation", {"enable": "true", "mediaType": medium})
    return element("message", {"xmlns": CLIENT, "to": speech_host(entrance)}, order)


def order_to_end(entrance: Entrance) -> str:
    """Order to end the meeting for everybody."""
    address = f"endconference.{entrance.domain}"
    return element("message", {"xmlns": CLIENT, "to": address}, element("end_conference"))


# What a token in the URL, or a session of somebody else, does for a guest


def open_with_token(*, header: bool = False, resume: bool = False) -> Attempt:
    """Open a room as a guest whose connection carries an owner's token for it."""

    async def attempt(scene: Scene) -> str:
        room, entrance = scene.entrance.room(), scene.entrance
        token = entrance.token(room)
        previous = scene.first.stream if resume else None
        async with entrance.login(
            room,
            None if header else token,
            f"Bearer {token}" if header else None,
            host=entrance.guest_host,
            previous=previous,
        ) as guest:
            return await knock(guest, room, entrance)

    return attempt


def enter_with_token(*, resume: bool = False) -> Attempt:
    """Enter the room of somebody else as a guest whose connection carries an owner's token."""

    async def attempt(scene: Scene) -> str:
        room, entrance = scene.room, scene.entrance
        previous = scene.first.stream if resume else None
        async with entrance.guest(room, entrance.token(room), previous) as guest:
            if guest.jid.partition("@")[0] == scene.first.jid.partition("@")[0]:
                return "takes the name of somebody else"
            await bring_in(guest, room, scene.first)
            return await judged_by_role(guest, room)

    return attempt


def resume_stream(*, enable: bool = False, token: bool = False) -> Attempt:
    """Ask the host of the guests to resume a moderator's stream, or to make one resumable."""

    async def attempt(scene: Scene) -> str:
        room, entrance = scene.room, scene.entrance
        async with entrance.guest(room, entrance.token(room) if token else None) as guest:
            request = (
                RESUMABLE
                if enable
                else element("resume", {"xmlns": SMACKS, "previd": scene.first.stream, "h": "0"})
            )
            answer = await guest.ask_for_smacks(request)
            return f"is {answer.tag.rpartition('}')[2]}"

    return attempt


async def move_to_token_host(scene: Scene) -> str:
    """Log in as a guest and restart the stream on the main domain."""
    entrance = scene.entrance
    async with entrance.approach(scene.room) as guest:
        await guest.open(entrance.guest_host)
        await guest.authenticate("ANONYMOUS")
        await guest.bind(entrance.domain)
        if f"@{entrance.domain}/" in guest.jid:
            return "becomes somebody on the main domain"
        raise Refused(Stage.STREAM, "not-moved", "the stream stays with the guests")


GUESTS: tuple[Case, ...] = (
    Case(
        "guest_waits_for_host",
        "guest before the host",
        {
            "first": knock_first,
            "second, again": knock_again,
            "without Jicofo": join_unasked,
        },
        (WAITS, ASKED_TO_LOG_IN, at_join("exist|restricted")),
        guest_is_inside,
    ),
    Case(
        "guest_enters_after_host",
        "guest after the host",
        {"waited": wait_for_host, "came later": come_after_host},
    ),
    Case(
        "guest_does_not_moderate",
        "guest in the room of a host",
        {"stays": stay, "comes back": return_to_room},
        (by_role("participant"),),
        guest_is_inside,
    ),
    Case(
        "guest_cannot_moderate",
        "order of a guest",
        {
            "form": ask_room("get", configuration_form),
            "password": ask_room("set", password),
            "destruction": ask_room("set", destruction),
            "ownership": ask_room("set", ownership),
            "moderation": ask_room("set", moderation),
            "kick of the host": ask_room("set", kick_owner),
            "kick of Jicofo": ask_room("set", kick(FOCUS_NICK)),
            "silence of the host": ask_room("set", silence_owner),
            "silence of everybody": moderate_speech,
            "end of the meeting": end_meeting,
        },
        (Refusal(Stage.REQUEST, ("forbidden", "not-allowed", "ignored")),),
        moderator_may,
        needs={"silence of everybody": "av_moderation", "end of the meeting": "end_conference"},
    ),
    Case(
        "guest_is_not_promoted",
        "guest whom the host left alone",
        {"stays": outstay_moderator},
        (by_role("participant"),),
        guest_is_inside,
    ),
    Case(
        "guest_cannot_use_token_host",
        "guest at the main domain",
        {"login": log_in_without_token, "moved stream": move_to_token_host},
        (at_login("token required"), Refusal(Stage.STREAM, ("not-moved", "not-authorized"))),
        guest_is_accepted,
    ),
    Case(
        "guest_token_has_no_effect",
        "guest with an owner's token",
        {
            "opens a room": open_with_token(),
            "opens it by header": open_with_token(header=True),
            "enters a room": enter_with_token(),
        },
        (WAITS, ASKED_TO_LOG_IN, by_role("participant")),
        guest_is_inside,
    ),
    Case(
        "guest_cannot_resume_with_token",
        "guest who resumes a host's stream",
        {
            "by the URL, opens a room": open_with_token(resume=True),
            "by the URL, enters": enter_with_token(resume=True),
            "resumes": resume_stream(),
            "resumes with a token": resume_stream(token=True),
            "makes a stream resumable": resume_stream(enable=True),
        },
        (
            WAITS,
            ASKED_TO_LOG_IN,
            by_role("participant"),
            Refusal(Stage.STREAM, ("unsupported-stanza-type",)),
        ),
        moderator_may_resume,
    ),
)
