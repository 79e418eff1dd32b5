"""The front door itself: what it speaks, whom it keeps, and whether the many keep out the one."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator

from ..attempts import ENTERED, Attempt
from ..scene import Entrance, Scene
from ..tokens import forge
from ..transports import BoshTransport, WebSocketTransport
from ..xmpp import CLIENT, PING, Broken, NoAnswer, Refused, Room, Stage, element
from .case import Case, Refusal

AT_ONCE = 5.0  # seconds, far below the minute for which Prosody keeps a silent BOSH session
ENDED = "ends at once"
FLOOD = 8  # bad tokens over each transport: few enough for servers that count them
ELEMENTS = 20_000
SENT_AWAY = "is sent away"
IN_TIME = "enters in time"
PATIENCE = 5.0  # seconds on a server that other cases are busy with, too
NO_HANDSHAKE = "no-handshake"

GOOD_CIPHERS = "ECDHE+AESGCM"
BAD_CIPHERS = {
    "CBC": "ECDHE+AES+SHA1:ECDHE+AES+SHA256:ECDHE+AES+SHA384:!AESGCM:!AESCCM:!CHACHA20",
    "RSA without forward secrecy": "kRSA+AESGCM",
    "CBC without forward secrecy": "kRSA+AES+SHA1:kRSA+AES+SHA256:!AESGCM:!AESCCM",
}


async def shake_hands(entrance: Entrance, ciphers: str) -> None:
    """Agree on TLS 1.2 with one of these cipher suites, and say nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Nothing is sent, and the other cases look at the certificate
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    door = entrance.door
    try:
        _, writer = await asyncio.open_connection(
            door.address, door.port, ssl=context, server_hostname=door.domain
        )
    except ssl.SSLError as error:
        raise Refused(Stage.HTTP, NO_HANDSHAKE, error.reason or "") from None
    except OSError as error:
        raise Broken(error.strerror or type(error).__name__) from None
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


@contextlib.asynccontextmanager
async def good_ciphers_are_taken(entrance: Entrance) -> AsyncIterator[Scene]:
    """TLS 1.2 with a good cipher suite is agreed on."""
    await shake_hands(entrance, GOOD_CIPHERS)
    yield Scene(entrance, entrance.room())


def offer(ciphers: str) -> Attempt:
    """Offer these cipher suites alone."""

    async def attempt(scene: Scene) -> str:
        await shake_hands(scene.entrance, ciphers)
        return "are taken"

    return attempt


def bad_token(entrance: Entrance, room: Room) -> str:
    """A token for ``room`` that somebody else signed."""
    issuer = entrance.issuer
    return forge({"alg": "HS256", "typ": "JWT"}, issuer.claims(room=room.name), "x" * 32)


async def be_refused_and_stay(scene: Scene) -> str:
    """Be refused with a bad token, and see how long the session lasts that this was said in."""
    entrance, room = scene.entrance, scene.room
    async with entrance.approach(room, bad_token(entrance, room)) as somebody:
        try:
            await somebody.login()
        except Refused as refused:
            if refused.stage != Stage.LOGIN:
                raise
        else:
            return "is not refused"
        began = time.perf_counter()
        try:
            await somebody.wait_for(lambda _: False, "the end of the session")
        except (Refused, Broken):
            seconds = time.perf_counter() - began
            return ENDED if seconds < AT_ONCE else f"lasts {seconds:.0f} s"
    return "lasts"


async def come_with_the_many(scene: Scene) -> str:
    """Enter with a good token while bad ones are sent, all at once."""
    entrance, room = scene.entrance, scene.room

    async def be_refused() -> None:
        with contextlib.suppress(Refused, Broken, NoAnswer):
            async with entrance.approach(room, bad_token(entrance, room)) as somebody:
                await somebody.login()

    async with asyncio.TaskGroup() as group:
        many = [group.create_task(be_refused()) for _ in range(FLOOD)]
        await asyncio.wait(many, return_when=asyncio.FIRST_COMPLETED)
        began = time.perf_counter()
        async with entrance.enter(room, scene.token()):
            seconds = time.perf_counter() - began
    return IN_TIME if seconds < PATIENCE else f"{ENTERED} after {seconds:.1f} s"


async def send_without_end(scene: Scene) -> str:
    """Send one request with more elements than anybody has to say, and hear what becomes of it."""
    async with scene.entrance.login(scene.room, scene.token()) as somebody:
        many = element("x", {"xmlns": "urn:example"}, "<a/>" * ELEMENTS)
        await somebody.send(element("message", {"xmlns": CLIENT, "to": scene.room.address}, many))
        try:
            await somebody.request("get", "", element("ping", {"xmlns": PING}))
        except Broken:
            return SENT_AWAY
        except Refused as refused:
            if refused.stage in {Stage.HTTP, Stage.STREAM}:
                return SENT_AWAY
    return f"{ELEMENTS} elements are read"


FLOODS = (
    Case(
        "weak_ciphers_refused",
        "cipher suite that is not safe any more",
        {way: offer(ciphers) for way, ciphers in BAD_CIPHERS.items()},
        (Refusal(Stage.HTTP, (NO_HANDSHAKE,)),),
        good_ciphers_are_taken,
        only_over=WebSocketTransport.name,
    ),
    Case(
        "refused_session_ends",
        "session whose login was refused",
        {"bad token": be_refused_and_stay},
        outcome=ENDED,
    ),
    Case(
        "good_token_enters_among_bad",
        "good token among many bad ones",
        {"all at once": come_with_the_many},
        outcome=IN_TIME,
    ),
    Case(
        "endless_sender_is_sent_away",
        "request that takes the time of all others",
        {"elements": send_without_end},
        outcome=SENT_AWAY,
        only_over=BoshTransport.name,  # over WebSocket its address may be slowed down already
    ),
)
