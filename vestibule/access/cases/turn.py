"""TURN: who is told of it, who gets a relay, and where relays lead."""

from __future__ import annotations

import contextlib
import ipaddress
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

from .. import stun
from ..attempts import Attempt
from ..participant import Participant
from ..scene import ON_443, Entrance, Scene, TurnServer
from ..transports import WebSocketTransport
from ..turn import TLS, UDP, Credentials, Service, TurnClient, talk
from ..xmpp import SERVICES, Refused, Stage, element, json_message, qualified
from .case import Case, Refusal

NAMED = "is named"
RELAYS = "relays"
LOCAL = "jvb"  # the name of the bridge beside the signalling
OUTSIDE = "203.0.113.7"  # RFC 5737: nobody is there, and nothing is sent
# Networks in which somebody could be, with an address of each
PRIVATE = ("10.255.255.1", "172.31.255.1", "192.168.255.1")
INSIDE = {
    "loopback": ("127.0.0.1",),
    "private network": PRIVATE,
    "link": ("169.254.169.254",),
    "network of a carrier": ("100.127.255.1",),
    "everybody on a network": ("224.0.0.1",),
    "no address": ("0.0.0.0",),  # noqa: S104 - asked for, not listened on
    "loopback of IPv6": ("::1",),
    "private network of IPv6": ("fd00::1",),
    "link of IPv6": ("fe80::1",),
    "IPv4 in IPv6": ("::ffff:127.0.0.1",),
}
_TYPES = {(UDP, "turn"), (TLS, "turns"), (UDP, "stun")}
# A way of its own: by another name over TLS, on the port of HTTPS
WEB = "web"


def _service(said: Mapping[str, Any]) -> Service:
    name, password, port = said.get("username"), said.get("password"), str(said.get("port", ""))
    return Service(
        said.get("type", ""),
        said.get("transport", ""),
        said.get("host", ""),
        int(port) if port.isdigit() else 0,
        Credentials(name, password) if name and password else None,
    )


async def services(somebody: Participant, host: str) -> list[Service]:
    """The servers that ``host`` names to somebody who has logged in there, as clients ask."""
    answer = await somebody.request("get", host, element("services", {"xmlns": SERVICES}))
    return [_service(each.attrib) for each in answer.iter(qualified(SERVICES, "service"))]


@contextlib.asynccontextmanager
async def _somebody(entrance: Entrance, *, guest: bool = False) -> AsyncIterator[Participant]:
    room = entrance.room()
    arrival = entrance.guest(room) if guest else entrance.login(room, entrance.token(room))
    async with arrival as somebody:
        yield somebody


async def _named(entrance: Entrance, *, guest: bool = False) -> list[Service]:
    """What people ask their own host for, a guest the guests'."""
    async with _somebody(entrance, guest=guest) as somebody:
        # lib-jitsi-meet asks the host of its configuration, which is that of the login
        return await services(somebody, entrance.guest_host if guest else entrance.domain)


def _name(entrance: Entrance, way: str = WEB) -> str:
    """Under which name TURN is reached on this way."""
    if way != WEB:
        return entrance.turn.door.domain if entrance.turn else entrance.domain
    return entrance.options.get("turn_443_name") or f"turn.{entrance.domain}"


def _relay_server(entrance: Entrance, named: Iterable[Service], way: str) -> Service:
    transport, name = TLS if way == WEB else way, _name(entrance, way)
    for each in named:
        if (each.transport, each.host) == (transport, name) and each.credentials:
            return each
    raise Refused(Stage.REQUEST, "not-named", f"no TURN server over {way}")


def _said_in(stanza: ET.Element) -> list[Any] | None:
    """The servers in a message about the metadata of a room, None in any other."""
    try:
        said = json_message(stanza)
    except ValueError:
        return None
    metadata = said.get("metadata") if isinstance(said, dict) else None
    found = metadata.get("services") if isinstance(metadata, dict) else None
    return found if isinstance(found, list) else None


async def told_in_the_room(entrance: Entrance) -> list[Service]:
    """What somebody is told who enters a room, by which a client goes from then on.

    Upstream: resources/prosody-plugins/mod_room_metadata_component.lua.
    """
    room = entrance.room()
    async with entrance.enter(room, entrance.token(room)) as somebody:
        message = await somebody.wait_for(
            lambda stanza: _said_in(stanza) is not None, "the servers among the room's metadata"
        )
        return [_service(each) for each in _said_in(message) or []]


