"""Fingerprints of OpenPGP keys (RFC 9580), read without GnuPG.

A key has to be looked at before apt trusts it, on hosts that have nothing but apt: a minimal Debian
has gpgv or sqv, which verify signatures and name no key in a file, and GnuPG only where somebody
installed it. What is read here says no more than which keys there are; apt verifies the signatures.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator

ARMOUR = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
_PUBLIC_KEY = 6  # packet type of a primary key (RFC 9580, section 5)


def dearmour(key: str) -> bytes:
    """The packets in an ASCII-armoured key (RFC 9580, section 6.2). Raises ValueError."""
    _, begin, rest = key.partition(ARMOUR)
    body, end, _ = rest.partition("-----END PGP PUBLIC KEY BLOCK-----")
    _, blank, data = body.replace("\r", "").partition("\n\n")
    if not begin or not end or not blank:
        raise ValueError("the armour is incomplete")
    lines = [line for line in data.split("\n") if not line.startswith("=")]
    try:
        return base64.b64decode("".join(lines), validate=True)
    except binascii.Error as error:
        raise ValueError(f"the armour is no base64: {error}") from error


def packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of each OpenPGP packet (RFC 9580, section 4.2). Raises ValueError."""
    position = 0
    while position < len(data):
        tag = data[position]
        if not tag & 0x80:
            raise ValueError("there is something else between the packets")
        if tag & 0x40:
            kind, first = tag & 0x3F, data[position + 1]
            if first < 192:
                header, length = 2, first
            elif first < 224:
                header, length = 3, ((first - 192) << 8) + data[position + 2] + 192
            elif first == 255:
                header, length = 6, int.from_bytes(data[position + 2 : position + 6], "big")
            else:
                raise ValueError("keys have no packets of unknown length")
        else:
            kind, size = (tag >> 2) & 0x0F, 1 << (tag & 0x03)
            if size == 8:
                raise ValueError("keys have no packets of unknown length")
            header = 1 + size
            length = int.from_bytes(data[position + 1 : position + header], "big")
        body = data[position + header : position + header + length]
        if len(body) < length:
            raise ValueError("the last packet is cut off")
        yield kind, body
        position += header + length


def fingerprints(key: str) -> list[str]:
    """Fingerprints of the primary keys in an armoured file, in capitals.

    Raises ValueError where the file is no OpenPGP key, or one of a version that is not known.
    """
    found = []
    try:
        for kind, body in packets(dearmour(key)):
            if kind != _PUBLIC_KEY:
                continue
            if body[0] == 4:  # RFC 9580, section 5.5.4.2: SHA-1 is what version 4 has
                prefix, digest = b"\x99" + len(body).to_bytes(2, "big"), hashlib.sha1
            elif body[0] == 6:  # section 5.5.4.3
                prefix, digest = b"\x9b" + len(body).to_bytes(4, "big"), hashlib.sha256
            else:
                raise ValueError(f"version {body[0]} of keys is not known")
            found.append(digest(prefix + body).hexdigest().upper())
    except IndexError as error:
        raise ValueError("a packet is cut off") from error
    return found
