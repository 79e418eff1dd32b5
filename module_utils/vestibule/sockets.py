"""Sockets that wait for TCP connections, as the kernel tells of them (proc(5))."""

from __future__ import annotations

import ipaddress
import os
import sys

# The column C(st) of /proc/net/tcp for a listening socket (Linux: include/net/tcp_states.h).
_LISTEN = "0A"


def parse_address(digits: str) -> str:
    """An address as the kernel prints it: hexadecimal words of 32 bits in the host's byte order.

    IPv4 addresses of IPv6 sockets are written as IPv4.
    """
    words = (int(digits[start : start + 8], 16) for start in range(0, len(digits), 8))
    packed = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    address = ipaddress.ip_address(packed)
    return str(getattr(address, "ipv4_mapped", None) or address)


def parse_table(table: str) -> dict[int, tuple[str, int]]:
    """Address and port of the listening sockets of a /proc/net/tcp or tcp6, by inode."""
    sockets = {}
    for line in table.splitlines()[1:]:
        columns = line.split()
        if columns[3] == _LISTEN:
            address, port = columns[1].split(":")
            sockets[int(columns[9])] = (parse_address(address), int(port, 16))
    return sockets


def listening(process: str) -> dict[int, tuple[str, int]]:
    """Address and port by inode in the network namespace of a process, ``/proc/<pid>``."""
    sockets: dict[int, tuple[str, int]] = {}
    for name in ("tcp", "tcp6"):
        try:
            with open(f"{process}/net/{name}", encoding="ascii") as file:
                sockets.update(parse_table(file.read()))
        except FileNotFoundError:  # no tcp6 where IPv6 is switched off
            continue
    return sockets


def inodes(process: str) -> list[int]:
    """Inodes of the sockets of ``/proc/<pid>``, none where it is gone or not ours to look at."""
    found = []
    try:
        for descriptor in os.listdir(f"{process}/fd"):
            try:
                target = os.readlink(f"{process}/fd/{descriptor}")
            except FileNotFoundError:  # closed meanwhile
                continue
            if target.startswith("socket:["):
                found.append(int(target[len("socket:[") : -1]))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        pass
    return found
