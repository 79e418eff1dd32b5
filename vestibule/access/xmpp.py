"""Stanzas as they travel, room addresses, and the ways in which a server can say no."""

from __future__ import annotations

import json
import secrets
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from xml.sax.saxutils import escape, quoteattr

CLIENT = "jabber:client"
STREAMS = "http://etherx.jabber.org/streams"
STREAM_ERRORS = "urn:ietf:params:xml:ns:xmpp-streams"
STANZA_ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
PING = "urn:xmpp:ping"
MUC = "http://jabber.org/protocol/muc"
MUC_USER = f"{MUC}#user"
MUC_OWNER = f"{MUC}#owner"
MUC_ADMIN = f"{MUC}#admin"
DATA_FORM = "jabber:x:data"
DISCO_INFO = "http://jabber.org/protocol/disco#info"
DISCO_ITEMS = "http://jabber.org/protocol/disco#items"
REGISTER = "jabber:iq:register"
LEGACY_AUTH = "jabber:iq:auth"
FOCUS = "http://jitsi.org/protocol/focus"
NICK = "http://jabber.org/protocol/nick"
SMACKS = "urn:xmpp:sm:3"
SERVICES = "urn:xmpp:extdisco:2"
JITMEET = "http://jitsi.org/jitmeet"

MAX_MESSAGE = 256 * 1024  # bytes that one answer of the server may have


class AccessError(Exception):
    """What a server did instead of letting somebody in. Never carries a token."""


class Stage(StrEnum):
    """Where on the way in the server answered."""

    HTTP = "http"
    STREAM = "stream"
    LOGIN = "login"
    FOCUS = "focus"
    JOIN = "join"
    REQUEST = "request"
    ROLE = "role"
    TURN = "turn"


class Refused(AccessError):
    """The server said no, in so many words.

    ``details`` maps the names of the elements beside the condition to their text, for example
    ``lobbyroom`` to an address.
    """

    def __init__(
        self,
        stage: Stage,
        condition: str,
        text: str = "",
        details: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(stage, condition, text)
        self.stage = stage
        self.condition = condition
        self.text = text
        self.details = details

    def __str__(self) -> str:
        # Details in brackets ("120 sec since expired") differ from run to run
        reason = self.text.split(" (")[0].strip()
        return f"refused: {self.condition}" + (f" ({reason})" if reason else "")


class NoAnswer(AccessError):
    """The server stayed silent. Silence is no refusal: a dead server is silent, too."""

    def __init__(self, awaited: str, seconds: float) -> None:
        super().__init__(awaited, seconds)
        self.awaited = awaited
        self.seconds = seconds

    def __str__(self) -> str:
        return f"no answer: {self.awaited} did not come within {self.seconds:g} s"


class Broken(AccessError):
    """The connection ended, or the answer is no XMPP."""

    def __str__(self) -> str:
        return f"broken: {self.args[0]}"


def element(name: str, attributes: Mapping[str, str] | None = None, *children: str) -> str:
    """XML text of one element. ``children`` are XML already, `text` escapes."""
    rendered = "".join(f" {key}={quoteattr(value)}" for key, value in (attributes or {}).items())
    return f"<{name}{rendered}>{''.join(children)}</{name}>"


def text(content: str) -> str:
    """XML text of character data."""
    return escape(content)


def parse(message: str | bytes) -> ET.Element:
    """One answer of the server as an element.

    XMPP has no comments, no processing instructions and no DTD (RFC 6120, section 11.1), so an
    answer with one of them is refused before the parser sees it. That leaves no entity to expand.
    Prosody does not declare the prefix of a stream error over WebSocket, so it is declared here.

    Raises Broken on anything but one bounded, well-formed element.
    """
    raw = message.encode() if isinstance(message, str) else message
    if len(raw) > MAX_MESSAGE:
        raise Broken(f"an answer of more than {MAX_MESSAGE} bytes")
    if b"<!" in raw or b"<?" in raw:
        raise Broken("an answer with a DTD, a comment or a processing instruction")
    try:
        wrapper = ET.fromstring(  # noqa: S314 - no DTD comes this far, so nothing expands
            b"<answer xmlns:stream='%s'>%s</answer>" % (STREAMS.encode(), raw)
        )
    except ET.ParseError as error:
        raise Broken(f"an answer that is no XML ({error})") from None
    if len(wrapper) != 1:
        raise Broken("an answer that is not one element")
    return wrapper[0]


def qualified(namespace: str, name: str) -> str:
    """Name of an element as ElementTree writes it."""
    return f"{{{namespace}}}{name}"


def json_message(stanza: ET.Element) -> Any:
    """What a component of Jitsi's says in JSON, an empty mapping in any other stanza.

    Raises ValueError.
    """
    return json.loads(stanza.findtext(qualified(JITMEET, "json-message"), "{}"))


def refusal(stage: Stage, error: ET.Element, namespace: str) -> Refused:
    """The refusal in a SASL ``<failure/>``, a stream error or a stanza's ``<error/>``.

    All three have the defined condition as their first child of ``namespace`` that is not
    ``<text/>`` (RFC 6120, sections 4.9.2, 6.5 and 8.3.2).
    """
    prefix = f"{{{namespace}}}"
    condition, words, details = "undefined-condition", "", {}
    for child in error:
        if child.tag == f"{prefix}text":
            words = child.text or ""
        elif child.tag.startswith(prefix):
            condition = child.tag.removeprefix(prefix)
        else:
            details[child.tag.rpartition("}")[2]] = child.text or ""
    return Refused(stage, condition, words, details)


def stanza_refusal(stage: Stage, stanza: ET.Element) -> Refused:
    """The refusal in a stanza of type error."""
    error = stanza.find(qualified(CLIENT, "error"))
    if error is None:
        return Refused(stage, "undefined-condition")
    return refusal(stage, error, STANZA_ERRORS)


def fresh_name(prefix: str = "vestibule") -> str:
    """A name that no room of another run has."""
    return f"{prefix}-{secrets.token_hex(6)}"


@dataclass(frozen=True)
class Room:
    """A room of the server for ``domain``.

    A tenant's room has two addresses: the one clients use, and the one mod_muc_domain_mapper
    makes of it. The server accepts both and answers from the first.
    """

    name: str
    domain: str
    tenant: str = ""
    component: str = "conference"

    @property
    def address(self) -> str:
        """Address as Jitsi's client writes it."""
        tenant = f"{self.tenant}." if self.tenant else ""
        return f"{self.name}@{self.component}.{tenant}{self.domain}"

    @property
    def mapped_address(self) -> str:
        """Address under which the MUC component keeps the room."""
        tenant = f"[{self.tenant}]" if self.tenant else ""
        return f"{tenant}{self.name}@{self.component}.{self.domain}"

    @property
    def lobby(self) -> Room:
        """Where people wait for admission to this room."""
        return replace(self, component="lobby")

    def sent(self, stanza: ET.Element) -> bool:
        """Whether the room, or one of its occupants, is the sender of ``stanza``."""
        sender = stanza.get("from", "").partition("/")[0].lower()
        return sender in (self.address.lower(), self.mapped_address.lower())
