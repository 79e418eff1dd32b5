"""Who deploys to this host, so that two do not at once.

The file is where nothing outlives a reboot, which ends every deployment. It blocks nobody: whoever
reads it decides whether its holder may still be at work.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import Any

from ansible.module_utils.vestibule import files

PLACE = "/run/vestibule/lease.json"


def read() -> dict[str, Any]:
    """``{mark, holder, since, connection}``, empty where nobody deployed since the boot.

    Without a holder nobody deploys, and ``mark`` is of the last one who did.
    """
    try:
        found = json.loads(files.read(PLACE))
    except (ValueError, PermissionError):  # who is not root is told so by others
        return {}
    return found if isinstance(found, dict) else {}


def look() -> dict[str, Any]:
    """What a controller has to know: ``mark, holder, since, age`` and ``connected``."""
    found = read()
    since = float(found.get("since", 0.0))
    return {
        "mark": str(found.get("mark", "")),
        "holder": found.get("holder", {}),
        "since": since,
        "age": time.time() - since,
        "connected": _lives(found.get("connection", {})),
    }


def write(wanted: dict[str, Any]) -> None:
    """Replace the file at once."""
    os.makedirs(os.path.dirname(PLACE), mode=0o700, exist_ok=True)
    new = f"{PLACE}.new"
    with open(new, "w", encoding="utf-8") as file:
        json.dump(wanted, file)
    os.replace(new, PLACE)


def connection() -> dict[str, int]:
    """The process of SSH by which this one was started, empty where there is none."""
    pid = os.getppid()
    while pid > 1:
        name, parent, ticks = _stat(pid)
        if name.startswith("sshd"):
            return {"process": pid, "began": ticks}
        pid = parent
    return {}


def _lives(process: dict[str, int]) -> bool:
    """Whether a process is still there; where none is known, nobody can say that it is not."""
    if not process:
        return True
    with contextlib.suppress(OSError):
        return _stat(process["process"])[2] == process["began"]
    return False


def _stat(pid: int) -> tuple[str, int, int]:
    """Name, parent and start of a process, in ticks since the boot (proc(5))."""
    before, _, after = files.read(f"/proc/{pid}/stat").rpartition(") ")
    columns = after.split()
    if len(columns) < 20:
        raise ProcessLookupError(pid)
    return before.partition("(")[2], int(columns[1]), int(columns[19])
