#!/usr/bin/env python3
"""Stand-in (test double) for Jicofo: not Jitsi's code.

A conference focus. It logs in to Prosody as ``jicofo.conf`` says, trusts whom Java trusts, opens
the rooms that clients ask for, makes somebody owner of a room that has none, and leaves a room with
the last person. When a second person comes, everybody is offered a place on a bridge of its
brewery, or told that there is none, on which clients leave. With authentication of type JWT, the
users of one domain open rooms and own them. Moderators' orders to record or to call go to a
recorder or a gateway that waits in its brewery. It is stricter than the real one in two points: TLS
with a certificate that is good for ``xmpp.client.domain`` is always required, and it does not start
with another type of authentication.

Usage: jicofo.py JICOFO_CONF
"""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

from java_trust import trust_of_java
from slixmpp import JID, ClientXMPP
from slixmpp.exceptions import IqError, IqTimeout
from slixmpp.xmlstream import XMLStream
from slixmpp.xmlstream.handler import Callback, CoroutineCallback
from slixmpp.xmlstream.matcher import MatchXPath

FOCUS = "http://jitsi.org/protocol/focus"
MUC = "http://jabber.org/protocol/muc"
DATA = "jabber:x:data"
JIBRI = "http://jitsi.org/protocol/jibri"
JIGASI = "http://jitsi.org/protocol/jigasi"
HEALTH = "http://jitsi.org/protocol/health"
COLIBRI = "http://jitsi.org/protocol/colibri"
COLIBRI2 = "jitsi:colibri2"
JINGLE = "urn:xmpp:jingle:1"
ICE = "urn:xmpp:jingle:transports:ice-udp:1"
RAYO = "urn:xmpp:rayo:1"

RECONNECT_DELAY = 1.0  # seconds, as the real one
REPLY_TIMEOUT = 15  # seconds
ROOM_PATIENCE = 15.0  # seconds until a room that nobody enters is left
SESSION_LIFETIME = 60.0  # seconds, of a JWT session in the real one
FAILURE_TIMEOUT = 60.0  # seconds during which a recorder that failed is not asked again
DIAL_RETRIES = 2
TRANSCRIBER = "jitsi_meet_transcribe"
MIN_PARTICIPANTS = 2  # who is alone needs no bridge
MOVING = "switch_room"  # status of who goes from one room of a meeting to another

log = logging.getLogger("jicofo")


@dataclass(frozen=True)
class Settings:
    """What is taken from jicofo.conf, with the defaults of the real one's reference.conf."""

    client: dict[str, Any]
    bridge: dict[str, Any]
    sctp: bool
    jibri: dict[str, Any]
    jigasi: dict[str, Any]
    conference: dict[str, Any]
    rest: dict[str, Any]
    health: dict[str, Any]
    trusted_domains: frozenset[str]  # of recorders and gateways, which are no people
    login_domain: str | None  # whose users are authenticated; None if everybody may open rooms

    @classmethod
    def read(cls, path: str) -> Settings:
        """Read a file with the HOCON parser that the package depends on."""
        argv = ["hocon", "--json", "--file", path, "get", "jicofo"]
        content = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
        authentication = {"type": "NONE"} | content.get("authentication", {})
        enabled = authentication.get("enabled", False) and authentication["type"] != "NONE"
        if enabled and authentication["type"] != "JWT":
            sys.exit(f"This stand-in does not know authentication by {authentication['type']}")
        return cls(
            client={"hostname": "localhost", "port": 5222, "username": "focus"}
            | content["xmpp"]["client"],
            bridge=content.get("bridge", {}),
            sctp=content.get("sctp", {}).get("enabled", True),
            jibri={"num-retries": 5} | content.get("jibri", {}),
            jigasi=content.get("jigasi", {}),
            conference={"enable-auto-owner": True} | content.get("conference", {}),
            rest={"enabled": True, "host": "127.0.0.1", "port": 8888} | content.get("rest", {}),
            health={"enabled": False} | content.get("health", {}),
            trusted_domains=frozenset(content["xmpp"].get("trusted-domains", [])),
            login_domain=authentication["login-url"] if enabled else None,
        )


class Rejected(Exception):
    """A request that is not granted, by its condition of RFC 6120 and what to say about it."""

    def __init__(self, condition: str, text: str, detail: str = "") -> None:
        """Keep what makes the error. ``detail`` is an element of the focus protocol."""
        super().__init__(text)
        self.condition, self.text, self.detail = condition, text, detail


