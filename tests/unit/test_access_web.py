"""The case that reads the web client's configuration, against answers made up here."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import Any

import httpx
import pytest

from vestibule.access import browser
from vestibule.access.cases import CASES
from vestibule.access.play import judge
from vestibule.access.scene import Entrance
from vestibule.access.tokens import Issuer
from vestibule.access.transports import Door, WebSocketTransport
from vestibule.access.xmpp import Broken, Room

DOMAIN = "meet.example.org"
LOGIN = "https://login.example.org/?room={room}"
ALONE: dict[str, Any] = {"tokenAuthUrl": LOGIN, "tokenAuthUrlAutoRedirect": True, "hosts": {}}
BESIDE_GUESTS: dict[str, Any] = {
    "tokenAuthUrl": LOGIN,
    "tokenAuthUrlAutoRedirect": False,
    "hosts": {"anonymousdomain": "guest.meet.example.org"},
}


def verdict(content: str, features: frozenset[str], status: int = 200) -> str:
    """What the case says of a server that serves this as config.js, and nothing else."""

    def answer(request: httpx.Request) -> httpx.Response:
        assert (request.url.path, request.headers["Host"]) == ("/config.js", DOMAIN)
        return httpx.Response(status, text=content)

    async def judged() -> str:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
            door = Door(DOMAIN, "192.0.2.1", 443, ssl.create_default_context(), http)
            entrance = Entrance(
                door,
                WebSocketTransport,
                Issuer("", "vestibule", "jitsi", DOMAIN),
                1,
                features,
                {"token_auth_url": LOGIN},
            )
            result = await judge(CASES["login_page_is_announced"], entrance)
            assert result.ok == (result.got == "is announced")
            return result.got

    return asyncio.run(judged())


def script(config: object) -> str:
    return f"// made by a test\nvar config = {json.dumps(config)};\n"


@pytest.mark.parametrize(
    ("config", "features", "expected"),
    [
        (ALONE, [], "is announced"),
        (BESIDE_GUESTS, ["guests"], "is announced"),
        ({**ALONE, "tokenAuthUrl": ""}, [], "is another one, or none [config.js]"),
        ({**ALONE, "tokenAuthUrlAutoRedirect": False}, [], "waits for a password [config.js]"),
        (ALONE, ["guests"], "guests are sent there as well [config.js]"),
        (
            {**BESIDE_GUESTS, "hosts": {}},
            ["guests"],
            "does not know where guests log in [config.js]",
        ),
        (
            {**ALONE, "hosts": BESIDE_GUESTS["hosts"]},
            [],
            "sends guests nowhere [config.js]",
        ),
        ([], [], "broken: /config.js: no mapping [config.js]"),
    ],
)
def test_the_login_page_has_to_be_announced(
    config: object, features: list[str], expected: str
) -> None:
    assert verdict(script(config), frozenset(features)) == expected


def test_what_is_no_configuration_is_named() -> None:
    none = verdict("<html/>", frozenset())
    assert none == "broken: /config.js: no configuration of the client [config.js]"
    broken = verdict("var config = {1};", frozenset())
    assert broken == "broken: /config.js: no JSON [config.js]"
    missing = verdict("", frozenset(), status=404)
    assert missing == "broken: /config.js: HTTP status 404 [config.js]"


PAGE = f"""<html><head><base href="/"><link rel="stylesheet" href="css/all.css">
<script nonce="7">{script({"hosts": {}})}</script><script src="libs/app.js?v=1"></script>
</head></html>"""
POLICY = "default-src 'none'; script-src 'self' 'nonce-7' 'wasm-unsafe-eval'; "
HTML = {"Content-Type": "text/html", "Content-Security-Policy": POLICY}
SCRIPT = {"Content-Type": "application/javascript; charset=utf-8"}
Answer = tuple[int, dict[str, str], str]
SITE: dict[str, Answer] = {
    "room": (200, HTML, PAGE),
    "/css/all.css": (200, {"Content-Type": "text/css"}, ""),
    "/libs/app.js": (200, SCRIPT, ""),
    "/external_api.js": (200, SCRIPT, ""),
}
MISSING: Answer = (404, {"Content-Type": "text/html"}, "")


def page_verdict(changes: dict[str, Answer], otherwise: Answer = MISSING) -> str:
    """What the case says of a server with these answers; every room has the same page."""
    site = SITE | changes

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        place = path if "." in path or path.count("/") > 1 else "room"
        status, headers, content = site.get(place, otherwise)
        return httpx.Response(status, headers=headers, text=content)

    async def judged() -> str:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
            door = Door(DOMAIN, "192.0.2.1", 443, ssl.create_default_context(), http)
            issuer = Issuer("", "vestibule", "jitsi", DOMAIN)
            entrance = Entrance(door, WebSocketTransport, issuer, 1)
            return (await judge(CASES["page_opens"], entrance)).got

    return asyncio.run(judged())


def page(content: str, **headers: str) -> dict[str, Answer]:
    return {"room": (200, {**HTML, **headers}, content)}


def under(policy: str) -> dict[str, Answer]:
    return page(PAGE, **{"Content-Security-Policy": policy})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "opens, 3 ways"),
        (page(PAGE.replace("<base", '<!--#include virtual="/head.html" --><base')),
         "is not put together [page]"),
        (page("<html>in words</html>"), "broken: the page: no configuration of the client [page]"),
        (page(PAGE.replace("libs/app.js", "https://cdn.example.org/app.js")),
         "asks another server [page]"),
        (page(PAGE, **{"Content-Type": "application/octet-stream"}), "is no page [page]"),
        (under(""), "runs any script [page]"),
        (under("default-src *"), "runs any script [page]"),
        (under(f"{POLICY} 'unsafe-inline'".replace("; ", "")), "runs any script [page]"),
        (under("script-src https: 'self' 'nonce-7'"), "runs any script [page]"),
        (under("script-src 'self' 'nonce-8'"), "stops its own scripts [page]"),
        (under("script-src 'nonce-7'"), "stops its own scripts [page]"),
        (page(PAGE.replace(' nonce="7"', "")), "stops its own scripts [page]"),
        ({"/css/all.css": MISSING},
         "broken: /css/all.css: HTTP status 404, or no such file [page]"),
        ({"/libs/app.js": SITE["room"]},
         "broken: /libs/app.js: HTTP status 200, or no such file [page]"),
        ({"/external_api.js": SITE["room"]}, "is no script [script that embeds meetings]"),
    ],
)  # fmt: skip
def test_a_page_opens_with_all_its_files(changes: dict[str, Answer], expected: str) -> None:
    assert page_verdict(changes) == expected


def test_what_a_policy_allows_is_read_by_directive() -> None:
    answer = httpx.Response(200, headers={"Content-Security-Policy": " a  b 'c' ;; d"})
    assert browser.policy(answer) == {"a": ["b", "'c'"], "d": []}
    assert browser.policy(httpx.Response(200)) == {}


def test_a_missing_file_is_not_the_page() -> None:
    assert page_verdict({}, SITE["room"]) == "another file answers [file that is not there]"


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        ({}, "config.js has no websocket"),
        ({"websocket": "ws://meet.example.org/xmpp-websocket"}, "has another server for websocket"),
        ({"websocket": "wss://meet.example.net/xmpp-websocket"}, "has another server"),
        ({"websocket": "wss://meet.example.org:8443/xmpp-websocket"}, "has another server"),
    ],
)
def test_an_address_that_leads_elsewhere_is_named(config: dict[str, str], fault: str) -> None:
    door = Door(DOMAIN, "192.0.2.1", 443, ssl.create_default_context(), httpx.AsyncClient())
    with pytest.raises(Broken, match=fault):
        browser.way_in(door, config, "websocket")


def test_paths_are_those_of_links() -> None:
    room = Room("stand up", DOMAIN, "acme")
    assert browser.page_path(room) == "/acme/stand%20up"
    assert browser.config_path(room) == "/acme/config.js"
    assert browser.config_path(Room("standup", DOMAIN)) == "/config.js"


def end_page(request: httpx.Request, address: str) -> str:
    """A page as nginx makes it, in the one language that is asked for first of those known."""
    known = [each for each in ("en", "de") if each in request.headers.get("Accept-Language", "")]
    languages = request.headers.get("Accept-Language", "")
    language = min(known, key=languages.index) if known else "en"
    end = request.url.path.rpartition("/")[2]
    room = request.url.params["room"].replace("<", "").replace('"', "")
    way = f'<a href="{address.format(room=room)}">in</a>' if address else "<address>me</address>"
    return f'<html lang="{language}"><meta charset="utf-8"><h1>{end} {language}</h1>{way}</html>'


def ends_verdict(
    address: str = LOGIN,
    option: str = LOGIN,
    replace: tuple[str, str] = ("", ""),
    status: int = 200,
) -> str:
    """What the case says of a server with these pages, one text in them replaced."""

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == "/static/vestibule/ends.js":
            return httpx.Response(200, headers=SCRIPT)
        text = '<script src="/static/vestibule/ends.js"></script>'
        if path.startswith("/static/vestibule/"):
            text = end_page(request, address)
        if replace == ("repeat", "all"):
            text += str(request.url)
        elif replace != ("", ""):
            text = text.replace(*replace)
        return httpx.Response(status, headers=HTML, text=text)

    async def judged() -> str:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
            door = Door(DOMAIN, "192.0.2.1", 443, ssl.create_default_context(), http)
            issuer = Issuer("4Zx8k2Qv9LmT4rB7wYc1NfH6uKp3Jd5S", "vestibule", "jitsi", DOMAIN)
            options = {"token_auth_url": option}
            entrance = Entrance(door, WebSocketTransport, issuer, 1, frozenset(), options)
            return (await judge(CASES["dead_ends_lead_on"], entrance)).got

    return asyncio.run(judged())


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        ({}, "says why, and leads on, 6 ways"),
        ({"address": "", "option": ""}, "says why, and leads on, 6 ways"),
        ({"status": 404}, "is no page [English]"),
        ({"address": ""}, "leads nowhere [English]"),
        ({"option": ""}, "leads nowhere [English]"),
        ({"address": "https://login.example.org/"}, "leads nowhere [English]"),
        ({"address": "", "option": "", "replace": ("me", " ")}, "leads nowhere [English]"),
        ({"replace": ('lang="de"', 'lang="en"')}, "is in another language [German]"),
        ({"replace": (" de</h1>", " en</h1>")}, "is not translated [German]"),
        ({"replace": ("<h1>ended", "<h1>removed")}, "says the same of two ends [English]"),
        ({"replace": ("repeat", "all")}, "repeats it [token in the address]"),
        ({"replace": ("ends.js", "more.js")}, "is not in the page [script in the page]"),
    ],
)
def test_each_dead_end_has_to_lead_on(about: dict[str, Any], expected: str) -> None:
    assert ends_verdict(**about) == expected


def test_what_only_the_client_fills_in_leads_to_the_client() -> None:
    option = "https://login.example.org/?state={state}"
    assert ends_verdict("/{room}?vestibule=login", option).startswith("leads nowhere [tenant's")
    assert ends_verdict(option.replace("{state}", "{{state}}"), option).startswith("leads nowhere")
