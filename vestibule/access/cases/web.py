"""The web client: whether what it reads is right, and leads in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

import httpx

from .. import browser
from ..attempts import ENTERED, Attempt
from ..participant import FOCUS_NICK
from ..scene import Scene
from ..xmpp import Broken, Room, fresh_name
from .case import Case

ANNOUNCED = "is announced"
OPENS = "opens"
_SCRIPT = ("application/javascript", "text/javascript")
_PAGE = ("text/html",)


async def look_for_login_page(scene: Scene) -> str:
    """See where the client sends people without a token.

    Without a place for guests it has to send them at once: it would ask them for a password that
    nobody has, again and again.
    """
    path = "/config.js"
    config = browser.config_in(await browser.read(scene.entrance.door, path), path)
    login = scene.entrance.options["token_auth_url"].replace("{tenant}", "")
    if config.get("tokenAuthUrl") != login:
        return "is another one, or none"
    takes_guests = "guests" in scene.entrance.features
    if bool(config.get("tokenAuthUrlAutoRedirect")) == takes_guests:
        return "guests are sent there as well" if takes_guests else "waits for a password"
    if ("anonymousdomain" in config.get("hosts", {})) != takes_guests:
        return "does not know where guests log in" if takes_guests else "sends guests nowhere"
    return ANNOUNCED


def _is_of(answer: httpx.Response, types: tuple[str, ...]) -> bool:
    return answer.headers.get("Content-Type", "").partition(";")[0] in types


def _stopped(policy: Mapping[str, list[str]], nonces: Sequence[str]) -> str:
    """Why a browser would run other scripts than those of the page, or not all of these."""
    scripts = policy.get("script-src", [])
    if not scripts or {"'unsafe-inline'", "*", "https:", "data:"} & {*scripts}:
        return "runs any script"
    if "'self'" not in scripts or {f"'nonce-{nonce}'" for nonce in nonces} - {*scripts}:
        return "stops its own scripts"
    return ""


def is_page(answer: httpx.Response) -> bool:
    """Whether it is a page, and no error."""
    return answer.status_code == httpx.codes.OK and _is_of(answer, _PAGE)


async def open_page(scene: Scene) -> str:
    """Open the page of a room as a browser does, with the scripts and styles that it names."""
    door = scene.entrance.door
    page = await browser.fetch(door, browser.page_path(scene.room))
    if not is_page(page):
        return "is no page"
    if "<!--#" in page.text:
        return "is not put together"
    browser.config_in(page.text, "the page")
    found = browser.Files(page.text)
    stopped = _stopped(browser.policy(page), found.nonces)
    if stopped:
        return stopped
    files = [urlsplit(address) for address in found.addresses]
    if not files:
        return "has no scripts"
    if any(file.netloc for file in files):
        return "asks another server"
    answers = await asyncio.gather(*(browser.fetch(door, file.path) for file in files))
    for file, answer in zip(files, answers, strict=True):
        types = ("text/css",) if file.path.endswith(".css") else _SCRIPT
        if answer.status_code != httpx.codes.OK or not _is_of(answer, types):
            raise Broken(f"{file.path}: HTTP status {answer.status_code}, or no such file")
    return OPENS


async def load_embedding_script(scene: Scene) -> str:
    """Load the script by which other sites embed meetings."""
    answer = await browser.fetch(scene.entrance.door, "/external_api.js")
    found = answer.status_code == httpx.codes.OK and _is_of(answer, _SCRIPT)
    return OPENS if found else "is no script"


async def ask_for_missing_file(scene: Scene) -> str:
    """Ask for a file that no client has. The page in its place would be read as a script."""
    answer = await browser.fetch(scene.entrance.door, f"/libs/{fresh_name()}.js")
    return OPENS if answer.status_code == httpx.codes.NOT_FOUND else "another file answers"


def follow(path: Callable[[Room], str]) -> Attempt:
    """Go where the configuration at this path of the room sends a browser."""

    async def attempt(scene: Scene) -> str:
        entrance, room = scene.entrance, scene.room
        place = path(room)
        config = browser.config_in(await browser.read(entrance.door, place), place)
        if config.get("hosts", {}).get("muc") != room.address.partition("@")[2]:
            raise Broken(f"{place} names another MUC")
        way = browser.way_in(entrance.door, config, entrance.kind.name)
        async with entrance.follow(room, entrance.token(room), way) as participant:
            await participant.wait_for_occupant(room, FOCUS_NICK)
            return ENTERED

    return attempt


LEADS: dict[str, Attempt] = {
    "config.js": follow(browser.config_path),
    "page": follow(browser.page_path),
}
LEADS_NEED = {"page": "web_client"}

WEB = (
    Case(
        "page_opens",
        "page of a room, with all its files",
        {
            "page": open_page,
            "script that embeds meetings": load_embedding_script,
            "file that is not there": ask_for_missing_file,
        },
        outcome=OPENS,
    ),
    Case(
        "link_leads_in",
        "valid token where the page leads",
        LEADS,
        needs=LEADS_NEED,
    ),
    Case(
        "login_page_is_announced",
        "login page for people without a token",
        {"config.js": look_for_login_page},
        outcome=ANNOUNCED,
    ),
)
