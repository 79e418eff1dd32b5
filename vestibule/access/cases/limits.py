"""Limits: how many people a meeting takes, and how often one address may log in."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from ..attempts import ENTERED, Attempt
from ..participant import Participant
from ..scene import Entrance, Scene
from ..transports import WebSocketTransport
from ..xmpp import PING, Refused, Room, element
from .case import Case, at_join

CROWD = 100  # people whom a case brings into one room: upstream lets three a second into it
LOGINS_AT_ONCE = 8
TAKES_CROWD = f"takes {CROWD}; its limit is not tested"

LARGE = 5000  # bytes of a stanza that takes long where the limit holds
AT_LEAST = 2.0  # seconds for two of them, which are answered at once where it does not
BURSTS = 5  # of logins: a controller with much else to do takes longer for one than the limit waits
SLOWED = "is slowed down"

STOPPED = at_join("", "service-unavailable")


@contextlib.asynccontextmanager
async def crowd(
    entrance: Entrance, people: int, token: Callable[[Room], str] | None = None
) -> AsyncIterator[Scene]:
    """So many people in one room, each let in, owners where no other token is made for them.

    They take one connection each, over WebSocket.
    """
    token = token or entrance.token
    entrance, room = replace(entrance, kind=WebSocketTransport), entrance.room()
    places = asyncio.Semaphore(LOGINS_AT_ONCE)

    async with contextlib.AsyncExitStack() as stack:

        async def arrive() -> Participant:
            async with places:
                arrival = entrance.login(room, token(room))
                return await stack.enter_async_context(arrival)

        everybody = await asyncio.gather(*(arrive() for _ in range(people)))
        await everybody[0].request_conference(room)
        for somebody in everybody:
            await somebody.join(room)
        yield Scene(entrance, room, tuple(everybody))


@contextlib.asynccontextmanager
async def room_is_full(entrance: Entrance) -> AsyncIterator[Scene]:
    """As many people as the room takes have entered it, the last one in place of another."""
    async with crowd(entrance, entrance.options["max_occupants"]) as scene:
        room, leaver = scene.room, scene.people[-1]
        await leaver.leave(room)
        async with entrance.login(room, entrance.token(room)) as latest:
            await latest.join(room)
            yield Scene(entrance, room, (*scene.people[:-1], latest))


def come_late(*, as_guest: bool = False) -> Attempt:
    """Join the full room."""

    async def attempt(scene: Scene) -> str:
        room, entrance = scene.room, scene.entrance
        arrival = entrance.guest(room) if as_guest else entrance.login(room, entrance.token(room))
        async with arrival as somebody:
            await somebody.join(room)
            return ENTERED

    return attempt


async def fill_in_part(scene: Scene) -> str:
    """Bring as many people into the room as a check can."""
    async with crowd(scene.entrance, CROWD):
        return TAKES_CROWD


async def log_in_too_often(scene: Scene) -> str:
    """Open more streams at once than one address may, then say much over the next one."""
    for _ in range(BURSTS):
        burst = await log_in_at_once(scene)
        if (seconds := await time_much(scene)) >= AT_LEAST:
            return SLOWED
    return f"{2 * LARGE} bytes in {seconds:.1f} s, after logins in {burst:.1f} s"


async def log_in_at_once(scene: Scene) -> float:
    """Open more streams than one address may within two seconds; return how long it took (s)."""
    entrance = scene.entrance

    async def come_and_go() -> None:
        async with entrance.approach(scene.room) as somebody:
            await somebody.open(entrance.domain)

    began = time.perf_counter()
    await asyncio.gather(*(come_and_go() for _ in range(2 * entrance.options["login_rate"] + 2)))
    return time.perf_counter() - began


async def time_much(scene: Scene) -> float:
    """Say two large things over a new connection; return how long their answers took (s)."""
    async with scene.entrance.login(scene.room, scene.token()) as somebody:
        began = time.perf_counter()
        for _ in range(2):
            await answered(somebody, "x" * LARGE)
        return time.perf_counter() - began


async def answered(somebody: Participant, padding: str) -> None:
    """Ask something with much in it, whatever the answer is."""
    with contextlib.suppress(Refused):
        await somebody.request("get", "", element("ping", {"xmlns": PING}, padding))


LIMITS = (
    Case(
        "full_room_refused",
        "meeting that is full",
        {
            "token": come_late(),
            "guest": come_late(as_guest=True),
        },
        (STOPPED,),
        room_is_full,
        needs={"guest": "guests"},
        slow=True,
    ),
    Case(
        "large_room_takes_crowd",
        "meeting too large to be filled by a check",
        {"token": fill_in_part},
        outcome=TAKES_CROWD,
        slow=True,
    ),
    Case(
        "rapid_logins_slowed",
        "many logins at once from one address",
        {"burst": log_in_too_often},
        outcome=SLOWED,
        only_over=WebSocketTransport.name,
    ),
)
