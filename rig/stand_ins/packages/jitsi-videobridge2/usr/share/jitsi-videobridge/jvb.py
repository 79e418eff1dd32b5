#!/usr/bin/env python3
"""Stand-in (test double) for Jitsi Videobridge: not Jitsi's code.

A bridge that opens no packet. It logs in to Prosody as ``jvb.conf`` says, trusts whom Java trusts,
waits in the brewery and says there how it does. Jicofo is given a place for each person: an address
that answers STUN for who knows its password (RFC 8445), and a channel over a WebSocket. What else
comes to that address goes on to the other one of a meeting of two as it is, so these two agree on
the keys themselves, which the real one does with each of them. Beside that it has the private HTTP
for health, metrics and drain. It is stricter than the real one in one point: TLS with a certificate
that is good for the domain of the login is always required.

Usage: jvb.py JVB_CONF
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import json
import logging
import secrets
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import zlib
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

from java_trust import trust_of_java
from slixmpp import JID, ClientXMPP
from slixmpp.xmlstream import XMLStream
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

MUC = "http://jabber.org/protocol/muc"
COLIBRI = "http://jitsi.org/protocol/colibri"
COLIBRI2 = "jitsi:colibri2"
ICE = "urn:xmpp:jingle:transports:ice-udp:1"
RECONNECT_DELAY = 1.0  # seconds
WEBSOCKET_KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
BINDING, BINDING_SUCCESS = 0x0001, 0x0101  # RFC 8489
COOKIE = 0x2112A442
USERNAME, INTEGRITY, FINGERPRINT, XOR_MAPPED_ADDRESS = 0x0006, 0x0008, 0x8028, 0x0020
TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA

log = logging.getLogger("jvb")


@dataclass(frozen=True)
class Settings:
    """What is taken from jvb.conf, with the defaults of the real one's reference.conf."""

    login: dict[str, Any]
    port: int  # UDP
    websockets: dict[str, Any]
    public: dict[str, Any]
    private: dict[str, Any]
    mappings: list[dict[str, str]]
    requires_valid_address: bool
    sctp: bool

    @classmethod
    def read(cls, path: str) -> Settings:
        """Read a file with the HOCON parser that the package depends on."""
        content = {part: _get(path, part) for part in ("videobridge", "ice4j")}
        bridge = content["videobridge"]
        [login] = bridge["apis"]["xmpp-client"]["configs"].values()
        servers = bridge.get("http-servers", {})
        mapping = content["ice4j"].get("harvest", {}).get("mapping", {})
        asked = mapping.get("stun", {}).get("addresses", [])
        if asked:
            log.warning("A foreign server would be asked for the address: %s", asked)
        return cls(
            # Capitals are as good
            login={"port": 5222} | {key.lower(): value for key, value in login.items()},
            port=bridge.get("ice", {}).get("udp", {}).get("port", 10000),
            websockets={"enabled": False, "server-id": "default-id", "domains": [], "tls": False}
            | bridge.get("websockets", {}),
            public={"host": "0.0.0.0", "port": -1} | servers.get("public", {}),  # noqa: S104
            private={"host": "127.0.0.1", "port": 8080} | servers.get("private", {}),
            mappings=mapping.get("static-mappings", []),
            requires_valid_address=bridge.get("health", {}).get("require-valid-address", True),
            sctp=bridge.get("sctp", {}).get("enabled", True),
        )


def _get(path: str, key: str) -> dict[str, Any]:
    argv = ["hocon", "--json", "--file", path, "get", key]
    done = subprocess.run(argv, check=False, capture_output=True)
    found: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
    return found


@dataclass
class Place:
    """What one person of a meeting has here."""

    fragment: str = field(default_factory=lambda: secrets.token_hex(4))
    password: str = field(default_factory=lambda: secrets.token_hex(12))
    channel_password: str = field(default_factory=lambda: secrets.token_hex(12))
    way: tuple[asyncio.DatagramTransport, Any] | None = None  # to where its last check came from


