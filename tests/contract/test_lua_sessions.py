"""All that our Prosody modules keep on a session is known where a session is resumed."""

from __future__ import annotations

import re
from pathlib import Path

PLUGINS = Path(__file__).parents[2] / "roles/jitsi_tokens/files"
RESUMPTION = PLUGINS / "plugins/mod_resumption_guard.lua"

# What auth_token carries itself
UPSTREAMS = {"auth_token", "jitsi_meet_context_features"}
# What is no right of a token, and so stays with the session or goes with the connection, and why
STAYS = {
    "resumption_guard_rename": "asks for another name at the binding, which who resumes has not",
    "username": "the name itself",
    "focus_guard_asked": "how often this session asked, whoever it is now",
    "join_queue_bucket": "the same of its attempts to join",
    "muc_requests_copies": "how many it invited at a time",
    "login_guard_markup": "how much this session said, whoever it is now",
    "session_rate": "the same of its stanzas",
    "component_guard": "the same of its messages to components",
    "log": "of the connection",
    "lobby_guard": "where it waits; where it may wait is forgotten at a resumption",
}
_KEPT = re.compile(r"\b(?:session|origin)\.(\w+)\s*=[^=]")


def test_every_field_on_a_session_is_carried_or_said_to_stay() -> None:
    carried = set(re.findall(r'"(\w+)"', RESUMPTION.read_text(encoding="utf-8")))
    kept = {
        name
        for path in PLUGINS.glob("*/*.lua")
        for name in _KEPT.findall(path.read_text(encoding="utf-8"))
    }
    assert "token_guard_features" in kept
    assert kept - UPSTREAMS - STAYS.keys() - carried == set()
