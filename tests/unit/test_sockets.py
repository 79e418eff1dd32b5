"""Who waits for connections, as the kernel's tables have it."""

from __future__ import annotations

import ipaddress
import os
import socket

import pytest
from ansible.module_utils.vestibule import sockets

ANY4, ANY6 = "00000000:0000", f"{0:032X}:0000"
# Columns of /proc/net/tcp up to the inode, of sshd, Prosody and a connection
TCP = f"""\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 {ANY4} 0A 00000000:00000000 00:00000000 00000000     0        0 94334
   1: 0100007F:14A0 {ANY4} 0A 00000000:00000000 00:00000000 00000000   100        0 195518
   2: 0100007F:14A0 0100007F:C001 01 00000000:00000000 00:00000000 00000000   100        0 195600
"""
TCP6 = f"""\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: {0:032X}:1466 {ANY6} 0A 00000000:00000000 00:00000000 00000000     0        0 7
   1: {"0" * 24}01000000:1466 {ANY6} 0A 00000000:00000000 00:00000000 00000000     0        0 8
"""


def test_the_kernels_table_is_read() -> None:
    assert sockets.parse_table(TCP) == {94334: ("0.0.0.0", 22), 195518: ("127.0.0.1", 5280)}
    assert sockets.parse_table(TCP6) == {7: ("::", 5222), 8: ("::1", 5222)}


@pytest.mark.parametrize(
    ("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
def test_a_real_listener_is_in_the_kernels_table(
    family: socket.AddressFamily, address: str
) -> None:
    with socket.create_server((address, 0), family=family) as server:
        inode = os.fstat(server.fileno()).st_ino
        assert inode in sockets.inodes("/proc/self")
        assert sockets.listening("/proc/self")[inode] == (address, server.getsockname()[1])


def test_a_process_that_has_ended_has_no_sockets() -> None:
    assert sockets.inodes("/proc/0") == []
    assert sockets.listening("/proc/0") == {}


@pytest.mark.parametrize(
    ("packed", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "0.0.0.0"),
        ("2001:db8::5", "2001:db8::5"),
        ("::", "::"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
    ],
)
def test_addresses_of_the_kernel(packed: str, address: str) -> None:
    family = socket.AF_INET6 if ":" in packed else socket.AF_INET
    number = socket.inet_pton(family, packed)
    words = memoryview(number).cast("I")  # native byte order, as the kernel prints them
    assert sockets.parse_address("".join(f"{word:08X}" for word in words)) == address


def test_who_waits_for_datagrams_is_found() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waiting:
        waiting.bind(("127.0.0.1", 0))
        inode = os.fstat(waiting.fileno()).st_ino
        port = waiting.getsockname()[1]
        assert sockets.listening("/proc/self", "udp")[inode] == ("127.0.0.1", port)
        assert inode not in sockets.listening("/proc/self")


# Of a server with a bridge of containers, from /proc/net/fib_trie
ROUTES = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.1
           /32 host LOCAL
        |-- 127.255.255.255
           /32 link BROADCAST
     +-- 192.0.2.0/24 2 0 2
        |-- 192.0.2.0
           /24 link UNICAST
        |-- 192.0.2.10
           /32 host LOCAL
     |-- 172.17.0.1
        /32 host LOCAL
Local:
     |-- 192.0.2.10
        /32 host LOCAL
"""
INTERFACES = """\
00000000000000000000000000000001 01 80 10 80       lo
20010db8000000000000000000000010 02 40 00 80     eth0
20010db80000000012345678abcdef01 02 40 00 01     eth0
fe800000000000000000000000000010 02 40 20 80     eth0
"""


def test_own_addresses_are_those_of_the_kernel() -> None:
    assert sockets.parse_routes(ROUTES) == ["127.0.0.1", "192.0.2.10", "172.17.0.1"]


def test_addresses_of_a_day_are_left_out() -> None:
    assert sockets.parse_interfaces(INTERFACES) == ["::1", "2001:db8::10", "fe80::10"]


def test_this_host_has_no_private_address_among_the_public_ones() -> None:
    for address in sockets.public_addresses():
        assert not ipaddress.ip_address(address).is_loopback
        assert sockets.why_not(address) == ""
