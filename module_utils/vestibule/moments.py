"""What of ours is meant for a moment alone, and stays only where a run was cut off."""

from __future__ import annotations

import glob
import os
import time

from ansible.module_utils.vestibule import files

# Files on their way to their names, as module_utils/vestibule/files.py begins them, and archives
# that are not unpacked, or not judged yet
_PATTERNS = (
    "/usr/sbin/.policy-rc.d.*",
    "/etc/apt/sources.list.d/.vestibule-*",
    "/etc/apt/preferences.d/.vestibule-*",
    "/etc/.pacman.conf.*",
    "/etc/pacman.d/.vestibule-*",
    "/var/lib/vestibule/.held.*",
    "/usr/local/share/vestibule/jitsi-plugins/*.part",
    "/usr/local/share/vestibule/jitsi-plugins/*.tar",
    "/usr/local/share/vestibule-web/*.part",
    "/usr/local/share/vestibule-web/*.tar",
    "/tmp/vestibule-*",  # noqa: S108 — only to be removed, by root
)
# Of a proof, which may be under way: its key is worth nothing after this time
_OF_A_PROOF = ("/etc/vestibule/tokens/proof.json", "/etc/vestibule/tokens/.proof.json.*")
_PROOF_LASTS = 900  # seconds


def left() -> list[str]:
    """Paths of what is there. Nothing is while nobody deploys."""
    now = time.time()
    old = [
        path
        for pattern in _OF_A_PROOF
        for path in glob.glob(pattern)
        if now - os.lstat(path).st_mtime > _PROOF_LASTS
    ]
    return sorted({*old, *(path for pattern in _PATTERNS for path in glob.glob(pattern))})


def remove() -> list[str]:
    """Remove it; the paths of what was there."""
    paths = left()
    for path in paths:
        files.remove_all(path)
    return paths
