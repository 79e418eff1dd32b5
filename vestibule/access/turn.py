"""A client of TURN that asks for a relay and for ways out of it, and sends nothing through it."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Self

from . import stun
from .transports import Door
from .xmpp import Broken, NoAnswer, Refused, Stage

UNAUTHORIZED, STALE_NONCE = 401, 438
_RESENT = 0.5  # seconds after which a datagram without an answer is sent again (RFC 8489, 6.2.1)
_CHALLENGES = 2  # for credentials, and for a nonce that is not an old one
_LIFETIME = 60  # seconds for which a relay is asked that somebody gives back at once

_DISCARD = 9  # a port that nobody listens on; permissions are for hosts

UDP, TLS = "udp", "tcp"  # as XEP-0215 calls the transports


@dataclass(frozen=True)
class Credentials:
    """What opens a relay."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Service:
    """A server that people are told of (XEP-0215)."""

    kind: str
    transport: str
    host: str
    port: int
    credentials: Credentials | None


class Way(ABC):
    """How messages get to a server and back."""

    @classmethod
    @abstractmethod
    async def connect(cls, door: Door, port: int) -> Self:
        """Open it. Raises Broken."""

    @abstractmethod
    async def exchange(self, request: bytes) -> bytes:
        """The answer to a request. Raises Broken."""

    @abstractmethod
    async def close(self) -> None:
        """Close it. Never raises."""


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.arrived: asyncio.Queue[bytes | OSError] = asyncio.Queue()

    def datagram_received(self, data: bytes, _: object) -> None:
        self.arrived.put_nowait(data)

    def error_received(self, exc: Exception) -> None:
        self.arrived.put_nowait(exc if isinstance(exc, OSError) else OSError(str(exc)))


class UdpWay(Way):
    """Datagrams."""

    def __init__(self, transport: asyncio.DatagramTransport, protocol: _Datagrams) -> None:
        self._transport, self._protocol = transport, protocol

    @classmethod
    async def connect(cls, door: Door, port: int) -> Self:
        """Nothing is sent yet."""
        try:
            transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
                _Datagrams, remote_addr=(door.address, port)
            )
        except OSError as error:
            raise Broken(error.strerror or type(error).__name__) from None
        return cls(transport, protocol)

    async def exchange(self, request: bytes) -> bytes:
        """Send, again and again, until something with the same transaction comes."""
        while True:
            self._transport.sendto(request)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RESENT):
                    while True:
                        answer = await self._protocol.arrived.get()
                        if isinstance(answer, OSError):
                            raise Broken(answer.strerror or type(answer).__name__)
                        if answer[8 : stun.HEADER] == request[8 : stun.HEADER]:
                            return answer

    async def close(self) -> None:
        """Close the socket."""
        self._transport.close()


class TlsWay(Way):
    """A stream, for which the certificate has to be one that the door's visitors trust."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def connect(cls, door: Door, port: int) -> Self:
        """Connect by TCP and TLS."""
        try:
            reader, writer = await asyncio.open_connection(
                door.address, port, ssl=door.trust, server_hostname=door.domain
            )
        except ssl.SSLError as error:
            raise Broken(f"TLS: {error.reason or type(error).__name__}") from None
        except OSError as error:
            raise Broken(error.strerror or type(error).__name__) from None
        return cls(reader, writer)

    async def exchange(self, request: bytes) -> bytes:
        """Send, and read one message."""
        try:
            self._writer.write(request)
            await self._writer.drain()
            head = await self._reader.readexactly(stun.HEADER)
            return head + await self._reader.readexactly(stun.body_length(head))
        except stun.NotStunError as error:
            raise Broken(f"no STUN: {error}") from None
        except (OSError, EOFError) as error:
            raise Broken(f"the TURN server hung up ({type(error).__name__})") from None

    async def close(self) -> None:
        """End the connection."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


WAYS: dict[str, type[Way]] = {UDP: UdpWay, TLS: TlsWay}


