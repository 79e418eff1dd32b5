"""Filter ``jitsi_meeting_url``: links that a browser reads as they were meant."""

from __future__ import annotations

import json
import math
import unicodedata
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
from ansible.errors import AnsibleFilterError
from hypothesis import given
from hypothesis import strategies as st

from filter_plugins.jitsi_meeting_url import FilterModule
from vestibule.tokens.address import address_part, decoded

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJjYW5hcnkiOjF9.c2ln-_8"
link = FilterModule().filters()["jitsi_meeting_url"]


@pytest.mark.parametrize(
    ("arguments", "url"),
    [
        ({"room": "standup"}, "https://meet.example.org/standup?jwt={token}"),
        ({"room": "a", "tenant": "acme"}, "https://meet.example.org/acme/a?jwt={token}"),
        ({"room": "a", "port": 8443}, "https://meet.example.org:8443/a?jwt={token}"),
        ({"room": "ranní káva"}, "https://meet.example.org/rann%C3%AD%20k%C3%A1va?jwt={token}"),
        ({"room": "100%"}, "https://meet.example.org/100%25?jwt={token}"),
        ({"room": "100%25"}, "https://meet.example.org/100%25?jwt={token}"),
        ({"room": "a%20b"}, "https://meet.example.org/a%20b?jwt={token}"),
        ({"room": "a%2520b"}, "https://meet.example.org/a%2520b?jwt={token}"),
        ({"room": "a", "config": {}}, "https://meet.example.org/a?jwt={token}"),
        (
            {"room": "a", "config": {"startWithAudioMuted": True, "subject": 'A & "B"'}},
            "https://meet.example.org/a?jwt={token}"
            "#config.startWithAudioMuted=true&config.subject=%22A%20%26%20%5C%22B%5C%22%22",
        ),
        (
            {"room": "a", "config": {"a/b": "c/d"}},
            "https://meet.example.org/a?jwt={token}#config.a%2Fb=%22c%2Fd%22",
        ),
        (
            {"room": "a", "config": {"p2p": {"enabled": False}, "toolbarButtons": ["chat"]}},
            "https://meet.example.org/a?jwt={token}"
            "#config.p2p=%7B%22enabled%22%3Afalse%7D&config.toolbarButtons=%5B%22chat%22%5D",
        ),
    ],
)
def test_links(arguments: dict[str, Any], url: str) -> None:
    assert link(TOKEN, domain="meet.example.org", **arguments) == url.format(token=TOKEN)


DROPPED = set(":?#[]@!$&'()*+,;=></\"")
texts = st.text(st.characters(exclude_categories=["Cs"]))
settings_values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=8,
)


@given(
    room=texts.map(decoded).filter(lambda room: room.strip(" .") and not set(room) & DROPPED),
    config=st.dictionaries(texts.filter(bool), settings_values, max_size=4),
)
def test_a_browser_finds_every_part_again(room: str, config: dict[str, Any]) -> None:
    url = link(TOKEN, domain="meet.example.org", room=room, config=config)
    assert url.isascii() and url.isprintable() and " " not in url
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc) == ("https", "meet.example.org")
    assert unquote(parts.path) == f"/{decoded(room)}"
    assert parse_qs(parts.query) == {"jwt": [TOKEN]}
    settings = [setting.split("=") for setting in parts.fragment.split("&") if setting]
    assert {unquote(key): json.loads(unquote(value)) for key, value in settings} == {
        f"config.{key}": value for key, value in config.items()
    }


def entered(path: str) -> str:
    """The room that the client enters by the path of a link: getBackendSafeRoomName."""
    room = unicodedata.normalize("NFKC", unquote(path, errors="strict")).lower()
    return quote(room, safe="!'()*").lower()


@pytest.mark.parametrize(
    "room",
    [
        "50%",
        "a%20b",
        "a%2520b",
        "100 %",
        "%c3%a9",
        "%C3%89",
        "%c3",
        "%zz",
        "%",
        "Team A",
        "StandUp",
    ],
)
def test_the_claim_is_the_room_that_the_link_enters(room: str) -> None:
    path = urlsplit(link(TOKEN, domain="meet.example.org", room=room)).path
    assert entered(path[1:]) == address_part(room).lower()
    assert address_part(address_part(room)) == address_part(room)


@pytest.mark.parametrize(
    ("token", "arguments", "sentence"),
    [
        ("canary", {}, "The value is no token. Use what jitsi_jwt returns."),
        (f"{TOKEN}\n", {}, "The value is no token. Use what jitsi_jwt returns."),
        (None, {}, "The value is no token. Use what jitsi_jwt returns."),
        (TOKEN, {"room": ""}, "room is no text, or empty, or dots alone. Give it a name."),
        (TOKEN, {"room": ".."}, "room is no text, or empty, or dots alone. Give it a name."),
        (
            TOKEN,
            {"room": "\ud800"},
            "room is text that UTF-8 cannot encode. Give it another name.",
        ),
        (
            TOKEN,
            {"config": {"x": "\ud800"}},
            "config['x'] has no JSON form. Use text, numbers, booleans, lists and mappings.",
        ),
        (TOKEN, {"room": 5}, "room is no text, or empty, or dots alone. Give it a name."),
        (TOKEN, {"room": "a%2Fb"}, "room has characters that Jitsi drops: / Leave them out."),
        (TOKEN, {"room": "%2E%2e"}, "room is no text, or empty, or dots alone. Give it a name."),
        (TOKEN, {"tenant": " "}, "tenant is no text, or empty, or dots alone. Give it a name."),
        (
            TOKEN,
            {"room": "a/b?c/"},
            "room has characters that Jitsi drops: /? Leave them out.",
        ),
        (TOKEN, {"room": "*"}, "room has characters that Jitsi drops: * Leave them out."),
        (
            TOKEN,
            {"config": ["x"]},
            "config is of type list. Use a mapping.",
        ),
        (
            TOKEN,
            {"config": {"": "x"}},
            "config has a key that is no text, or empty. Use names of settings.",
        ),
        (
            TOKEN,
            {"config": {5: "x"}},
            "config has a key that is no text, or empty. Use names of settings.",
        ),
        (
            TOKEN,
            {"config": {"x": [math.inf]}},
            "config['x'] has no JSON form. Use text, numbers, booleans, lists and mappings.",
        ),
        (
            TOKEN,
            {"config": {"x": {1, 2}}},
            "config['x'] has no JSON form. Use text, numbers, booleans, lists and mappings.",
        ),
    ]
    + [
        (
            TOKEN,
            {"domain": domain},
            "domain is no host name. Use one such as meet.example.org, without scheme and port.",
        )
        for domain in ("https://meet.example.org", "meet.example.org:443", "", None, "a/b", "a\n")
    ]
    + [
        (TOKEN, {"port": port}, "port is no whole number from 1 to 65535. Use 443.")
        for port in (0, 65536, "443", True, None)
    ],
)
def test_what_is_wrong_is_said_without_the_token(
    token: Any, arguments: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(AnsibleFilterError) as error:
        link(token, **{"domain": "meet.example.org", "room": "a", **arguments})
    assert str(error.value) == sentence
