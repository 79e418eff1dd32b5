"""A room or tenant as Jitsi's client writes it into the address of the room."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote, unquote

HEALTH_ROOMS = "__jicofo-health-check"  # kept for Jicofo by mod_muc_reserved
# What nginx answers with something else than the page of a room
PATHS = frozenset(
    {
        *("http-bind", "xmpp-websocket", "config.js", "external_api.js", "interface_config.js"),
        *("base.html", "body.html", "fonts.html", "head.html", "index.html", "plugin.head.html"),
        *("title.html", "manifest.json", "pwa-worker.js", "favicon.ico", "robots.txt"),
    }
)

_PLAIN = re.compile(r"[\w.~*-]+", re.ASCII)
_HALF_ENCODED = re.compile("%(?![0-9A-Fa-f]{2})")


def address_part(name: str) -> str:
    """The name there, which a claim must equal.

    Upstream: getBackendSafeRoomName in react/features/base/util/uri.ts.
    """
    if _PLAIN.fullmatch(name):
        return name
    return quote(unicodedata.normalize("NFKC", decoded(name)).lower(), safe="!'()*").lower()


def decoded(name: str) -> str:
    """The name without percent-encoding, if all of it is some, as by decodeURIComponent."""
    if _HALF_ENCODED.search(name):
        return name
    try:
        return unquote(name, errors="strict")
    except UnicodeDecodeError:
        return name