class Bridge:
    """The bridge: its meetings, its login, and what it says of itself."""

    def __init__(self, settings: Settings) -> None:
        """Prepare the connection without opening it."""
        self.settings = settings
        self.drains = False
        self.meetings: dict[str, dict[str, Place]] = {}  # by meeting and person
        login = settings.login
        self.brewery = JID(login["muc_jids"]).bare
        trust = trust_of_java()
        self.client = ClientXMPP(f"{login['username']}@{login['domain']}", login["password"])
        self.client.get_ssl_context = lambda: trust
        self.client.enable_direct_tls = False
        self._retry: asyncio.TimerHandle | None = None
        for event, handler in {
            "session_start": self._start,
            "failed_auth": lambda _: log.error("Failed to log in as %s", self.client.requested_jid),
            "disconnected": self._stop,
            "connection_failed": self._stop,
        }.items():
            self.client.add_event_handler(event, handler)
        order = MatchXPath(f"{{jabber:client}}iq/{{{COLIBRI2}}}conference-modify")
        self.client.register_handler(Callback("order", order, self._change_meeting))
        refusal = MatchXPath("{jabber:client}presence")
        self.client.register_handler(Callback("presence", refusal, self._see))

    def connect(self) -> None:
        """Open the connection; whatever ends it opens it again."""
        # As ClientXMPP.connect does; its own arguments are others in slixmpp 1.8 (Debian 12)
        self.client.dns_service = None
        login = self.settings.login
        XMLStream.connect(self.client, login["hostname"], login["port"])

    @property
    def addresses(self) -> list[str]:
        """Addresses that people are told: those of the host, and those that stand for them."""
        own = []
        for towards in ("192.0.2.1", "2001:db8::1"):
            family = socket.AF_INET6 if ":" in towards else socket.AF_INET
            try:
                with socket.socket(family, socket.SOCK_DGRAM) as tried:
                    tried.connect((towards, 9))
                    own.append(tried.getsockname()[0])
            except OSError:
                continue
        return [*(each["public-address"] for each in self.settings.mappings), *own]

    @property
    def is_healthy(self) -> bool:
        """Whether it says so: where only private addresses are known, by its settings."""
        known = [ipaddress.ip_address(address) for address in self.addresses]
        return any(not address.is_private for address in known) or (
            not self.settings.requires_valid_address
        )

    def show(self) -> None:
        """Be in the brewery, and say there how things are."""
        nick = self.settings.login["muc_nickname"]
        presence = self.client.make_presence(pto=f"{self.brewery}/{nick}")
        presence.append(ElementTree.Element(f"{{{MUC}}}x"))
        stats = ElementTree.Element(f"{{{COLIBRI}}}stats")
        people = sum(len(places) for places in self.meetings.values())
        said = {
            "drain": str(self.drains).lower(),
            "healthy": str(self.is_healthy).lower(),
            "shutdown_in_progress": "false",
            "stress_level": str(people / 1000),
            "version": "0.stand-in",
        }
        for name, value in said.items():
            ElementTree.SubElement(stats, f"{{{COLIBRI}}}stat", {"name": name, "value": value})
        presence.append(stats)
        presence.send()

    def _start(self, _: object) -> None:
        log.info("Registered as %s", self.client.boundjid)
        self.client.send_presence()
        self.show()

    def _stop(self, reason: object) -> None:
        log.error("Not connected: %s. Trying again in %s s", reason, RECONNECT_DELAY)
        self.meetings.clear()  # the real one lets go of them a minute later
        self.client.cancel_connection_attempt()
        if self._retry:
            self._retry.cancel()
        self._retry = asyncio.get_running_loop().call_later(RECONNECT_DELAY, self.connect)

    def _see(self, presence: Any) -> None:
        if presence["from"].bare == self.brewery and presence.xml.get("type") == "error":
            log.error("Not let into %s: %s", self.brewery, presence["error"]["condition"])

    def _change_meeting(self, question: Any) -> None:
        """Make and take places as Jicofo says, who alone meets the bridge."""
        order = question.xml.find(f"{{{COLIBRI2}}}conference-modify")
        name = order.get("meeting-id", "")
        places = self.meetings.setdefault(name, {})
        answer = ElementTree.Element(f"{{{COLIBRI2}}}conference-modified")
        for wish in order.findall(f"{{{COLIBRI2}}}endpoint"):
            person = wish.get("id", "")
            if wish.get("expire") == "true":
                places.pop(person, None)
                continue
            if not (self.settings.websockets["enabled"] or self.settings.sctp):
                log.error("There is no channel to anybody")
            place = places.setdefault(person, Place())
            told = ElementTree.SubElement(answer, f"{{{COLIBRI2}}}endpoint", {"id": person})
            told.append(self._transport(name, person, place))
        if not places:
            self.meetings.pop(name, None)
        reply = question.reply(clear=True)
        reply.append(answer)
        reply.send()

    def _transport(self, meeting: str, person: str, place: Place) -> ElementTree.Element:
        """How a person reaches their place (XEP-0176, and Jitsi's address of the channel)."""
        transport = ElementTree.Element(
            f"{{{ICE}}}transport", {"ufrag": place.fragment, "pwd": place.password}
        )
        websockets = self.settings.websockets
        if websockets["enabled"]:
            scheme = "wss" if websockets["tls"] else "ws"
            path = f"colibri-ws/{websockets['server-id']}/{meeting}/{person}"
            for domain in websockets["domains"]:
                url = f"{scheme}://{domain}/{path}?pwd={place.channel_password}"
                ElementTree.SubElement(transport, f"{{{COLIBRI}}}web-socket", {"url": url})
        for number, address in enumerate(self.addresses):
            attributes = {
                "component": "1",
                "foundation": str(number),
                "generation": "0",
                "id": secrets.token_hex(4),
                "ip": address,
                "network": "0",
                "port": str(self.settings.port),
                "priority": str(2130706431 - number),
                "protocol": "udp",
                "type": "host",
            }
            ElementTree.SubElement(transport, f"{{{ICE}}}candidate", attributes)
        return transport

    def place_of(self, fragment: str) -> Place | None:
        """Whose fragment of a user's name that is."""
        for places in self.meetings.values():
            for place in places.values():
                if place.fragment == fragment:
                    return place
        return None

    def other_of(self, sender: Any) -> Place | None:
        """The other one in the meeting of two to which the person at this address belongs."""
        for places in self.meetings.values():
            here = [place for place in places.values() if place.way and place.way[1] == sender]
            others = [place for place in places.values() if place not in here]
            if here and len(others) == 1:
                return others[0]
        return None


