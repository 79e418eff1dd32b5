"""A change waits until nobody is in a meeting, and lets nobody begin one where it is told so."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.servers.support import DOMAIN, Controller, Deployment, Server, differences
from tests.servers.upgrades import state
from vestibule.access.scene import Entrance
from vestibule.access.tokens import Issuer
from vestibule.access.transports import WebSocketTransport, front_door
from vestibule.access.xmpp import Refused, Room

_PATIENCE = 20  # seconds for one answer: the rig shares its processors
_CHANGE = {"jitsi_turn_user_quota": 50}  # for which TURN restarts


def setting(server: Server, name: str) -> str:
    """A setting of Prosody, as its file has it."""
    found = re.search(
        rf'{name} = (?:{{ )?"([^"]+)"', server.run("cat /etc/prosody/conf.avail/*.cfg.lua")
    )
    assert found, name
    return found[1]


@contextlib.asynccontextmanager
async def entrance(server: Server) -> AsyncIterator[Entrance]:
    """The way in for people."""
    certificate = server.run(f"cat /etc/vestibule/web/{DOMAIN}.crt")
    address = Path(f"build/rig/hosts/{server.name}/address").read_text(encoding="utf-8").strip()
    issuer = Issuer(
        secret=setting(server, "app_secret"),
        issuer=setting(server, "app_id"),
        audience=setting(server, "asap_accepted_audiences"),
        domain=DOMAIN,
    )
    async with front_door(DOMAIN, address, 443, certificate) as door:
        yield Entrance(door, WebSocketTransport, issuer, _PATIENCE)


async def until_asked(server: Server, times: int, run: asyncio.Task[Deployment]) -> None:
    """Until the server was asked so often who is there."""
    count = "journalctl --output cat | grep -c 'Invoked with domain=.* seconds='"
    before = int(server.run(count, ok=(0, 1)))
    while int(server.run(count, ok=(0, 1))) < before + times:
        assert not run.done(), run.result().output[-3000:]
        await asyncio.sleep(0.2)


def test_people_are_counted_and_waited_for_no_longer_than_allowed(
    server: Server, controller: Controller, given: dict[str, object]
) -> None:
    before = state(server)

    async def watched() -> Deployment:
        room = Room("standup", DOMAIN)
        async with (
            entrance(server) as way,
            way.enter(room, way.token(room)) as first,
            way.enter(room, way.token(room)) as second,
        ):
            more = {**given, **_CHANGE, "wait_for_empty": "45s", "no_new_meetings": True}
            run = asyncio.create_task(asyncio.to_thread(controller.play, "site.yml", **more))
            await until_asked(server, 3, run)
            # No other meeting begins, and this one takes people
            with pytest.raises(Refused, match="No new meeting begins now"):
                await first.request_conference(Room("another", DOMAIN))
            await second.request_conference(room)
            done = await run
            # It waited in vain, so meetings begin again
            await first.request_conference(Room("another", DOMAIN))
            return done

    run = asyncio.run(watched())
    assert run.returncode != 0
    assert "2 people are in 1 meeting now." in run.output
    assert f"  {server.name}: 2 people in 1 meeting, waiting for 45 s at most" in run.output
    said = " ".join(run.messages[-1].split())
    assert "There are still 2 people in 1 meeting after 45 s, so nothing was changed." in said
    assert differences(before, state(server)) == []


def test_nobody_is_waited_for_who_would_notice_nothing(
    server: Server, controller: Controller, given: dict[str, object]
) -> None:
    """Of a reload, with which this person stays where they are."""

    async def deployed(**more: object) -> Deployment:
        room = Room("standup", DOMAIN)
        async with entrance(server) as way, way.enter(room, way.token(room)) as person:
            wish = {**given, **more, "wait_for_empty": "5m", "no_new_meetings": True}
            run = await asyncio.to_thread(controller.play, "site.yml", **wish)
            await person.request_conference(Room("another", DOMAIN))
        return run

    for more in ({"jitsi_token_leeway": 45}, {}):  # and back
        run = asyncio.run(deployed(**more))
        assert run.returncode == 0, run.output[-3000:]
        said = " ".join(run.output.split())
        assert "1 person is in 1 meeting now." in said
        assert "Nobody would notice it, so nobody is waited for." in said
        assert run.recap["changed"] > 0


def test_an_empty_server_is_changed_at_once(
    server: Server, controller: Controller, given: dict[str, object]
) -> None:
    more = {**given, **_CHANGE, "wait_for_empty": "5m", "no_new_meetings": True}
    run = controller.play("site.yml", **more)
    assert run.returncode == 0, run.output[-3000:]
    assert "Nobody is in a meeting on upgrade" in " ".join(run.output.split())
    assert controller.play("site.yml", **given).returncode == 0


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"wait_for_empty": "half an hour"}, 'wait_for_empty is "half an hour", no duration.'),
        ({"wait_for_empty": "25h"}, "which is more than a day"),
        ({"no_new_meetings": True}, "no_new_meetings is given without wait_for_empty"),
        (
            {"wait_for_empty": "5m", "no_new_meetings": "maybe"},
            "no_new_meetings is neither true nor false",
        ),
    ],
)
def test_what_is_no_time_is_refused(
    controller: Controller, given: dict[str, object], more: dict[str, object], says: str
) -> None:
    run = controller.play("site.yml", **given, **more)
    assert run.returncode != 0
    assert says in " ".join(run.messages[-1].split())
    assert run.recap["changed"] == 0
