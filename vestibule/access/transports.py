"""XMPP streams over WebSocket (RFC 7395) and BOSH (XEP-0124, XEP-0206).

Both connect to an address that may differ from the server's name: SNI, certificate check and the
Host header use the name. Neither ever connects without verifying the certificate.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import ssl
import urllib.parse
import xml.etree.ElementTree as ET
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Self

import httpx
import websockets
from websockets.asyncio.client import ClientConnection

from .certificates import trusting
from .xmpp import (
    MAX_MESSAGE,
    STREAM_ERRORS,
    STREAMS,
    Broken,
    Refused,
    Stage,
    element,
    parse,
    qualified,
    refusal,
)

FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
HTTP_BIND = "http://jabber.org/protocol/httpbind"
XBOSH = "urn:xmpp:xbosh"
HTTPS = 443
HELD = 30  # seconds that a server may hold a BOSH request
HUNG_UP = "hung-up"  # condition of a refusal without an answer

STREAM_ERROR = qualified(STREAMS, "error")
_BODY = qualified(HTTP_BIND, "body")


@dataclass(frozen=True)
class Door:
    """The front door of a server: what it is called, where it is, whom to trust."""

    domain: str
    address: str
    port: int
    trust: ssl.SSLContext = field(repr=False)
    http: httpx.AsyncClient = field(repr=False)
    leaf: bytes = field(default=b"", repr=False)

    @property
    def host_header(self) -> str:
        """Value of the Host header."""
        return self.domain if self.port == HTTPS else f"{self.domain}:{self.port}"


@contextlib.asynccontextmanager
async def front_door(
    domain: str, address: str, port: int, certificate: str | None, leaf: bytes = b""
) -> AsyncIterator[Door]:
    """A door that accepts only servers with the PEM ``certificate``, or with one it signed.

    None accepts those whom browsers accept. ``leaf`` is the certificate that has to be shown, in
    DER form, where that is to be proven. Raises NoCertificate when ``certificate`` holds none.
    """
    trust = trusting(certificate)
    # Connections are kept for later sessions, as browsers do
    async with httpx.AsyncClient(verify=trust, trust_env=False, timeout=2 * HELD) as http:
        yield Door(domain, address, port, trust, http, leaf)


class Transport(ABC):
    """One stream. ``receive`` yields stanzas, stream features and SASL elements in their order."""

    name: ClassVar[str]

    @classmethod
    @abstractmethod
    async def connect(
        cls, door: Door, query: Mapping[str, str], headers: Mapping[str, str], path: str = ""
    ) -> Self:
        """A stream that is not open yet. Raises Refused on an HTTP 4xx, else Broken.

        ``path`` empty: the usual one.
        """

    @abstractmethod
    async def open(self, to: str) -> None:
        """Open the stream to the XMPP host ``to``, which may differ from the HTTP host."""

    @abstractmethod
    async def restart(self, to: str) -> None:
        """Start the stream anew, as XMPP wants it after a login (RFC 6120, section 6.4.6)."""

    @abstractmethod
    async def send(self, stanza: str) -> None:
        """Send one element."""

    @abstractmethod
    async def receive(self) -> ET.Element:
        """The next element. Raises Refused on a stream error, Broken when the stream ended."""

    @abstractmethod
    async def close(self) -> None:
        """End the stream. Never raises."""


async def dial(
    door: Door,
    target: str,
    subprotocols: Sequence[websockets.Subprotocol] | None = None,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> ClientConnection:
    """Connect by TCP, TLS and the handshake of a WebSocket at this path and query.

    Raises Refused on an HTTP 4xx, else Broken.
    """
    try:
        return await websockets.connect(
            f"wss://{door.host_header}{target}",
            host=door.address,
            port=door.port,
            server_hostname=door.domain,
            ssl=door.trust,
            subprotocols=subprotocols,
            additional_headers=headers,
            compression=None,
            proxy=None,
            open_timeout=None,
            close_timeout=1,
            ping_interval=None,
            max_size=MAX_MESSAGE,
        )
    except websockets.InvalidStatus as error:
        raise _http_error(error.response.status_code) from None
    except (OSError, websockets.WebSocketException) as error:
        raise _rejection(error) from None


class WebSocketTransport(Transport):
    """XMPP over WebSocket."""

    name = "websocket"

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    @classmethod
    async def connect(
        cls, door: Door, query: Mapping[str, str], headers: Mapping[str, str], path: str = ""
    ) -> Self:
        """Connect by TCP, TLS and the WebSocket handshake."""
        target = f"{path or '/xmpp-websocket'}?{urllib.parse.urlencode(query)}"
        connection = await dial(door, target, [websockets.Subprotocol("xmpp")], headers)
        return cls(connection)

    async def open(self, to: str) -> None:
        """Send the opening element."""
        await self.send(element("open", {"xmlns": FRAMING, "to": to, "version": "1.0"}))

    async def restart(self, to: str) -> None:
        """Send the opening element once more."""
        await self.open(to)

    async def send(self, stanza: str) -> None:
        """Send one element as one message."""
        try:
            await self._connection.send(stanza)
        except websockets.ConnectionClosed as error:
            raise _failure(error) from None

    async def receive(self) -> ET.Element:
        """Wait for a message that is not about the stream itself."""
        while True:
            try:
                received = parse(await self._connection.recv())
            except websockets.ConnectionClosed as error:
                raise _failure(error) from None
            if received.tag == STREAM_ERROR:
                raise refusal(Stage.STREAM, received, STREAM_ERRORS)
            if received.tag == qualified(FRAMING, "close"):
                raise Broken("the server closed the stream")
            if received.tag != qualified(FRAMING, "open"):
                return received

    async def close(self) -> None:
        """Close the stream, then the connection."""
        with contextlib.suppress(Broken):
            await self.send(element("close", {"xmlns": FRAMING}))
        await self._connection.close()


class BoshTransport(Transport):
    """XMPP over BOSH: at most two HTTP requests at a time, one of which the server may hold."""

    name = "bosh"

    _REQUESTS = 2
    _HOLD = 1

    def __init__(
        self, door: Door, query: Mapping[str, str], headers: Mapping[str, str], path: str
    ) -> None:
        self._door = door
        self._url = httpx.URL(
            scheme="https",
            host=door.address,
            port=door.port,
            path=path or "/http-bind",
            query=urllib.parse.urlencode(query).encode(),
        )
        self._headers = {
            **headers,
            "Host": door.host_header,
            "Content-Type": "text/xml; charset=utf-8",
        }
        self._rid = secrets.randbelow(2**32)  # XEP-0124 section 7.2: large, yet far below 2**53
        self._sid = ""
        self._received: asyncio.Queue[ET.Element | BaseException] = asyncio.Queue()
        self._ended: BaseException | None = None
        self._outgoing: list[str] = []
        self._requests: set[asyncio.Task[None]] = set()
        self._latest: asyncio.Task[None] | None = None

    @classmethod
    async def connect(
        cls, door: Door, query: Mapping[str, str], headers: Mapping[str, str], path: str = ""
    ) -> Self:
        """Only prepare: the first request opens the stream."""
        return cls(door, query, headers, path)

    async def open(self, to: str) -> None:
        """Create the session."""
        answer = await self._post(
            {
                "to": to,
                "ver": "1.6",
                "wait": str(HELD),
                "hold": str(self._HOLD),
                "xml:lang": "en",
                "xmpp:version": "1.0",
                "xmlns:xmpp": XBOSH,
            }
        )
        self._sid = answer.get("sid", "")
        if not self._sid and answer.get("type") != "terminate":
            raise Broken("the server opened a BOSH session without an identifier")
        self._deliver(answer)
        self._pump()

    async def restart(self, to: str) -> None:
        """Ask for a restart of the stream (XEP-0206, section 5)."""
        self._start_request({"to": to, "xmpp:restart": "true", "xmlns:xmpp": XBOSH})

    async def send(self, stanza: str) -> None:
        """Send an element with the next request, at once where one is free."""
        if self._ended:
            raise self._ended
        self._outgoing.append(stanza)
        self._pump()

    async def receive(self) -> ET.Element:
        """Wait for what an answer brought."""
        if self._ended and self._received.empty():
            raise self._ended
        received = await self._received.get()
        if isinstance(received, BaseException):
            raise received
        return received

    async def close(self) -> None:
        """Terminate the session, which ends the held request as well."""
        if self._sid and not self._ended:
            self._start_request({"type": "terminate"})
            self._end(Broken("the stream was closed from here"))
        if self._requests:
            # The server answers the held request when the session ends
            _, late = await asyncio.wait(self._requests, timeout=1)
            for request in late:
                request.cancel()

    def _pump(self) -> None:
        """Send what waits, and always leave the server one request to answer."""
        if self._ended or len(self._requests) >= self._REQUESTS:
            return
        if self._outgoing or not self._requests:
            payload, self._outgoing = self._outgoing, []
            self._start_request({}, *payload)

    def _start_request(self, attributes: Mapping[str, str], *payload: str) -> None:
        request = asyncio.create_task(self._request(self._latest, attributes, *payload))
        self._latest = request
        self._requests.add(request)
        request.add_done_callback(self._finish_request)

    def _finish_request(self, request: asyncio.Task[None]) -> None:
        self._requests.discard(request)
        if not request.cancelled() and (error := request.exception()):
            self._end(error)
        self._pump()

    async def _request(
        self, previous: asyncio.Task[None] | None, attributes: Mapping[str, str], *payload: str
    ) -> None:
        """Post one request and deliver its answer, after that of the previous request."""
        answer = await self._post({"sid": self._sid, **attributes}, *payload)
        if previous:
            await asyncio.wait([previous])
        self._deliver(answer)

    async def _post(self, attributes: Mapping[str, str], *payload: str) -> ET.Element:
        self._rid += 1
        body = element("body", {"xmlns": HTTP_BIND, "rid": str(self._rid), **attributes}, *payload)
        try:
            async with self._door.http.stream(
                "POST",
                self._url,
                content=body.encode(),
                headers=self._headers,
                extensions={"sni_hostname": self._door.domain},
            ) as response:
                if response.status_code != httpx.codes.OK:
                    raise _http_error(response.status_code)
                content = bytearray()
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > MAX_MESSAGE:
                        break  # `parse` refuses it
        except (OSError, httpx.HTTPError) as error:
            raise _rejection(error) from None
        answer = parse(bytes(content))
        if answer.tag != _BODY:
            raise Broken("an answer without a BOSH body")
        return answer

    def _deliver(self, answer: ET.Element) -> None:
        for child in answer:
            if child.tag == STREAM_ERROR:
                self._end(refusal(Stage.STREAM, child, STREAM_ERRORS))
            else:
                self._received.put_nowait(child)
        if answer.get("type") == "terminate":
            condition = answer.get("condition")
            self._end(
                Refused(Stage.STREAM, condition)
                if condition
                else Broken("the server closed the stream")
            )

    def _end(self, reason: BaseException) -> None:
        if not self._ended:
            self._ended = reason
            self._received.put_nowait(reason)


TRANSPORTS: Mapping[str, type[Transport]] = {
    kind.name: kind for kind in (WebSocketTransport, BoshTransport)
}


def _http_error(status: int) -> Refused | Broken:
    """A 4xx is the server's refusal, any other unexpected status its failure."""
    if 400 <= status < 500:
        return Refused(Stage.HTTP, str(status))
    return Broken(f"HTTP status {status}")


def _rejection(error: Exception) -> Refused | Broken:
    """What went wrong with a request that got no answer.

    A server that hangs up on a request refuses it, if rudely: nginx does on one that is too large.
    """
    hung_up = isinstance(_cause(error), ConnectionResetError | BrokenPipeError | EOFError)
    if hung_up or isinstance(error, httpx.RemoteProtocolError):
        return Refused(Stage.HTTP, HUNG_UP)
    return _failure(error)


def _failure(error: Exception) -> Broken:
    """What went wrong, without the URL that holds the token."""
    cause = _cause(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Broken(f"TLS: {cause.verify_message}")
    if isinstance(cause, OSError) and cause.strerror:
        return Broken(cause.strerror)
    return Broken(type(cause).__name__)


def _cause(error: BaseException) -> BaseException:
    while deeper := error.__cause__ or error.__context__:
        error = deeper
    return error
