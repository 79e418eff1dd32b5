"""The certificate of the front door: whether it is the one that its file has."""

from __future__ import annotations

import asyncio

from ..certificates import shown
from ..scene import Scene
from ..xmpp import Broken
from .case import Case

NEWEST = "is shown"


async def compare_certificate(scene: Scene) -> str:
    """See whether the server shows the certificate that is in its file.

    It does not where that was renewed, and nobody told the web server.
    """
    door, patience = scene.entrance.door, scene.entrance.patience
    try:
        leaf, _ = await asyncio.to_thread(
            shown, door.domain, door.address, door.port, patience, door.trust
        )
    except OSError as error:
        raise Broken(f"TLS: {error.strerror or type(error).__name__}") from None
    return NEWEST if leaf == door.leaf else "is not shown but an older one; reload nginx"


CERTIFICATES = (
    Case(
        "certificate_of_the_file_is_shown",
        "certificate that is in its file",
        {"TLS": compare_certificate},
        outcome=NEWEST,
        only_over="websocket",
    ),
)
