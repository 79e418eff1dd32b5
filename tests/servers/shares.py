"""What the whole of scripts/test plays on which day, of scenarios that deploy again and again.

A scenario that is named plays all. So does ``scripts/test --all``.

Usage: python -m tests.servers.shares [SCENARIO]

Without a scenario it prints the number of today, by which all of one run go.
"""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Mapping
from pathlib import Path

SHARES: Mapping[str, list[set[str]]] = {
    "certificates": [{"test_authority.py"}, {"test_certificates.py", "test_turn_on_443.py"}],
    "faults": [
        {"test_bridge.py", "test_going_back.py", "test_secrets.py"},
        {"test_faults.py", "test_own_client.py"},
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


def is_left_for_another_day(path: Path) -> bool:
    """Whether a file of tests is not of today's share of its scenario."""
    today = share_of(path.parent.name)
    return bool(today) and path.name.startswith("test_") and path.name not in today


if __name__ == "__main__":
    if sys.argv[1:]:
        print(*sorted(share_of(sys.argv[1])))
    else:
        print(datetime.datetime.now(datetime.UTC).toordinal())
