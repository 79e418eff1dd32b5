"""Where people do not get any further: each place says why, and leads on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import httpx

from .. import browser
from ..attempts import Attempt
from ..scene import Scene, room_is_open
from ..tokens import from_now
from ..xmpp import Room, fresh_name
from .case import Case
from .meeting import AT_ONCE, arrival
from .web import is_page

LEADS_ON = "says why, and leads on"
ENDS = (
    "no_token",
    "came_back",
    "expired",
    "refused",
    "other_room",
    "not_open",
    "removed",
    "ended",
)
_FOLDER = "/static/vestibule"


def _way_back(scene: Scene, room: Room) -> str:
    """Address of the login that the page has to lead to, empty where there is none."""
    address: str = scene.entrance.options["token_auth_url"]
    address = address.replace("{room}", room.name).replace("{tenant}", room.tenant)
    # What else is in it only the client can fill in
    return f"{browser.page_path(room)}?vestibule=login" if "{" in address else address


async def _ask(
    scene: Scene, end: str, query: Mapping[str, str], languages: str
) -> tuple[httpx.Response, browser.Words]:
    answer = await browser.fetch(scene.entrance.door, f"{_FOLDER}/{end}", query, languages)
    return answer, browser.Words(answer.text)


def _query(room: Room) -> dict[str, str]:
    return {"room": room.name, **({"tenant": room.tenant} if room.tenant else {})}


def read(languages: str, expected: str, tenant: str = "") -> Attempt:
    """Read all of them in a browser with these languages, which shall get the ``expected`` one."""

    async def attempt(scene: Scene) -> str:
        room = scene.entrance.room(tenant=tenant)
        pages = await asyncio.gather(
            *(_ask(scene, end, _query(room), languages) for end in ENDS),
            *(_ask(scene, end, _query(room), "") for end in ENDS),
        )
        back = _way_back(scene, room)
        for (answer, words), (_, usual) in zip(pages[: len(ENDS)], pages[len(ENDS) :], strict=True):
            if not is_page(answer):
                return "is no page"
            if words.language != expected or not words.heading.strip():
                return "is in another language"
            if (words.heading == usual.heading) != (expected == "en"):
                return "is not translated"
            if back not in words.links if back else not _asks(words):
                return "leads nowhere"
        if len({words.heading for _, words in pages[: len(ENDS)]}) != len(ENDS):
            return "says the same of two ends"
        return LEADS_ON

    return attempt


def _asks(words: browser.Words) -> bool:
    """Whether the page says whom to ask, and has no login that leads nowhere."""
    return bool(words.whom.strip()) and not any("login" in link for link in words.links)


async def repeat_what_is_secret(scene: Scene) -> str:
    """Look whether a page has the token, or anything else that somebody put into its address."""
    token, strange = scene.token(), '"><script>alert(1)</script>'
    for query in ({"room": strange}, {"room": "standup", "jwt": token, "tenant": strange}):
        for end in ENDS:
            answer, _ = await _ask(scene, end, query, "en")
            if not is_page(answer):
                return "is no page"
            if token in answer.text or "<script" in answer.text:
                return "repeats it"
    return LEADS_ON


async def look_for_the_script(scene: Scene) -> str:
    """Look for the script in the page of a room that notices these ends, and for the script."""
    door = scene.entrance.door
    page = await browser.read(door, browser.page_path(scene.room))
    if f"{_FOLDER}/ends.js" not in browser.Files(page).addresses:
        return "is not in the page"
    await browser.read(door, f"{_FOLDER}/ends.js")
    return LEADS_ON


def end_up(end: str, token: Callable[[Scene], str]) -> Attempt:
    """Open the link with a token that does not open the room, in a German browser."""

    async def attempt(scene: Scene) -> str:
        wrong = token(scene)
        async with arrival(scene, wrong, "de", **AT_ONCE) as window:
            address = await window.wait_for_page(f"{_FOLDER}/{end}")
            words = browser.Words(await window.page.content())
        if wrong in address or "jwt" in address or wrong in "".join(words.links):
            return "takes the token along"
        if words.language != "de" or not words.heading.strip():
            return "is in another language"
        back = _way_back(scene, scene.room)
        return LEADS_ON if (back in words.links if back else _asks(words)) else "leads nowhere"

    return attempt


def _signed_otherwise(scene: Scene) -> str:
    signed, _, signature = scene.token().rpartition(".")
    return f"{signed}.{signature[::-1]}"


DEAD_ENDS = (
    Case(
        "browser_ends_up_well",
        "link that does not open, in a browser",
        {
            "expired": end_up("expired", lambda scene: scene.token(exp=from_now(-120))),
            "signed otherwise": end_up("refused", _signed_otherwise),
            "other room": end_up("other_room", lambda scene: scene.token(room=fresh_name())),
        },
        control=room_is_open,
        outcome=LEADS_ON,
        in_browser=True,
        only_over="websocket",
    ),
    Case(
        "dead_ends_lead_on",
        "pages of those who get no further",
        {
            "English": read("en-GB,en;q=0.9,de;q=0.8", "en"),
            "German": read("fr,de-AT;q=0.8,en;q=0.7", "de"),
            "unknown language": read("eo", "en"),
            "tenant's room": read("de", "de", "acme"),
            "token in the address": repeat_what_is_secret,
            "script in the page": look_for_the_script,
        },
        outcome=LEADS_ON,
    ),
)