@dataclass
class Session:
    """Somebody who logged in on the domain of authentication."""

    machine: str
    identity: str  # bare JID of the login
    room: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    jid: JID | None = (
        None  # who uses it now: a guest may go on with the session of the same machine
    )
    used: float = field(default_factory=time.monotonic)


class Authority:
    """Knows who is authenticated. Sessions end with their conference and after a minute."""

    def __init__(self, domain: str) -> None:
        """Start without sessions. The users of ``domain`` are authenticated."""
        self.domain = domain
        self._sessions: dict[str, Session] = {}

    def authenticate(self, asker: JID, conference: ElementTree.Element) -> Session | None:
        """Return the session of who asks for a conference, a new one if need be.

        Raises Rejected when the request names a session that is not theirs, or no machine.
        """
        self._expire()
        wanted, machine = conference.get("session-id", ""), conference.get("machine-uid", "")
        session = self._sessions.get(wanted)
        if wanted and session is None:
            raise Rejected("not-acceptable", "invalid session", "session-invalid")
        if session and session.machine != machine:
            raise Rejected("not-acceptable", "machine UID mismatch or empty")
        if session is None and asker.domain == self.domain:
            if not machine:
                raise Rejected("not-acceptable", "Missing mandatory attribute 'machine-uid'")
            session = Session(machine, asker.bare, conference.get("room", ""))
            self._sessions[session.id] = session
        if session:
            session.jid, session.used = asker, time.monotonic()
        return session

    def knows(self, jid: JID) -> bool:
        """Whether somebody has a session."""
        self._expire()
        return any(session.jid == jid for session in self._sessions.values())

    def end(self, room: str) -> None:
        """Forget the sessions of a conference that is over."""
        self._keep(lambda session: JID(session.room).bare != room)

    def _expire(self) -> None:
        oldest = time.monotonic() - SESSION_LIFETIME
        self._keep(lambda session: session.used > oldest)

    def _keep(self, wanted: Callable[[Session], bool]) -> None:
        self._sessions = {key: entry for key, entry in self._sessions.items() if wanted(entry)}


@dataclass
class Recording:
    """What a recorder does, or is asked to do, for one meeting."""

    recorder: JID  # the recorder's seat in the brewery
    initiator: str
    mode: str  # file or stream
    id: str


@dataclass
class Room:
    """A room that the focus is in or enters."""

    address: str
    keeps_open: bool = False  # the brewery is neither moderated nor left
    main: str | None = None  # address of the meeting, if this is one of its breakout rooms
    people: dict[str, tuple[str, str]] = field(default_factory=dict)  # nick: JID, affiliation
    owner: str | None = None  # nick
    presences: dict[str, ElementTree.Element] = field(default_factory=dict)  # by nick
    failed: dict[str, float] = field(default_factory=dict)  # nick of a recorder: when
    recording: Recording | None = None
    entered: asyncio.Future[None] = field(default_factory=asyncio.Future)
    opened: asyncio.Task[None] = field(init=False)
    grants: dict[str, asyncio.Task[None]] = field(default_factory=dict)  # by bare JID
    identifier: str = field(default_factory=lambda: uuid.uuid4().hex[:16])
    bridge: JID | None = None  # the seat in the brewery of the one that has the meeting
    invitations: dict[str, asyncio.Task[None]] = field(default_factory=dict)  # by nick
    said_no_bridge: bool = False
    patience: asyncio.TimerHandle | None = None


