"""owner_party: a meeting is open only while an owner is in it, and ends some time after that."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable

from ..attempts import Attempt
from ..participant import Participant
from ..scene import Entrance, Scene, bring_in, room_is_open
from ..xmpp import NoAnswer, Refused, Room
from .case import Case
from .guests import WAITS, be_let_in, knock

LATE = 15.0  # seconds after the timeout in which a busy server may still end the meeting
A_WHILE = 5.0  # seconds in which a meeting with a long timeout may not end
OPEN = "stays open"
GOES_ON = "stays open; its end is not tested"
ENDED = "ends in time"
TOO_LATE = "the server is too slow to tell"
_MORE_TRIES = 2  # for an owner who came back too late

Login = Callable[[Entrance, Room], contextlib.AbstractAsyncContextManager[Participant]]


def as_member(
    entrance: Entrance, room: Room
) -> contextlib.AbstractAsyncContextManager[Participant]:
    """Somebody whose token makes no owner."""
    return entrance.login(room, entrance.member_token(room))


def as_guest(entrance: Entrance, room: Room) -> contextlib.AbstractAsyncContextManager[Participant]:
    """Somebody without a token."""
    return entrance.guest(room)


def is_let_in(log_in: Login) -> Callable[[Entrance], contextlib.AbstractAsyncContextManager[Scene]]:
    """Somebody who waited is in the room, because an owner came."""

    @contextlib.asynccontextmanager
    async def control(entrance: Entrance) -> AsyncIterator[Scene]:
        room = entrance.room()
        async with log_in(entrance, room) as somebody:
            await somebody.request_conference(room)
            await somebody.wait_in_lobby(room)
            async with entrance.enter(room, entrance.token(room)) as owner:
                await be_let_in(somebody, room, owner, entrance)
                yield Scene(entrance, room, (owner, somebody))

    return control


@contextlib.asynccontextmanager
async def meeting(entrance: Entrance) -> AsyncIterator[Scene]:
    """An owner, a member, and a guest where there are guests, are in a room."""
    async with contextlib.AsyncExitStack() as stack:
        scene = await stack.enter_async_context(room_is_open(entrance))
        logins = [as_member, *([as_guest] if "guests" in entrance.features else [])]
        others = [await stack.enter_async_context(each(entrance, scene.room)) for each in logins]
        for somebody in others:
            await bring_in(somebody, scene.room, scene.first)
        yield Scene(entrance, scene.room, (scene.first, *others))


def timeout(entrance: Entrance) -> float:
    """Seconds from the leaving of the last owner to the end of the meeting."""
    return float(entrance.options["owner_party_timeout"])


# Waiting


def come_first(log_in: Login) -> Attempt:
    """Come before everybody else."""

    async def attempt(scene: Scene) -> str:
        room = scene.entrance.room()
        async with log_in(scene.entrance, room) as somebody:
            return await knock(somebody, room, scene.entrance)

    return attempt


def come_after_member(log_in: Login) -> Attempt:
    """Come when a member waits already, whose token opens no room for others either."""

    async def attempt(scene: Scene) -> str:
        room, entrance = scene.entrance.room(), scene.entrance
        async with as_member(entrance, room) as waiting, log_in(entrance, room) as somebody:
            await waiting.request_conference(room)
            await waiting.wait_in_lobby(room)
            return await knock(somebody, room, entrance)

    return attempt


def come_after_owner(log_in: Login) -> Attempt:
    """Come when the owner has left and the meeting has not ended yet."""

    async def attempt(scene: Scene) -> str:
        async with log_in(scene.entrance, scene.room) as somebody:
            await scene.first.leave(scene.room)
            return await knock(somebody, scene.room, scene.entrance)

    return attempt


# The end


async def stay_a_while(scene: Scene) -> str:
    """Stay for most of the timeout after the owner left."""
    limit, sent = timeout(scene.entrance), time.monotonic()
    await scene.first.leave(scene.room)
    # On a busy server the end may be heard before the question is asked
    try:
        outcome = await stays(scene, 0.75 * limit)
    except Refused:
        if time.monotonic() - sent < limit:
            raise
        return OPEN
    return outcome if time.monotonic() - sent < limit else OPEN


async def stay_for_now(scene: Scene) -> str:
    """Stay for some seconds of a timeout that is too long to be waited for."""
    await scene.first.leave(scene.room)
    outcome = await stays(scene, A_WHILE)
    return GOES_ON if outcome == OPEN else outcome


async def stay_until_the_end(scene: Scene) -> str:
    """Stay until everybody is sent out, and try to come back."""
    room, limit = scene.room, timeout(scene.entrance)
    # Two clocks, each on the side of the server: what is heard late makes nobody wrong
    sent = time.monotonic()
    await scene.first.leave(room)
    left = time.monotonic()
    for somebody in scene.people[1:]:
        end = await somebody.wait_for_departure(room, within=limit + 2 * LATE)
        if not end.destroyed:
            return "one person is sent out, and the room goes on"
        if time.monotonic() - sent < limit:
            return f"ends {time.monotonic() - sent:.1f} s after the owner left"
        if time.monotonic() - left > limit + LATE:
            return f"ends {time.monotonic() - left:.1f} s after the owner left"
    return ENDED


async def return_in_time(scene: Scene) -> str:
    """Return as the owner, and stay for longer than the timeout."""
    outcome = await come_back(scene)
    for _ in range(_MORE_TRIES):
        if outcome != TOO_LATE:
            break
        async with meeting(scene.entrance) as another:
            outcome = await come_back(another)
    return outcome


async def come_back(scene: Scene) -> str:
    """Leave and return at once, which on a busy server may yet take longer than the timeout."""
    limit, sent = timeout(scene.entrance), time.monotonic()
    await scene.first.leave(scene.room)
    try:
        await scene.first.join(scene.room)
    except Refused:
        if time.monotonic() - sent < limit:
            raise
        return TOO_LATE
    return await stays(scene, limit + 1)


async def stays(scene: Scene, seconds: float) -> str:
    """Whether the others are still in the room after so many seconds."""
    room, member = scene.room, scene.people[1]
    with contextlib.suppress(NoAnswer):
        await member.wait_for_departure(room, within=seconds)
        return f"ends within {seconds:g} s"
    for somebody in scene.people[1:]:
        await somebody.show_presence(room, somebody.nick)
    return OPEN


OWNER_PARTY: tuple[Case, ...] = (
    Case(
        "member_waits_for_owner",
        "member before the owner",
        {
            "first": come_first(as_member),
            "second": come_after_member(as_member),
            "after the owner": come_after_owner(as_member),
        },
        (WAITS,),
        is_let_in(as_member),
    ),
    Case(
        "guest_waits_for_owner",
        "guest before the owner",
        {
            "first": come_first(as_guest),
            "after a member": come_after_member(as_guest),
            "after the owner": come_after_owner(as_guest),
        },
        (WAITS,),
        is_let_in(as_guest),
    ),
    Case(
        "meeting_lives_until_timeout",
        "meeting whose owner just left",
        {"most of the time": stay_a_while},
        control=meeting,
        outcome=OPEN,
        slow=True,
    ),
    Case(
        "meeting_ends_after_timeout",
        "meeting whose owner left for good",
        {"until the end": stay_until_the_end},
        control=meeting,
        outcome=ENDED,
        slow=True,
    ),
    Case(
        "owner_return_keeps_meeting",
        "meeting whose owner came back",
        {"longer than the timeout": return_in_time},
        control=meeting,
        outcome=OPEN,
        slow=True,
    ),
    Case(
        "long_meeting_goes_on",
        "meeting whose timeout is over 2 minutes",
        {"some seconds": stay_for_now},
        control=meeting,
        outcome=GOES_ON,
        slow=True,
    ),
)
