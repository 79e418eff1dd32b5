#!/usr/bin/env python3
"""Stand-in (test double) for Jicofo: not Jitsi's code.

A conference focus without media. It logs in to Prosody as ``jicofo.conf`` says, trusts whom Java
trusts, opens the rooms that clients ask for, makes somebody owner of a room that has none, and
leaves a room with the last person. It is stricter than the real one in two points: TLS with a
certificate that is good for ``xmpp.client.domain`` is always required, and it does not start with
``authentication.enabled``, which it cannot do.

Usage: jicofo.py JICOFO_CONF
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

from slixmpp import JID, ClientXMPP
from slixmpp.exceptions import IqError, IqTimeout
from slixmpp.xmlstream import XMLStream
from slixmpp.xmlstream.handler import Callback, CoroutineCallback
from slixmpp.xmlstream.matcher import MatchXPath

FOCUS = "http://jitsi.org/protocol/focus"
MUC = "http://jabber.org/protocol/muc"
DATA = "jabber:x:data"

RECONNECT_DELAY = 1.0  # seconds, as the real one
REPLY_TIMEOUT = 15  # seconds
ROOM_PATIENCE = 15.0  # seconds until a room that nobody enters is left

log = logging.getLogger("jicofo")


@dataclass(frozen=True)
class Settings:
    """What is taken from jicofo.conf, with the defaults of the real one's reference.conf."""

    client: dict[str, Any]
    bridge: dict[str, Any]
    conference: dict[str, Any]
    rest: dict[str, Any]
    health: dict[str, Any]

    @classmethod
    def read(cls, path: str) -> Settings:
        """Read a file with the HOCON parser that the package depends on."""
        argv = ["hocon", "--json", "--file", path, "get", "jicofo"]
        content = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
        if content.get("authentication", {}).get("enabled"):
            sys.exit("This stand-in does not know authentication")
        return cls(
            client={"hostname": "localhost", "port": 5222, "username": "focus"}
            | content["xmpp"]["client"],
            bridge=content.get("bridge", {}),
            conference={"enable-auto-owner": True} | content.get("conference", {}),
            rest={"enabled": True, "host": "127.0.0.1", "port": 8888} | content.get("rest", {}),
            health={"enabled": False} | content.get("health", {}),
        )