class Focus:
    """The focus in all rooms of one server."""

    def __init__(self, settings: Settings) -> None:
        """Prepare the connection without opening it."""
        self.settings = settings
        self.nick: str = settings.client["username"]
        self.user = JID(f"{self.nick}@{settings.client['domain']}")
        self.rooms: dict[str, Room] = {}
        self.is_registered = False
        login_domain = settings.login_domain
        self.authority = Authority(login_domain) if login_domain else None
        self._retry: asyncio.TimerHandle | None = None

        trust = trust_of_java()
        self.client = ClientXMPP(f"{self.user}/{self.nick}", settings.client["password"])
        self.client.get_ssl_context = lambda: trust
        self.client.enable_direct_tls = False
        # Subscriptions are turned down, as the real one does: the roster has to have them already
        self.client.auto_authorize = False
        self.client.auto_subscribe = False
        for event, handler in {
            "session_start": self._start,
            "failed_auth": lambda _: log.error("Failed to log in as %s", self.user),
            "disconnected": self._stop,
            "connection_failed": self._stop,
        }.items():
            self.client.add_event_handler(event, handler)
        question = MatchXPath(f"{{jabber:client}}iq/{{{FOCUS}}}conference")
        self.client.register_handler(CoroutineCallback("conference", question, self._answer))
        order = MatchXPath(f"{{jabber:client}}iq/{{{JIBRI}}}jibri")
        self.client.register_handler(CoroutineCallback("recording", order, self._hear_of_recording))
        if "brewery-jid" in settings.jigasi:
            order = MatchXPath(f"{{jabber:client}}iq/{{{RAYO}}}dial")
            self.client.register_handler(CoroutineCallback("call", order, self._call))
        anybody = MatchXPath("{jabber:client}presence")
        self.client.register_handler(Callback("occupant", anybody, self._see))

    def connect(self) -> None:
        """Open the connection; whatever ends it opens it again."""
        # As ClientXMPP.connect does; its own arguments are others in slixmpp 1.8 (Debian 12)
        self.client.dns_service = None
        address = self.settings.client["hostname"], self.settings.client["port"]
        XMLStream.connect(self.client, *address)

    @property
    def bridges(self) -> list[JID]:
        """The bridges that may be given a meeting, best first."""
        brewery = self._brewery(self.settings.bridge)
        found = []
        for nick, presence in brewery.presences.items() if brewery else ():
            said = {
                stat.get("name"): stat.get("value", "")
                for stat in presence.iter(f"{{{COLIBRI}}}stat")
            }
            # Who says nothing of it is taken for one that drains. Such a one is better than none
            drains = said.get("drain", "true") == "true"
            if said.get("healthy") == "true" and said.get("shutdown_in_progress") != "true":
                found.append((drains, float(said.get("stress_level") or 0), nick))
        return [JID(f"{brewery.address}/{nick}") for *_, nick in sorted(found)] if brewery else []

    def _brewery(self, section: dict[str, Any]) -> Room | None:
        return self.rooms.get(JID(section.get("brewery-jid", "")).bare)

    async def _start(self, _: object) -> None:
        log.info("Registered as %s", self.client.boundjid)
        self.is_registered = True
        self.client.send_presence()
        for section in (self.settings.bridge, self.settings.jibri, self.settings.jigasi):
            brewery = section.get("brewery-jid")
            if not brewery:
                continue
            try:
                await self._open(JID(brewery).bare, keeps_open=True)
            except OSError as error:
                log.warning("Failed to join the brewery %s: %s", brewery, error)

    def _stop(self, reason: object) -> None:
        log.error("Not connected: %s. Trying again in %s s", reason, RECONNECT_DELAY)
        self.is_registered = False
        rooms, self.rooms = self.rooms, {}
        for room in rooms.values():
            self._forget(room)
        self.client.cancel_connection_attempt()
        if self._retry:
            self._retry.cancel()
        self._retry = asyncio.get_running_loop().call_later(RECONNECT_DELAY, self.connect)

    async def _answer(self, question: Any) -> None:
        """Answer a client that wants to enter a room, once the focus is in it."""
        conference = question.xml.find(f"{{{FOCUS}}}conference")
        address = JID(conference.get("room", "")).bare
        asker = self._asker(question)
        log.info("Conference request for %s from %s", address, asker)
        try:
            session = self._authenticate(address, asker, conference)
        except Rejected as rejected:
            self._reject(question, rejected)
            return
        try:
            room = self.rooms.get(address) or await self._open(address)
        except OSError as error:
            # Like the real one it leaves the client without an answer
            log.warning("Cannot open %s: %s", address, error)
            return
        self._lose_patience_later(room, only_again=True)
        self._manage(room)
        reply = question.reply(clear=True)
        attributes = {
            "room": conference.get("room"),
            # Who asks while the focus is on its way has to ask again
            "ready": "true" if room.opened.done() else "false",
            "focusjid": str(self.user),
        }
        if session:
            attributes |= {"identity": session.identity, "session-id": session.id}
        answer = ElementTree.Element(f"{{{FOCUS}}}conference", attributes)
        properties = (
            {"authentication": "true", "externalAuth": "true"}
            if self.authority
            else {"authentication": "false"}
        )
        if "brewery-jid" in self.settings.jigasi:
            properties["sipGatewayEnabled"] = "true"
        for name, value in {**properties, "visitors-supported": "false"}.items():
            ElementTree.SubElement(answer, f"{{{FOCUS}}}property", {"name": name, "value": value})
        reply.append(answer)
        reply.send()

    @staticmethod
    def _reject(question: Any, rejected: Rejected) -> None:
        reply = question.reply()
        is_login = rejected.condition == "not-authorized"
        reply["error"]["type"] = "auth" if is_login else "modify"
        reply["error"]["condition"] = rejected.condition
        reply["error"]["text"] = rejected.text
        if rejected.detail:
            detail = ElementTree.Element(f"{{{FOCUS}}}{rejected.detail}")
            reply["error"].xml.append(detail)
        reply.send()

    def _asker(self, question: Any) -> JID:
        """Who asks: the proxy puts them into its resource."""
        sender = question["from"]
        is_proxy = sender.domain == self.settings.client.get("client-proxy")
        return JID(sender.resource) if is_proxy else sender

    def _authenticate(
        self, address: str, asker: JID, conference: ElementTree.Element
    ) -> Session | None:
        """Return the session of who asks, if there are such. Raises Rejected for a bad request."""
        if not address:
            raise Rejected("bad-request", "No 'room' specified.")
        is_breakout = JID(address).domain.startswith("breakout.")
        if self.authority is None or is_breakout:
            return None
        session = self.authority.authenticate(asker, conference)
        is_open = address in self.rooms or self._has_breakout_rooms(address)
        if session is None and not is_open:
            raise Rejected("not-authorized", "not authorized user domain")
        return session

    def _has_breakout_rooms(self, address: str) -> bool:
        return any(room.main == address for room in self.rooms.values())

    async def _open(self, address: str, keeps_open: bool = False) -> Room:
        """Enter a room, which creates it where it is not there, and wait until that is done."""
        room = self.rooms[address] = Room(address, keeps_open)
        room.opened = asyncio.create_task(self._enter(room))
        try:
            await asyncio.shield(room.opened)
        except OSError:
            self._forget(room)
            raise
        return room

    async def _enter(self, room: Room) -> None:
        presence = self.client.make_presence(pto=f"{room.address}/{self.nick}")
        presence.append(ElementTree.Element(f"{{{MUC}}}x"))
        presence.send()
        await asyncio.wait_for(room.entered, REPLY_TIMEOUT)
        if not room.keeps_open:
            room.main = await self._main_room(room)
        # Everybody shall see everybody's address
        await self._configure(room, {"muc#roomconfig_whois": "anyone"})
        log.info("Joined %s", room.address)
        if not room.keeps_open and not room.people:
            self._lose_patience_later(room)

    async def _main_room(self, room: Room) -> str | None:
        """Ask a room whose breakout room it is."""
        iq = self.client.make_iq_get(ito=room.address)
        iq.append(ElementTree.Element(f"{{{MUC}#owner}}query"))
        answer = await self._ask(iq, room)
        path = f".//{{{DATA}}}field[@var='muc#roominfo_breakout_main_room']/{{{DATA}}}value"
        return answer.xml.findtext(path) or None

    async def _configure(self, room: Room, values: dict[str, str]) -> None:
        query = ElementTree.Element(f"{{{MUC}#owner}}query")
        form = ElementTree.SubElement(query, f"{{{DATA}}}x", {"type": "submit"})
        for name, value in {"FORM_TYPE": f"{MUC}#roomconfig", **values}.items():
            entry = ElementTree.SubElement(form, f"{{{DATA}}}field", {"var": name})
            ElementTree.SubElement(entry, f"{{{DATA}}}value").text = value
        await self._set(room, query)

    async def _set(self, room: Room, query: ElementTree.Element) -> None:
        iq = self.client.make_iq_set(ito=room.address)
        iq.append(query)
        await self._ask(iq, room)

    async def _ask(self, iq: Any, room: Room) -> Any:
        try:
            return await iq.send(timeout=REPLY_TIMEOUT)
        except (IqError, IqTimeout) as error:
            raise OSError(f"{room.address} does not take {iq['type']} {iq.xml[0].tag}") from error

    def _see(self, presence: Any) -> None:
        """Note who comes to a room and who leaves it."""
        room = self.rooms.get(presence["from"].bare)
        if room is None:
            return
        nick, kind = presence["from"].resource, presence.xml.get("type")
        item = presence.xml.find(f"{{{MUC}#user}}x/{{{MUC}#user}}item")
        if kind == "error":
            if not room.entered.done():
                room.entered.set_exception(OSError(presence["error"]["condition"]))
        elif nick == self.nick:
            if room.entered.done() and kind == "unavailable":
                log.info("Removed from %s", room.address)
                self._forget(room)
            elif kind is None and not room.entered.done():
                room.entered.set_result(None)
        elif kind == "unavailable":
            room.people.pop(nick, None)
            room.presences.pop(nick, None)
            if room.owner == nick:
                room.owner = None
            self._drop_recordings_of(presence["from"])
            self._take_place(room, nick)
            self._move_meetings_of(presence["from"])
            self._leave_if_empty(room, is_moving=presence["status"] == MOVING)
            self._manage(room)
        elif item is not None:
            room.people[nick] = (item.get("jid", ""), item.get("affiliation", ""))
            room.presences[nick] = presence.xml
            if room.patience:
                room.patience.cancel()
                room.patience = None
            self._manage(room)

    def _leave_if_empty(self, room: Room, is_moving: bool = False) -> None:
        """End the conference of a room without people, unless they are in its breakout rooms."""
        if room.people or room.keeps_open or self._has_breakout_rooms(room.address):
            return
        if is_moving:
            self._lose_patience_later(room)
            return
        log.info("The last person left %s", room.address)
        self._leave(room)

    def _manage(self, room: Room) -> None:
        """Make those people owners of a room who shall be."""
        if room.keeps_open or not room.entered.done() or self.rooms.get(room.address) is not room:
            return
        if len(room.people) >= MIN_PARTICIPANTS:
            for nick in room.people:
                if nick not in room.invitations:
                    room.invitations[nick] = asyncio.create_task(self._invite(room, nick))
        if self.authority:
            for jid, affiliation in room.people.values():
                if affiliation != "owner" and self.authority.knows(JID(jid)):
                    self._grant(room, jid)
        elif self.settings.conference["enable-auto-owner"] and room.main is None:
            self._elect(room)

    # Bridges

    async def _invite(self, room: Room, nick: str) -> None:
        """Offer somebody a place on a bridge, or tell the meeting that there is none."""
        transport = await self._place(room, nick)
        if nick not in room.people or self.rooms.get(room.address) is not room:
            self._take_place(room, nick)
            return
        if transport is None:
            log.error("No bridge for %s", room.address)
            room.invitations.pop(nick, None)
            self._tell_of_bridge(room, is_there=False)
            return
        self._tell_of_bridge(room, is_there=True)
        iq = self.client.make_iq_set(ito=JID(f"{room.address}/{nick}"))
        jingle = ElementTree.Element(
            f"{{{JINGLE}}}jingle",
            {
                "action": "session-initiate",
                "initiator": f"{room.address}/{self.nick}",
                "sid": uuid.uuid4().hex[:12],
            },
        )
        for name in ("audio", "video"):
            attributes = {"creator": "initiator", "name": name, "senders": "both"}
            content = ElementTree.SubElement(jingle, f"{{{JINGLE}}}content", attributes)
            content.append(transport)
        iq.append(jingle)
        try:
            await iq.send(timeout=REPLY_TIMEOUT)
        except (IqError, IqTimeout):
            log.info("%s/%s does not take the offer", room.address, nick)

    async def _place(self, room: Room, nick: str) -> ElementTree.Element | None:
        """Have a bridge make a place for somebody; None where no bridge does."""
        for bridge in [room.bridge] if room.bridge else self.bridges:
            try:
                answer = await self._order(bridge, room, {"id": nick, "create": "true"})
            except (IqError, IqTimeout):
                log.warning("%s makes no place", bridge)
                continue
            transport: ElementTree.Element | None = answer.xml.find(f".//{{{ICE}}}transport")
            # Without WebSockets both sides have to have SCTP, or there is no channel
            if transport is not None and (
                self.settings.sctp or transport.find(f"{{{COLIBRI}}}web-socket") is not None
            ):
                room.bridge = bridge
                return transport
        return None

    async def _order(self, bridge: JID, room: Room, endpoint: dict[str, str]) -> Any:
        iq = self.client.make_iq_set(ito=bridge)
        order = ElementTree.Element(
            f"{{{COLIBRI2}}}conference-modify", {"meeting-id": room.identifier}
        )
        ElementTree.SubElement(order, f"{{{COLIBRI2}}}endpoint", endpoint)
        iq.append(order)
        return await iq.send(timeout=REPLY_TIMEOUT)

    def _take_place(self, room: Room, nick: str) -> None:
        """Have the bridge forget somebody who has left."""
        if room.invitations.pop(nick, None) and room.bridge:
            order = self._order(room.bridge, room, {"id": nick, "expire": "true"})
            asyncio.ensure_future(order).add_done_callback(lambda done: done.exception())

    def _move_meetings_of(self, bridge: JID) -> None:
        """Give the meetings of a bridge that has left to another one."""
        for room in [room for room in self.rooms.values() if room.bridge == bridge]:
            room.bridge = None
            room.invitations.clear()
            self._manage(room)

    def _tell_of_bridge(self, room: Room, is_there: bool) -> None:
        if room.said_no_bridge == (not is_there):
            return
        room.said_no_bridge = not is_there
        presence = self.client.make_presence(pto=f"{room.address}/{self.nick}")
        if not is_there:
            presence.append(ElementTree.Element(f"{{{FOCUS}}}bridgeNotAvailable"))
        presence.send()

    def _elect(self, room: Room) -> None:
        """Make the person who is longest in a room its owner, if it has none."""
        people = {
            nick: (jid, affiliation)
            for nick, (jid, affiliation) in room.people.items()
            if not self._is_machine(room, nick)
        }
        if room.owner or not people:
            return
        owners = (nick for nick, (_, affiliation) in people.items() if affiliation == "owner")
        room.owner = next(owners, None)
        if room.owner is None:
            room.owner, (jid, _) = next(iter(people.items()))
            self._grant(room, jid)

    def _is_machine(self, room: Room, nick: str) -> bool:
        """Whether somebody says so who logged in on a domain that is trusted with it."""
        features = {
            feature.get("var")
            for feature in room.presences[nick].iter()
            if feature.tag.endswith("}feature")
        }
        domain = JID(room.people[nick][0]).domain
        return domain in self.settings.trusted_domains and bool(features & {JIBRI, JIGASI})

    @staticmethod
    def _moderates(room: Room, nick: str) -> bool:
        _, affiliation = room.people.get(nick, ("", ""))
        item = room.presences[nick].find(f".//{{{MUC}#user}}item") if affiliation else None
        is_moderator = item is not None and item.get("role") == "moderator"
        return affiliation in ("owner", "admin") or is_moderator

    # Recorders

    async def _hear_of_recording(self, question: Any) -> None:
        """Take an order of somebody in a meeting, or news of the recorder that works for one."""
        if question["type"] != "set":
            return
        sender, order = question["from"], question.xml.find(f"{{{JIBRI}}}jibri")
        for room in self.rooms.values():
            if room.recording and room.recording.recorder == sender:
                self._note_status(room, room.recording, order)
                question.reply(clear=True).send()
                return
        try:
            identifier = await self._take_order(sender, order)
        except Rejected as rejected:
            self._reject(question, rejected)
            return
        reply = question.reply(clear=True)
        reply.append(ElementTree.Element(f"{{{JIBRI}}}jibri", {"session_id": identifier}))
        reply.send()

    async def _take_order(self, sender: JID, order: ElementTree.Element) -> str:
        """Start or stop what a meeting wants recorded. Returns its identifier."""
        room = self.rooms.get(sender.bare)
        is_known = "brewery-jid" in self.settings.jibri and not order.get("sipaddress")
        if room is None or room.keeps_open or not is_known:
            raise Rejected("item-not-found", "")
        if sender.resource not in room.people:
            raise Rejected("forbidden", "")
        if not self._moderates(room, sender.resource):
            raise Rejected("not-allowed", "")
        action, recording = order.get("action", "").upper(), room.recording
        if action == "STOP":
            if recording is None:
                raise Rejected("item-not-found", "Unknown session")
            self._stop_recording(room)
            return recording.id
        if action != "START":
            raise Rejected("bad-request", "undefined action")
        if recording:
            raise Rejected("unexpected-request", "Recording or live streaming is already enabled")
        stream, is_file = (
            order.get("streamid", ""),
            order.get("recording_mode", "").upper() == "FILE",
        )
        if not stream and not is_file:
            raise Rejected("bad-request", "Stream ID is empty or undefined")
        if stream and is_file:
            raise Rejected("bad-request", "Stream ID is provided for a FILE recording.")
        return await self._start_recording(room, sender, order)

    async def _start_recording(self, room: Room, sender: JID, order: ElementTree.Element) -> str:
        """Ask one idle recorder after the other. Returns the identifier of the recording."""
        mode = "stream" if order.get("streamid") else "file"
        identifier = str(uuid.uuid4())
        for _ in range(1 + self.settings.jibri["num-retries"]):
            brewery = self._brewery(self.settings.jibri)
            recorder = self._choose_recorder(brewery)
            if brewery is None or recorder is None:
                if brewery and self._recorders(brewery):
                    raise Rejected("resource-constraint", "all Jibris are busy")
                raise Rejected("service-unavailable", "no Jibris available")
            attributes = {
                "action": "start",
                "session_id": identifier,
                "recording_mode": mode,
                "room": room.address,
            }
            kept = ("streamid", "app_data", "displayname", "youtube_broadcast_id")
            attributes |= {name: order.get(name, "") for name in kept if order.get(name)}
            iq = self.client.make_iq_set(ito=recorder)
            iq.append(ElementTree.Element(f"{{{JIBRI}}}jibri", attributes))
            room.recording = Recording(recorder, str(sender), mode, identifier)
            try:
                answer = await iq.send(timeout=REPLY_TIMEOUT)
                said = answer.xml.find(f"{{{JIBRI}}}jibri")
            except (IqError, IqTimeout):
                said = None
            if said is not None and said.get("status") == "pending":
                log.info("%s records %s", recorder, room.address)
                return identifier
            room.recording = None
            brewery.failed[recorder.resource] = time.monotonic()
            log.info("%s does not record %s", recorder, room.address)
        raise Rejected("internal-server-error", "")

    @staticmethod
    def _recorders(brewery: Room) -> dict[str, bool]:
        """Whoever in the brewery says how it does, by nick, and whether it waits for work."""
        found = {}
        for nick, presence in brewery.presences.items():
            status = presence.find(f"{{{JIBRI}}}jibri-status")
            if status is not None:
                busy = status.find(f"{{{JIBRI}}}busy-status")
                health = status.find(f"{{{HEALTH}}}health-status")
                found[nick] = (
                    busy is not None
                    and busy.get("status") == "idle"
                    and health is not None
                    and health.get("status") == "healthy"
                )
        return found

    def _choose_recorder(self, brewery: Room | None) -> JID | None:
        """The one of the idle recorders whose last failure is longest ago."""
        if brewery is None:
            return None
        idle = [nick for nick, is_idle in self._recorders(brewery).items() if is_idle]
        for nick in sorted(idle, key=lambda each: brewery.failed.get(each, 0.0)):
            failed = brewery.failed.get(nick)
            if failed is None or time.monotonic() - failed >= FAILURE_TIMEOUT:
                return JID(f"{brewery.address}/{nick}")
        return None

    def _note_status(self, room: Room, recording: Recording, news: ElementTree.Element) -> None:
        status = news.get("status", "")
        if status == "off":
            room.recording = None
        if status in ("on", "off"):
            self._publish(room, recording, status)

    def _publish(self, room: Room, recording: Recording, status: str) -> None:
        """Tell the meeting what is recorded."""
        attributes = {
            "status": status,
            "session_id": recording.id,
            "recording_mode": recording.mode,
            "initiator": recording.initiator,
        }
        presence = self.client.make_presence(pto=f"{room.address}/{self.nick}")
        presence.append(ElementTree.Element(f"{{{JIBRI}}}jibri-recording-status", attributes))
        presence.send()

    def _stop_recording(self, room: Room) -> None:
        recording, room.recording = room.recording, None
        if recording:
            iq = self.client.make_iq_set(ito=recording.recorder)
            attributes = {"action": "stop", "session_id": recording.id}
            iq.append(ElementTree.Element(f"{{{JIBRI}}}jibri", attributes))
            iq.send(timeout=REPLY_TIMEOUT).add_done_callback(lambda done: done.exception())
            if self.rooms.get(room.address) is room:
                self._publish(room, recording, "off")

    def _drop_recordings_of(self, recorder: JID) -> None:
        for room in self.rooms.values():
            if room.recording and room.recording.recorder == recorder:
                recording, room.recording = room.recording, None
                self._publish(room, recording, "off")

    # Gateways

    async def _call(self, question: Any) -> None:
        """Hand an order to call somebody on to a gateway."""
        if question["type"] != "set":
            return
        sender, dial = question["from"], question.xml.find(f"{{{RAYO}}}dial")
        try:
            answer = await self._dial(sender, dial)
        except Rejected as rejected:
            self._reject(question, rejected)
            return
        reply = question.reply(clear=True)
        for child in answer.xml:
            reply.append(child)
        reply.send()

    async def _dial(self, sender: JID, dial: ElementTree.Element) -> Any:
        """Ask one able gateway after the other. Returns the answer of the one that calls."""
        room = self.rooms.get(sender.bare)
        if room is None:
            raise Rejected("item-not-found", "")
        wanted = dial.find(f"{{{RAYO}}}header[@name='JvbRoomName']")
        is_other = wanted is not None and JID(wanted.get("value", "")).bare != room.address
        if not self._moderates(room, sender.resource) or is_other:
            raise Rejected("forbidden", "")
        skill = "supports_transcription" if dial.get("to") == TRANSCRIBER else "supports_sip"
        tried: set[str] = set()
        for _ in range(1 + DIAL_RETRIES):
            brewery = self._brewery(self.settings.jigasi)
            able = self._gateways(brewery, skill) if brewery else {}
            left = {nick: calls for nick, calls in able.items() if nick not in tried}
            if brewery is None or not left:
                raise Rejected("service-unavailable", "")
            nick = min(left, key=lambda each: left[each])
            tried.add(nick)
            iq = self.client.make_iq_set(ito=JID(f"{brewery.address}/{nick}"))
            iq.append(dial)
            try:
                return await iq.send(timeout=REPLY_TIMEOUT)
            except (IqError, IqTimeout):
                log.info("%s does not call", nick)
        raise Rejected("undefined-condition", "")

    @staticmethod
    def _gateways(brewery: Room, skill: str) -> dict[str, int]:
        """Gateways that can do what is asked, by nick, and how many calls each has."""
        found = {}
        for nick, presence in brewery.presences.items():
            said = {
                stat.get("name"): stat.get("value", "")
                for stat in presence.iter(f"{{{COLIBRI}}}stat")
            }
            if said.get(skill) == "true" and said.get("shutdown_in_progress") != "true":
                found[nick] = int(said.get("participants") or 0)
        return found

    def _grant(self, room: Room, jid: str) -> None:
        bare = JID(jid).bare
        under_way = room.grants.get(bare)
        if under_way is None or under_way.done():
            room.grants[bare] = asyncio.create_task(self._grant_ownership(room, bare))

    async def _grant_ownership(self, room: Room, jid: str) -> None:
        query = ElementTree.Element(f"{{{MUC}#admin}}query")
        item = {"affiliation": "owner", "jid": jid}
        ElementTree.SubElement(query, f"{{{MUC}#admin}}item", item)
        try:
            await self._set(room, query)
            log.info("Made %s owner of %s", jid, room.address)
        except OSError as error:
            log.warning("Failed to make %s owner: %s", jid, error)

    def _lose_patience_later(self, room: Room, only_again: bool = False) -> None:
        if room.patience:
            room.patience.cancel()
        elif only_again:
            return
        loop = asyncio.get_running_loop()
        room.patience = loop.call_later(ROOM_PATIENCE, self._lose_patience, room)

    def _lose_patience(self, room: Room) -> None:
        room.patience = None
        self._leave_if_empty(room)

    def _leave(self, room: Room) -> None:
        self.client.send_presence(pto=f"{room.address}/{self.nick}", ptype="unavailable")
        for nick in list(room.invitations):
            self._take_place(room, nick)
        self._forget(room)

    def _forget(self, room: Room) -> None:
        if room.patience:
            room.patience.cancel()
        if not room.entered.done():
            room.entered.set_exception(ConnectionError("gone"))
        if self.rooms.get(room.address) is not room:
            return
        del self.rooms[room.address]
        if self.is_registered:
            self._stop_recording(room)
        if self.authority:
            self.authority.end(room.address)
        main_room = self.rooms.get(room.main or "")
        if main_room:
            self._leave_if_empty(main_room)


