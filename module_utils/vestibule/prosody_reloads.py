"""What a Prosody that runs has read again since it started, noted where a boot forgets it.

Files that are newer than the start of a program were not read by it, unless it was told to read
them again: then the note has their digests, and the start of that very process.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable

from ansible.module_utils.vestibule import files

PLACE = "/run/vestibule/prosody-reloaded.json"
UNKNOWN = "?"  # in place of a digest, where it may have read a file or not


def digest(path: str) -> str:
    """What tells one content of a file from another. Empty where there is none."""
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError:
        return ""


def taken(started: float) -> dict[str, str]:
    """Digests of the files that the process with this start has read again, by path.

    ``started`` is in seconds of the monotonic clock.
    """
    try:
        noted = json.loads(files.read(PLACE))
    except ValueError:
        return {}
    return dict(noted["files"]) if noted["started"] == started else {}


def note(started: float, read: dict[str, str]) -> None:
    """Note the digests of files that the process with this start has read again."""
    os.makedirs(os.path.dirname(PLACE), mode=0o700, exist_ok=True)
    content = {"started": started, "files": {**taken(started), **read}}
    files.write_for_root(PLACE, json.dumps(content).encode())


def unread(newer: Iterable[str], started: float) -> list[str]:
    """What the process with this start has not read as it is now.

    ``newer`` are files that are newer than its start. Others are not as it has read them again:
    somebody went back to what it had read before.
    """
    known = taken(started)
    others = {path for path, content in known.items() if content != digest(path)}
    return sorted({path for path in newer if path not in known} | others)