def hear_of(*, guest: bool = False, in_room: bool = False) -> Attempt:
    """Be told of STUN and TURN servers, and look whether all of them are this one's."""

    async def attempt(scene: Scene) -> str:
        entrance = scene.entrance
        ask = told_in_the_room(entrance) if in_room else _named(entrance, guest=guest)
        named = await ask
        beside = entrance.turn_beside
        expected = {(*each, entrance.domain) for each in _TYPES} if beside else set()
        if ON_443 in entrance.features:
            expected.add((TLS, "turns", _name(entrance)))
        elsewhere = {
            (*each, server.door.domain): _port(server, each[0])
            for server in entrance.turn_servers
            for each in _TYPES
        }
        ours = {host for *_, host in (*expected, *elsewhere)}
        said = {(each.transport, each.kind, each.host): each.port for each in named}
        if not {each.host for each in named} <= ours:
            return "is somebody else's"
        if said.keys() != expected | elsewhere.keys() or len(said) != len(named):
            return "lacks one, or has more"
        if said.get((TLS, "turns", _name(entrance)), _web_port(entrance)) != _web_port(entrance):
            return "is not on the port of HTTPS"
        if any(said[each] != port for each, port in elsewhere.items()):
            return "is on another port than it listens at"
        if any((each.credentials is None) != (each.kind == "stun") for each in named):
            return "lacks credentials"
        return NAMED

    return attempt


def _port(server: TurnServer, transport: str) -> int:
    """Where a TURN server on another host listens."""
    port: int = server.options["turn_tls_port" if transport == TLS else "turn_port"]
    return port


def _web_port(entrance: Entrance) -> int:
    """Where browsers find the pages."""
    port: int = entrance.options.get("web_public_port") or entrance.options.get("web_port", 443)
    return port


@contextlib.asynccontextmanager
async def _conversation(
    entrance: Entrance, service: Service, credentials: Credentials | None
) -> AsyncIterator[TurnClient]:
    """A conversation with a server of the door, whatever name it has."""
    door, port = entrance.door, service.port
    if entrance.turn:
        door = entrance.turn.door
    elif service.host != entrance.domain:
        # Where the pages are is the door itself
        door, port = replace(door, domain=service.host), door.port
    way = talk(door, service.transport, port, entrance.patience, credentials)
    async with way as client:
        yield client


def relay(way: str, *, guest: bool = False, bridge: bool = False) -> Attempt:
    """Have a relay, and a way from it to somewhere on the internet, or to the bridges."""

    async def attempt(scene: Scene) -> str:
        named = await _named(scene.entrance, guest=guest)
        service = _relay_server(scene.entrance, named, way)
        async with _conversation(scene.entrance, service, service.credentials) as client:
            host, port = await client.allocate()
            for peer in _bridges(scene.entrance, str(host)) if bridge else (OUTSIDE,):
                await client.permit(peer)
            await client.give_back()
        first, last = _ports(scene.entrance.options)
        if not first <= port <= last:
            return f"relays from port {port}"
        return RELAYS if not host.is_unspecified else "relays from nowhere"

    return attempt


def _bridges(entrance: Entrance, own: str) -> tuple[str, ...]:
    """Addresses of bridges: the server's own, where one is beside it, and those of other hosts."""
    beside = not entrance.turn and (LOCAL in entrance.bridges or not entrance.bridges)
    return (*((own,) if beside else ()), *entrance.bridge_addresses)


def _ports(options: Any) -> tuple[int, int]:
    return options.get("turn_relay_min_port", 1), options.get("turn_relay_max_port", 65535)


@contextlib.asynccontextmanager
async def relay_is_had(entrance: Entrance) -> AsyncIterator[Scene]:
    """Somebody has a relay with the credentials that the server gave, on every way."""
    named = await _named(entrance)
    for way in (UDP, TLS, *([WEB] if ON_443 in entrance.features else [])):
        service = _relay_server(entrance, named, way)
        async with _conversation(entrance, service, service.credentials) as client:
            await client.allocate()
            await client.permit(OUTSIDE)
            await client.give_back()
    yield Scene(entrance, entrance.room(), services=tuple(named))


def have_relay_with(
    way: str, make: Callable[[Entrance, Credentials], Credentials | None]
) -> Attempt:
    """Ask for a relay with other credentials than the server gave."""

    async def attempt(scene: Scene) -> str:
        service = _relay_server(scene.entrance, scene.services, way)
        made = make(scene.entrance, service.credentials or Credentials("", ""))
        async with _conversation(scene.entrance, service, made) as client:
            await client.allocate()
            return "has a relay"

    return attempt


def nobody(_entrance: Entrance, _given: Credentials) -> None:
    """No credentials at all."""


def other_secret(_: Entrance, given: Credentials) -> Credentials:
    """The same name, signed with another secret."""
    return Credentials(*stun.time_limited("another secret of 32 characters.", _end(given)))


def longer(_: Entrance, given: Credentials) -> Credentials:
    """The same password, for another hour."""
    return Credentials(str(_end(given) + 3600), given.password)


def made_up(_entrance: Entrance, _given: Credentials) -> Credentials:
    """A name without a time."""
    return Credentials("somebody", "password")


