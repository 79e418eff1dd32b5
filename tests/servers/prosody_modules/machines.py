"""Bots that do what recorders and gateways do without media: log in, wait for orders, enter rooms.

They log in over TCP with STARTTLS on Prosody's own port, through a tunnel to the server, or like
the browser of a recorder through the front door.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from vestibule.access.participant import FEATURES, SUCCESS, Participant
from vestibule.access.scene import Entrance
from vestibule.access.transports import STREAM_ERROR, Door, Transport, WebSocketTransport
from vestibule.access.xmpp import (
    CLIENT,
    STREAM_ERRORS,
    STREAMS,
    Broken,
    Room,
    Stage,
    element,
    qualified,
    refusal,
)

TLS = "urn:ietf:params:xml:ns:xmpp-tls"
JIBRI = "http://jitsi.org/protocol/jibri"
HEALTH = "http://jitsi.org/protocol/health"
COLIBRI = "http://jitsi.org/protocol/colibri"
RAYO = "urn:xmpp:rayo:1"


class TcpTransport(Transport):
    """XMPP over TCP (RFC 6120), encrypted before anything is said."""

    name = "tcp"

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._parser: ET.XMLPullParser[Any] = ET.XMLPullParser(("start", "end"))
        self._depth = 0

    @classmethod
    async def connect(
        cls, door: Door, query: Mapping[str, str], headers: Mapping[str, str], path: str = ""
    ) -> Self:
        """Connect and negotiate TLS with the XMPP host named in ``query``."""
        assert not headers and not path
        self = cls(*await asyncio.open_connection(door.address, door.port))
        await self.open(query["host"])
        features = await self.receive()
        assert features.tag == FEATURES, features.tag
        if features.find(qualified(TLS, "starttls")) is None:
            raise Broken("a stream without TLS")
        await self.send(element("starttls", {"xmlns": TLS}))
        assert (await self.receive()).tag == qualified(TLS, "proceed")
        await self._writer.start_tls(door.trust, server_hostname=query["host"])
        return self

    async def open(self, to: str) -> None:
        """Send the head of the stream."""
        self._parser, self._depth = ET.XMLPullParser(("start", "end")), 0
        head = f"<stream:stream xmlns='{CLIENT}' xmlns:stream='{STREAMS}' to='{to}' version='1.0'>"
        await self.send(head)

    async def restart(self, to: str) -> None:
        """Send the head once more."""
        await self.open(to)

    async def send(self, stanza: str) -> None:
        """Send one element."""
        self._writer.write(stanza.encode())
        await self._writer.drain()

    async def receive(self) -> ET.Element:
        """Wait for the next child of the stream."""
        while True:
            for event in self._parser.read_events():
                kind, found = event[0], event[-1]
                self._depth += 1 if kind == "start" else -1
                if kind == "end" and self._depth == 1:
                    assert isinstance(found, ET.Element)
                    if found.tag == STREAM_ERROR:
                        raise refusal(Stage.STREAM, found, STREAM_ERRORS)
                    return found
            content = await self._reader.read(65536)
            if not content:
                raise Broken("the server closed the stream")
            self._parser.feed(content)

    async def close(self) -> None:
        """Close the stream, then the connection."""
        with contextlib.suppress(OSError, TimeoutError):
            await self.send("</stream:stream>")
            self._writer.close()
            async with asyncio.timeout(1):
                await self._writer.wait_closed()
        self._writer.transport.abort()


class Machine(Participant):
    """A participant who keeps the orders of Jicofo instead of declining them."""

    def __init__(self, transport: Transport, domain: str, patience: float) -> None:
        super().__init__(transport, domain, patience)
        self.orders: asyncio.Queue[ET.Element] = asyncio.Queue()

    @property
    def nick(self) -> str:
        """What a machine is called in a room: letters and digits of its resource."""
        return "".join(each for each in self.jid.partition("/")[2] if each.isalnum())[:8].lower()

    async def _answer(self, question: ET.Element) -> None:
        self.orders.put_nowait(question)

    async def next_order(self) -> ET.Element:
        """Wait for an order."""
        async with asyncio.timeout(self._patience):
            return await self.orders.get()

    async def answer(self, order: ET.Element, *payload: str) -> None:
        """Say that an order is taken."""
        address = {"to": order.get("from", ""), "id": order.get("id", "")}
        await self.send(element("iq", {"xmlns": CLIENT, "type": "result", **address}, *payload))


@dataclass(frozen=True)
class Kind:
    """A kind of machine: whose account it has, and how it says in its brewery that it is idle."""

    user: str
    host: str
    brewery: str
    secret: str
    idle: str
    busy: str


def jibri_status(busy: str) -> str:
    return element(
        "jibri-status",
        {"xmlns": JIBRI},
        element("busy-status", {"xmlns": JIBRI, "status": busy}),
        element("health-status", {"xmlns": HEALTH, "status": "healthy"}),
    )


def jigasi_stats(**stats: str) -> str:
    return element(
        "stats",
        {"xmlns": COLIBRI},
        *(
            element("stat", {"xmlns": COLIBRI, "name": name, "value": value})
            for name, value in stats.items()
        ),
    )


RECORDER = Kind(
    "recorder",
    "recorder",
    "jibribrewery",
    "recorder_password",
    idle=jibri_status("idle"),
    busy=jibri_status("busy"),
)
GATEWAY = Kind(
    "jigasi",
    "gateway",
    "jigasibrewery",
    "gateway_password",
    idle=jigasi_stats(supports_sip="true", participants="0"),
    busy=jigasi_stats(supports_sip="true", shutdown_in_progress="true"),
)
KINDS = {"recorder": RECORDER, "gateway": GATEWAY}
# One that somebody has taken over
BRIDGE = Kind("jvb", "auth", "jvbbrewery", "bridge_password", idle="", busy="")


@dataclass(frozen=True)
class Yard:
    """Where machines come in: a tunnel to Prosody's port, whom they trust, and their passwords."""

    entrance: Entrance
    port: int
    trust: ssl.SSLContext
    passwords: Mapping[str, str] = field(repr=False)

    @contextlib.asynccontextmanager
    async def login(self, kind: Kind) -> AsyncIterator[Machine]:
        """A machine that logs in over TCP."""
        door = Door(
            self.entrance.domain, "127.0.0.1", self.port, self.trust, self.entrance.door.http
        )
        query = {"host": f"{kind.host}.{self.entrance.domain}"}
        patience = self.entrance.patience
        async with Machine.connect(TcpTransport, door, patience, query, {}) as machine:
            await self.identify(machine, kind)
            yield machine

    @contextlib.asynccontextmanager
    async def browse(
        self, kind: Kind, transport: type[Transport] = WebSocketTransport, **query: str
    ) -> AsyncIterator[Machine]:
        """A machine that logs in through the front door."""
        door, patience = self.entrance.door, self.entrance.patience
        async with Machine.connect(transport, door, patience, query, {}) as machine:
            await self.identify(machine, kind)
            yield machine

    async def identify(self, machine: Machine, kind: Kind) -> None:
        """Log in with the account of that kind. Raises Refused as the server says."""
        host = f"{kind.host}.{self.entrance.domain}"
        await machine.open(host)
        initial = f"\0{kind.user}\0{self.passwords[kind.secret]}".encode()
        answer = await machine.authenticate("PLAIN", base64.b64encode(initial).decode())
        assert answer.tag == SUCCESS
        await machine.bind(host)

    @contextlib.asynccontextmanager
    async def wait_for_orders(self, kind: Kind, *, busy: bool = False) -> AsyncIterator[Machine]:
        """A machine in its brewery."""
        async with self.login(kind) as machine:
            await machine.join(self.brewery(kind), more=kind.busy if busy else kind.idle)
            yield machine

    def brewery(self, kind: Kind) -> Room:
        """Where machines of that kind meet Jicofo."""
        return Room(kind.brewery, self.entrance.domain, component="internal.auth")


@contextlib.contextmanager
def tunnel(ssh_config: str, name: str, port: int, to: int) -> Iterator[None]:
    """A way from a port of this machine to one of the server's loopback."""
    argv = ["ssh", "-F", ssh_config, "-o", "ExitOnForwardFailure=yes", "-o", "ControlPath=none"]
    argv += ["-o", "PermitLocalCommand=yes", "-o", "LocalCommand=echo ready"]
    argv += ["-N", "-L", f"127.0.0.1:{port}:127.0.0.1:{to}", name]
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stdout.readline() == "ready\n"
        try:
            yield
        finally:
            process.terminate()