# The address for audio and video


class Media(asyncio.DatagramProtocol):
    """Answers binding requests of STUN from whoever knows the password of a place.

    Who did that is known by their address, and heard by the other one of their meeting.
    """

    def __init__(self, bridge: Bridge) -> None:
        """Wait for packets."""
        self._bridge = bridge

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note where answers go."""
        # Which does not say that it is one, before Python 3.12
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Answer one packet, hand it on, or be silent."""
        # By its first byte, RFC 7983
        if data and data[0] > 3:
            other = self._bridge.other_of(addr)
            if other and other.way:
                transport, receiver = other.way
                transport.sendto(data, receiver)
        elif answer := self._answer(data, addr):
            self._transport.sendto(answer, addr)

    def _answer(self, data: bytes, sender: Any) -> bytes:
        if len(data) < 20:
            return b""
        kind, length, cookie = struct.unpack_from("!HHI", data)
        if kind != BINDING or cookie != COOKIE or length + 20 != len(data):
            return b""
        transaction, position = data[8:20], 20
        attributes: dict[int, tuple[int, bytes]] = {}
        while position + 4 <= len(data):
            name, size = struct.unpack_from("!HH", data, position)
            attributes.setdefault(name, (position, data[position + 4 : position + 4 + size]))
            position += 4 + size + -size % 4
        if USERNAME not in attributes or INTEGRITY not in attributes:
            return b""
        fragment = attributes[USERNAME][1].decode("utf-8", "replace").partition(":")[0]
        place = self._bridge.place_of(fragment)
        if place is None:
            return b""
        key = place.password.encode()
        where, said = attributes[INTEGRITY]
        # The length counts up to the end of the attribute itself (RFC 8489, section 14.5)
        signed = data[:2] + struct.pack("!H", where + 24 - 20) + data[4:where]
        if not hmac.compare_digest(hmac.new(key, signed, hashlib.sha1).digest(), said):
            return b""
        place.way = (self._transport, sender)
        address = ipaddress.ip_address(sender[0].partition("%")[0])
        packed = (getattr(address, "ipv4_mapped", None) or address).packed
        mask = struct.pack("!I", COOKIE) + transaction
        body = struct.pack("!BBH", 0, 1 if len(packed) == 4 else 2, sender[1] ^ (COOKIE >> 16))
        body += bytes(one ^ other for one, other in zip(packed, mask, strict=False))
        message = struct.pack("!HHI", BINDING_SUCCESS, 0, COOKIE) + transaction
        message += struct.pack("!HH", XOR_MAPPED_ADDRESS, len(body)) + body
        message = _with_length(message, 24)
        digest = hmac.new(key, message, hashlib.sha1).digest()
        message += struct.pack("!HH", INTEGRITY, len(digest)) + digest
        message = _with_length(message, 8)
        checksum = zlib.crc32(message) ^ 0x5354554E
        return message + struct.pack("!HHI", FINGERPRINT, 4, checksum)


