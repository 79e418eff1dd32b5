"""The web client: whether it is told where people without a token have to go."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx

from ..certificates import shown
from ..scene import Entrance, Scene
from ..xmpp import Broken
from .case import Case

ANNOUNCED = "is announced"
NEWEST = "is shown"


async def read_config(entrance: Entrance) -> dict[str, Any]:
    """The client's configuration: JSON, assigned to a variable. Raises Broken on anything else."""
    door = entrance.door
    url = httpx.URL(scheme="https", host=door.address, port=door.port, path="/config.js")
    try:
        answer = await door.http.get(
            url,
            headers={"Host": door.host_header},
            extensions={"sni_hostname": door.domain},
        )
    except httpx.HTTPError as error:
        raise Broken(f"config.js: {type(error).__name__}") from None
    if answer.status_code != httpx.codes.OK:
        raise Broken(f"config.js: HTTP status {answer.status_code}")
    try:
        config = json.loads(answer.text.partition("=")[2].strip().removesuffix(";"))
    except ValueError:
        raise Broken("config.js: no JSON") from None
    if not isinstance(config, dict):
        raise Broken("config.js: no mapping")
    return config


async def look_for_login_page(scene: Scene) -> str:
    """See where the client sends people without a token.

    Without a place for guests it has to send them at once: it would ask them for a password that
    nobody has, again and again.
    """
    config = await read_config(scene.entrance)
    if config.get("tokenAuthUrl") != scene.entrance.options["token_auth_url"]:
        return "is another one, or none"
    takes_guests = "guests" in scene.entrance.features
    if bool(config.get("tokenAuthUrlAutoRedirect")) == takes_guests:
        return "guests are sent there as well" if takes_guests else "waits for a password"
    if ("anonymousdomain" in config.get("hosts", {})) != takes_guests:
        return "does not know where guests log in" if takes_guests else "sends guests nowhere"
    return ANNOUNCED


async def compare_certificate(scene: Scene) -> str:
    """See whether the server shows the certificate that is in its file.

    It does not where that was renewed, and nobody told the web server.
    """
    door, patience = scene.entrance.door, scene.entrance.patience
    try:
        leaf, _ = await asyncio.to_thread(
            shown, door.domain, door.address, door.port, patience, door.trust
        )
    except OSError as error:
        raise Broken(f"TLS: {error.strerror or type(error).__name__}") from None
    return NEWEST if leaf == door.leaf else "is not shown but an older one; reload nginx"


WEB = (
    Case(
        "certificate_of_the_file_is_shown",
        "certificate that is in its file",
        {"TLS": compare_certificate},
        outcome=NEWEST,
        only_over="websocket",
    ),
    Case(
        "login_page_is_announced",
        "login page for people without a token",
        {"config.js": look_for_login_page},
        outcome=ANNOUNCED,
    ),
)
