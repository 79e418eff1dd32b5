"""Sockets that wait for TCP connections or datagrams, as the kernel tells of them (proc(5))."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import sys

# The column C(st) of /proc/net/<protocol> for a socket that takes what anybody sends: TCP_LISTEN,
# and TCP_CLOSE for one of UDP without a peer (Linux: include/net/tcp_states.h).
_WAITING = {"tcp": "0A", "udp": "07"}
# A flag of an address in /proc/net/if_inet6 (Linux: include/uapi/linux/if_addr.h)
_TEMPORARY = 0x01
# RFC 1122, 1918, 3927, 4193, 4291, 6598. Documentation (RFC 5737) is none of them.
_INSIDE = tuple(
    ipaddress.ip_network(each)
    for each in (
        *("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.168.0.0/16", "::1/128", "fc00::/7", "fe80::/10"),
    )
)


def addresses_of(name: str) -> list[str]:
    """Those that this host finds for a name, which may be none."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return sorted({str(each[4][0]) for each in found})


def parse_address(digits: str) -> str:
    """An address as the kernel prints it: hexadecimal words of 32 bits in the host's byte order.

    IPv4 addresses of IPv6 sockets are written as IPv4.
    """
    words = (int(digits[start : start + 8], 16) for start in range(0, len(digits), 8))
    packed = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    address = ipaddress.ip_address(packed)
    return str(getattr(address, "ipv4_mapped", None) or address)


def parse_table(table: str, protocol: str = "tcp") -> dict[int, tuple[str, int]]:
    """Address and port of the waiting sockets in a table of /proc/net, by inode."""
    sockets = {}
    for line in table.splitlines()[1:]:
        columns = line.split()
        if columns[3] == _WAITING[protocol]:
            address, port = columns[1].split(":")
            sockets[int(columns[9])] = (parse_address(address), int(port, 16))
    return sockets


def listening(process: str, protocol: str = "tcp") -> dict[int, tuple[str, int]]:
    """Address and port by inode in the network namespace of a process, ``/proc/<pid>``."""
    sockets: dict[int, tuple[str, int]] = {}
    for name in (protocol, f"{protocol}6"):
        try:
            with open(f"{process}/net/{name}", encoding="ascii") as file:
                sockets.update(parse_table(file.read(), protocol))
        except FileNotFoundError:  # no second one where IPv6 is switched off
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


def unit(process: str) -> str:
    """Service of systemd that ``/proc/<pid>`` belongs to, without its ending; empty for none."""
    try:
        with open(f"{process}/cgroup", encoding="ascii", errors="replace") as file:
            found = re.findall(r"/([^/\n]+)\.service(?:/|$)", file.read(), re.MULTILINE)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""
    return found[-1] if found else ""


def numeric(address: str) -> str:
    """An address without the brackets that URLs have. Empty for what is none, such as a name."""
    try:
        return str(ipaddress.ip_address(0 if address == "*" else address.strip("[]")))
    except ValueError:
        return ""


def why_not(address: str) -> str:
    """Why nothing can listen on an address of this host, empty where something can.

    It is tried: a host may let programs listen on addresses that it does not have yet
    (``net.ipv4.ip_nonlocal_bind``), and may have none of IPv6.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as tried:
            tried.bind((address, 0))
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""


def parse_routes(table: str) -> list[str]:
    """The host's own addresses in a /proc/net/fib_trie, each once."""
    found: dict[str, None] = {}
    address = ""
    for line in table.splitlines():
        words = line.split()
        if words[:1] in (["|--"], ["+--"]):
            address = words[1].partition("/")[0]
        elif words[:3] == ["/32", "host", "LOCAL"]:
            found.setdefault(address)
    return list(found)


def parse_interfaces(table: str) -> list[str]:
    """The host's own addresses in a /proc/net/if_inet6, without those that change every day."""
    lines = (line.split() for line in table.splitlines())
    return [
        str(ipaddress.ip_address(bytes.fromhex(columns[0])))
        for columns in lines
        if columns and not int(columns[4], 16) & _TEMPORARY
    ]


def public_addresses() -> list[str]:
    """Addresses of this host that are in no private network, in their order."""
    found: list[str] = []
    for name, parse in (("fib_trie", parse_routes), ("if_inet6", parse_interfaces)):
        try:
            with open(f"/proc/net/{name}", encoding="ascii") as file:
                found += parse(file.read())
        except FileNotFoundError:  # no if_inet6 where IPv6 is switched off
            continue
    parsed = [ipaddress.ip_address(each) for each in found]
    public = [each for each in parsed if not any(each in network for network in _INSIDE)]
    return [str(each) for each in sorted(public, key=lambda each: (each.version, each.packed))]


def overlap(one: str, other: str) -> bool:
    """Whether two programs with the same port would be in each other's way."""
    first, second = ipaddress.ip_address(one), ipaddress.ip_address(other)
    if first.version != second.version:
        return False  # nginx and Prosody keep to the one
    return first == second or first.is_unspecified or second.is_unspecified


def reachable(address: str) -> str:
    """Where programs of this host find one that listens on an address."""
    found = ipaddress.ip_address(numeric(address) or "127.0.0.1")
    if not found.is_unspecified:
        return str(found)
    return "127.0.0.1" if found.version == 4 else "::1"


def leaving(towards: str) -> str:
    """The own address by which packets to another one leave, empty where no way leads there.

    No packet is sent: a socket of UDP is only told where its packets would go.
    """
    family = socket.AF_INET6 if ":" in towards else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as tried:
            tried.connect((towards, 9))
            return str(tried.getsockname()[0])
    except OSError:
        return ""