async def serve_http(focus: Focus) -> None:
    """Answer /about/version and, where health checks are on, /about/health."""

    def answer(path: str) -> tuple[str, str]:
        if path == "/about/version":
            version = {"name": "Stand-in for Jicofo", "version": "0", "os": "Linux"}
            return "200 OK", json.dumps(version)
        if path != "/about/health" or not focus.settings.health["enabled"]:
            return "404 Not Found", ""
        if not focus.is_registered:
            return "503 Service Unavailable", "Not connected"
        if not focus.bridges:
            return "500 Internal Server Error", "No operational bridges available"
        return "200 OK", "OK"

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readline()).split()
        while (await reader.readline()).strip():
            pass
        status, body = answer(request[1].decode() if len(request) > 1 else "")
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write((head + body).encode())
        await writer.drain()
        writer.close()

    rest = focus.settings.rest
    if rest["enabled"]:
        server = await asyncio.start_server(handle, rest["host"], rest["port"])
        await server.start_serving()


async def main() -> None:
    """Run until the process is ended."""
    logging.basicConfig(
        stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s: %(message)s"
    )
    logging.getLogger("slixmpp").setLevel(logging.WARNING)
    focus = Focus(Settings.read(sys.argv[1]))
    await serve_http(focus)
    focus.connect()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
