"""What a change costs people is said before."""

from __future__ import annotations

from typing import Any

import pytest

from vestibule.costs import costs, describe, noticed


def change(name: str, *units: str, before: str | None = "1", after: str | None = "2") -> Any:
    return {"name": name, "before": before, "after": after, "units": list(units)}


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ("prosody_certificates", ["Prosody reload"]),
        ("prosody_files", ["Prosody restart"]),
        ("prosody_health", []),
        ("jitsi_tokens_files", ["Prosody restart"]),
        ("jitsi_tokens_keys", []),
        ("jitsi_tokens_provider", []),
        ("jicofo_files", ["Jicofo restart"]),
        ("jicofo_trust", ["bridge restart"]),
        ("jitsi_web_files", ["nginx reload"]),
        ("coturn_files", ["TURN restart"]),
    ],
)
def test_a_wish_costs_what_its_service_does(wish: str, expected: list[str]) -> None:
    assert costs([], {"unsettled": [wish]}) == expected


def test_a_reload_does_for_settings_that_are_read_again() -> None:
    looked = {"unsettled": ["prosody_files"], "rereads": ["prosody_files"]}
    assert costs([], looked) == ["Prosody reload"]
    both = ["prosody_files", "prosody_keys"]
    assert costs([], {**looked, "unsettled": both}) == ["Prosody restart"]
    assert describe([], looked, None) == ["Prosody reloads: nobody notices."]


@pytest.mark.parametrize("more", [[], ["prosody_files"]])
def test_what_was_never_read_takes_a_restart(more: list[str]) -> None:
    """An earlier run was cut off, and the look of Prosody's health has seen it."""
    unsettled = ["prosody_health", *more]
    looked = {"unsettled": unsettled, "rereads": more, "unread": ["prosody_health"]}
    assert costs([], looked) == ["Prosody restart"]


def test_a_restart_is_said_without_what_it_brings_about() -> None:
    changes = [change("jicofo", "jicofo"), change("nginx", "nginx"), change("lua-sec")]
    assert costs(changes, {"unsettled": ["jitsi_web_files", "prosody_certificates"]}) == [
        "Prosody restart",
        "nginx restart",
    ]


def test_nobody_is_disturbed_by_a_reload() -> None:
    reloads = {"unsettled": ["prosody_certificates", "jitsi_web_files", "jitsi_tokens_keys"]}
    assert noticed([], reloads) == []
    assert noticed([], {"unsettled": ["coturn_files", "jitsi_web_files"]}) == [
        "TURN restarts: who is relayed is away for some seconds."
    ]


def test_versions_people_and_holds_are_in_the_lines() -> None:
    changes = [change("jitsi-meet-web"), change("new", before=None), change("old", after=None)]
    assert describe(changes, {}, {"people": 3, "meetings": 1}, ["openssl"]) == [
        "jitsi-meet-web 1 -> 2",
        "new not there -> 2",
        "old 1 -> gone",
        "openssl stays, as somebody else holds it",
        "No service restarts or reloads.",
        "3 people are in 1 meeting now.",
    ]


def test_nobody_and_nobody_asked_are_two_things() -> None:
    assert describe([], {}, {"people": 0, "meetings": 0})[-1] == "Nobody is in a meeting now."
    assert describe([], {}, None) == ["No service restarts or reloads."]
