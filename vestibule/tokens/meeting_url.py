"""The link by which the owner of a token enters a meeting."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from vestibule.arguments import unknown
from vestibule.tokens.address import decoded
from vestibule.values import type_name

HTTPS = 443
LAST_PORT = 65535

_ARGUMENTS = ("domain", "room", "tenant", "port", "config")
_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*", re.IGNORECASE | re.ASCII)
_TOKEN = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
# Jitsi drops these from room names (upstream: react/features/base/util/uri.ts), so that a link
# with one of them would open another room than the token names.
_DROPPED = re.compile(r"""[:?#\[\]@!$&'()*+,;=></"]""")


class MeetingUrlError(ValueError):
    """There is no such link. The message names arguments and types, never the token."""


def meeting_url(
    token: str,
    *,
    domain: str,
    room: str,
    tenant: str | None = None,
    port: int = HTTPS,
    config: dict[str, Any] | None = None,
) -> str:
    """Write the link to the room with the token. Raises MeetingUrlError with the remedy."""
    if not _is_text(token, _TOKEN):
        raise MeetingUrlError("The value is no token. Use what jitsi_jwt returns.")
    if not _is_text(domain, _HOST):
        raise MeetingUrlError(
            "domain is no host name. Use one such as meet.example.org, without scheme and port."
        )
    names = [("tenant", tenant), ("room", room)] if tenant is not None else [("room", room)]
    path = "/".join(_segment(name, value) for name, value in names)
    authority = domain if _port(port) == HTTPS else f"{domain}:{port}"
    settings = "&".join(_setting(key, value) for key, value in _items(config))
    return f"https://{authority}/{path}?jwt={token}{'#' if settings else ''}{settings}"


def meeting_url_with(token: Any, arguments: Mapping[str, Any]) -> str:
    """`meeting_url` for arguments that people wrote. Raises MeetingUrlError for other names."""
    for name in arguments:
        if name not in _ARGUMENTS:
            raise MeetingUrlError(unknown(name, _ARGUMENTS))
    for name in ("domain", "room"):
        if name not in arguments:
            raise MeetingUrlError(f"The argument {name} is missing.")
    return meeting_url(token, **arguments)


def _is_text(value: object, form: re.Pattern[str]) -> bool:
    return isinstance(value, str) and form.fullmatch(value) is not None


def _segment(name: str, value: object) -> str:
    value = decoded(value) if isinstance(value, str) else ""
    if not value.strip(" ."):  # browsers take dots for folders
        raise MeetingUrlError(f"{name} is no text, or empty, or dots alone. Give it a name.")
    dropped = "".join(dict.fromkeys(_DROPPED.findall(value)))
    if dropped:
        raise MeetingUrlError(f"{name} has characters that Jitsi drops: {dropped} Leave them out.")
    try:
        return quote(value, safe="")
    except UnicodeEncodeError:
        raise MeetingUrlError(
            f"{name} is text that UTF-8 cannot encode. Give it another name."
        ) from None


def _port(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= LAST_PORT:
        raise MeetingUrlError(f"port is no whole number from 1 to {LAST_PORT}. Use {HTTPS}.")
    return value


def _items(config: object) -> list[tuple[str, object]]:
    if config is None:
        return []
    if not isinstance(config, dict):
        raise MeetingUrlError(f"config is of type {type_name(config)}. Use a mapping.")
    return list(config.items())


def _setting(key: object, value: object) -> str:
    """Write one setting as Jitsi's own iframe API does: the value is JSON, percent-encoded."""
    if not isinstance(key, str) or not key:
        raise MeetingUrlError("config has a key that is no text, or empty. Use names of settings.")
    try:
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return f"config.{quote(key, safe='')}={quote(text, safe='')}"
    except (TypeError, ValueError):  # text that UTF-8 cannot encode is a ValueError as well
        raise MeetingUrlError(
            f"config[{key!r}] has no JSON form. Use text, numbers, booleans, lists and mappings."
        ) from None
