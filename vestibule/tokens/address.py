"""A room or tenant as Jitsi's client writes it into the address of the room."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

_PLAIN = re.compile(r"[\w.~*%-]+", re.ASCII)


def address_part(name: str) -> str:
    """The name there, which a claim must equal.

    Upstream: getBackendSafeRoomName in react/features/base/util/uri.ts.
    """
    if _PLAIN.fullmatch(name):
        return name
    return quote(unicodedata.normalize("NFKC", name).lower(), safe="!'()*").lower()
