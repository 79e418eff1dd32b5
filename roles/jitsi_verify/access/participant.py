"""One person at the door: logs in, asks Jicofo for a room, joins it, and asks questions."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import xml.etree.ElementTree as ET
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TypeVar

from .transports import Door, Transport
from .xmpp import (
    BIND,
    CLIENT,
    DISCO_INFO,
    FOCUS,
    MUC,
    MUC_USER,
    PING,
    SASL,
    STANZA_ERRORS,
    STREAMS,
    AccessError,
    NoAnswer,
    Refused,
    Room,
    Stage,
    element,
    qualified,
    refusal,
    stanza_refusal,
    text,
)

FEATURES = qualified(STREAMS, "features")
SUCCESS = qualified(SASL, "success")
FAILURE = qualified(SASL, "failure")
CHALLENGE = qualified(SASL, "challenge")
IQ = qualified(CLIENT, "iq")
PRESENCE = qualified(CLIENT, "presence")

SELF_PRESENCE = "110"  # status code of one's own presence, XEP-0045
FOCUS_NICK = "focus"

_RESOURCE_LENGTH = 8  # characters of the user's name that Jitsi's clients take as nick
_FOCUS_RETRY = 0.25  # seconds
_MAX_UNREAD = 1000  # stanzas

Predicate = Callable[[ET.Element], bool]
_Answer = TypeVar("_Answer")


class Participant:
    """A client of the server.

    Waits on what the server says and never on time alone. ``patience`` is how long it waits for
    one answer, in seconds. Every method raises Refused, NoAnswer or Broken.
    """

    def __init__(self, transport: Transport, domain: str, patience: float) -> None:
        self.jid = ""
        self._transport = transport
        self._domain = domain
        self._patience = patience
        self._ids = itertools.count(1)
        self._unread: deque[ET.Element] = deque(maxlen=_MAX_UNREAD)
        self._waiting: list[tuple[Predicate, asyncio.Future[ET.Element]]] = []
        self._ended: AccessError | None = None
        self._affiliations: dict[Room, str] = {}  # as of the last join or presence of one's own

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(
        cls,
        kind: type[Transport],
        door: Door,
        patience: float,
        query: Mapping[str, str],
        headers: Mapping[str, str],
    ) -> AsyncIterator[Participant]:
        """Somebody who has reached the server and has not said who they are. Leaves at the end."""
        try:
            async with asyncio.timeout(patience):
                transport = await kind.connect(door, query, headers)
        except TimeoutError:
            raise NoAnswer("the connection", patience) from None
        participant = cls(transport, door.domain, patience)
        reader = asyncio.create_task(participant._read())
        try:
            yield participant
        finally:
            reader.cancel()
            await transport.close()

    @property
    def nick(self) -> str:
        """The nick that Jitsi's clients choose."""
        return self.jid[:_RESOURCE_LENGTH]

    async def open(self, host: str) -> frozenset[str]:
        """Open the stream to ``host`` and return the SASL mechanisms it offers."""
        await self._in_time(self._transport.open(host), "the stream")
        features = await self.wait_for(_is(FEATURES), "stream features")
        return frozenset(
            mechanism.text or "" for mechanism in features.iter(qualified(SASL, "mechanism"))
        )

    async def authenticate(self, mechanism: str, initial: str = "") -> ET.Element:
        """Try to log in. Returns ``<success/>`` or a ``<challenge/>``."""
        await self.send(element("auth", {"xmlns": SASL, "mechanism": mechanism}, text(initial)))
        answer = await self.wait_for(_is(SUCCESS, FAILURE, CHALLENGE), "the answer to the login")
        if answer.tag == FAILURE:
            raise refusal(Stage.LOGIN, answer, SASL)
        return answer

    async def bind(self, host: str) -> None:
        """Restart the stream after a login and become addressable at ``host``."""
        await self._in_time(self._transport.restart(host), "the stream")
        await self.wait_for(_is(FEATURES), "stream features after the login")
        answer = await self.request("set", "", element("bind", {"xmlns": BIND}))
        self.jid = answer.findtext(f"{qualified(BIND, 'bind')}/{qualified(BIND, 'jid')}", "")

    async def login(self) -> None:
        """Log in on the main domain, where the URL's token stands for a password."""
        mechanisms = await self.open(self._domain)
        if "ANONYMOUS" not in mechanisms:
            raise Refused(Stage.STREAM, "no-mechanism", "the host offers no login with a token")
        await self.authenticate("ANONYMOUS")
        await self.bind(self._domain)

    async def send(self, stanza: str) -> None:
        """Send one element."""
        await self._in_time(self._transport.send(stanza), "the connection")

    async def request(
        self, kind: str, to: str, payload: str, stage: Stage = Stage.REQUEST
    ) -> ET.Element:
        """Send an iq of type ``kind`` (get or set), to the own server where ``to`` is empty."""
        identifier = f"{kind}-{next(self._ids)}"
        address = {"to": to} if to else {}
        await self.send(
            element("iq", {"xmlns": CLIENT, "type": kind, "id": identifier, **address}, payload)
        )
        answer = await self.wait_for(
            lambda stanza: (
                stanza.tag == IQ
                and stanza.get("id") == identifier
                and stanza.get("type") in ("result", "error")
            ),
            "the answer to a request",
        )
        if answer.get("type") == "error":
            raise stanza_refusal(stage, answer)
        return answer

    async def request_conference(self, room: Room) -> None:
        """Ask Jicofo to open ``room``, and return when it is ready."""
        invitation = element(
            "conference",
            {"xmlns": FOCUS, "room": room.address, "machine-uid": secrets.token_hex(16)},
        )
        try:
            async with asyncio.timeout(self._patience):
                while True:
                    answer = await self.request(
                        "set", f"focus.{self._domain}", invitation, Stage.FOCUS
                    )
                    conference = answer.find(qualified(FOCUS, "conference"))
                    if conference is not None and conference.get("ready") == "true":
                        return
                    await asyncio.sleep(_FOCUS_RETRY)
        except TimeoutError:
            raise NoAnswer("a room from Jicofo", self._patience) from None

    async def join(self, room: Room, nick: str = "", address: str = "") -> None:
        """Join ``room`` as ``nick``, by ``address`` where that is not the usual one."""
        nick = nick or self.nick
        await self._announce(address or room.address, nick, element("x", {"xmlns": MUC}))
        await self._admitted(room, nick)

    async def show_presence(self, room: Room, nick: str) -> None:
        """Update the presence in a room joined before. Another nick asks for a change of nick."""
        await self._announce(room.address, nick)
        await self._admitted(room, nick)

    async def try_to_join(self, room: str) -> bool:
        """Whether a join of the room at this address is answered with one's own presence.

        For rooms whose server may drop a join without a word. Prosody handles the stanzas of one
        stream in their order, so once it answers a later request, nothing more will come.
        """
        await self._announce(room, self.nick, element("x", {"xmlns": MUC}))
        with contextlib.suppress(Refused):
            await self.request("get", self._domain, element("ping", {"xmlns": PING}))
        answers = [
            stanza
            for stanza in self._unread
            if stanza.tag == PRESENCE and stanza.get("from", "").startswith(f"{room.lower()}/")
        ]
        for answer in answers:
            if answer.get("type") == "error":
                raise stanza_refusal(Stage.JOIN, answer)
        return bool(answers)

    async def sees(self, address: str) -> bool:
        """Whether there is anything at this address, as far as the server tells."""
        try:
            await self.request("get", address, element("query", {"xmlns": DISCO_INFO}))
        except Refused as refused:
            return refused.condition != "item-not-found"
        return True

    async def wait_for_affiliation(self, room: Room, affiliation: str) -> None:
        """Wait until ``room`` has told this participant of an affiliation with it."""
        if self._affiliations.get(room) == affiliation:
            return
        await self.wait_for(
            lambda stanza: (
                _is_own_presence(stanza, room, self.nick) and _affiliation(stanza) == affiliation
            ),
            f"the affiliation {affiliation}",
        )

    async def wait_for_occupant(self, room: Room, nick: str) -> None:
        """Wait until somebody with ``nick`` is in ``room``."""
        await self.wait_for(
            lambda stanza: (
                stanza.tag == PRESENCE
                and stanza.get("type") is None
                and room.sent(stanza)
                and stanza.get("from", "").endswith(f"/{nick}")
            ),
            f"the occupant {nick}",
        )

    async def wait_for(self, predicate: Predicate, awaited: str) -> ET.Element:
        """The first stanza not read so far that fits. ``awaited`` names it in an error."""
        for stanza in self._unread:
            if predicate(stanza):
                self._unread.remove(stanza)
                return stanza
        if self._ended:
            raise self._ended
        arrival: asyncio.Future[ET.Element] = asyncio.get_running_loop().create_future()
        self._waiting.append((predicate, arrival))
        return await self._in_time(arrival, awaited)

    async def _announce(self, room: str, nick: str, *children: str) -> None:
        await self.send(element("presence", {"xmlns": CLIENT, "to": f"{room}/{nick}"}, *children))

    async def _admitted(self, room: Room, nick: str) -> None:
        answer = await self.wait_for(
            lambda stanza: (
                _is_own_presence(stanza, room, nick)
                or (stanza.tag == PRESENCE and stanza.get("type") == "error" and room.sent(stanza))
            ),
            "the room's answer",
        )
        if answer.get("type") == "error":
            raise stanza_refusal(Stage.JOIN, answer)
        self._affiliations[room] = _affiliation(answer)

    async def _in_time(self, answer: Awaitable[_Answer], awaited: str) -> _Answer:
        try:
            async with asyncio.timeout(self._patience):
                return await answer
        except TimeoutError:
            raise NoAnswer(awaited, self._patience) from None

    async def _read(self) -> None:
        """Hand every stanza to whoever waits for it, or keep it for somebody who will."""
        try:
            while True:
                stanza = await self._transport.receive()
                if _is_question(stanza):
                    await self._transport.send(_not_implemented(stanza))
                elif not self._hand_over(stanza):
                    self._unread.append(stanza)
        except AccessError as error:
            self._ended = error
            for _, arrival in self._waiting:
                if not arrival.done():
                    arrival.set_exception(error)

    def _hand_over(self, stanza: ET.Element) -> bool:
        self._waiting = [entry for entry in self._waiting if not entry[1].done()]
        for predicate, arrival in self._waiting:
            if predicate(stanza):
                arrival.set_result(stanza)
                return True
        return False


