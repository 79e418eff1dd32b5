"""Files as they were before a run, kept until it is known that the new ones are good.

They are in a folder that only root may read, one file each, and ``manifest.json`` tells what they
are. A run that is cut off leaves the folder behind. The next one keeps what is in it: that is the
last state of which anybody knew that it was good.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import time
from collections.abc import Callable
from typing import Any

from ansible.module_utils.vestibule import files

PLACE = "/var/lib/vestibule/former"
# Names the snapshot that a change began with, until it is known whether the change is good
UNDECIDED = "/var/lib/vestibule/snapshots/undecided"
WHATEVER = "*"  # in place of a digest, where a program writes what nobody foresees


def is_kept() -> bool:
    """Whether there is anything to go back to."""
    return os.path.exists(f"{PLACE}/manifest.json")


def read() -> dict[str, Any]:
    """The manifest: ``{began, listeners, files}``, empty where nothing is kept.

    ``began`` is in seconds since 1970, ``listeners`` has those of each service that ran, ``files``
    the state of each path and the digest of what the run wrote there.
    """
    try:
        with open(f"{PLACE}/manifest.json", encoding="utf-8") as file:
            manifest: dict[str, Any] = json.load(file)
    except (FileNotFoundError, ValueError):
        return {}
    return manifest


def keep(wanted: dict[str, str], running: Callable[[], dict[str, list[str]]]) -> None:
    """Keep what stands at these paths, before what has these digests is written there.

    ``running`` tells the listeners of each service that runs; it is asked once, at the first file.
    """
    manifest = read()
    if not manifest:
        forget()
        os.makedirs(PLACE, mode=0o700)
        manifest = {"began": time.time(), "listeners": running(), "files": {}}
    for path, digest in wanted.items():
        known, found = manifest["files"].get(path), state(path)
        # What neither we nor the run before us wrote is somebody's own
        ours = known and (known["digest"], known["wrote"])
        if not ours or (WHATEVER not in ours and found["digest"] not in ours):
            known = {**found, "copy": copy(path) if found["kind"] == "file" else None}
        manifest["files"][path] = {**known, "wrote": digest}
    files.write_for_root(f"{PLACE}/manifest.json", json.dumps(manifest).encode())


def state(path: str) -> dict[str, Any]:
    """Kind, owner, times and digest of what stands at a path."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return {"kind": "absent", "digest": digest_of("absent", b"")}
    if stat.S_ISLNK(status.st_mode):
        target = os.readlink(path)
        return {"kind": "link", "link": target, "digest": digest_of("link", os.fsencode(target))}
    with open(path, "rb") as file:
        digest = digest_of("file", file.read())
    return {
        "kind": "file",
        "uid": status.st_uid,
        "gid": status.st_gid,
        "mode": stat.S_IMODE(status.st_mode),
        "modified": status.st_mtime_ns,
        "digest": digest,
    }


def digest_of(kind: str, body: bytes) -> str:
    """What tells one state of a path from another."""
    return hashlib.sha256(kind.encode() + b"\0" + body).hexdigest()


def body_of(known: dict[str, Any], place: str = "") -> bytes:
    """What a file or link held, of which ``place``, or else `PLACE`, has the copy."""
    if known["kind"] == "link":
        return os.fsencode(known["link"])
    if known["kind"] == "absent":
        return b""
    with open(f"{place or PLACE}/{known['copy']}", "rb") as file:
        return file.read()


def forget() -> None:
    """Keep nothing any more: the manifest goes first, so that no half of it is believed."""
    if is_kept():
        os.unlink(f"{PLACE}/manifest.json")
    if os.path.isdir(PLACE):
        shutil.rmtree(PLACE)


def copy(path: str, place: str = "") -> str:
    """Copy a file into ``place``, or else `PLACE`. Returns what it is called there."""
    name = hashlib.sha256(path.encode()).hexdigest()[:32]
    with open(path, "rb") as file:
        files.write_for_root(f"{place or PLACE}/{name}", file.read())
    return name
