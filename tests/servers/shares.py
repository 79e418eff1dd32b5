"""What the whole of scripts/test plays on which day, as all of it takes hours on a slow machine.

A scenario that is named plays all. So does ``scripts/test --all``, and all scenarios.

Usage: python -m tests.servers.shares [SCENARIO | left]

Without an argument it prints the number of today, by which all of one run go; with a scenario the
files of it that are played, where not all are; with ``left`` the scenarios for another day.
"""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

# Of each row one: those of a kind, and those that take long
TURNS: Sequence[Sequence[str]] = (
    ("ubuntu2204", "ubuntu2404", "ubuntu2604"),
    ("aur", "archlinux"),
    ("minimal", "tenants", "jicofo_login"),
    ("drift", "history"),
    ("rotate", "keys"),
    ("upgrade", "interrupted"),
    ("reinstall", "refusals"),
)
SHARES: Mapping[str, list[set[str]]] = {
    "bridges": [
        {"test_upgrades_of_parts.py"},
        {"test_bridges.py"},
        {"test_certificates_of_parts.py"},
    ],
    "certificates": [{"test_authority.py"}, {"test_certificates.py", "test_turn_on_443.py"}],
    "faults": [
        {"test_bridge.py", "test_going_back.py", "test_secrets.py"},
        {"test_faults.py", "test_own_client.py", "test_own_module.py"},
        {"test_staying_alive.py", "test_turn.py", "test_versions.py"},
    ],
    "rotate": [{"test_tokens.py"}, {"test_passwords.py"}],
    "second_run": [{"test_leaving.py"}, {"test_secrets.py", "test_sessions.py"}],
}


def share_of(scenario: str) -> set[str]:
    """The files that are played today; none where all are.

    VESTIBULE_SHARE says that only a share is, as the number of a day.
    """
    day = os.environ.get("VESTIBULE_SHARE", "")
    if not day or scenario not in SHARES:
        return set()
    shares = SHARES[scenario]
    return shares[int(day) % len(shares)]


def left_for_another_day() -> list[str]:
    """Scenarios that are not played today."""
    day = os.environ.get("VESTIBULE_SHARE", "")
    return [
        name
        for row in TURNS
        for number, name in enumerate(row)
        if day and number != int(day) % len(row)
    ]


def is_left_for_another_day(path: Path) -> bool:
    """Whether a file of tests is not of today's share of its scenario."""
    today = share_of(path.parent.name)
    return bool(today) and path.name.startswith("test_") and path.name not in today


if __name__ == "__main__":
    if sys.argv[1:] == ["left"]:
        print(*left_for_another_day())
    elif sys.argv[1:]:
        print(*sorted(share_of(sys.argv[1])))
    else:
        print(datetime.datetime.now(datetime.UTC).toordinal())
