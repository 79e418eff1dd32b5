"""What a run costs people who are inside: nothing, or all of their sessions."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.servers.keys.test_keys import entrance_of
from tests.servers.support import DOMAIN, Controller, Deployment, Server
from vestibule.access.participant import Participant
from vestibule.access.scene import Entrance
from vestibule.access.tokens import Issuer
from vestibule.access.xmpp import (
    PING,
    SMACKS,
    AccessError,
    Refused,
    Room,
    Stage,
    element,
    qualified,
)

from .conftest import ALL

SESSIONS, SIZE = 200, 5  # the second in one room
AT_ONCE = 10  # who log in
BACK = 120  # seconds within which everybody has come back
LONG, SHORT = 600, 300  # seconds that tokens live
NOTE = "/run/vestibule/prosody-reloaded.json"
HOSTS = f"/etc/prosody/conf.avail/{DOMAIN}.cfg.lua"
_ASKED = qualified(SMACKS, "r")
_RESUMABLE = element("enable", {"xmlns": SMACKS, "resume": "true"})
_ANSWER = element("a", {"xmlns": SMACKS, "h": "0"})


@dataclass
class Person:
    """Somebody who stays in a room, and comes back as clients do."""

    entrance: Entrance
    room: Room
    way: str = ""  # how they came back
    lost: float = 0.0  # seconds of the monotonic clock
    back: float = 0.0
    _here: Participant | None = None
    _answering: asyncio.Task[None] | None = None
    _stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    def _token(self) -> str:
        return self.entrance.token(self.room, exp=int(time.time()) + SHORT - 60)

    async def enter(self) -> None:
        """Come in, with a session that may be resumed."""
        enter = self.entrance.enter(self.room, self._token())
        self._here = await self._stack.enter_async_context(enter)
        await self._here.ask_for_smacks(_RESUMABLE)
        self._answering = asyncio.create_task(self._answer(self._here))
        self._stack.callback(self._answering.cancel)

    async def _answer(self, here: Participant) -> None:
        """Say that one is there whenever Prosody asks, until it says nothing any more."""
        with contextlib.suppress(AccessError):
            while True:
                await here.wait_for(lambda each: each.tag == _ASKED, "a question", within=1e6)
                await here.send(_ANSWER)
        self.lost = time.monotonic()

    async def is_inside(self) -> bool:
        """Whether the session is the one that it was, and answers."""
        assert self._here
        try:
            seat = f"{self.room.address}/{self._here.nick}"
            await self._here.request("get", seat, element("ping", {"xmlns": PING}))
        except AccessError:
            return False
        return True

    async def come_back(self) -> None:
        """By the session that there was, or else anew."""
        before = self._here
        assert before
        while not self.back:
            try:
                if not self.way:
                    way = self.entrance.approach(self.room, self._token(), previous=before.stream)
                    self._here = await self._stack.enter_async_context(way)
                    await self._here.resume(before)
                    self.way = "by resumption"
                else:
                    await self.enter()
                self.back = time.monotonic()
            except AccessError as error:
                told = isinstance(error, Refused) and error.stage is Stage.REQUEST
                if told and not self.way:  # Prosody knows no such session
                    self.way = "anew"
                else:  # it is not up yet
                    await asyncio.sleep(0.25)

    async def is_lost_and_back(self) -> None:
        """Lose the session, and come back."""
        assert self._answering
        await self._answering
        await self.come_back()

    async def leave(self) -> None:
        await self._stack.aclose()


@dataclass
class Crowd:
    """All of them, and the run that they live through."""

    people: list[Person]
    server: Server

    async def each(self, do: Callable[[Person], Awaitable[Any]]) -> list[Any]:
        """Have each do something, so many at once."""
        turn = asyncio.Semaphore(AT_ONCE)

        async def in_turn(person: Person) -> Any:
            async with turn:
                return await do(person)

        return await asyncio.gather(*map(in_turn, self.people))

    async def inside(self) -> int:
        """How many sessions are the ones that they were."""
        return sum(await self.each(Person.is_inside))


@contextlib.asynccontextmanager
async def crowd_of(server: Server) -> AsyncIterator[Crowd]:
    """So many people, a handful in each room."""
    async with entrance_of(server, issuer_of(server)) as entrance:
        rooms = [entrance.room() for _ in range(SESSIONS // SIZE)]
        crowd = Crowd([Person(entrance, room) for room in rooms for _ in range(SIZE)], server)
        try:
            await crowd.each(Person.enter)
            yield crowd
        finally:
            await crowd.each(Person.leave)


def issuer_of(server: Server) -> Issuer:
    """Whose tokens it takes."""
    files = server.run("cat /etc/prosody/conf.avail/*.cfg.lua")

    def setting(name: str) -> str:
        found = re.search(rf'\b{name} = (?:{{ )?"([^"]+)"', files)
        assert found, name
        return found[1]

    return Issuer(
        setting("app_secret"), setting("app_id"), setting("asap_accepted_audiences"), DOMAIN
    )


def start_of(server: Server) -> str:
    """By what one knows a Prosody that was not restarted."""
    shown = "systemctl show prosody --property=MainPID,ExecMainStartTimestampMonotonic"
    return server.run(shown)


async def said_to(entrance: Entrance, life: int = SHORT - 60, room: Room | None = None) -> str:
    """What somebody hears who comes, into a room of their own where it is no other."""
    room = room or entrance.room()
    try:
        async with entrance.enter(room, entrance.token(room, exp=int(time.time()) + life)):
            return "come in"
    except Refused as refused:
        return f"{refused.condition} {refused.text}"


async def run(controller: Controller, *flags: str, **wish: Any) -> Deployment:
    """A deployment while people go on."""
    return await asyncio.to_thread(controller.deploy, *flags, **wish)


def well(done: Deployment) -> Deployment:
    assert done.returncode == 0, done.output[-3000:]
    return done


FULL: Mapping[str, Any] = {**ALL, "jitsi_features": [*ALL["jitsi_features"], "max_occupants"]}
RELOADED: Mapping[str, Any] = {
    **FULL,
    "jitsi_token_max_lifetime": SHORT,
    "jitsi_max_occupants": SIZE,
}
RESTARTED: Mapping[str, Any] = {**RELOADED, "jitsi_token_wildcard_room": False}


@pytest.fixture(scope="module", autouse=True)
def _full(controller: Controller) -> None:
    """The server as the first test finds it. Each goes on where the one before has left it."""
    well(controller.deploy(**FULL))


def test_a_run_that_changes_nothing_drops_nobody(server: Server, controller: Controller) -> None:
    async def watched() -> None:
        async with crowd_of(server) as crowd:
            assert await crowd.inside() == SESSIONS
            assert well(await run(controller, **FULL)).recap["changed"] == 0
            inside = await crowd.inside()
            print(f"\nnothing to do: {SESSIONS - inside} of {SESSIONS} dropped")
            assert inside == SESSIONS

    asyncio.run(watched())


def test_a_reload_drops_nobody_and_counts(server: Server, controller: Controller) -> None:
    async def watched() -> None:
        async with crowd_of(server) as crowd:
            way, full = crowd.people[0].entrance, crowd.people[0].room
            start = start_of(server)
            assert await said_to(way, LONG) == "come in"
            assert await said_to(way, room=full) == "come in"
            done = well(await run(controller, **RELOADED))
            inside = await crowd.inside()
            print(f"\na reload: {SESSIONS - inside} of {SESSIONS} dropped, {done.seconds:.0f} s")
            assert inside == SESSIONS
            assert start_of(server) == start
            assert f"{SHORT} are allowed" in await said_to(way, LONG)
            assert "service-unavailable" in await said_to(way, room=full)
            assert await said_to(way) == "come in"

    asyncio.run(watched())


def test_a_restart_drops_everybody_and_they_come_back(
    server: Server, controller: Controller
) -> None:
    async def watched() -> None:
        async with crowd_of(server) as crowd:
            start = start_of(server)
            coming = [asyncio.create_task(each.is_lost_and_back()) for each in crowd.people]
            well(await run(controller, **RESTARTED))
            async with asyncio.timeout(BACK):
                await asyncio.gather(*coming)
            assert start_of(server) != start
            assert await crowd.inside() == SESSIONS
            ways = Counter(person.way for person in crowd.people)
            away = sorted(person.back - person.lost for person in crowd.people)
            print(
                f"\na restart: {sum(ways.values())} of {SESSIONS} dropped and back, {dict(ways)};"
                f" after {away[0]:.1f} s the first, {away[SESSIONS // 2]:.1f} s half of them,"
                f" {away[-1]:.1f} s the last"
            )

    asyncio.run(watched())


def test_a_change_says_before_what_it_costs(controller: Controller) -> None:
    reload = well(controller.deploy("--check", **RESTARTED, jitsi_token_leeway=20)).output
    assert "Prosody reloads: nobody notices." in reload
    assert "Prosody and Jicofo restart" not in reload
    restart = well(controller.deploy("--check", **RELOADED, jitsi_token_leeway=20)).output
    assert "Prosody and Jicofo restart" in restart
    assert "Prosody reloads" not in restart


def test_a_reload_that_nobody_noted_becomes_a_restart(
    server: Server, controller: Controller
) -> None:
    """A run was cut off after it wrote: the file is newer than the Prosody that runs."""
    start, more = start_of(server), {"jitsi_token_max_lifetime": SHORT - 100}
    well(controller.deploy(**{**RESTARTED, **more}))
    assert start_of(server) == start
    assert well(controller.deploy(**{**RESTARTED, **more})).recap["changed"] == 0
    server.run(f"rm {NOTE}")
    well(controller.deploy(**{**RESTARTED, **more}))
    assert start_of(server) != start
    assert well(controller.deploy(**{**RESTARTED, **more})).recap["changed"] == 0


def test_what_is_taken_back_after_a_reload_counts_again(
    server: Server, controller: Controller
) -> None:
    before = server.run(f"cat {HOSTS}")
    wrong = {"jitsi_token_max_lifetime": LONG, "jitsi_verify_certificate_path": "/etc/hostname"}
    done = controller.deploy(**{**RESTARTED, **wrong})
    assert done.returncode != 0
    assert "This run has put the former configuration back" in done.output
    assert server.run(f"cat {HOSTS}") == before

    async def heard() -> str:
        async with entrance_of(server, issuer_of(server)) as way:
            return await said_to(way, LONG)

    assert f"{SHORT - 100} are allowed" in asyncio.run(heard())
