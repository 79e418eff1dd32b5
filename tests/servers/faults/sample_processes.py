"""Writes every command line and environment that processes had until standard input ended.

A first line says that it has begun. It looks as often as it can, some dozen times a second: what
lives shorter may be missed. Runs with the Python of the machine it looks at and needs nothing
beside this file.
"""

from __future__ import annotations

import os
import select
import sys

PAUSE = 0.02  # seconds


def look() -> set[bytes]:
    """Command lines and environments of the processes that are there now."""
    found = set()
    for process in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208 — as fast as can be
        for kind in ("cmdline", "environ"):
            try:
                found.add(read(f"/proc/{process}/{kind}"))
            except OSError:  # it has ended, or is not ours to look at
                continue
    return found


def read(path: str) -> bytes:
    """A file of the kernel's, by system calls alone: a third of the time that Path takes."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return b"".join(iter(lambda: os.read(descriptor, 1 << 17), b""))
    finally:
        os.close(descriptor)


def main() -> None:
    """Look until standard input ends, which it also does when the parent dies."""
    seen = look()
    print("looking", flush=True)
    while not select.select([sys.stdin], [], [], PAUSE)[0]:
        seen |= look()
    sys.stdout.buffer.write(b"\n".join(seen))


if __name__ == "__main__":
    main()