def _with_length(message: bytes, more: int) -> bytes:
    """The message with the length that it has once ``more`` bytes are behind it."""
    return message[:2] + struct.pack("!H", len(message) - 20 + more) + message[4:]


# HTTP


Head = tuple[str, str, dict[str, str]]  # method, target, headers in small letters


async def _read_head(reader: asyncio.StreamReader) -> Head:
    method, target, _ = (await reader.readline()).decode("latin-1").split()
    headers = {}
    while line := (await reader.readline()).decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return method, target, headers


def _response(status: str, body: str = "", kind: str = "text/plain") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n{body}".encode()


class PrivateHttp:
    """Health, metrics and drain, for this host alone."""

    def __init__(self, bridge: Bridge) -> None:
        """Answer for this bridge."""
        self._bridge = bridge

    def _answer(self, method: str, path: str) -> bytes:
        bridge = self._bridge
        if (method, path) == ("GET", "/about/health"):
            if bridge.is_healthy:
                return _response("200 OK", "", "application/json")
            return _response("500 Internal Server Error", "No valid IP addresses")
        if (method, path) == ("GET", "/metrics"):
            people = sum(len(places) for places in bridge.meetings.values())
            lines = [
                "# TYPE jitsi_jvb_local_endpoints gauge",
                f"jitsi_jvb_local_endpoints {people}.0",
                f"jitsi_jvb_conferences {len(bridge.meetings)}.0",
                f"jitsi_jvb_drain_mode {float(bridge.drains)}",
            ]
            return _response("200 OK", "\n".join(lines) + "\n")
        if (method, path) == ("GET", "/colibri/drain"):
            answer = json.dumps({"drain": bridge.drains})
            return _response("200 OK", answer, "application/json")
        if method == "POST" and path in ("/colibri/drain/enable", "/colibri/drain/disable"):
            bridge.drains = path.endswith("enable")
            bridge.show()
            return _response("200 OK")
        return _response("404 Not Found")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        try:
            method, target, _ = await _read_head(reader)
            writer.write(self._answer(method, urlsplit(target).path))
            await writer.drain()
        except (OSError, ValueError) as error:
            log.info("A request was none: %s", error)
        finally:
            writer.close()


