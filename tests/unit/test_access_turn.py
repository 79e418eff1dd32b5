"""The cases of TURN against small servers on the loopback: an honest one passes, and no other does.

Stand-in (test double): these servers speak enough TURN to be asked for a relay, and relay nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from tests.authority import Issued, issue
from vestibule.access import stun
from vestibule.access.cases import CASES, Case
from vestibule.access.cases import turn as cases
from vestibule.access.play import attempt_once, judge
from vestibule.access.prove import ProofError, _trusted_of_turn
from vestibule.access.scene import Entrance, Scene, TurnServer
from vestibule.access.tokens import Issuer
from vestibule.access.transports import WebSocketTransport, front_door
from vestibule.access.turn import TLS, UDP, Credentials, Service, talk
from vestibule.access.xmpp import Broken, NoAnswer, Refused

DOMAIN = "meet.example.org"
SECOND = f"turn.{DOMAIN}"
RELAY_NAME = "relay.example.org"
SECRET = "canary-0123456789abcdef0123456789abcdef"
REFUSALS = [
    "turn_without_credentials_refused",
    "turn_leads_nowhere_inside",
    "turn_leads_not_to_the_server",
]
RELAY = (ipaddress.ip_address("192.0.2.10"), 50000)


@dataclass(frozen=True)
class Policy:
    """How such a server differs from an honest one."""

    secret: str = SECRET
    asks: bool = True  # for credentials
    looks_at_the_end: bool = True
    looks_at_the_password: bool = True
    relays_inside: bool = False
    signs: bool = True
    answers: bool = True
    stale: bool = False  # whether the first nonce is an old one
    port: int = RELAY[1]
    opened: tuple[str, ...] = ()  # beside what is outside


class Conversation:
    """What one client says, and what it hears."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._stale = policy.stale

    def hear(self, data: bytes) -> bytes | None:
        if not self._policy.answers:
            return None
        asked = stun.decode(data)
        name = asked.text(stun.USERNAME)
        password = stun.time_limited(self._policy.secret, 0)[1]
        end = name.partition(":")[0]
        if end.isdigit():
            password = stun.time_limited(self._policy.secret, int(end))[1]
        key = stun.long_term_key(name, DOMAIN, password)
        if self._policy.asks and (code := self._refuses(data, asked, end, key)):
            return self._no(asked, code)
        attributes = {}
        if asked.method == stun.ALLOCATE:
            relay = (RELAY[0], self._policy.port)
            attributes[stun.XOR_RELAYED_ADDRESS] = stun.encode_address(relay, asked.transaction)
        if asked.method == stun.CREATE_PERMISSION and not self._policy.relays_inside:
            host, _ = asked.address(stun.XOR_PEER_ADDRESS)
            if str(host) not in {cases.OUTSIDE, *self._policy.opened}:
                return self._no(asked, 443 if host.version == 6 else 403)
        answer = stun.Message(asked.method, stun.SUCCESS, asked.transaction, attributes)
        return stun.encode(answer, key if self._policy.signs else b"")

    def _refuses(self, data: bytes, asked: stun.Message, end: str, key: bytes) -> int:
        if stun.MESSAGE_INTEGRITY not in asked.attributes:
            return 401
        if self._stale:
            self._stale = False
            return 438
        if self._policy.looks_at_the_password and not stun.is_signed(data, key):
            return 401
        known = end.isdigit() and int(end) > time.time()
        return 0 if known or not self._policy.looks_at_the_end else 401

    def _no(self, asked: stun.Message, code: int) -> bytes:
        attributes = {
            stun.ERROR_CODE: bytes([0, 0, code // 100, code % 100]) + b"no",
            stun.REALM: DOMAIN.encode(),
            stun.NONCE: b"nonce",
        }
        return stun.encode(stun.Message(asked.method, stun.ERROR, asked.transaction, attributes))


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._conversations: dict[object, Conversation] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        conversation = self._conversations.setdefault(addr, Conversation(self._policy))
        if answer := conversation.hear(data):
            self._transport.sendto(answer, addr)


@contextlib.asynccontextmanager
async def turn_server(
    policy: Policy, shown: Issued, monkeypatch: pytest.MonkeyPatch, patience: float = 5
) -> AsyncIterator[Entrance]:
    """An entrance to a server that names this one to everybody."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w") as chain:
        chain.write(shown.pem + shown.key)
        chain.flush()
        tls.load_cert_chain(chain.name)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = Conversation(policy)
        with contextlib.suppress(EOFError, OSError):
            while True:
                head = await reader.readexactly(stun.HEADER)
                answer = conversation.hear(head + await reader.readexactly(stun.body_length(head)))
                if answer:
                    writer.write(answer)
                    await writer.drain()
        writer.close()

    loop = asyncio.get_running_loop()
    datagrams, _ = await loop.create_datagram_endpoint(
        lambda: _Datagrams(policy), local_addr=("127.0.0.1", 0)
    )
    stream = await asyncio.start_server(converse, "127.0.0.1", 0, ssl=tls)
    ports = {
        UDP: datagrams.get_extra_info("sockname")[1],
        TLS: stream.sockets[0].getsockname()[1],
    }
    given = Credentials(*stun.time_limited(SECRET, int(time.time()) + 86400))
    options = {"web_public_port": 444}  # and the door is elsewhere
    named = [
        Service("stun", UDP, DOMAIN, ports[UDP], None),
        Service("turn", UDP, DOMAIN, ports[UDP], given),
        Service("turns", TLS, DOMAIN, ports[TLS], given),
        Service("turns", TLS, SECOND, 444, given),
    ]

    async def tell(_: Entrance, *, guest: bool = False) -> list[Service]:
        del guest
        return named

    monkeypatch.setattr(cases, "_named", tell)
    certificate = shown.pem
    issuer = Issuer("x" * 32, "vestibule", "jitsi", DOMAIN)
    features = frozenset({"guests", "turn_on_443", *(["bridge"] if policy.opened else [])})
    try:
        async with front_door(DOMAIN, "127.0.0.1", ports[TLS], certificate) as door:
            whole = Entrance(door, WebSocketTransport, issuer, patience, features)
            yield replace(whole, options=options, turn_secret=SECRET)
    finally:
        datagrams.close()
        stream.close()
        await stream.wait_closed()


@pytest.fixture(name="shown", scope="module")
def _shown() -> Issued:
    return issue(DOMAIN, names=(DOMAIN, SECOND))


def outcome(
    case: Case,
    policy: Policy,
    shown: Issued,
    monkeypatch: pytest.MonkeyPatch,
    patience: float = 5,
) -> tuple[bool, str]:
    async def played() -> tuple[bool, str]:
        async with turn_server(policy, shown, monkeypatch, patience) as entrance:
            verdict = await judge(case, entrance)
            return verdict.ok, verdict.got

    return asyncio.run(played())


@pytest.mark.parametrize("name", ["turn_is_announced", "turn_relays", *REFUSALS])
@pytest.mark.parametrize("stale", [False, True], ids=["", "old nonce"])
def test_an_honest_server_passes(
    name: str, stale: bool, shown: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    ok, got = outcome(CASES[name], Policy(stale=stale), shown, monkeypatch)
    assert ok, got


@pytest.mark.parametrize(
    ("name", "policy", "expected"),
    [
        ("turn_relays", Policy(secret="another"), "refused: 401"),
        ("turn_relays", Policy(signs=False), "broken: an answer that is not signed"),
        ("turn_relays", Policy(answers=False), "no answer: the TURN server's answer"),
        (REFUSALS[0], Policy(asks=False), "has a relay [none over UDP]"),
        (REFUSALS[0], Policy(looks_at_the_end=False), "has a relay [ended over UDP]"),
        (REFUSALS[0], Policy(secret="another"), "control failed: refused: 401"),
        (REFUSALS[0], Policy(answers=False), "control failed: no answer"),
        (REFUSALS[1], Policy(relays_inside=True), "leads to 127.0.0.1 [loopback]"),
        (REFUSALS[1], Policy(secret="another"), "control failed: refused: 401"),
    ],
)
def test_no_other_server_passes(
    name: str,
    policy: Policy,
    expected: str,
    shown: Issued,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    patience = 5 if policy.answers else 0.1
    ok, got = outcome(CASES[name], policy, shown, monkeypatch, patience)
    assert not ok
    assert got.startswith(expected)


@pytest.mark.parametrize(
    ("case", "way"),
    [(CASES[name], way) for name in REFUSALS for way in CASES[name].attempts],
    ids=lambda each: each if isinstance(each, str) else each.name,
)
def test_every_attempt_notices_a_server_that_lets_everybody_relay_everywhere(
    case: Case, way: str, shown: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It takes any password, and proves none: who has none asks it for nothing to be signed
    policy = Policy(asks=way.startswith(("other", "later", "ended", "made")), relays_inside=True)
    policy = replace(policy, looks_at_the_end=False, looks_at_the_password=False)

    async def played() -> tuple[str, bool]:
        async with (
            turn_server(policy, shown, monkeypatch) as entrance,
            case.control(entrance) as scene,
        ):
            return await attempt_once(case, case.attempts[way], scene)

    got, ok = asyncio.run(played())
    assert not ok, got


def test_a_network_that_the_operator_opened_is_no_fault(
    shown: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def played(peers: list[str]) -> str:
        policy = Policy(relays_inside=True)
        async with turn_server(policy, shown, monkeypatch) as entrance:
            opened = replace(entrance, options={"turn_peers": peers})
            case = CASES[REFUSALS[1]]
            async with case.control(opened) as scene:
                try:
                    return await case.attempts["private network"](scene)
                except Refused as refused:
                    return str(refused)

    assert asyncio.run(played(["10.0.0.0/8"])) == "leads to 172.31.255.1"
    everything = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]
    assert asyncio.run(played(everything)).startswith("refused: 403 (all of them are opened")


def test_a_relay_on_another_port_is_noticed(shown: Issued, monkeypatch: pytest.MonkeyPatch) -> None:
    async def played() -> str:
        async with turn_server(Policy(port=4000), shown, monkeypatch) as entrance:
            told = replace(entrance, options={"turn_relay_min_port": 49152})
            return (await judge(CASES["turn_relays"], told)).got

    assert asyncio.run(played()).startswith("relays from port 4000")


def test_a_bridge_that_no_relay_reaches_is_noticed(
    shown: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES["turn_relays"]
    ok, got = outcome(case, Policy(opened=(str(RELAY[0]),)), shown, monkeypatch)
    assert ok, got
    ok, got = outcome(case, Policy(opened=("192.0.2.11",)), shown, monkeypatch)
    assert not ok
    assert got.startswith("refused: 403 (no) [to the bridge]")


def test_a_certificate_without_the_second_name_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    ok, got = outcome(CASES["turn_relays"], Policy(), issue(DOMAIN), monkeypatch)
    assert not ok
    assert got.startswith("broken: TLS: CERTIFICATE_VERIFY_FAILED [HTTPS]")


@pytest.mark.parametrize(
    ("on", "named_so", "expected"),
    [
        (False, True, "is somebody else's"),
        (True, False, "lacks one, or has more"),
        (True, True, "is not on the port of HTTPS"),
    ],
)
def test_the_second_name_is_told_where_it_is_on_and_its_port_is_that_of_the_pages(
    on: bool, named_so: bool, expected: str, shown: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def played() -> str:
        async with turn_server(Policy(), shown, monkeypatch) as entrance:
            named = await cases._named(entrance)

            async def tell(_: Entrance, *, guest: bool = False) -> list[Service]:
                del guest
                return named if named_so else named[:-1]

            monkeypatch.setattr(cases, "_named", tell)
            features = entrance.features if on else entrance.features - {"turn_on_443"}
            elsewhere = replace(entrance, features=features, options={})
            return (await judge(CASES["turn_is_announced"], elsewhere)).got

    assert asyncio.run(played()).startswith(expected)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"host": "stun.example.com"}, "is somebody else's"),
        ({"kind": "turn"}, "lacks one, or has more"),
        ({"credentials": Credentials("a", "b")}, "lacks credentials"),
    ],
)
def test_another_list_of_servers_is_noticed(
    change: dict[str, Any],
    expected: str,
    shown: Issued,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def played() -> str:
        async with turn_server(Policy(), shown, monkeypatch) as entrance:
            named = await cases._named(entrance)

            async def tell(_: Entrance, *, guest: bool = False) -> list[Service]:
                del guest
                return [replace(named[0], **change), *named[1:]]

            monkeypatch.setattr(cases, "_named", tell)
            return (await judge(CASES["turn_is_announced"], entrance)).got

    assert asyncio.run(played()).startswith(expected)


def test_a_server_of_another_certificate_gets_no_credentials(
    shown: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def played() -> None:
        async with turn_server(Policy(), issue(DOMAIN), monkeypatch) as entrance:
            trusting = shown.pem
            async with front_door(DOMAIN, "127.0.0.1", 1, trusting) as door:
                other = replace(entrance, door=door)
                await CASES["turn_relays"].attempts["TLS"](Scene(other, other.room()))

    with pytest.raises(Broken, match="TLS: "):
        asyncio.run(played())


def test_a_port_that_nobody_listens_on_is_no_refusal(
    shown: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def played(transport: str) -> str:
        async with turn_server(Policy(), shown, monkeypatch) as entrance:
            conversation = talk(entrance.door, transport, 1, 0.5, None)
            with pytest.raises((Broken, NoAnswer)) as caught:
                async with conversation as client:
                    await client.allocate()
            return str(caught.value)

    assert asyncio.run(played(UDP)).startswith("broken: ")
    assert asyncio.run(played(TLS)).startswith("broken: ")


@contextlib.asynccontextmanager
async def two_servers(
    policy: Policy, shown: Issued, monkeypatch: pytest.MonkeyPatch, **other: Any
) -> AsyncIterator[Entrance]:
    """An entrance to an honest server beside the pages, and to one elsewhere of this policy.

    ``other`` is what is said of the latter and is not so.
    """
    here = turn_server(Policy(), issue(DOMAIN), monkeypatch)
    async with here as entrance:
        beside = (await cases._named(entrance))[:3]
        async with turn_server(policy, shown, monkeypatch) as there:
            elsewhere = [replace(each, host=RELAY_NAME) for each in (await cases._named(there))[:3]]
            options = {
                "turn_port": elsewhere[0].port,
                "turn_tls_port": elsewhere[2].port,
                "turn_relay_min_port": 49152,
                **other,
            }
            door = replace(there.door, domain=RELAY_NAME)
            server = TurnServer(door, options, False, ("192.0.2.20",))

            async def tell(_: Entrance, *, guest: bool = False) -> list[Service]:
                del guest
                return [*beside, *elsewhere]

            monkeypatch.setattr(cases, "_named", tell)
            features = frozenset({"guests", "bridge"})
            yield replace(
                entrance, features=features, bridges=("far",), turn_servers=(server,), options={}
            )


def verdict_on_two(
    name: str, policy: Policy, shown: Issued, monkeypatch: pytest.MonkeyPatch, **other: Any
) -> tuple[bool, str]:
    async def played() -> tuple[bool, str]:
        async with two_servers(policy, shown, monkeypatch, **other) as entrance:
            verdict = await judge(CASES[name], entrance)
            return verdict.ok, verdict.got

    return asyncio.run(played())


@pytest.mark.parametrize("name", ["turn_is_announced", "turn_relays", *REFUSALS])
def test_a_server_elsewhere_is_asked_as_well(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = Policy(opened=("192.0.2.20",))
    ok, got = verdict_on_two(name, policy, issue(RELAY_NAME), monkeypatch)
    assert ok, got
    assert got.endswith(", 2 servers") is (name != "turn_is_announced")


@pytest.mark.parametrize(
    ("name", "policy", "expected"),
    [
        ("turn_relays", Policy(secret="another"), "refused: 401"),
        ("turn_relays", Policy(), "refused: 403 (no) [to the bridge]"),
        (REFUSALS[0], Policy(asks=False), "has a relay [none over UDP]"),
        (REFUSALS[1], Policy(relays_inside=True), "leads to 127.0.0.1 [loopback]"),
        (REFUSALS[2], Policy(relays_inside=True), "leads to the server itself"),
    ],
)
def test_what_is_wrong_elsewhere_is_noticed_and_named(
    name: str, policy: Policy, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ok, got = verdict_on_two(name, policy, issue(RELAY_NAME), monkeypatch)
    assert not ok
    assert got.startswith(expected)
    assert got.endswith(f" at {RELAY_NAME}")


def test_a_server_elsewhere_with_the_certificate_of_another_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ok, got = verdict_on_two("turn_relays", Policy(), issue(DOMAIN), monkeypatch)
    assert not ok
    assert got.startswith("broken: TLS: CERTIFICATE_VERIFY_FAILED [TLS]")


def test_a_port_where_a_server_elsewhere_does_not_listen_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ok, got = verdict_on_two(
        "turn_is_announced", Policy(), issue(RELAY_NAME), monkeypatch, turn_tls_port=1
    )
    assert not ok
    assert got.startswith("is on another port than it listens at")


def settings_of(shown: dict[str, Any], *cases: str, self_signed: bool = True) -> dict[str, Any]:
    """What a proof is told of a TURN server elsewhere."""
    path = f"/etc/{RELAY_NAME}.crt"
    server = {
        "host": "relay",
        "name": RELAY_NAME,
        "certificate_path": path,
        "self_signed": self_signed,
        "seen": {path: shown} if shown else {},
    }
    return {"domain": DOMAIN, "cases": cases, "turn_servers": [server]}


@pytest.mark.parametrize(
    ("shown", "says"),
    [
        ({}, "relay was not looked at: it cannot be reached, it failed, or --limit"),
        ({"chain": "", "authority": None}, f"relay has no certificate in /etc/{RELAY_NAME}.crt"),
    ],
)
def test_a_server_elsewhere_of_which_nothing_is_known_is_named(
    shown: dict[str, Any], says: str
) -> None:
    with pytest.raises(ProofError, match=says):
        _trusted_of_turn(settings_of(shown, "turn_relays"))
    assert _trusted_of_turn(settings_of(shown, "no_token_refused")) == [None]


def test_who_signed_for_a_server_elsewhere_is_trusted() -> None:
    chain = issue(RELAY_NAME).pem
    found = {"chain": chain, "authority": None}
    assert _trusted_of_turn(settings_of(found, "turn_relays")) == [chain.strip()]
    assert _trusted_of_turn(settings_of(found, "turn_relays", self_signed=False)) == [None]
    found["authority"] = "a root"
    assert _trusted_of_turn(settings_of(found, "turn_relays", self_signed=False)) == ["a root"]
