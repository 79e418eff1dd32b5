"""The bridge: whether two people meet, and who reaches what of it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import httpx
import websockets

from .. import browser
from ..attempts import Attempt
from ..media import Place, channel_target, reached
from ..scene import Entrance, Scene, room_is_open
from ..transports import Door, dial
from ..xmpp import Broken, NoAnswer, Refused, Stage, fresh_name
from .case import Case, Refusal

MEET = "meet on a bridge"
OPENS = "opens"
ANSWERS = "answers"
CLOSED = "is closed"
REFUSED = ("403", "404")  # statuses of who has no place there

# What the real one has for its own host (upstream: doc/rest.md), and what bridges tell each other
_PRIVATE = ("/about/health", "/about/version", "/metrics", "/colibri/stats", "/colibri/drain")
_PORTS = (8080, 9090)
_PATIENCE = 2  # seconds for a port on which nothing should listen


@contextlib.asynccontextmanager
async def two_meet(entrance: Entrance) -> AsyncIterator[Scene]:
    """Two are in the room, and each has a place on a bridge and can open its channel."""
    async with (
        room_is_open(entrance) as scene,
        entrance.enter(scene.room, scene.token()) as second,
    ):
        two = Scene(entrance, scene.room, (scene.first, second))
        for somebody in two.people:
            await open_channel(two, channel_target(entrance.door, await somebody.place(two.room)))
        yield two


async def meet(scene: Scene) -> str:
    """Come into a room, one after the other, and be offered audio and video."""
    async with (
        scene.entrance.enter(scene.room, scene.token()) as first,
        scene.entrance.enter(scene.room, scene.token()) as second,
    ):
        await first.place(scene.room)
        await second.place(scene.room)
        return MEET


async def open_channel(scene: Scene, target: str) -> str:
    """Open the channel at this path and query, and be greeted there."""
    patience = scene.entrance.patience
    try:
        async with asyncio.timeout(patience):
            connection = await dial(scene.entrance.door, target)
            async with connection:
                await connection.send(json.dumps({"colibriClass": "ClientHello"}))
                while json.loads(await connection.recv()).get("colibriClass") != "ServerHello":
                    pass
                return OPENS
    except TimeoutError:
        raise NoAnswer("the greeting of the bridge", patience) from None
    except (websockets.ConnectionClosed, ValueError) as error:
        raise Broken(f"the channel: {type(error).__name__}") from None


async def open_own_channel(scene: Scene) -> str:
    """Open the channel that Jicofo names."""
    async with scene.entrance.enter(scene.room, scene.token()) as second:
        place = await second.place(scene.room)
        return await open_channel(scene, channel_target(scene.entrance.door, place))


def open_other_channel(change: Callable[[list[str], Place, Place], str]) -> Attempt:
    """Open a channel that is nobody's, or somebody else's.

    ``change`` gets the parts of the path of the first person's, and both places.
    """

    async def attempt(scene: Scene) -> str:
        first, second = [await somebody.place(scene.room) for somebody in scene.people]
        parts = urlsplit(channel_target(scene.entrance.door, first)).path.split("/")
        return await open_channel(scene, change(parts, first, second))

    return attempt


async def ask_channel_for_a_page(scene: Scene) -> str:
    """Ask at a channel's path as a browser asks for a page: what came would be this server's."""
    door, place = scene.entrance.door, await scene.first.place(scene.room)
    path, _, query = channel_target(door, place).partition("?")
    answer = await browser.fetch(door, path, dict(parse_qsl(query)))
    if answer.status_code < httpx.codes.BAD_REQUEST:
        return "shows a page"
    raise Refused(Stage.HTTP, str(answer.status_code))


def _query(place: Place) -> str:
    return urlsplit(place.channel).query


def _renamed(number: int) -> Callable[[list[str], Place, Place], str]:
    """The same path with one other part."""

    def change(parts: list[str], first: Place, _: Place) -> str:
        return f"{'/'.join([*parts[:number], fresh_name(), *parts[number + 1 :]])}?{_query(first)}"

    return change


async def send_media(scene: Scene) -> str:
    """Check the way for audio and video as a browser does, over UDP.

    Where the operator named public addresses, people come by one of them.
    """
    public = scene.entrance.options.get("videobridge_public_address", [])
    async with scene.entrance.enter(scene.room, scene.token()) as second:
        place = await second.place(scene.room)
        told = [each for each in place.addresses if not public or each[0] in public]
        if await reached(replace(place, addresses=tuple(told)), scene.entrance.patience):
            return ANSWERS
        tried = ", ".join(f"{host} port {port}" for host, port in told)
        return f"no answer over UDP: {tried or 'Jicofo names no address for that'}"


async def ask_through_the_door(scene: Scene) -> str:
    """Ask nginx for what the bridge has for its own host. A page of rooms is no answer to that."""
    for path in (*_PRIVATE, "/colibri-ws/about/health", "/colibri-relay-ws/a/b/c"):
        answer = await browser.fetch(scene.entrance.door, path)
        is_page = answer.headers.get("Content-Type", "").startswith("text/html")
        if answer.status_code == httpx.codes.OK and not is_page:
            return f"{path} is answered"
    return CLOSED


async def ask_its_ports(scene: Scene) -> str:
    """Ask the bridge itself, from outside."""
    for port in _PORTS:
        if await _answers_http(scene.entrance.door, port):
            return f"port {port} answers"
    return CLOSED


async def _answers_http(door: Door, port: int) -> bool:
    url = httpx.URL(scheme="http", host=door.address, port=port, path="/about/health")
    try:
        await door.http.get(url, timeout=_PATIENCE)
    except httpx.HTTPError:
        return False
    return True


async def ask_every_bridge(scene: Scene) -> str:
    """Bring each bridge a channel of nobody's: it refuses that itself, behind the front door.

    Without a password the front door refuses it, where it knows the bridge at all.
    """
    door = scene.entrance.door
    for name in scene.entrance.bridges:
        path = f"/colibri-ws/{name}/{fresh_name()}/{fresh_name()}"
        known = await browser.fetch(door, path)
        if known.status_code != httpx.codes.FORBIDDEN:
            return f"{name} is not behind the front door"
        try:
            return f"{name} {await open_channel(scene, f'{path}?pwd=none')} a channel of nobody's"
        except Refused as refused:
            if refused.condition not in REFUSED:
                return f"{name} does not answer: HTTP {refused.condition}"
    return ANSWERS


def log_in_past_the_door(account: Callable[[Entrance], tuple[str, str]]) -> Attempt:
    """Log in where bridges do. ``account`` is the host, and a name at it."""

    async def attempt(scene: Scene) -> str:
        entrance = scene.entrance
        try:
            async with asyncio.timeout(_PATIENCE):
                way = await asyncio.open_connection(entrance.door.address, entrance.login_port)
        except (OSError, TimeoutError):
            return CLOSED
        try:
            async with asyncio.timeout(entrance.patience):
                return await _offer(*way, *account(entrance))
        except TimeoutError:
            raise NoAnswer("what Prosody says", entrance.patience) from None
        except OSError:
            return CLOSED
        finally:
            way[1].close()

    return attempt


async def _offer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, user: str
) -> str:
    """What a stream to a host of Prosody comes to, without and with a try to log in."""
    writer.write(
        "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
        f" to='{host}' version='1.0'>".encode()
    )
    said = await _until(reader, b"</stream:features>", b"<stream:features/>")
    if b"<starttls" in said or b"<mechanism" in said:
        return f"{host} offers a login"
    tried = base64.b64encode(f"\0{user}\0{fresh_name()}".encode()).decode()
    writer.write(
        f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{tried}</auth>".encode()
    )
    said = await _until(reader, b"<failure", b"<success", b"<challenge")
    return CLOSED if b"<failure" in said or not said else f"{host} talks of a login"


async def _until(reader: asyncio.StreamReader, *ends: bytes) -> bytes:
    """What comes until one of these is there, or the other side hangs up."""
    said = b""
    while not any(each in said for each in ends):
        more = await reader.read(4096)
        if not more:
            return said
        said += more
    return said


BRIDGE = (
    Case("two_people_meet", "second person in a meeting", {"join": meet}, outcome=MEET),
    Case(
        "media_reaches_the_bridge",
        "way for audio and video",
        {"check of ICE": send_media},
        control=room_is_open,
        outcome=ANSWERS,
        only_over="websocket",
    ),
    Case(
        "bridge_channel_opens",
        "channel to the bridge",
        {"as Jicofo names it": open_own_channel},
        control=room_is_open,
        outcome=OPENS,
        only_over="websocket",
    ),
    Case(
        "bridge_channel_refused",
        "channel of somebody else",
        {
            "another's password": open_other_channel(
                lambda parts, _, second: f"{'/'.join(parts)}?{_query(second)}"
            ),
            "no password": open_other_channel(lambda parts, *_: "/".join(parts)),
            "for a page": ask_channel_for_a_page,
            "other person": open_other_channel(_renamed(4)),
            "other meeting": open_other_channel(_renamed(3)),
            "other bridge": open_other_channel(_renamed(2)),
            "as a bridge": open_other_channel(
                lambda parts, first, _: (
                    f"{'/'.join(['', 'colibri-relay-ws', *parts[2:]])}?{_query(first)}"
                )
            ),
        },
        (Refusal(Stage.HTTP, REFUSED),),
        two_meet,
        only_over="websocket",
    ),
    Case(
        "bridge_keeps_to_itself",
        "what the bridge has for its own host",
        {"through the front door": ask_through_the_door, "its own ports": ask_its_ports},
        control=two_meet,
        outcome=CLOSED,
        only_over="websocket",
    ),
    Case(
        "every_bridge_answers",
        "each bridge behind the front door",
        {"channel of nobody's": ask_every_bridge},
        control=room_is_open,
        outcome=ANSWERS,
        only_over="websocket",
    ),
    Case(
        "bridges_alone_log_in_directly",
        "login where bridges have theirs",
        {
            "as a bridge": log_in_past_the_door(
                lambda entrance: (f"auth.{entrance.domain}", f"jvb-{entrance.bridges[-1]}")
            ),
            "as Jicofo": log_in_past_the_door(
                lambda entrance: (f"auth.{entrance.domain}", "focus")
            ),
            "as a person": log_in_past_the_door(lambda entrance: (entrance.domain, "somebody")),
            "as a guest": log_in_past_the_door(lambda entrance: (entrance.guest_host, "somebody")),
        },
        control=room_is_open,
        outcome=CLOSED,
        only_over="websocket",
    ),
)
