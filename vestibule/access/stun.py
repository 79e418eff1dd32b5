"""Messages of STUN (RFC 8489) and TURN (RFC 8656): as many as a client needs to ask for a relay."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import secrets
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

HEADER = 20  # bytes
COOKIE = 0x2112A442
_XOR_FINGERPRINT = 0x5354554E
_IPV4, _IPV6 = 1, 2

BINDING, ALLOCATE, REFRESH, CREATE_PERMISSION = 0x001, 0x003, 0x004, 0x008
REQUEST, SUCCESS, ERROR = 0b00, 0b10, 0b11

USERNAME = 0x0006
MESSAGE_INTEGRITY = 0x0008
ERROR_CODE = 0x0009
LIFETIME = 0x000D
XOR_PEER_ADDRESS = 0x0012
REALM = 0x0014
NONCE = 0x0015
XOR_RELAYED_ADDRESS = 0x0016
REQUESTED_TRANSPORT = 0x0019
XOR_MAPPED_ADDRESS = 0x0020
SOFTWARE = 0x8022
FINGERPRINT = 0x8028

UDP = 17  # number of the protocol, as REQUESTED-TRANSPORT has it

Address = tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]


class NotStunError(ValueError):
    """What came is no message of STUN. The message of the error says why."""


@dataclass(frozen=True)
class Message:
    """A message, whose attributes are in their order; of one that comes twice the first counts."""

    method: int
    kind: int
    transaction: bytes
    attributes: Mapping[int, bytes] = field(default_factory=dict)

    @property
    def error(self) -> tuple[int, str]:
        """Code and reason of an answer of the class error."""
        value = self.attributes.get(ERROR_CODE, b"")
        if len(value) < 4:
            return 0, "no reason"
        return (value[2] & 7) * 100 + value[3], value[4:].decode("utf-8", "replace")

    def text(self, attribute: int) -> str:
        """An attribute that is a text, empty where there is none."""
        return self.attributes.get(attribute, b"").decode("utf-8", "replace")

    def address(self, attribute: int) -> Address:
        """An attribute that is an XOR address. Raises NotStunError where it is none."""
        return decode_address(self.attributes.get(attribute, b""), self.transaction)


def fresh_transaction() -> bytes:
    """Twelve bytes that no other transaction has."""
    return secrets.token_bytes(12)


def long_term_key(username: str, realm: str, password: str) -> bytes:
    """Key of a long-term credential (RFC 8489, section 9.2.2), with MD5 as the servers have it."""
    text = f"{username}:{realm}:{password}".encode()
    return hashlib.md5(text, usedforsecurity=False).digest()


def time_limited(secret: str, ends: int, name: str = "") -> tuple[str, str]:
    """User name and password that a shared secret makes, good until ``ends`` (seconds since 1970).

    As draft-uberti-behave-turn-rest-00 says, by which Prosody and TURN servers go.
    """
    username = f"{ends}:{name}" if name else str(ends)
    digest = hmac.new(secret.encode(), username.encode(), "sha1").digest()
    return username, base64.b64encode(digest).decode()


def encode_address(address: Address, transaction: bytes) -> bytes:
    """An XOR address (RFC 8489, section 14.2)."""
    host, port = address
    pad = struct.pack("!I", COOKIE) + transaction
    family = _IPV4 if host.version == 4 else _IPV6
    veiled = bytes(one ^ other for one, other in zip(host.packed, pad, strict=False))
    return struct.pack("!BBH", 0, family, port ^ (COOKIE >> 16)) + veiled


def decode_address(value: bytes, transaction: bytes) -> Address:
    """Host and port of an XOR address. Raises NotStunError."""
    if len(value) not in (8, 20) or value[1] != (_IPV4 if len(value) == 8 else _IPV6):
        raise NotStunError("an address that is none")
    pad = struct.pack("!I", COOKIE) + transaction
    plain = bytes(one ^ other for one, other in zip(value[4:], pad, strict=False))
    return ipaddress.ip_address(plain), int.from_bytes(value[2:4]) ^ (COOKIE >> 16)


def encode(message: Message, key: bytes = b"", padding: bytes = b"\0") -> bytes:
    """Bytes of a message, with FINGERPRINT at its end and, with a ``key``, MESSAGE-INTEGRITY.

    What fills up attributes is of no meaning; the vectors of RFC 5769 have spaces there.
    """
    body = b"".join(
        _attribute(number, value, padding)
        for number, value in message.attributes.items()
        if number not in (MESSAGE_INTEGRITY, FINGERPRINT)
    )
    if key:
        signed = _head(message, len(body) + 24) + body
        body += _attribute(MESSAGE_INTEGRITY, hmac.new(key, signed, "sha1").digest(), padding)
    whole = _head(message, len(body) + 8) + body
    return whole + _attribute(FINGERPRINT, _fingerprint(whole), padding)


def decode(data: bytes) -> Message:
    """The message in these bytes. Raises NotStunError."""
    if len(data) < HEADER:
        raise NotStunError("less than a header")
    kind, length, cookie = struct.unpack("!HHI", data[:8])
    if kind & 0xC000 or cookie != COOKIE or length % 4 or len(data) != HEADER + length:
        raise NotStunError("another header, or another length")
    attributes: dict[int, bytes] = {}
    place = HEADER
    while place < len(data):
        number, size = struct.unpack("!HH", data[place : place + 4])
        value = data[place + 4 : place + 4 + size]
        if len(value) != size:
            raise NotStunError("an attribute that is longer than the message")
        if number == FINGERPRINT and value != _fingerprint(data[:place]):
            raise NotStunError("another fingerprint")
        attributes.setdefault(number, value)
        place += 4 + size + -size % 4
    return Message(_method(kind), _kind(kind), data[8:HEADER], attributes)


def is_signed(data: bytes, key: bytes) -> bool:
    """Whether the message in these bytes has a MESSAGE-INTEGRITY that this key made."""
    place = HEADER
    while place + 4 <= len(data):
        number, size = struct.unpack("!HH", data[place : place + 4])
        if number == MESSAGE_INTEGRITY:
            head = data[:2] + struct.pack("!H", place + 24 - HEADER) + data[4:HEADER]
            digest = hmac.new(key, head + data[HEADER:place], "sha1").digest()
            return hmac.compare_digest(digest, data[place + 4 : place + 4 + size])
        place += 4 + size + -size % 4
    return False


def body_length(header: bytes) -> int:
    """Bytes that follow this header in a stream. Raises NotStunError."""
    kind, length, cookie = struct.unpack("!HHI", header[:8])
    if kind & 0xC000 or cookie != COOKIE:
        raise NotStunError("another header")
    return int(length)


def _head(message: Message, length: int) -> bytes:
    # Bits of the class stand between those of the method (RFC 8489, section 5)
    method, kind = message.method, message.kind
    bits = (method & 0xF) | (method & 0x70) << 1 | (method & 0xF80) << 2
    bits |= (kind & 1) << 4 | (kind & 2) << 7
    return struct.pack("!HHI", bits, length, COOKIE) + message.transaction


def _method(bits: int) -> int:
    return (bits & 0xF) | (bits >> 1 & 0x70) | (bits >> 2 & 0xF80)


def _kind(bits: int) -> int:
    return (bits >> 4 & 1) | (bits >> 7 & 2)


def _attribute(number: int, value: bytes, padding: bytes) -> bytes:
    return struct.pack("!HH", number, len(value)) + value + padding * (-len(value) % 4)


def _fingerprint(data: bytes) -> bytes:
    return struct.pack("!I", zlib.crc32(data) ^ _XOR_FINGERPRINT)
