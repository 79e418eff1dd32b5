"""Two people in browsers whose bridge stops while they meet."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.servers.support import DOMAIN, Server
from vestibule.access.cases.meeting import arrival
from vestibule.access.chromium import Window, chromium, find
from vestibule.access.scene import Entrance, Scene
from vestibule.access.tokens import Issuer
from vestibule.access.transports import TRANSPORTS, front_door
from vestibule.access.xmpp import NoAnswer

PATIENCE = 60.0  # seconds, on a machine that runs all of it
_PERIOD = 0.5  # seconds between two looks at what a browser counts, which tells nobody
_UNIT = "jitsi-videobridge2"


@contextlib.asynccontextmanager
async def two_who_meet(address: str, certificate: str, secret: str) -> AsyncIterator[list[Window]]:
    """Two people with the link, who see and hear each other over a bridge."""
    trusted = ssl.PEM_cert_to_DER_cert(certificate)
    picture = Path("build/reports/bridges-moved.png")
    async with (
        front_door(DOMAIN, address, 443, certificate) as door,
        chromium(find(""), DOMAIN, address, trusted, PATIENCE, picture) as browser,
    ):
        issuer = Issuer(secret, "vestibule", "jitsi", DOMAIN)
        entrance = Entrance(door, TRANSPORTS["websocket"], issuer, PATIENCE, browser=browser)
        scene = Scene(entrance, entrance.room())
        over_bridge: dict[str, Any] = {"p2p.enabled": False}
        async with arrival(scene, **over_bridge) as first, arrival(scene, **over_bridge) as second:
            await asyncio.gather(first.wait_for_media(), second.wait_for_media())
            yield [first, second]


async def bridges_of(people: list[Window]) -> set[str | None]:
    """Addresses from which media have come to these people, by connections that are open."""
    ends = [await each.ends_of_media() for each in people]
    return {address for each in ends for address, _ in each}


async def outlive_their_bridge(
    hosts: dict[str, Server], address: str, certificate: str, secret: str
) -> set[str]:
    """Stop the bridge of a meeting, and wait until its people meet on another one.

    ``hosts`` are those of bridges, by their addresses. Returns the addresses of both bridges.
    Raises NoAnswer where no media come from another one.
    """
    async with two_who_meet(address, certificate, secret) as people:
        [former] = hosts.keys() & await bridges_of(people)
        host = hosts[former]
        await asyncio.to_thread(host.run, f"systemctl stop {_UNIT}")
        try:
            for _ in range(int(PATIENCE / _PERIOD)):
                later = (hosts.keys() & await bridges_of(people)) - {former}
                if later:
                    break
                await asyncio.sleep(_PERIOD)
            else:
                raise NoAnswer("media from another bridge", PATIENCE)
            await asyncio.gather(*(each.wait_for_media() for each in people))
            return {former, *later}
        finally:
            await asyncio.to_thread(host.run, f"systemctl start {_UNIT}")
