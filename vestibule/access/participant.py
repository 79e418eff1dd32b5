"""One person at the door: logs in, asks Jicofo for a room, joins it, and asks questions."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import xml.etree.ElementTree as ET
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Self, TypeVar

from .media import Place, is_offer, place_in
from .transports import Door, Transport
from .xmpp import (
    BIND,
    CLIENT,
    DISCO_INFO,
    FOCUS,
    MUC,
    MUC_USER,
    NICK,
    PING,
    SASL,
    SMACKS,
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
MESSAGE = qualified(CLIENT, "message")
PRESENCE = qualified(CLIENT, "presence")

SELF_PRESENCE = "110"  # status code of one's own presence, XEP-0045
FOCUS_NICK = "focus"

_NO_BRIDGE = qualified(FOCUS, "bridgeNotAvailable")
_RESOURCE_LENGTH = 8  # characters of the user's name that Jitsi's clients take as nick
_FOCUS_RETRY = 0.25  # seconds
_MAX_UNREAD = 1000  # stanzas


@dataclass(frozen=True)
class Standing:
    """What a room makes of somebody (XEP-0045, section 5)."""

    role: str
    affiliation: str

    @property
    def moderates(self) -> bool:
        """Whether they may throw people out."""
        return self.role == "moderator" or self.affiliation in ("owner", "admin")


@dataclass(frozen=True)
class Departure:
    """How somebody came to leave a room, by the status codes of XEP-0045, section 15.6.2."""

    codes: frozenset[str]
    destroyed: bool  # the whole room is gone
    moved_to: str  # address of the room to enter instead, if the room named one


Predicate = Callable[[ET.Element], bool]
_Answer = TypeVar("_Answer")


class Participant:
    """A client of the server.

    Waits on what the server says and never on time alone. ``patience`` is how long it waits for
    one answer, in seconds. Every method raises Refused, NoAnswer or Broken.
    """

    def __init__(self, transport: Transport, domain: str, patience: float) -> None:
        self.jid = ""
        self.stream = ""  # what names a resumable stream (XEP-0198, section 3)
        self._transport = transport
        self._domain = domain
        self._patience = patience
        self._ids = itertools.count(1)
        self._unread: deque[ET.Element] = deque(maxlen=_MAX_UNREAD)
        self._waiting: list[tuple[Predicate, asyncio.Future[ET.Element]]] = []
        self._ended: AccessError | None = None
        self._standings: dict[str, Standing] = {}  # by the room's address, as of what arrived last
        self._places: dict[str, Place] = {}  # likewise

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(
        cls,
        kind: type[Transport],
        door: Door,
        patience: float,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        path: str = "",
    ) -> AsyncIterator[Self]:
        """Somebody who has reached the server and has not said who they are. Leaves at the end."""
        try:
            async with asyncio.timeout(patience):
                transport = await kind.connect(door, query, headers, path)
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

    async def authenticate(
        self, mechanism: str, initial: str = "", **attributes: str
    ) -> ET.Element:
        """Try to log in. Returns ``<success/>`` or a ``<challenge/>``.

        ``attributes`` are others of the element, which has no more than its mechanism (RFC 6120,
        section 6.4.2).
        """
        attributes = {"xmlns": SASL, "mechanism": mechanism, **attributes}
        await self.send(element("auth", attributes, text(initial)))
        answer = await self.wait_for(_is(SUCCESS, FAILURE, CHALLENGE), "the answer to the login")
        if answer.tag == FAILURE:
            raise refusal(Stage.LOGIN, answer, SASL)
        return answer

    async def ask_for_smacks(self, request: str) -> ET.Element:
        """Enable stream management or resume a stream (XEP-0198), and return what that brought."""
        await self.send(request)
        answers = [qualified(SMACKS, name) for name in ("enabled", "resumed", "failed")]
        answer = await self.wait_for(_is(*answers), "the answer to stream management")
        if answer.tag == answers[-1]:
            raise refusal(Stage.REQUEST, answer, STANZA_ERRORS)
        self.stream = answer.get("id", "")
        return answer

    async def bind(self, host: str) -> None:
        """Restart the stream after a login and become addressable at ``host``."""
        await self._in_time(self._transport.restart(host), "the stream")
        await self.wait_for(_is(FEATURES), "stream features after the login")
        answer = await self.request("set", "", element("bind", {"xmlns": BIND}))
        self.jid = answer.findtext(f"{qualified(BIND, 'bind')}/{qualified(BIND, 'jid')}", "")

    async def login(self, host: str = "") -> None:
        """Log in on ``host``, or on the main domain, where the URL's token is the password."""
        host = host or self._domain
        mechanisms = await self.open(host)
        if "ANONYMOUS" not in mechanisms:
            raise Refused(Stage.STREAM, "no-mechanism", "the host offers no login with a token")
        await self.authenticate("ANONYMOUS")
        await self.bind(host)

    async def resume(self, previous: Participant, heard: int = 0) -> None:
        """Log in and take up the stream of ``previous``, as its client would (XEP-0198).

        ``heard`` is the number of stanzas that it says to have had.
        """
        await self.open(self._domain)
        await self.authenticate("ANONYMOUS")
        await self._in_time(self._transport.restart(self._domain), "the stream")
        await self.wait_for(_is(FEATURES), "stream features after the login")
        # What the rooms say follows the answer at once
        self.jid, self._standings = previous.jid, dict(previous._standings)
        old = {"xmlns": SMACKS, "previd": previous.stream, "h": str(heard)}
        await self.ask_for_smacks(element("resume", old))
        self.stream = previous.stream

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

    async def join(
        self,
        room: Room,
        nick: str = "",
        address: str = "",
        *,
        named: bool = True,
        password: str = "",
        more: str = "",
    ) -> None:
        """Join ``room`` as ``nick``, by ``address`` where that is not the usual one.

        ``more`` is XML that the presence carries as well.
        """
        nick = nick or self.nick
        secret = [element("password", None, text(password))] if password else []
        name = element("nick", {"xmlns": NICK}, "Access case")  # the lobby asks for it
        await self._announce(
            address or room.address,
            nick,
            element("x", {"xmlns": MUC}, *secret),
            *([name] if named else []),
            more,
        )
        await self._admitted(room, nick)

    async def show_presence(self, room: Room, nick: str) -> None:
        """Update the presence in a room joined before. Another nick asks for a change of nick."""
        await self._announce(room.address, nick)
        await self._admitted(room, nick)

    async def leave(self, room: Room) -> None:
        """Leave a room joined before, and return when the room has noticed."""
        address = f"{room.address}/{self.nick}"
        await self.send(
            element("presence", {"xmlns": CLIENT, "to": address, "type": "unavailable"})
        )
        await self.wait_for_departure(room)

    async def wait_in_lobby(self, room: Room) -> Refused:
        """Try to join ``room``, and go where its refusal says that people wait.

        Returns that refusal. Raises Refused where it names no lobby, and when ``room`` lets in.
        """
        try:
            await self.join(room)
        except Refused as refused:
            lobby = refused.details.get("lobbyroom")
            if not lobby:
                raise
            await self.join(room.lobby, address=lobby)
            return refused
        raise Refused(Stage.JOIN, "not-held", "the room lets in at once")

    async def invite(self, room: Room, somebody: str) -> None:
        """Send ``somebody``, a full JID, an invitation through ``room`` (XEP-0045, section 7.8.2).

        It admits who waits in the lobby.
        """
        invitation = element("x", {"xmlns": MUC_USER}, element("invite", {"to": somebody}))
        await self.send(element("message", {"xmlns": CLIENT, "to": room.address}, invitation))

    async def wait_for_invitation(self, room: Room) -> None:
        """Wait to be invited into ``room``."""
        invite = f"{qualified(MUC_USER, 'x')}/{qualified(MUC_USER, 'invite')}"
        await self.wait_for(
            lambda stanza: (
                stanza.tag == MESSAGE and room.sent(stanza) and stanza.find(invite) is not None
            ),
            "an invitation",
        )

    async def place(self, room: Room) -> Place:
        """The place on a bridge that Jicofo offers once two are in ``room``.

        Raises Refused where it says that there is no bridge, on which clients leave.
        """
        known = self._places.get(room.address.lower())
        if known:
            return known
        told = await self.wait_for(
            lambda stanza: (
                room.sent(stanza) and (_is_offer(stanza) or stanza.find(_NO_BRIDGE) is not None)
            ),
            "a place on a bridge",
        )
        if told.tag == PRESENCE:
            raise Refused(Stage.FOCUS, "no-bridge", "everybody is thrown out")
        return place_in(told)

    def standing(self, room: Room) -> Standing:
        """What ``room`` makes of this participant, by the last presence that arrived."""
        for address in (room.address, room.mapped_address):
            if address.lower() in self._standings:
                return self._standings[address.lower()]
        return Standing("none", "none")

    async def settle(self, room: Room) -> None:
        """Return once Jicofo and ``room`` have handled what happened so far.

        Both handle stanzas in their order. So after Jicofo's answer to a question and the room's to
        a presence, what either of them made of earlier events has arrived as well.
        """
        with contextlib.suppress(Refused):
            await self.request_conference(room)
        await self.show_presence(room, self.nick)

    async def try_to_join(self, room: str) -> bool:
        """Whether a join of the room at this address is answered with one's own presence.

        For rooms whose server may drop a join without a word.
        """
        await self._announce(room, self.nick, element("x", {"xmlns": MUC}))
        answers = [
            stanza
            for stanza in await self.hear()
            if stanza.tag == PRESENCE and stanza.get("from", "").startswith(f"{room.lower()}/")
        ]
        for answer in answers:
            if answer.get("type") == "error":
                raise stanza_refusal(Stage.JOIN, answer)
        return bool(answers)

    async def hear(self) -> list[ET.Element]:
        """What has arrived and nobody waited for, when all that was sent so far is handled.

        Prosody handles the stanzas of one stream in their order.
        """
        with contextlib.suppress(Refused):
            await self.request("get", self._domain, element("ping", {"xmlns": PING}))
        return list(self._unread)

    async def sees(self, address: str) -> bool:
        """Whether there is anything at this address, as far as the server tells."""
        try:
            await self.request("get", address, element("query", {"xmlns": DISCO_INFO}))
        except Refused as refused:
            return refused.condition != "item-not-found"
        return True

    async def wait_for_affiliation(self, room: Room, affiliation: str) -> None:
        """Wait until ``room`` has told this participant of an affiliation with it."""
        if self.standing(room).affiliation == affiliation:
            return
        await self.wait_for(
            lambda stanza: (
                _is_own_presence(stanza, room, self.nick)
                and _standing(stanza).affiliation == affiliation
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

    async def wait_for_newcomer(self, room: Room) -> None:
        """Until somebody else than Jicofo is in the room besides oneself."""
        own = (self.nick, FOCUS_NICK)
        await self.wait_for(
            lambda stanza: (
                stanza.tag == PRESENCE
                and stanza.get("type") is None
                and room.sent(stanza)
                and stanza.get("from", "").partition("/")[2] not in own
            ),
            "somebody else in the room",
        )

    async def wait_for_moderation(self, room: Room) -> None:
        """Wait until ``room`` has made this participant a moderator."""
        if self.standing(room).moderates:
            return
        await self.wait_for(
            lambda stanza: (
                _is_own_presence(stanza, room, self.nick) and _standing(stanza).moderates
            ),
            "the moderator's role",
        )

    async def wait_for_departure(self, room: Room, nick: str = "", within: float = 0) -> Departure:
        """Wait until ``nick``, or this participant, has left ``room``."""
        nick = nick or self.nick
        presence = await self.wait_for(
            lambda stanza: (
                stanza.tag == PRESENCE
                and stanza.get("type") == "unavailable"
                and room.sent(stanza)
                and stanza.get("from", "").endswith(f"/{nick}")
            ),
            f"the leaving of {nick}",
            within,
        )
        destroy = presence.find(f"{qualified(MUC_USER, 'x')}/{qualified(MUC_USER, 'destroy')}")
        return Departure(
            _codes(presence),
            destroy is not None,
            destroy.get("jid", "") if destroy is not None else "",
        )

    async def wait_for(self, predicate: Predicate, awaited: str, within: float = 0) -> ET.Element:
        """The first stanza not read so far that fits. ``awaited`` names it in an error.

        ``within`` is in seconds, where the server's own clock takes longer than an answer does.
        """
        for stanza in self._unread:
            if predicate(stanza):
                self._unread.remove(stanza)
                return stanza
        if self._ended:
            raise self._ended
        arrival: asyncio.Future[ET.Element] = asyncio.get_running_loop().create_future()
        self._waiting.append((predicate, arrival))
        return await self._in_time(arrival, awaited, within)

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

    async def _in_time(
        self, answer: Awaitable[_Answer], awaited: str, within: float = 0
    ) -> _Answer:
        patience = within or self._patience
        try:
            async with asyncio.timeout(patience):
                return await answer
        except TimeoutError:
            raise NoAnswer(awaited, patience) from None

    async def _read(self) -> None:
        """Hand every stanza to whoever waits for it, or keep it for somebody who will."""
        try:
            while True:
                stanza = await self._transport.receive()
                self._note_standing(stanza)
                if _is_offer(stanza):
                    await self._transport.send(_result(stanza))
                    room = stanza.get("from", "").partition("/")[0].lower()
                    self._places[room] = place_in(stanza)
                    self._hand_over(stanza)
                elif _is_question(stanza):
                    await self._answer(stanza)
                elif not self._hand_over(stanza):
                    self._unread.append(stanza)
        except AccessError as error:
            self._ended = error
            for _, arrival in self._waiting:
                if not arrival.done():
                    arrival.set_exception(error)

    async def _answer(self, question: ET.Element) -> None:
        await self._transport.send(_not_implemented(question))

    def _note_standing(self, stanza: ET.Element) -> None:
        if stanza.tag == PRESENCE and SELF_PRESENCE in _codes(stanza):
            room = stanza.get("from", "").partition("/")[0].lower()
            if stanza.get("type") is None:
                self._standings[room] = _standing(stanza)
            else:
                self._standings.pop(room, None)

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


def _is_offer(stanza: ET.Element) -> bool:
    return stanza.tag == IQ and stanza.get("type") == "set" and is_offer(stanza)


def _result(question: ET.Element) -> str:
    """The answer that takes note of a question (RFC 6120, section 8.2.3)."""
    attributes = {"id": question.get("id", ""), "to": question.get("from", "")}
    return element("iq", {"xmlns": CLIENT, "type": "result", **attributes})


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
        and SELF_PRESENCE in _codes(stanza)
    )


def _codes(presence: ET.Element) -> frozenset[str]:
    """The status codes of a presence (XEP-0045, section 15.6.2)."""
    return frozenset(
        status.get("code", "") for status in presence.iter(qualified(MUC_USER, "status"))
    )


def _standing(presence: ET.Element) -> Standing:
    item = presence.find(f"{qualified(MUC_USER, 'x')}/{qualified(MUC_USER, 'item')}")
    attributes = item.attrib if item is not None else {}
    return Standing(attributes.get("role", "none"), attributes.get("affiliation", "none"))
