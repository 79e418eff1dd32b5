"""Which secrets a host has from another store than the one of this run."""

from __future__ import annotations

import glob
import hmac
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.module_utils.vestibule import files
from ansible.module_utils.vestibule.prosody_account import DATA, data_file, lua_text

PROSODY = "/etc/prosody/conf.avail/*.secrets.cfg.lua"
TURN = "/etc/vestibule/turn/turnserver.conf"
KEYS = "/etc/vestibule/tokens/keys.json"
_TURN_SECRET = re.compile(r"^static-auth-secret=(.+)$", re.MULTILINE)
_APP_SECRET = re.compile(r'^\s*app_secret = "(.*)"$', re.MULTILINE)


def app_secrets() -> Iterator[str]:
    """Keys of the tokens, of whichever domain this project deployed here."""
    for path in glob.glob(PROSODY):
        text = files.read(path)
        if files.MADE_BY in text:
            yield from (lua_text(found) for found in _APP_SECRET.findall(text))


def jicofo_passwords(folder: str) -> Iterator[str]:
    """The password that Jicofo logs in with, where this project wrote it."""
    text = files.read(os.path.join(folder, "jicofo.conf"))
    if files.MADE_BY not in text:
        return
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    try:
        yield json.loads("\n".join(lines))["jicofo"]["xmpp"]["client"]["password"]
    except (KeyError, TypeError, ValueError):
        return


def turn_secrets() -> Iterator[str]:
    """What Prosody and TURN share, where this project wrote it."""
    text = files.read(TURN)
    if files.MADE_BY in text:
        yield from _TURN_SECRET.findall(text)


def rotated() -> int:
    """How often the keys of tokens were rotated, which no copy of the secrets from before knows."""
    try:
        content = json.loads(files.read(KEYS) or "{}")
        return int(content.get("rotated", 0)) if content.get("made_by") == "Vestibule" else 0
    except (AttributeError, TypeError, ValueError):
        return 0


def has_account(jid: str) -> bool:
    """Whether there is this account, or the one of a former domain."""
    user, _, host = jid.partition("@")
    anywhere = data_file("", f"{host.partition('.')[0]}.*", "accounts", user)
    return any(Path(DATA).glob(str(anywhere).replace("%2a", "*")))


def others(wanted: dict[str, Any]) -> list[str]:
    """Names of the secrets that the host has, and of which this run has others or none.

    Passwords of accounts are compared only where there is none: what somebody changed by hand is
    brought back. What was given by the operator is not compared, and accounts that others made, as
    Jitsi's packages do, are theirs.
    """
    found, is_ours = [], False
    for name, value, given, carried in (
        ("token_secret", wanted["app_secret"], wanted["app_secret_given"], app_secrets()),
        ("focus_password", wanted["jicofo_password"], False, jicofo_passwords(wanted["jicofo"])),
        # Where TURN is off, its own goes
        ("turn_secret", wanted["turn_secret"], not wanted["turn_wanted"], turn_secrets()),
    ):
        there = list(carried)
        is_ours = is_ours or bool(there)
        # Or one that is being rotated, in a run that was cut off
        same = any(
            hmac.compare_digest(one.encode(), each.encode())
            for one in (value, *wanted["changing"])
            for each in there
        )
        if there and not same and not given:
            found.append(name)
    for name, account in wanted["accounts"].items():
        lacks = is_ours and not account["password"] and name not in found
        if lacks and has_account(account["jid"]):
            found.append(name)
    if rotated() > wanted["rotated"]:
        found.append("rotations")
    return found


SPEC: dict[str, Any] = {
    "app_secret": {"type": "str", "required": True, "no_log": True},
    "app_secret_given": {"type": "bool", "required": True},
    "jicofo_password": {"type": "str", "required": True, "no_log": True},
    "jicofo": {"type": "path", "required": True},
    "turn_secret": {"type": "str", "default": "", "no_log": True},
    "turn_wanted": {"type": "bool", "default": False},
    "accounts": {"type": "dict", "required": True, "no_log": True},
    "rotated": {"type": "int", "default": 0},
    "changing": {"type": "list", "elements": "str", "default": [], "no_log": True},
}
