"""A place on a bridge: read from Jicofo's offer, and its address checked as ICE does."""

from __future__ import annotations

import asyncio
import hmac
import struct
import xml.etree.ElementTree as ET
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from vestibule.access.media import (
    COLIBRI,
    ICE,
    JINGLE,
    Place,
    answers,
    binding_request,
    channel_target,
    is_offer,
    place_in,
    reached,
)
from vestibule.access.transports import Door
from vestibule.access.xmpp import Broken, element, parse

COOKIE = 0x2112A442
PLACE = Place("fragment", "password", "wss://meet.example.org/colibri-ws/jvb/a/b?pwd=c", ())


def offer(*children: str, action: str = "session-initiate") -> ET.Element:
    transport = element("transport", {"xmlns": ICE, "ufrag": "u", "pwd": "p"}, *children)
    content = element("content", None, transport)
    jingle = element("jingle", {"xmlns": JINGLE, "action": action}, content)
    return parse(element("iq", {"type": "set"}, jingle))


def candidate(address: str, port: str = "10000", protocol: str = "udp") -> str:
    return element("candidate", {"ip": address, "port": port, "protocol": protocol})


def test_an_offer_names_a_place() -> None:
    channel = element("web-socket", {"xmlns": COLIBRI, "url": "wss://x/y"})
    found = offer(
        channel,
        candidate("192.0.2.1"),
        candidate("192.0.2.1"),
        candidate("192.0.2.1", "443", "tcp"),
        candidate("2001:db8::1"),
    )
    assert is_offer(found)
    addresses = (("192.0.2.1", 10000), ("2001:db8::1", 10000))
    assert place_in(found) == Place("u", "p", "wss://x/y", addresses)


def test_another_order_of_jicofo_is_no_offer() -> None:
    assert not is_offer(offer(action="session-terminate"))


def test_an_offer_without_a_place_is_broken() -> None:
    with pytest.raises(Broken, match="without a place"):
        place_in(parse(element("iq", {"type": "set"}, element("jingle", {"xmlns": JINGLE}))))


def door(port: int = 443) -> Door:
    header = "meet.example.org" if port == 443 else f"meet.example.org:{port}"
    return cast("Door", SimpleNamespace(domain="meet.example.org", port=port, host_header=header))


@pytest.mark.parametrize(
    ("port", "url", "target"),
    [
        (443, "wss://meet.example.org/colibri-ws/a?pwd=b", "/colibri-ws/a?pwd=b"),
        (443, "wss://meet.example.org:443/colibri-ws/a?pwd=b", "/colibri-ws/a?pwd=b"),
        (8443, "wss://meet.example.org:8443/colibri-ws/a?pwd=b", "/colibri-ws/a?pwd=b"),
    ],
)
def test_a_channel_leads_through_the_front_door(port: int, url: str, target: str) -> None:
    assert channel_target(door(port), replace(PLACE, channel=url)) == target


@pytest.mark.parametrize(
    ("port", "url"),
    [
        pytest.param(443, "", id="none"),
        pytest.param(443, "ws://meet.example.org/colibri-ws/a", id="without TLS"),
        pytest.param(443, "wss://jvb.example.net/colibri-ws/a", id="elsewhere"),
        pytest.param(443, "wss://meet.example.org:9090/colibri-ws/a", id="another port"),
        pytest.param(8443, "wss://meet.example.org/colibri-ws/a", id="not the port here"),
    ],
)
def test_a_channel_that_leads_elsewhere_is_broken(port: int, url: str) -> None:
    with pytest.raises(Broken):
        channel_target(door(port), replace(PLACE, channel=url))


def answer_to(request: bytes, password: str, kind: int = 0x0101) -> bytes:
    head = struct.pack("!HHI", kind, 24, COOKIE) + request[8:20]
    signature = hmac.digest(password.encode(), head, "sha1")
    return head + struct.pack("!HH", 0x0008, 20) + signature


TRANSACTION = bytes(range(12))


def test_a_request_says_who_asks_and_is_signed() -> None:
    request = binding_request(PLACE, TRANSACTION)
    kind, length, cookie = struct.unpack_from("!HHI", request)
    assert (kind, length, cookie) == (0x0001, len(request) - 20, COOKIE)
    assert b"fragment:" in request
    where = request.index(struct.pack("!HH", 0x0008, 20))
    signed = request[:2] + struct.pack("!H", where + 4) + request[4:where]
    assert request[where + 4 : where + 24] == hmac.digest(b"password", signed, "sha1")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(answer_to(binding_request(PLACE, TRANSACTION), "password"), True, id="right"),
        pytest.param(
            answer_to(binding_request(PLACE, TRANSACTION), "password", 0x0111), True, id="an error"
        ),
        pytest.param(
            answer_to(binding_request(PLACE, TRANSACTION), "other"), False, id="other password"
        ),
        pytest.param(
            answer_to(binding_request(PLACE, bytes(12)), "password"), False, id="to another request"
        ),
        pytest.param(binding_request(PLACE, TRANSACTION), False, id="our own request"),
        pytest.param(b"", False, id="nothing"),
        pytest.param(
            answer_to(binding_request(PLACE, TRANSACTION), "password") + b"\0", False, id="longer"
        ),
        pytest.param(
            struct.pack("!HHI", 0x0101, 0, COOKIE) + TRANSACTION, False, id="without a signature"
        ),
    ],
)
def test_only_who_has_the_place_answers(message: bytes, expected: bool) -> None:
    assert answers(message, PLACE, TRANSACTION) is expected


class Echo(asyncio.DatagramProtocol):
    """Answers a request, the second time that it comes."""

    def __init__(self, password: str) -> None:
        self.password, self.heard = password, 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.heard += 1
        if self.heard > 1:
            self.transport.sendto(answer_to(data, self.password), addr)


@pytest.mark.parametrize(("password", "expected"), [("password", "127.0.0.1"), ("another", "")])
def test_a_packet_that_gets_lost_is_sent_again(password: str, expected: str) -> None:
    async def tried() -> str:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: Echo(password), local_addr=("127.0.0.1", 0)
        )
        port = transport.get_extra_info("sockname")[1]
        unreachable = ("no address", 1)
        place = replace(PLACE, addresses=(unreachable, ("127.0.0.1", port)))
        try:
            return await reached(place, 1.5)
        finally:
            transport.close()

    assert asyncio.run(tried()) == expected


def test_nobody_is_reached_without_an_address() -> None:
    assert asyncio.run(reached(PLACE, 0.1)) == ""
