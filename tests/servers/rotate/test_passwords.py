"""Passwords and the secret of TURN are replaced, and it is measured what people notice."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from tests.servers.keys.test_keys import entrance_of
from tests.servers.support import DOMAIN, Controller, Server
from vestibule.access.cases.turn import services
from vestibule.access.scene import Entrance
from vestibule.access.tokens import Issuer
from vestibule.access.turn import UDP, Service, talk
from vestibule.access.xmpp import AccessError, Refused, Room

from .test_tokens import STORE, WISH, secret_of

PAUSE = 60.0  # seconds for which nobody gets in at most, on a busy machine too
NAMES = ("focus_password", "bridge_password", "turn_secret")
ALL = {**WISH, "jitsi_token_max_lifetime": 3600}


async def relays(entrance: Entrance, service: Service) -> bool:
    """Whether TURN takes these credentials."""
    way = talk(entrance.door, UDP, service.port, 10.0, service.credentials)
    async with way as client:
        await client.allocate()
        await client.give_back()
    return True


async def way_in(entrance: Entrance, room: Room) -> float:
    """Try to get in, as clients do after a break, and how many seconds nobody did."""
    longest, last = 0.0, time.monotonic()
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            with contextlib.suppress(AccessError, OSError):
                async with entrance.enter(room, entrance.token(room)):
                    longest, last = max(longest, time.monotonic() - last), time.monotonic()
            await asyncio.sleep(0.2)
    return longest


def test_new_passwords_interrupt_meetings_once(server: Server, controller: Controller) -> None:
    run = controller.deploy(**ALL)
    assert run.returncode == 0, run.output[-4000:]
    before = {name: secret_of(name) for name in NAMES}

    async def played() -> None:
        issuer = Issuer(secret_of("token_secret"), "vestibule", "jitsi", DOMAIN, 3600)
        async with entrance_of(server, issuer) as entrance, contextlib.AsyncExitStack() as stack:
            room = entrance.room()
            inside = [
                await stack.enter_async_context(entrance.enter(room, entrance.token(room)))
                for _ in range(3)
            ]
            told = await services(inside[0], DOMAIN)
            (turn,) = (each for each in told if (each.transport, each.kind) == (UDP, "turn"))
            assert await relays(entrance, turn)
            coming = asyncio.create_task(way_in(entrance, room))
            done = await asyncio.to_thread(
                controller.play,
                "rotate.yml",
                jitsi_domain=DOMAIN,
                **ALL,
                rotate="focus,bridges,turn",
            )
            assert done.returncode == 0, done.output[-4000:]
            coming.cancel()
            pause = await coming
            dropped = 0
            for each in inside:
                try:
                    await each.settle(room)
                except AccessError:
                    dropped += 1
            print(f"\n{dropped} of {len(inside)} sessions dropped; nobody got in for {pause:.1f} s")
            assert "every meeting is interrupted once" in done.output
            assert dropped == len(inside)  # as is said beforehand
            assert pause < PAUSE
            # Who has credentials from before has a relay on all the same
            assert await relays(entrance, turn)
            async with entrance.enter(room, entrance.token(room)) as somebody:
                told = await services(somebody, DOMAIN)
                (new,) = (each for each in told if (each.transport, each.kind) == (UDP, "turn"))
                assert await relays(entrance, new)

            now = await asyncio.to_thread(
                controller.play, "rotate.yml", jitsi_domain=DOMAIN, **ALL, rotate="turn", now=True
            )
            assert now.returncode == 0, now.output[-4000:]
            with pytest.raises(Refused, match="401"):
                await relays(entrance, turn)

    asyncio.run(played())
    after = {name: secret_of(name) for name in NAMES}
    assert not set(before.values()) & set(after.values())
    assert "_former" not in STORE.read_text(encoding="utf-8")
    again = controller.deploy(**ALL)
    assert again.returncode == 0, again.output[-4000:]
    assert again.recap["changed"] == 0