def trust_of_java() -> ssl.SSLContext:
    """Return a context that trusts the certificates in the store of Java, nobody without it."""
    store = "/etc/ssl/certs/java/cacerts"
    argv = ["keytool", "-list", "-rfc", "-keystore", store, "-storepass", "changeit"]
    keytool = subprocess.run(argv, check=False, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if keytool.returncode == 0:
        context.load_verify_locations(cadata=keytool.stdout.decode("ascii", "ignore"))
    else:
        log.error("Cannot read %s, so nobody is trusted", store)
    return context


@dataclass
class Room:
    """A room that the focus is in or enters."""

    address: str
    keeps_open: bool = False  # the brewery is neither moderated nor left
    people: dict[str, tuple[str, str]] = field(default_factory=dict)  # nick: JID, affiliation
    owner: str | None = None  # nick
    entered: asyncio.Future[None] = field(default_factory=asyncio.Future)
    opened: asyncio.Task[None] = field(init=False)
    granted: asyncio.Task[None] | None = None
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
        anybody = MatchXPath("{jabber:client}presence")
        self.client.register_handler(Callback("occupant", anybody, self._see))

    def connect(self) -> None:
        """Open the connection; whatever ends it opens it again."""
        # As ClientXMPP.connect does; its own arguments are others in slixmpp 1.8 (Debian 12)
        self.client.dns_service = None
        address = self.settings.client["hostname"], self.settings.client["port"]
        XMLStream.connect(self.client, *address)

    @property
    def bridges(self) -> int:
        """How many bridges are in the brewery."""
        brewery = self.rooms.get(JID(self.settings.bridge.get("brewery-jid", "")).bare)
        return len(brewery.people) if brewery else 0

    async def _start(self, _: object) -> None:
        log.info("Registered as %s", self.client.boundjid)
        self.is_registered = True
        self.client.send_presence()
        brewery = self.settings.bridge.get("brewery-jid")
        if brewery:
            try:
                await self._open(JID(brewery).bare, keeps_open=True)
            except OSError as error:
                log.warning("Failed to join the brewery %s: %s", brewery, error)

    def _stop(self, reason: object) -> None:
        log.error("Not connected: %s. Trying again in %s s", reason, RECONNECT_DELAY)
        self.is_registered = False
        for room in list(self.rooms.values()):
            self._forget(room)
        self.client.cancel_connection_attempt()
        if self._retry:
            self._retry.cancel()
        self._retry = asyncio.get_running_loop().call_later(RECONNECT_DELAY, self.connect)

    async def _answer(self, question: Any) -> None:
        """Answer a client that wants to enter a room, once the focus is in it."""
        conference = question.xml.find(f"{{{FOCUS}}}conference")
        room = JID(conference.get("room", "")).bare
        if not room:
            reply = question.reply()
            reply["error"]["condition"] = "bad-request"
            reply.send()
            return
        log.info("Conference request for %s from %s", room, question["from"])
        try:
            await self._open(room)
        except OSError as error:
            # Like the real one it leaves the client without an answer
            log.warning("Cannot open %s: %s", room, error)
            return
        reply = question.reply(clear=True)
        attributes = {"room": conference.get("room"), "ready": "true", "focusjid": str(self.user)}
        answer = ElementTree.Element(f"{{{FOCUS}}}conference", attributes)
        for name in ("authentication", "visitors-supported"):
            ElementTree.SubElement(answer, f"{{{FOCUS}}}property", {"name": name, "value": "false"})
        reply.append(answer)
        reply.send()

    async def _open(self, address: str, keeps_open: bool = False) -> None:
        """Enter a room, which creates it where it is not there, and wait until that is done."""
        room = self.rooms.get(address)
        if room is None:
            room = self.rooms[address] = Room(address, keeps_open)
            room.opened = asyncio.create_task(self._enter(room))
        elif room.patience:
            self._lose_patience_later(room)
        try:
            await asyncio.shield(room.opened)
        except OSError:
            self._forget(room)
            raise

    async def _enter(self, room: Room) -> None:
        presence = self.client.make_presence(pto=f"{room.address}/{self.nick}")
        presence.append(ElementTree.Element(f"{{{MUC}}}x"))
        presence.send()
        await asyncio.wait_for(room.entered, REPLY_TIMEOUT)
        # Everybody shall see everybody's address
        await self._configure(room, {"muc#roomconfig_whois": "anyone"})
        log.info("Joined %s", room.address)
        if not room.keeps_open:
            self._elect(room)
            self._lose_patience_later(room)

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
        try:
            await iq.send(timeout=REPLY_TIMEOUT)
        except (IqError, IqTimeout) as error:
            raise OSError(f"{room.address} does not take {query.tag}") from error

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
            if room.owner == nick:
                room.owner = None
            if not room.people and not room.keeps_open:
                log.info("The last person left %s", room.address)
                self._leave(room)
            self._elect(room)
        elif item is not None:
            room.people[nick] = (item.get("jid", ""), item.get("affiliation", ""))
            if room.patience:
                room.patience.cancel()
                room.patience = None
            self._elect(room)

    def _elect(self, room: Room) -> None:
        """Make the person who is longest in a room its owner, if it has none and may have one."""
        wanted = self.settings.conference["enable-auto-owner"] and not room.keeps_open
        if not wanted or room.owner or not room.people or room.address not in self.rooms:
            return
        owners = (nick for nick, (_, affiliation) in room.people.items() if affiliation == "owner")
        room.owner = next(owners, None)
        if room.owner is None:
            room.owner, (jid, _) = next(iter(room.people.items()))
            room.granted = asyncio.create_task(self._grant_ownership(room, JID(jid).bare))

    async def _grant_ownership(self, room: Room, jid: str) -> None:
        query = ElementTree.Element(f"{{{MUC}#admin}}query")
        item = {"affiliation": "owner", "jid": jid}
        ElementTree.SubElement(query, f"{{{MUC}#admin}}item", item)
        try:
            await self._set(room, query)
            log.info("Made %s owner of %s", jid, room.address)
        except OSError as error:
            log.warning("Failed to make %s owner: %s", jid, error)

    def _lose_patience_later(self, room: Room) -> None:
        if room.patience:
            room.patience.cancel()
        loop = asyncio.get_running_loop()
        room.patience = loop.call_later(ROOM_PATIENCE, self._leave, room)

    def _leave(self, room: Room) -> None:
        self.client.send_presence(pto=f"{room.address}/{self.nick}", ptype="unavailable")
        self._forget(room)

    def _forget(self, room: Room) -> None:
        if self.rooms.get(room.address) is room:
            del self.rooms[room.address]
        if room.patience:
            room.patience.cancel()
        if not room.entered.done():
            room.entered.set_exception(ConnectionError("gone"))


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
        if focus.bridges == 0:
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
