"""What a browser reads before it connects: a room's page, its files, and where they send it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import httpx

from .transports import Door
from .xmpp import Broken, Room

_CONFIG = re.compile(r"\bvar config = ")


async def fetch(
    door: Door, path: str, query: Mapping[str, str] | None = None, languages: str = ""
) -> httpx.Response:
    """What the front door has at this path, for somebody who reads these ``languages``.

    Raises Broken where it does not answer.
    """
    url = httpx.URL(scheme="https", host=door.address, port=door.port, path=path)
    headers = {"Host": door.host_header}
    if languages:
        headers["Accept-Language"] = languages
    try:
        return await door.http.get(
            url.copy_merge_params(query or {}),
            headers=headers,
            extensions={"sni_hostname": door.domain},
        )
    except httpx.HTTPError as error:
        raise Broken(f"{path}: {type(error).__name__}") from None


async def read(door: Door, path: str) -> str:
    """The text there. Raises Broken on any other status than 200."""
    answer = await fetch(door, path)
    if answer.status_code != httpx.codes.OK:
        raise Broken(f"{path}: HTTP status {answer.status_code}")
    return answer.text


def page_path(room: Room) -> str:
    """Path of the room's page, as links have it."""
    return "/" + "/".join(quote(part, safe="") for part in (room.tenant, room.name) if part)


def config_path(room: Room) -> str:
    """Path of config.js as apps read it, beside the room's page."""
    return page_path(room).rpartition("/")[0] + "/config.js"


def config_in(text: str, place: str) -> dict[str, Any]:
    """The client's configuration in a script, which is JSON here. Raises Broken where it is not."""
    assignment = _CONFIG.search(text)
    if not assignment:
        raise Broken(f"{place}: no configuration of the client")
    try:
        config, _ = json.JSONDecoder().raw_decode(text, assignment.end())
    except ValueError:
        raise Broken(f"{place}: no JSON") from None
    if not isinstance(config, dict):
        raise Broken(f"{place}: no mapping")
    return config


def way_in(door: Door, config: Mapping[str, Any], transport: str) -> str:
    """Path of the transport's address in the configuration, which has to lead to this door.

    Raises Broken where it leads elsewhere, or nowhere.
    """
    address = config.get(transport)
    if not isinstance(address, str):
        raise Broken(f"config.js has no {transport}")
    parts = urlsplit(address)
    secure = {"bosh": "https", "websocket": "wss"}[transport]
    if (parts.scheme, parts.netloc) != (secure, door.host_header):
        raise Broken(f"config.js has another server for {transport}: {address[:200]}")
    return parts.path


def policy(answer: httpx.Response) -> dict[str, list[str]]:
    """What the answer allows its page (Content-Security-Policy), sources by directive."""
    parts = answer.headers.get("Content-Security-Policy", "").split(";")
    words = [part.split() for part in parts if part.split()]
    return {name: sources for name, *sources in words}


class Files(HTMLParser):
    """Addresses of the scripts and styles of a page, as they are when its base is considered.

    ``nonces`` are those of its own scripts, empty texts where they have none.
    """

    def __init__(self, page: str) -> None:
        """Read the page, whose own address is the root of its server."""
        super().__init__()
        self.addresses: list[str] = []
        self.nonces: list[str] = []
        self._base = "/"
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the browser loads at once."""
        known = dict(attrs)
        if tag == "base":
            self._base = known.get("href") or "/"
        address = known.get("src") if tag == "script" else None
        if tag == "script" and not address:
            self.nonces.append(known.get("nonce") or "")
        if tag == "link" and known.get("rel") == "stylesheet":
            address = known.get("href")
        if address:
            self.addresses.append(urljoin(self._base, address))


class Words(HTMLParser):
    """What a page in words says: its language, its heading, its links, and whom to ask."""

    def __init__(self, page: str) -> None:
        """Read the page."""
        super().__init__()
        self.language = ""
        self.heading = ""
        self.whom = ""  # to ask
        self.links: list[str] = []
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note language and links."""
        known = dict(attrs)
        if tag not in ("meta", "link", "br"):
            self._open.append(tag)
        if tag == "html":
            self.language = known.get("lang") or ""
        if tag == "a":
            self.links.append(known.get("href") or "")

    def handle_endtag(self, tag: str) -> None:
        """Note that it is over."""
        if tag in self._open:
            del self._open[self._open.index(tag) :]

    def handle_data(self, data: str) -> None:
        """Note what people read."""
        if "h1" in self._open:
            self.heading += data
        if "address" in self._open:
            self.whom += data
