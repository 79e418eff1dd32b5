"""What Jicofo offers somebody in a meeting of two: a place on a bridge, and how it is reached."""

from __future__ import annotations

import asyncio
import hmac
import secrets
import struct
import xml.etree.ElementTree as ET
import zlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .transports import HTTPS, Door
from .xmpp import Broken, qualified

JINGLE = "urn:xmpp:jingle:1"
ICE = "urn:xmpp:jingle:transports:ice-udp:1"
COLIBRI = "http://jitsi.org/protocol/colibri"

# STUN, RFC 8489, and what ICE adds to it, RFC 8445
_COOKIE = 0x2112A442
_REQUEST, _SUCCESS, _ERROR = 0x0001, 0x0101, 0x0111
_USERNAME, _INTEGRITY, _PRIORITY, _FINGERPRINT, _CONTROLLED = 0x06, 0x08, 0x24, 0x8028, 0x8029
_MASK = 0x5354554E
_AGAIN = 0.25  # seconds until a request is sent again


@dataclass(frozen=True)
class Place:
    """Somebody's place on a bridge."""

    fragment: str  # of the user's name, by which the bridge knows whose packets come
    password: str
    channel: str  # address of the WebSocket, empty where there is none
    addresses: tuple[tuple[str, int], ...]  # where it takes audio and video over UDP


def is_offer(stanza: ET.Element) -> bool:
    """Whether Jicofo offers a place (XEP-0166, section 6.2)."""
    jingle = stanza.find(qualified(JINGLE, "jingle"))
    return jingle is not None and jingle.get("action") == "session-initiate"


def place_in(offer: ET.Element) -> Place:
    """The place that an offer names. Raises Broken where it names none."""
    transport = next(offer.iter(qualified(ICE, "transport")), None)
    if transport is None:
        raise Broken("an offer of Jicofo without a place on a bridge")
    channel = transport.find(qualified(COLIBRI, "web-socket"))
    found = [
        (each.get("ip", ""), int(each.get("port", "0")))
        for each in transport.iter(qualified(ICE, "candidate"))
        if each.get("protocol", "").lower() == "udp"
    ]
    return Place(
        transport.get("ufrag", ""),
        transport.get("pwd", ""),
        "" if channel is None else channel.get("url", ""),
        tuple(dict.fromkeys(found)),
    )


def channel_target(door: Door, place: Place) -> str:
    """Path and query of the channel, which has to lead to this door.

    Raises Broken where it leads elsewhere, or nowhere.
    """
    if not place.channel:
        raise Broken("an offer of Jicofo without a channel to the bridge")
    parts = urlsplit(place.channel)
    here = {door.host_header, f"{door.domain}:{door.port}"}
    if door.port == HTTPS:
        here.add(door.domain)
    if parts.scheme != "wss" or parts.netloc not in here:
        raise Broken(f"the channel is at another server: {parts.scheme}://{parts.netloc}")
    return f"{parts.path}?{parts.query}"


def binding_request(place: Place, transaction: bytes) -> bytes:
    """A check of ICE, signed with the password of the place."""
    own = secrets.token_hex(4)
    message = struct.pack("!HHI", _REQUEST, 0, _COOKIE) + transaction
    message += _attribute(_USERNAME, f"{place.fragment}:{own}".encode())
    message += _attribute(_PRIORITY, struct.pack("!I", 1845494271))
    message += _attribute(_CONTROLLED, secrets.token_bytes(8))
    message = _with_length(message, 24)
    message += _attribute(_INTEGRITY, _signature(message, place.password))
    message = _with_length(message, 8)
    return message + _attribute(_FINGERPRINT, struct.pack("!I", zlib.crc32(message) ^ _MASK))


def answers(message: bytes, place: Place, transaction: bytes) -> bool:
    """Whether this is the answer of who has the place: nobody else can sign it."""
    if len(message) < 20 or message[8:20] != transaction:
        return False
    kind, length, cookie = struct.unpack_from("!HHI", message)
    if kind not in (_SUCCESS, _ERROR) or cookie != _COOKIE or length + 20 != len(message):
        return False
    position = 20
    while position + 4 <= len(message):
        name, size = struct.unpack_from("!HH", message, position)
        if name == _INTEGRITY:
            # The length that was signed ends with this attribute (RFC 8489, section 14.5)
            signed = _with_length(message[:position], 24)
            said = message[position + 4 : position + 4 + size]
            return hmac.compare_digest(_signature(signed, place.password), said)
        position += 4 + size + -size % 4
    return False


async def reached(place: Place, patience: float) -> str:
    """The first address of a place that answers within ``patience`` seconds, or an empty text."""
    tries = [asyncio.create_task(_ask(place, *address)) for address in place.addresses]
    try:
        async with asyncio.timeout(patience):
            for done in asyncio.as_completed(tries):
                if found := await done:
                    return found
    except TimeoutError:
        pass
    finally:
        for each in tries:
            each.cancel()
    return ""


class _Ear(asyncio.DatagramProtocol):
    """Waits for one answer, and hears nothing else."""

    def __init__(self, place: Place, transaction: bytes) -> None:
        self._place, self._transaction = place, transaction
        self.heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ARG002 — who sent it shows in its signature
        if answers(data, self._place, self._transaction) and not self.heard.done():
            self.heard.set_result(None)


async def _ask(place: Place, address: str, port: int) -> str:
    """Ask until there is an answer; empty where no way leads there."""
    transaction = secrets.token_bytes(12)
    try:
        transport, ear = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Ear(place, transaction), remote_addr=(address, port)
        )
    except OSError:
        return ""
    try:
        while not ear.heard.done():
            transport.sendto(binding_request(place, transaction))
            await asyncio.wait([ear.heard], timeout=_AGAIN)
    finally:
        transport.close()
    return address


def _attribute(name: int, value: bytes) -> bytes:
    return struct.pack("!HH", name, len(value)) + value + bytes(-len(value) % 4)


def _with_length(message: bytes, more: int) -> bytes:
    """The message with the length that it has once ``more`` bytes are behind it."""
    return message[:2] + struct.pack("!H", len(message) - 20 + more) + message[4:]


def _signature(message: bytes, password: str) -> bytes:
    return hmac.digest(password.encode(), message, "sha1")