def ended(entrance: Entrance, _: Credentials) -> Credentials:
    """What the server gave yesterday for an hour."""
    return Credentials(*stun.time_limited(entrance.turn_secret, int(time.time()) - 82800))


def _end(given: Credentials) -> int:
    """Seconds since 1970 at which these are of no use any more."""
    end = given.username.partition(":")[0]
    return int(end) if end.isdigit() else 0


def lead_to(way: str, *addresses: str) -> Attempt:
    """Ask for a way from a relay to the first of these that the operator has not opened."""

    async def attempt(scene: Scene) -> str:
        peers = map(ipaddress.ip_network, scene.entrance.options.get("turn_peers", []))
        opened = list(peers)
        closed = [
            each
            for each in addresses
            if not any(ipaddress.ip_address(each) in network for network in opened)
        ]
        if not closed:
            raise Refused(Stage.TURN, FORBIDDEN, "all of them are opened by jitsi_turn_peers")
        service = _relay_server(scene.entrance, scene.services, way)
        async with _conversation(scene.entrance, service, service.credentials) as client:
            await client.allocate()
            try:
                await client.permit(closed[0])
            finally:
                await client.give_back()
            return f"leads to {closed[0]}"

    return attempt


def without_a_bridge(entrance: Entrance) -> Sequence[Entrance]:
    """The TURN servers on hosts where no bridge is that relays have to reach."""
    beside = "bridge" in entrance.features and LOCAL in entrance.bridges
    return [
        each
        for each in entrance.at_each_turn_server()
        if not (each.turn.has_bridge if each.turn else beside)
    ]


async def lead_to_server(scene: Scene) -> str:
    """Ask for a way from a relay to the address that the relay itself has."""
    service = _relay_server(scene.entrance, scene.services, UDP)
    async with _conversation(scene.entrance, service, service.credentials) as client:
        host, _ = await client.allocate()
        opened = map(ipaddress.ip_network, scene.entrance.options.get("turn_peers", []))
        if any(host in network for network in opened):
            raise Refused(Stage.TURN, FORBIDDEN, "it is opened by jitsi_turn_peers")
        try:
            await client.permit(str(host))
        finally:
            await client.give_back()
        return "leads to the server itself"


_WAYS = {"UDP": UDP, "TLS": TLS, "HTTPS": WEB}
_OTHERS = {
    "none": nobody,
    "made up": made_up,
    "other secret": other_secret,
    "later end": longer,
    "ended": ended,
}
UNAUTHORIZED, FORBIDDEN, OTHER_FAMILY = "401", "403", "443"

TURN = (
    Case(
        "turn_is_announced",
        "TURN server for who has logged in",
        {
            "token": hear_of(),
            "guest": hear_of(guest=True),
            "in the room": hear_of(in_room=True),
        },
        outcome=NAMED,
        needs={"guest": "guests", "in the room": "metadata"},
    ),
    Case(
        "turn_relays",
        "relay with the server's credentials",
        {
            "UDP": relay(UDP),
            "TLS": relay(TLS),
            "guest over TLS": relay(TLS, guest=True),
            "to the bridge": relay(TLS, bridge=True),
            "HTTPS": relay(WEB),
        },
        outcome=RELAYS,
        needs={"guest over TLS": "guests", "to the bridge": "bridge", "HTTPS": ON_443},
        only_over=WebSocketTransport.name,
        places=Entrance.at_each_turn_server,
    ),
    Case(
        "turn_without_credentials_refused",
        "relay with other credentials, or none",
        {
            f"{what} over {name}": have_relay_with(way, make)
            for name, way in _WAYS.items()
            for what, make in _OTHERS.items()
        },
        (Refusal(Stage.TURN, (UNAUTHORIZED,)),),
        relay_is_had,
        needs={f"{what} over HTTPS": ON_443 for what in _OTHERS},
        only_over=WebSocketTransport.name,
        places=Entrance.at_each_turn_server,
    ),
    Case(
        "turn_leads_nowhere_inside",
        "way from a relay into the network",
        {
            **{what: lead_to(UDP, *addresses) for what, addresses in INSIDE.items()},
            "loopback over TLS": lead_to(TLS, *INSIDE["loopback"]),
            "loopback over HTTPS": lead_to(WEB, *INSIDE["loopback"]),
        },
        # A relay of IPv4 leads to no address of IPv6 at all
        (Refusal(Stage.TURN, (FORBIDDEN, OTHER_FAMILY)),),
        relay_is_had,
        needs={"loopback over HTTPS": ON_443},
        only_over=WebSocketTransport.name,
        places=Entrance.at_each_turn_server,
    ),
    Case(
        "turn_leads_not_to_the_server",
        "way from a relay to the server itself",
        {"its own address": lead_to_server},
        (Refusal(Stage.TURN, (FORBIDDEN,)),),
        relay_is_had,
        only_over=WebSocketTransport.name,
        places=without_a_bridge,
    ),
)
