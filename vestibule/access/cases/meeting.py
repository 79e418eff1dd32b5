"""The meeting behind the doors, as people in real browsers find it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from ...tokens.meeting_url import meeting_url
from ..chromium import Window
from ..scene import Scene, room_is_open
from ..xmpp import Broken, NoAnswer
from .case import Case

MEET = "see and hear each other"
ARRIVES = "arrives, without an error"
# Past the page before the meeting, for which a client starts without microphone and camera
AT_ONCE: dict[str, Any] = {"prejoinConfig.enabled": False}
_SHOWN = 300  # characters
_ON_BRIDGE: dict[str, Any] = {"p2p.enabled": False}


def link(scene: Scene, token: str = "", **config: Any) -> str:
    """The link to the room with a token, as mint.yml prints it."""
    door, room = scene.entrance.door, scene.room
    return meeting_url(
        token or scene.entrance.token(room),
        domain=door.domain,
        room=room.name,
        port=door.port,
        config=config,
    )


@contextlib.asynccontextmanager
async def arrival(
    scene: Scene, token: str = "", language: str = "en", **config: Any
) -> AsyncIterator[Window]:
    """Somebody who has opened the link in a browser and said that they want in.

    They have a token that opens the room, or this one.
    """
    if scene.entrance.browser is None:
        raise Broken("there is no browser")
    async with scene.entrance.browser.window(language) as window:
        try:
            await window.open(link(scene, token, **config))
            if config.keys().isdisjoint(AT_ONCE):
                await window.enter()
            yield window
        except NoAnswer as none:
            _refuse_faults(window)  # which tell more than that nobody came
            if window.said:
                raise Broken(f"{none}; the client says: {window.said[0][:_SHOWN]}") from None
            raise


def _refuse_faults(window: Window) -> None:
    if window.faults:
        raise Broken(f"the browser says: {window.faults[0]}")


async def arrive(scene: Scene) -> str:
    """Open the link, and be seen by who is in the room; and nobody else is asked for anything."""
    async with arrival(scene) as window:
        await scene.first.wait_for_newcomer(scene.room)
        others = window.asked - {scene.entrance.door.host_header}
        if others:
            raise Broken(f"the page asks {', '.join(sorted(others))}")
        _refuse_faults(window)
        return ARRIVES


async def meet(scene: Scene) -> str:
    """Two open the same link, and media arrives at both."""
    async with arrival(scene) as first, arrival(scene) as second:
        await asyncio.gather(first.wait_for_media(), second.wait_for_media())
        await first.take_picture()
        return MEET


async def meet_on_bridge(scene: Scene) -> str:
    """Two open the same link, and media arrives at both, from the bridge and nobody else."""
    bridge = {scene.entrance.options.get("videobridge_port")}
    async with (
        arrival(scene, **_ON_BRIDGE) as first,
        arrival(scene, **_ON_BRIDGE) as second,
    ):
        await asyncio.gather(first.wait_for_media(), second.wait_for_media())
        ends = await first.ends_of_media() | await second.ends_of_media()
        if {port for _, port in ends} != bridge:
            raise Broken("media do not come from the bridge alone")
        return MEET


MEETING = (
    Case(
        "browser_arrives",
        "link with a token, in a browser",
        {"link": arrive},
        control=room_is_open,
        outcome=ARRIVES,
        in_browser=True,
        only_over="websocket",
    ),
    Case(
        "browsers_meet",
        "two people with the link, in browsers",
        {"link": meet},
        outcome=MEET,
        in_browser=True,
        only_over="websocket",
    ),
    Case(
        "browsers_meet_on_the_bridge",
        "two people in browsers, over the bridge",
        {"link": meet_on_bridge},
        outcome=MEET,
        in_browser=True,
        only_over="websocket",
    ),
)