def _is(*names: str) -> Predicate:
    return lambda stanza: stanza.tag in names


def _is_question(stanza: ET.Element) -> bool:
    return stanza.tag == IQ and stanza.get("type") in ("get", "set")


def _not_implemented(question: ET.Element) -> str:
    """The answer that every iq must get (RFC 6120, section 8.2.3)."""
    return element(
        "iq",
        {
            "xmlns": CLIENT,
            "type": "error",
            "id": question.get("id", ""),
            "to": question.get("from", ""),
        },
        element(
            "error",
            {"type": "cancel"},
            element("feature-not-implemented", {"xmlns": STANZA_ERRORS}),
        ),
    )


def _is_own_presence(stanza: ET.Element, room: Room, nick: str) -> bool:
    return (
        stanza.tag == PRESENCE
        and stanza.get("type") is None
        and room.sent(stanza)
        and stanza.get("from", "").endswith(f"/{nick}")
        and any(
            status.get("code") == SELF_PRESENCE
            for status in stanza.iter(qualified(MUC_USER, "status"))
        )
    )


def _affiliation(presence: ET.Element) -> str:
    item = presence.find(f"{qualified(MUC_USER, 'x')}/{qualified(MUC_USER, 'item')}")
    return item.get("affiliation", "none") if item is not None else "none"
