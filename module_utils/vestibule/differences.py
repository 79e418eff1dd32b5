"""What the results of modules in check mode come to: what differs, thing by thing.

The words name paths, accounts and modules, and show nothing of what a file holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Said = Iterator[tuple[str, str]]


def _config_files(result: dict[str, Any]) -> Said:
    for path in result["paths"]:
        yield path, ", ".join(result["differences"][path])
    for path in result["unread"]:
        yield path, "newer than the start of the program that reads it"


def _self_signed(result: dict[str, Any]) -> Said:
    for path in result["created"]:
        yield path, "missing"
    for path in result["renewed"]:
        yield path, "ends soon, or lacks a name"
    for path in result["closed"]:
        yield path, "open to everybody"


def _prosody_account(result: dict[str, Any]) -> Said:
    words = {
        "created": "missing",
        "password_changed": "other password",
        "removed": "should not be there",
    }
    for account in result["accounts"]:
        if account["state"] in words:
            yield account["jid"], words[account["state"]]
    for contact in result["roster"]:
        if contact["state"] != "unchanged":
            yield contact["user"], f"does not have {contact['contact']} as contact"


def _prosody_health(result: dict[str, Any]) -> Said:
    for path in result["unread"]:
        yield path, "newer than the start of Prosody"
    for problem in [*result["problems"], *result["later"]]:
        yield "prosody", problem["line"]


def _lua_libraries(result: dict[str, Any]) -> Said:
    for library in result["libraries"]:
        if library["state"] != "loads":
            yield library["module"], "does not load"


def _host_history(result: dict[str, Any]) -> Said:
    for finding in result["findings"]:
        if finding["action"] != "note":
            yield finding["path"], finding["description"]


def _steps(subject: str) -> Callable[[dict[str, Any]], Said]:
    def said(result: dict[str, Any]) -> Said:
        for step in result["done"]:
            yield subject, step

    return said


_OF: dict[str, Callable[[dict[str, Any]], Said]] = {
    "acme_certificate": _steps("certificate of an authority"),
    "config_files": _config_files,
    "host_history": _host_history,
    "lua_libraries": _lua_libraries,
    "prosody_account": _prosody_account,
    "prosody_health": _prosody_health,
    "self_signed": _self_signed,
    "token_provider": _steps("keys of the identity provider"),
}


def of(module: str, result: dict[str, Any]) -> list[dict[str, str]]:
    """Each thing that differs, as C(subject) and C(what)."""
    return [{"subject": subject, "what": what} for subject, what in _OF[module](result)]
