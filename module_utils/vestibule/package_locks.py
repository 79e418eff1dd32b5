"""Locks of package managers: who holds one, and until when another program waits."""

from __future__ import annotations

import errno
import fcntl
import glob
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

PACMAN = "/var/lib/pacman/db.lck"
# Held by a module of ours while it installs, also where its controller is gone by then
OURS = "/run/vestibule/installing"
_PAUSE = 0.5  # seconds between two looks at a lock: the kernel announces no release


def holder_of(path: str) -> str:
    """Name and number of the process that holds a lock on a file (proc(5), /proc/locks)."""
    try:
        inode = os.stat(path).st_ino
    except FileNotFoundError:  # it was let go of
        return "another program"
    with open("/proc/locks", encoding="ascii") as locks:
        for line in locks:
            columns = line.split()
            if "->" not in columns and columns[5].rpartition(":")[2] == str(inode):
                return _name_of(columns[4])
    return next(map(_name_of, _openers(path)), "another program")


def _name_of(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
            return f"{file.read().strip()} (process {pid})"
    except FileNotFoundError:
        return f"process {pid}"


def _openers(path: str) -> list[str]:
    """Numbers of the processes that have a file open."""
    found = []
    for descriptor in glob.glob("/proc/[0-9]*/fd/*"):
        try:
            if os.readlink(descriptor) == path:
                found.append(descriptor.split("/")[2])
        except OSError:  # it ended meanwhile
            continue
    return found


def is_locked(path: str) -> bool:
    """Whether another program holds the lock. pacman's lock is a file that is there."""
    if not os.access(path, os.W_OK):  # there is none, or nobody asks who could hold one
        return False
    if path == PACMAN:
        return True
    with open(path, "r+", encoding="ascii") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return True
            raise
    return False


def is_abandoned(path: str) -> bool:
    """Whether a lock that is a file was left by a pacman that was ended: it keeps its own open."""
    return os.path.exists(path) and not _openers(path)


@contextmanager
def held_by_us() -> Iterator[None]:
    """Hold our own lock; the kernel lets go of it with this process."""
    os.makedirs(os.path.dirname(OURS), mode=0o700, exist_ok=True)
    with open(OURS, "w", encoding="ascii") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        yield


def wait(paths: Iterable[str], seconds: float) -> tuple[float, str, str]:
    """Wait until nobody holds one of these locks, or the time is over.

    Returns the seconds that it took, the lock that is still held or nothing, and who held one.
    """
    began = time.monotonic()
    holder = ""
    while held := next((path for path in paths if is_locked(path)), ""):
        holder = holder or holder_of(held)
        if time.monotonic() - began > seconds:
            return time.monotonic() - began, held, holder
        time.sleep(_PAUSE)
    return time.monotonic() - began if holder else 0.0, "", holder