class Channels:
    """WebSockets to the people of meetings (RFC 6455), of which each message is small."""

    def __init__(self, bridge: Bridge) -> None:
        """Take channels to the places of this bridge."""
        self._bridge = bridge

    def _refusal(self, target: str) -> str:
        """Status for who has no place here, empty for who has."""
        parts = urlsplit(target)
        names = parts.path.split("/")
        if len(names) != 5 or names[1] != "colibri-ws":
            return "404 Not Found"
        if names[2] != self._bridge.settings.websockets["server-id"]:
            return "404 Not Found"
        place = self._bridge.meetings.get(names[3], {}).get(names[4])
        password = parse_qs(parts.query).get("pwd", [""])[0]
        if not password:  # the real one meets an error of its own
            return "500 Internal Server Error"
        if place is None or not hmac.compare_digest(place.channel_password, password):
            return "403 Forbidden"
        return ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Open one channel and answer what is said there."""
        try:
            method, target, headers = await _read_head(reader)
            key = headers.get("sec-websocket-key", "")
            if method != "GET" or headers.get("upgrade", "").lower() != "websocket" or not key:
                writer.write(_response("405 Method Not Allowed"))
            elif refusal := self._refusal(target):
                writer.write(_response(refusal))
            else:
                digest = hashlib.sha1(key.encode() + WEBSOCKET_KEY)  # noqa: S324 — of the protocol
                accepted = base64.b64encode(digest.digest()).decode()
                head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                head += f"Connection: Upgrade\r\nSec-WebSocket-Accept: {accepted}\r\n\r\n"
                writer.write(head.encode())
                await self._talk(reader, writer)
            await writer.drain()
        except (OSError, ValueError, asyncio.IncompleteReadError) as error:
            log.info("A channel ended: %s", error)
        finally:
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            first, second = await reader.readexactly(2)
            kind, length = first & 0x0F, second & 0x7F
            if length == 126:
                [length] = struct.unpack("!H", await reader.readexactly(2))
            elif length == 127:
                raise ValueError("a message of more than 65535 bytes")
            mask = await reader.readexactly(4) if second & 0x80 else bytes(4)
            payload = await reader.readexactly(length)
            payload = bytes(each ^ mask[index % 4] for index, each in enumerate(payload))
            if kind == CLOSE:
                writer.write(bytes([0x80 | CLOSE, 0]))
                return
            if kind == PING:
                writer.write(bytes([0x80 | PONG, len(payload) & 0x7F]) + payload[:125])
            elif kind == TEXT and json.loads(payload).get("colibriClass") == "ClientHello":
                answer = json.dumps({"colibriClass": "ServerHello"}).encode()
                writer.write(bytes([0x80 | TEXT, len(answer)]) + answer)
            await writer.drain()


def _serving(place: dict[str, Any]) -> ssl.SSLContext:
    """Serve with the only key of a store (PKCS #12), as the real one does."""
    argv = ["openssl", "pkcs12", "-in", place["key-store-path"], "-nodes", "-passin", "stdin"]
    word = place["key-store-password"].encode()
    done = subprocess.run(argv, check=True, capture_output=True, input=word)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
        file.write(done.stdout)
        file.flush()
        context.load_cert_chain(file.name)
    return context


async def main() -> None:
    """Run until the process is ended."""
    logging.basicConfig(
        stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s: %(message)s"
    )
    logging.getLogger("slixmpp").setLevel(logging.WARNING)
    bridge = Bridge(Settings.read(sys.argv[1]))
    loop = asyncio.get_running_loop()
    where = ("0.0.0.0", bridge.settings.port)  # noqa: S104 — everybody's packets are for it
    await loop.create_datagram_endpoint(lambda: Media(bridge), local_addr=where)
    if any(":" in address for address in bridge.addresses):
        where = ("::", bridge.settings.port)
        await loop.create_datagram_endpoint(lambda: Media(bridge), local_addr=where)
    servers: list[tuple[dict[str, Any], PrivateHttp | Channels]] = [
        (bridge.settings.private, PrivateHttp(bridge)),
        (bridge.settings.public, Channels(bridge)),
    ]
    for place, service in servers:
        port, tls = place["port"], None
        if "key-store-path" in place:
            port, tls = place["tls-port"], _serving(place)
        if port > 0:
            server = await asyncio.start_server(service.serve, place["host"], port, ssl=tls)
            await server.start_serving()
    bridge.connect()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