class TurnClient:
    """One conversation with a TURN server."""

    def __init__(self, way: Way, patience: float, credentials: Credentials | None) -> None:
        self._way, self._patience, self._credentials = way, patience, credentials
        self._challenge: dict[int, bytes] = {}
        self._key = b""

    async def ask(
        self, method: int, attributes: dict[int, bytes], peer: stun.Address | None = None
    ) -> stun.Message:
        """The server's success, after its questions for credentials.

        Raises Refused with the code as the condition, Broken on what is no answer.
        """
        answer = await self._once(method, attributes, peer)
        for _ in range(_CHALLENGES):
            code, _reason = answer.error if answer.kind == stun.ERROR else (0, "")
            asked = (code == UNAUTHORIZED and not self._key) or code == STALE_NONCE
            if not (asked and self._credentials and self._take_up(answer, self._credentials)):
                break
            answer = await self._once(method, attributes, peer)
        if answer.kind == stun.ERROR:
            code, reason = answer.error
            raise Refused(Stage.TURN, str(code), reason)
        return answer

    def _take_up(self, answer: stun.Message, credentials: Credentials) -> bool:
        realm = answer.text(stun.REALM)
        self._challenge = {
            stun.USERNAME: credentials.username.encode(),
            stun.REALM: realm.encode(),
            stun.NONCE: answer.attributes.get(stun.NONCE, b""),
        }
        self._key = stun.long_term_key(credentials.username, realm, credentials.password)
        return bool(realm)

    async def _once(
        self, method: int, attributes: dict[int, bytes], peer: stun.Address | None
    ) -> stun.Message:
        transaction = stun.fresh_transaction()
        attributes = {**attributes, **self._challenge}
        if peer:
            attributes[stun.XOR_PEER_ADDRESS] = stun.encode_address(peer, transaction)
        request = stun.Message(method, stun.REQUEST, transaction, attributes)
        try:
            async with asyncio.timeout(self._patience):
                data = await self._way.exchange(stun.encode(request, self._key))
        except TimeoutError:
            raise NoAnswer("the TURN server's answer", self._patience) from None
        try:
            answer = stun.decode(data)
        except stun.NotStunError as error:
            raise Broken(f"no STUN: {error}") from None
        if (answer.method, answer.transaction) != (method, request.transaction):
            raise Broken("the answer to another request")
        # Otherwise anybody on the way could grant what the server refuses
        if answer.kind == stun.SUCCESS and self._key and not stun.is_signed(data, self._key):
            raise Broken("an answer that is not signed")
        return answer

    async def allocate(self) -> stun.Address:
        """Have a relay, and say where it is."""
        answer = await self.ask(
            stun.ALLOCATE,
            {
                stun.REQUESTED_TRANSPORT: bytes([stun.UDP, 0, 0, 0]),
                stun.LIFETIME: _LIFETIME.to_bytes(4),
            },
        )
        try:
            return answer.address(stun.XOR_RELAYED_ADDRESS)
        except stun.NotStunError:
            raise Broken("a relay without an address") from None

    async def permit(self, peer: str) -> None:
        """Ask for a way from the relay to the host ``peer``."""
        await self.ask(stun.CREATE_PERMISSION, {}, (ipaddress.ip_address(peer), _DISCARD))

    async def give_back(self) -> None:
        """Give the relay back."""
        await self.ask(stun.REFRESH, {stun.LIFETIME: bytes(4)})


@contextlib.asynccontextmanager
async def talk(
    door: Door, transport: str, port: int, patience: float, credentials: Credentials | None
) -> AsyncIterator[TurnClient]:
    """A conversation with the TURN server behind this port of the door."""
    try:
        async with asyncio.timeout(patience):
            way = await WAYS[transport].connect(door, port)
    except TimeoutError:
        raise NoAnswer("the connection", patience) from None
    try:
        yield TurnClient(way, patience, credentials)
    finally:
        await way.close()
