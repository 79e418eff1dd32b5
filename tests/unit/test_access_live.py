"""The cases against small servers on the loopback: an honest one passes, and no other does.

The servers here are stand-ins for this file alone. They speak enough XMPP to log in and to join.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import os
import re
import secrets
import socket
import ssl
import subprocess
import sys
import threading
import urllib.parse
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jwt
import pytest
import websockets
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from websockets.asyncio.server import ServerConnection

from tests.unit.test_access_media import answer_to
from vestibule.access.attempts import kick
from vestibule.access.cases import CASES, Case
from vestibule.access.cases.owner_party import meeting
from vestibule.access.certificates import NoCertificate
from vestibule.access.media import COLIBRI, ICE, JINGLE
from vestibule.access.participant import Standing
from vestibule.access.play import (
    FocusAbsent,
    attempt_once,
    judge,
    play,
    wait_for_bridge,
    wait_for_focus,
)
from vestibule.access.scene import Entrance, Scene
from vestibule.access.tokens import Issuer, Key
from vestibule.access.transports import (
    HUNG_UP,
    TRANSPORTS,
    BoshTransport,
    Door,
    WebSocketTransport,
    front_door,
)
from vestibule.access.xmpp import (
    BIND,
    FOCUS,
    MUC,
    MUC_ADMIN,
    MUC_USER,
    SASL,
    SMACKS,
    Broken,
    NoAnswer,
    Refused,
    element,
    parse,
    qualified,
)
from vestibule.model.token_keys import EARLY, EXPIRED

ROOT = Path(__file__).parents[2]
DOMAIN = "meet.example.org"
SECRET = "canary-0123456789abcdef0123456789abcdef"
ISSUER = Issuer(SECRET, "vestibule", "jitsi", DOMAIN)
# A key of each kind, for the cases about what keys may not do
KEYS = (
    Key("good", "HS256", ("vestibule",), private=SECRET),
    Key("tenants", "HS256", ("vestibule",), ("tenant-a",), private=SECRET[::-1]),
    Key("late", "HS256", ("vestibule",), state=EXPIRED, private=SECRET.upper()),
    Key("soon", "HS256", ("vestibule",), state=EARLY, private=SECRET.swapcase()),
    Key("public", "RS256", ("vestibule",), public="-----BEGIN\nAA==\n-----END\n"),
)
TOKENS: dict[str, Any] = {
    "token_issuers": ["vestibule", "other"],
    "token_revoked": {"jtis": ["j"], "users": ["u"], "kids": ["late"], "issued_before": 1},
}
PATIENCE = 5.0  # seconds: what answers at all here answers within milliseconds
REFUSALS = [case for case in CASES.values() if case.refusals]


@dataclass(frozen=True)
class Identity:
    """A certificate for ``meet.example.org``, and the server side that shows it."""

    certificate: str
    tls: ssl.SSLContext


def make_identity(folder: Path) -> Identity:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, DOMAIN)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(DOMAIN)]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    chain = folder / "server.pem"
    chain.write_bytes(
        certificate
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(chain)
    return Identity(certificate.decode(), tls)


@pytest.fixture(scope="module", name="identity")
def _identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return make_identity(tmp_path_factory.mktemp("identity"))


@pytest.fixture(autouse=True)
def _take_large_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave it to the servers here how large a token may be."""
    monkeypatch.setattr("websockets.http11.MAX_LINE_LENGTH", 1024 * 1024)
    monkeypatch.setattr("websockets.http11.MAX_NUM_HEADERS", 1024)


# A server that speaks XMPP over WebSocket


@dataclass(frozen=True)
class Answer:
    """What a server does: None lets in, a text is the reason of a refusal."""

    login: Callable[[str], Awaitable[str | None]]
    join: Callable[[str, str], str | None] = lambda _token, _room: None
    creates_rooms: bool = True
    bridges: int = 1
    media: tuple[tuple[str, int], ...] = ()


async def accept(_: str) -> str | None:
    return None


async def refuse(_: str) -> str | None:
    return "no"


class Silence(Exception):
    """The server says nothing any more."""


async def stay_silent(_: str) -> str | None:
    raise Silence


async def hang_up(_: str) -> str | None:
    raise ConnectionAbortedError


async def check(token: str) -> str | None:
    if not token:
        return "token required"
    try:
        jwt.decode(token, SECRET, ["HS256"], audience="jitsi", issuer="vestibule")
    except jwt.ExpiredSignatureError:
        return "Not acceptable by exp (1 sec since expired)"
    except jwt.InvalidSignatureError:
        return "Invalid signature"
    except jwt.InvalidTokenError:
        return "Invalid token"
    return None


def check_room(token: str, room: str) -> str | None:
    named = jwt.decode(token, options={"verify_signature": False})["room"]
    return None if room.partition("@")[0] == named.lower() else "Room and token mismatched"


HONEST = Answer(check, check_room)
BAD = {
    "lets everybody in": Answer(accept),
    "refuses everybody": Answer(refuse),
    "refuses every join": Answer(accept, lambda _token, _room: "Room and token mismatched"),
    "never answers a login": Answer(stay_silent),
    "hangs up at the login": Answer(hang_up),
}


class Conversation:
    """One stream of such a server. ``rooms`` are shared by all: who is in a room, by nick."""

    def __init__(
        self,
        answer: Answer,
        connection: ServerConnection,
        rooms: defaultdict[str, dict[str, Conversation]],
    ) -> None:
        request = connection.request
        assert request is not None
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(request.path).query)
        header = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.token = query.get("token", [header])[0]
        self._answer = answer
        self._connection = connection
        self._known = False
        self._host = ""
        self._rooms = rooms
        self._user = secrets.token_hex(4)
        self._path = urllib.parse.urlsplit(request.path).path
        self._port = connection.local_address[1]

    async def greet(self) -> None:
        """Be a channel of a bridge, which is open to everybody here."""
        async for _ in self._connection:
            await self.say(json.dumps({"colibriClass": "ServerHello"}))

    async def say(self, *replies: str) -> None:
        for reply in replies:
            await self._connection.send(reply)

    async def run(self) -> None:
        if self._path.startswith("/colibri-"):
            await self.greet()
            return
        try:
            async for message in self._connection:
                heard = parse(message)
                name = heard.tag.partition("}")[2]
                await self.say(*await getattr(self, name)(heard))
        except Silence:
            await self._connection.wait_closed()
        except (websockets.ConnectionClosed, ConnectionAbortedError):
            await self._connection.close()

    async def open(self, opening: ET.Element) -> list[str]:
        self._host = opening.get("to", "")
        mechanism = element("mechanism", None, "ANONYMOUS")
        offer = element("bind", {"xmlns": BIND})
        if not self._known:
            offer = element("mechanisms", {"xmlns": SASL}, mechanism)
        return [
            "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>",
            element("stream:features", None, offer),
        ]

    async def close(self, _: ET.Element) -> list[str]:
        return ["<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>"]

    async def auth(self, _: ET.Element) -> list[str]:
        reason = await self._answer.login(self.token)
        if reason is None:
            self._known = True
            return [element("success", {"xmlns": SASL})]
        words = element("text", None, reason)
        return [element("failure", {"xmlns": SASL}, "<not-allowed/>", words)]

    async def enable(self, _: ET.Element) -> list[str]:
        return [element("enabled", {"xmlns": SMACKS, "id": "stream"})]

    async def resume(self, _: ET.Element) -> list[str]:
        return [element("resumed", {"xmlns": SMACKS, "previd": "stream", "h": "0"})]

    async def message(self, sent: ET.Element) -> list[str]:
        if sent[0].tag.endswith("end_conference"):
            for room, people in self._rooms.items():
                for nick in [nick for nick, somebody in people.items() if somebody is self]:
                    await self._dismiss(room, nick)
        news = []
        if sent[0].tag.endswith("breakout_rooms"):
            rooms = json.dumps({"rooms": {"beside": {"id": "beside"}}})
            news = [element("json-message", {"xmlns": "http://jitsi.org/jitmeet"}, rooms)]
        return [element("message", {"xmlns": "jabber:client", "from": sent.get("to", "")}, *news)]

    async def iq(self, asked: ET.Element) -> list[str]:
        if asked.get("type") in ("result", "error"):  # of a question of ours
            return []
        await self._kick(asked)
        jid = element("jid", None, f"{self._user}@{self._host}/browser")
        ready = str(self._answer.creates_rooms).lower()
        payloads = {
            BIND: element("bind", {"xmlns": BIND}, jid),
            FOCUS: element("conference", {"xmlns": FOCUS, "ready": ready}),
        }
        namespace = asked[0].tag[1:].partition("}")[0]
        item = "<item xmlns='http://jabber.org/protocol/disco#items' jid='x@example.org'/>"
        return [
            element(
                "iq",
                {"xmlns": "jabber:client", "type": "result", "id": asked.get("id", "")},
                payloads.get(namespace, item),
            )
        ]

    async def _kick(self, asked: ET.Element) -> None:
        room = asked.get("to", "")
        for item in asked.iter(qualified(MUC_ADMIN, "item")):
            if item.get("role") == "none":
                await self._dismiss(room, item.get("nick", ""))
            elif item.get("affiliation") == "outcast":
                user = item.get("jid", "").partition("@")[0]
                banned = [nick for nick, who in self._rooms[room].items() if who._user == user]
                for nick in banned:
                    await self._dismiss(room, nick)

    async def _dismiss(self, room: str, nick: str) -> None:
        people = self._rooms[room]
        leaver = people.pop(nick, None)
        for somebody in [*people.values(), *([leaver] if leaver else [])]:
            codes = ["<status code='110'/>"] if somebody is leaver else []
            extended = element("x", {"xmlns": MUC_USER}, *codes)
            attributes = {"xmlns": "jabber:client", "from": f"{room}/{nick}"}
            await somebody.say(element("presence", {**attributes, "type": "unavailable"}, extended))

    async def presence(self, shown: ET.Element) -> list[str]:
        room, _, nick = shown.get("to", "").partition("/")
        if shown.get("type") == "unavailable":
            await self._dismiss(room, nick)
            return []
        reason = self._answer.join(self.token, room)
        if reason is not None:
            condition = "<not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
            words = element("text", {"xmlns": "urn:ietf:params:xml:ns:xmpp-stanzas"}, reason)
            attributes = {"xmlns": "jabber:client", "from": f"{room}/{nick}", "type": "error"}
            return [element("presence", attributes, element("error", None, condition, words))]
        self._rooms[room][nick] = self
        if len(self._rooms[room]) > 1:
            for name, somebody in self._rooms[room].items():
                with contextlib.suppress(websockets.ConnectionClosed):  # who has left
                    await somebody.say(self._invitation(room, name))
        item = element("item", {"affiliation": "owner", "role": "moderator"})
        return [
            element("presence", {"xmlns": "jabber:client", "from": f"{room}/{who}"}, extended)
            for who, extended in (
                ("focus", element("x", {"xmlns": MUC})),
                (nick, element("x", {"xmlns": MUC_USER}, item, "<status code='110'/>")),
            )
        ]

    def _invitation(self, room: str, nick: str) -> str:
        """What Jicofo says once two are there: a place on a bridge, or that there is none."""
        sender = {"xmlns": "jabber:client", "from": f"{room}/focus"}
        if not self._answer.bridges:
            return element("presence", sender, element("bridgeNotAvailable", {"xmlns": FOCUS}))
        url = f"wss://{DOMAIN}:{self._port}/colibri-ws/jvb/meeting/{nick}?pwd={nick}"
        channel = element("web-socket", {"xmlns": COLIBRI, "url": url})
        place = {"xmlns": ICE, "ufrag": "fragment", "pwd": "password"}
        ways = [
            element("candidate", {"ip": address, "port": str(port), "protocol": "udp"})
            for address, port in self._answer.media
        ]
        content = element("content", None, element("transport", place, channel, *ways))
        jingle = element("jingle", {"xmlns": JINGLE, "action": "session-initiate"}, content)
        return element("iq", {**sender, "type": "set", "id": secrets.token_hex(4)}, jingle)


@contextlib.asynccontextmanager
async def entrance_to(
    answer: Answer, identity: Identity, patience: float = PATIENCE
) -> AsyncIterator[Entrance]:
    rooms: defaultdict[str, dict[str, Conversation]] = defaultdict(dict)

    async def converse(connection: ServerConnection) -> None:
        await Conversation(answer, connection, rooms).run()

    async with websockets.serve(
        converse,
        "127.0.0.1",
        0,
        ssl=identity.tls,
        select_subprotocol=lambda _, offered: next(iter(offered), None),
        close_timeout=0.1,
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with front_door(DOMAIN, "127.0.0.1", port, identity.certificate) as door:
            options = {"owner_party_timeout": 0.2, "max_occupants": 3, "login_rate": 3, **TOKENS}
            yield Entrance(door, WebSocketTransport, ISSUER, patience, options=options, keys=KEYS)


def outcome(
    case: Case, answer: Answer, identity: Identity, patience: float = PATIENCE
) -> tuple[bool, str]:
    async def played() -> tuple[bool, str]:
        async with entrance_to(answer, identity, patience) as entrance:
            verdict = await judge(case, entrance)
            return verdict.ok, verdict.got

    return asyncio.run(played())


@pytest.mark.parametrize(
    "name",
    [
        "valid_token_enters",
        "no_token_refused",
        "expired_refused",
        "other_key_refused",
        "bad_signature_refused",
        "wrong_room_refused",
    ],
)
def test_an_honest_server_passes(name: str, identity: Identity) -> None:
    ok, got = outcome(CASES[name], HONEST, identity)
    assert ok, got


@pytest.mark.parametrize("behaviour", BAD)
@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.name)
def test_no_bad_server_passes(case: Case, behaviour: str, identity: Identity) -> None:
    patience = 0.05 if "never" in behaviour else PATIENCE
    ok, got = outcome(case, BAD[behaviour], identity, patience)
    assert not ok, got


@pytest.mark.parametrize(
    ("case", "way"),
    [
        pytest.param(case, way, id=f"{case.name}-{way}")
        for case in REFUSALS
        for way in case.attempts
    ],
)
def test_every_attempt_notices_that_everybody_gets_in(
    case: Case, way: str, identity: Identity
) -> None:
    async def played() -> tuple[str, bool]:
        async with (
            entrance_to(BAD["lets everybody in"], identity) as entrance,
            contextlib.AsyncExitStack() as stack,
        ):
            try:
                scene = await stack.enter_async_context(case.control(entrance))
            except Refused:  # a control in which somebody waits notices it by itself
                scene = await stack.enter_async_context(meeting(entrance))
            return await attempt_once(case, case.attempts[way], scene)

    got, ok = asyncio.run(played())
    assert not ok, got


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lobby_moderator_admits", "refused: not-held (the room lets in at once) [member]"),
        ("recording_rights_stay", "whoever comes next records [others came and left]"),
        ("rapid_logins_slowed", "10000 bytes in 0."),
        ("endless_sender_is_sent_away", "20000 elements are read"),
    ],
)
def test_a_server_that_holds_nobody_back_is_noticed(
    name: str, expected: str, identity: Identity
) -> None:
    ok, got = outcome(CASES[name], BAD["lets everybody in"], identity)
    assert not ok
    assert got.startswith(expected)


def test_a_server_that_refuses_everybody_fails_in_the_control(identity: Identity) -> None:
    _, got = outcome(CASES["expired_refused"], BAD["refuses everybody"], identity)
    assert got == "control failed: refused: not-allowed (no)"


def test_silence_is_told_from_a_refusal(identity: Identity) -> None:
    _, got = outcome(CASES["no_token_refused"], BAD["never answers a login"], identity, 1)
    assert got == "control failed: no answer: the answer to the login did not come within 1 s"


def test_silence_towards_bad_tokens_alone_is_no_refusal(identity: Identity) -> None:
    async def ignore_bad_tokens(token: str) -> str | None:
        return await (accept(token) if await check(token) is None else stay_silent(token))

    ok, got = outcome(CASES["expired_refused"], Answer(ignore_bad_tokens), identity, 0.5)
    assert not ok
    assert got.startswith("no answer: the answer to the login")


def test_a_refusal_for_another_reason_does_not_count(identity: Identity) -> None:
    async def blame_the_issuer(token: str) -> str | None:
        return "invalid 'iss' claim" if await check(token) else None

    ok, got = outcome(CASES["expired_refused"], Answer(blame_the_issuer), identity)
    assert not ok
    assert got == "refused: not-allowed (invalid 'iss' claim) [two minutes ago]"


@pytest.mark.parametrize(
    ("bridges", "expected"),
    [
        pytest.param(1, (True, "meet on a bridge"), id="a bridge"),
        pytest.param(
            0, (False, "refused: no-bridge (everybody is thrown out) [join]"), id="no bridge"
        ),
    ],
)
def test_two_people_meet_where_a_bridge_is(
    bridges: int, expected: tuple[bool, str], identity: Identity
) -> None:
    answer = replace(HONEST, bridges=bridges)
    assert outcome(CASES["two_people_meet"], answer, identity) == expected


def test_the_channel_is_opened_where_jicofo_says(identity: Identity) -> None:
    assert outcome(CASES["bridge_channel_opens"], HONEST, identity) == (True, "opens")


class Ice(asyncio.DatagramProtocol):
    """Answers checks of ICE, signed with the password in the offer."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.transport.sendto(answer_to(data, "password"), addr)


@pytest.mark.parametrize(
    ("told", "public", "expected"),
    [
        pytest.param([], [], "no answer over UDP: Jicofo names no address for that", id="none"),
        pytest.param(["127.0.0.1"], [], "answers", id="its own"),
        pytest.param(["127.0.0.2", "127.0.0.1"], [], "answers", id="one of two"),
        pytest.param(["127.0.0.1"], ["127.0.0.1"], "answers", id="the public one"),
        pytest.param(
            ["127.0.0.1", "127.0.0.2"],
            ["127.0.0.2"],
            "no answer over UDP: 127.0.0.2 port {port}",
            id="not the public one",
        ),
        pytest.param(
            ["127.0.0.1"],
            ["203.0.113.7"],
            "no answer over UDP: Jicofo names no address for that",
            id="a public one that nobody is told",
        ),
    ],
)
def test_audio_and_video_find_a_way(
    told: list[str], public: list[str], expected: str, identity: Identity
) -> None:
    async def played() -> tuple[str, int]:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            Ice, local_addr=("127.0.0.1", 0)
        )
        port = transport.get_extra_info("sockname")[1]
        answer = replace(HONEST, media=tuple((address, port) for address in told))
        async with entrance_to(answer, identity, 1) as entrance:
            named = replace(entrance, options={"videobridge_public_address": public})
            verdict = await judge(CASES["media_reaches_the_bridge"], named)
        transport.close()
        assert verdict.ok is (expected == "answers")
        return verdict.got, port

    got, port = asyncio.run(played())
    assert got.partition(" [")[0] == expected.format(port=port)


def test_a_bridge_that_does_not_come_is_waited_for_and_then_left_to_the_cases(
    identity: Identity,
) -> None:
    async def waited(bridges: int, patience: float) -> float:
        async with entrance_to(replace(HONEST, bridges=bridges), identity) as entrance:
            started = asyncio.get_running_loop().time()
            await wait_for_bridge(entrance, patience)
            return asyncio.get_running_loop().time() - started

    assert asyncio.run(waited(1, 30)) < 5
    assert asyncio.run(waited(0, 0.2)) >= 0.2


def test_verdicts_come_in_the_order_of_the_registry(identity: Identity) -> None:
    names = ["wrong_room_refused", "expired_refused", "valid_token_enters"]
    heard: list[str] = []

    async def played() -> None:
        async with entrance_to(HONEST, identity) as entrance:
            cases = [CASES[name] for name in names]
            verdicts = await play(cases, [entrance], lambda each: heard.append(each.case.name))
            assert [each.ok for each in verdicts] == [True] * 3

    asyncio.run(played())
    assert heard == names


def test_another_outcome_than_the_expected_one_is_wrong(identity: Identity) -> None:
    case = replace(CASES["valid_token_enters"], outcome="moderates")
    assert outcome(case, HONEST, identity) == (False, "enters [in the URL]")


def test_slow_cases_begin_first_and_leave_the_places_to_others(identity: Identity) -> None:
    begun: list[str] = []
    others_done = asyncio.Event()

    async def wait_for_others(_: Scene) -> str:
        begun.append("slow")
        await asyncio.wait_for(others_done.wait(), PATIENCE)
        return "enters"

    async def come(_: Scene) -> str:
        begun.append("quick")
        if begun.count("quick") == 20:
            others_done.set()
        return "enters"

    quick = [Case(f"quick_{number}", "", {"one": come}) for number in range(20)]
    slow = [Case(f"slow_{number}", "", {"one": wait_for_others}, slow=True) for number in range(20)]

    async def played() -> list[str]:
        async with entrance_to(HONEST, identity) as entrance:
            verdicts = await play([*quick, *slow], [entrance], lambda _: None)
            assert all(verdict.ok for verdict in verdicts)
            return [verdict.case.name for verdict in verdicts]

    assert asyncio.run(played()) == [case.name for case in (*quick, *slow)]
    assert begun[:20] == ["slow"] * 20


def test_a_case_about_one_transport_is_played_over_that_alone(identity: Identity) -> None:
    async def come(_: Scene) -> str:
        return "enters"

    cases = [
        Case("over one", "", {"one": come}, only_over="websocket"),
        Case("over both", "", {"one": come}),
    ]

    async def played() -> list[tuple[str, str]]:
        async with entrance_to(HONEST, identity) as entrance:
            entrances = [entrance, replace(entrance, kind=BoshTransport)]
            verdicts = await play(cases, entrances, lambda _: None)
            return [(verdict.case.name, verdict.transport) for verdict in verdicts]

    assert asyncio.run(played()) == [
        ("over one", "websocket"),
        ("over both", "websocket"),
        ("over both", "bosh"),
    ]


def test_what_a_room_makes_of_somebody_is_known_until_they_leave(identity: Identity) -> None:
    async def talk() -> None:
        async with entrance_to(BAD["lets everybody in"], identity) as entrance:
            room = entrance.room()
            async with entrance.enter(room) as first, entrance.enter(room) as second:
                assert second.standing(room) == Standing("moderator", "owner")
                await first.request("set", room.address, kick(second.nick)(Scene(entrance, room)))
                left = await first.wait_for_departure(room, second.nick)
                assert not left.destroyed
                await second.wait_for_departure(room)
                assert second.standing(room) == Standing("none", "none")

    asyncio.run(talk())


def test_a_jicofo_that_opens_no_room_is_named(identity: Identity) -> None:
    async def waited() -> None:
        async with entrance_to(replace(HONEST, creates_rooms=False), identity, 0.5) as entrance:
            with pytest.raises(FocusAbsent):
                await wait_for_focus([entrance], 0.1)

    asyncio.run(waited())


def test_a_refused_login_is_left_to_the_cases(identity: Identity) -> None:
    async def waited() -> None:
        async with entrance_to(BAD["refuses everybody"], identity) as entrance:
            await wait_for_focus([entrance], 0.1)

    asyncio.run(waited())


# A server that speaks HTTP, and answers as each test says


@dataclass(frozen=True)
class Request:
    """One request as it arrived."""

    host: str
    body: ET.Element


Respond = Callable[[Request], Awaitable[bytes | None]]


def response(content: str, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\n\r\n{content}".encode()


def bosh(content: str = "", **attributes: str) -> bytes:
    namespace = {"xmlns": "http://jabber.org/protocol/httpbind"}
    return response(element("body", {**namespace, **attributes}, content))


@contextlib.asynccontextmanager
async def http_door(
    respond: Respond, identity: Identity, certificate: str = "", domain: str = DOMAIN
) -> AsyncIterator[Door]:
    connections: set[asyncio.Task[Any] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.current_task())
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                headers = dict(line.split(": ", 1) for line in head.splitlines()[1:-1])
                body = await reader.readexactly(int(headers["content-length"]))
                reply = await respond(Request(headers["host"], parse(body)))
                if reply is None:
                    break
                writer.write(reply)
                await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=identity.tls)
    port = server.sockets[0].getsockname()[1]
    async with (
        server,
        front_door(domain, "127.0.0.1", port, certificate or identity.certificate) as door,
    ):
        yield door
    await asyncio.gather(*filter(None, connections))


def stanza(identifier: str) -> str:
    return element("message", {"xmlns": "jabber:client", "id": identifier})


def test_bosh_counts_its_requests_and_keeps_one_open(identity: Identity) -> None:
    requests: list[Request] = []
    held, pushed = asyncio.Event(), asyncio.Event()

    async def respond(request: Request) -> bytes:
        requests.append(request)
        if len(requests) == 1:
            return bosh(
                "<stream:features xmlns:stream='http://etherx.jabber.org/streams'/>", sid="s1"
            )
        if request.body.get("type") == "terminate":
            pushed.set()
            return bosh(type="terminate")
        if len(requests) == 2:
            return bosh(stanza("pushed"))
        held.set()
        await pushed.wait()
        return bosh()

    async def talk() -> None:
        async with http_door(respond, identity) as door:
            transport = await BoshTransport.connect(door, {"token": "t"}, {})
            await transport.open("auth.meet.example.org")
            assert (await transport.receive()).tag.endswith("features")
            assert (await transport.receive()).get("id") == "pushed"
            await held.wait()
            await transport.close()
            assert requests[0].host == door.host_header.lower()

    asyncio.run(talk())
    bodies = [request.body for request in requests]
    first = bodies[0]
    assert (first.get("to"), first.get("ver"), first.get("hold")) == (
        "auth.meet.example.org",
        "1.6",
        "1",
    )
    rids = [int(body.get("rid", "")) for body in bodies]
    assert rids == list(range(rids[0], rids[0] + len(bodies)))
    assert rids[-1] < 2**53
    assert {body.get("sid") for body in bodies[1:]} == {"s1"}
    assert len(bodies) == 4, "session, two that the server may hold, the end"


def test_bosh_delivers_answers_in_the_order_of_the_requests(identity: Identity) -> None:
    requests: list[Request] = []
    held, second_answered = asyncio.Event(), asyncio.Event()

    async def respond(request: Request) -> bytes:
        requests.append(request)
        if len(requests) == 1:
            return bosh(sid="s1")
        if len(requests) == 2:
            held.set()
            await second_answered.wait()
            await asyncio.sleep(0.02)
            return bosh(stanza("first"))
        if len(requests) == 3:
            second_answered.set()
            return bosh(stanza("second"))
        return bosh(type="terminate")

    async def talk() -> None:
        async with http_door(respond, identity) as door:
            transport = await BoshTransport.connect(door, {}, {})
            await transport.open(DOMAIN)
            await held.wait()
            await transport.send(stanza("question"))
            assert (await transport.receive()).get("id") == "first"
            assert (await transport.receive()).get("id") == "second"
            await transport.close()

    asyncio.run(talk())


def test_bosh_never_has_more_than_two_requests_under_way(identity: Identity) -> None:
    under_way, most, sent = 0, 0, 0
    opened = False
    held: list[asyncio.Event] = []

    async def respond(request: Request) -> bytes:
        nonlocal under_way, most, sent, opened
        if not opened:
            opened = True
            return bosh(sid="s1")
        end = request.body.get("type") == "terminate"
        under_way += not end
        most = max(most, under_way)
        if held:  # time for a third one
            await asyncio.sleep(0.1)
        for other in held:  # a server that holds one request answers it when the next one comes
            other.set()
        if end:
            return bosh(type="terminate")
        sent += len(request.body)
        done = sent == 20 and len(request.body)
        if not done:
            held.append(asyncio.Event())
            await held[-1].wait()
        under_way -= 1
        return bosh(stanza("done") if done else "")

    async def talk() -> None:
        async with http_door(respond, identity) as door:
            transport = await BoshTransport.connect(door, {}, {})
            await transport.open(DOMAIN)
            for number in range(20):
                await transport.send(stanza(str(number)))
            await asyncio.wait_for(transport.receive(), 30)
            await transport.close()

    asyncio.run(talk())
    assert most == 2


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (response("", "414 URI Too Long"), "refused: 414"),
        (None, f"refused: {HUNG_UP}"),
        (bosh(type="terminate", condition="host-unknown"), "refused: host-unknown"),
        (bosh(type="terminate"), "broken: the server closed the stream"),
        (bosh(), "broken: the server opened a BOSH session without an identifier"),
        (response("", "502 Bad Gateway"), "broken: HTTP status 502"),
        (response("<html/>"), "broken: an answer without a BOSH body"),
        (response("x" * 300_000), "broken: an answer of more than 262144 bytes"),
    ],
)
def test_bosh_tells_a_refusal_from_a_failure(
    reply: bytes | None, expected: str, identity: Identity
) -> None:
    async def respond(_: Request) -> bytes | None:
        return reply

    async def open_and_hear(transport: BoshTransport) -> None:
        await transport.open(DOMAIN)
        await transport.receive()

    async def talk() -> None:
        async with http_door(respond, identity) as door:
            transport = await BoshTransport.connect(door, {}, {})
            with pytest.raises((Refused, Broken)) as caught:
                await open_and_hear(transport)
            await transport.close()
            assert str(caught.value) == expected

    asyncio.run(talk())


@pytest.mark.parametrize("kind", TRANSPORTS.values(), ids=TRANSPORTS)
@pytest.mark.parametrize("wrong", ["certificate", "name"])
def test_a_server_with_another_certificate_or_name_is_not_talked_to(
    kind: type[WebSocketTransport | BoshTransport], wrong: str, identity: Identity, tmp_path: Path
) -> None:
    asked: list[Request] = []

    async def respond(request: Request) -> bytes:
        asked.append(request)
        return bosh(sid="s1")

    other = make_identity(tmp_path).certificate if wrong == "certificate" else ""
    domain = "other.example.org" if wrong == "name" else DOMAIN

    async def talk() -> None:
        async with http_door(respond, identity, other, domain) as door:
            with pytest.raises(Broken, match="TLS: "):
                await (await kind.connect(door, {"token": "t"}, {})).open(DOMAIN)

    asyncio.run(talk())
    assert not asked


@pytest.mark.parametrize("certificate", ["", "rubbish", "schlüssel"])
def test_what_is_no_certificate_is_refused(certificate: str) -> None:
    async def opened() -> None:
        async with front_door(DOMAIN, "127.0.0.1", 443, certificate):
            pytest.fail("a door that trusts nobody was opened")

    with pytest.raises(NoCertificate):
        asyncio.run(opened())


def test_a_connection_that_is_never_answered_is_silence(identity: Identity) -> None:
    async def talk(port: int) -> None:
        async with front_door(DOMAIN, "127.0.0.1", port, identity.certificate) as door:
            entrance = Entrance(door, WebSocketTransport, ISSUER, 0.1)
            with pytest.raises(NoAnswer, match="connection"):
                async with entrance.login(entrance.room()):
                    pass

    with socket.create_server(("127.0.0.1", 0)) as nobody_accepts:
        asyncio.run(talk(nobody_accepts.getsockname()[1]))


# The action, in a play of its own


@pytest.fixture(name="port_of_bad_server")
def _port_of_bad_server(identity: Identity) -> Iterator[int]:
    """Port of a server that lets everybody in over WebSocket, and speaks no BOSH."""
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    ready: list[int] = []
    started = threading.Event()

    async def serve() -> None:
        async with entrance_to(BAD["lets everybody in"], identity) as entrance:
            ready.append(entrance.door.port)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    assert started.wait(30)
    yield ready[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


def run_play(folder: Path, hosts: dict[str, dict[str, Any]], *options: str) -> tuple[int, str]:
    """Run the role for these hosts, all on the loopback. Returns its status and all it said."""
    common = {
        "ansible_connection": "local",
        "ansible_host": "127.0.0.1",
        "ansible_python_interpreter": sys.executable,
        "jitsi_verify_domain": DOMAIN,
        "jitsi_verify_cases": ["no_token_refused"],
        "jitsi_verify_timeout": 15,
        "jitsi_verify_focus_timeout": 15,
        "jitsi_verify_report_directory": str(folder / "reports"),
        "jitsi_verify_token": {
            "algorithm": "HS256",
            "secret": SECRET,
            "issuer": "vestibule",
            "audience": "jitsi",
        },
    }
    inventory = {"all": {"hosts": hosts, "vars": common}}
    (folder / "hosts.yml").write_text(yaml.safe_dump(inventory), encoding="utf-8")
    play = [{"hosts": "all", "gather_facts": False, "roles": ["jitsi_verify"]}]
    (folder / "play.yml").write_text(yaml.safe_dump(play), encoding="utf-8")
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", *options, "play.yml"],
        cwd=folder,
        env={
            **os.environ,
            "ANSIBLE_INVENTORY": "hosts.yml",
            "ANSIBLE_ACTION_PLUGINS": str(ROOT / "plugins/action"),
            "ANSIBLE_LIBRARY": str(ROOT / "library"),
            "ANSIBLE_MODULE_UTILS": str(ROOT / "module_utils"),
            "ANSIBLE_ROLES_PATH": str(ROOT / "roles"),
            "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_wrong_verdicts_fail_the_play_and_show_no_secret(
    tmp_path: Path, identity: Identity, port_of_bad_server: int
) -> None:
    server = {
        "jitsi_verify_port": port_of_bad_server,
        "jitsi_verify_certificate": identity.certificate,
    }
    status, output = run_play(tmp_path, {"server": server}, "-vvv")
    assert status == 2, output
    assert "WRONG  websocket  no token" in output
    assert "logs in [none]; expected refused: not-allowed" in output
    assert "1 case over 2 transports: 0 right, 2 wrong" in output
    assert SECRET not in output
    assert not re.search(r"eyJ[\w-]+\.[\w-]*\.", output)  # three letters alone are in hashes, too
    rows = json.loads((tmp_path / "reports/server-access.json").read_text(encoding="utf-8"))
    assert [(row["transport"], row["ok"]) for row in rows] == [
        ("websocket", False),
        ("bosh", False),
    ]


def test_what_is_wrong_beforehand_is_said_in_words(tmp_path: Path, identity: Identity) -> None:
    trusted = {"jitsi_verify_certificate": identity.certificate}
    expected: dict[str, tuple[dict[str, Any], str]] = {
        "misspelt": ({"jitsi_verify_cases": ["no_tokn_refused"]}, "nearest is no_token_refused"),
        "empty": ({"jitsi_verify_cases": []}, "jitsi_verify_cases is empty"),
        "rubbish": ({"jitsi_verify_certificate": "rubbish"}, "no certificate in PEM form"),
        "missing": (
            {"jitsi_verify_certificate_path": "/nonexistent"},
            "set jitsi_web_certificate to the file on the host, or jitsi_verify_certificate to its",
        ),
        "closed": ({**trusted, "jitsi_verify_port": 1}, "be reached at 127.0.0.1 port 1 (broken"),
    }
    status, output = run_play(tmp_path, {name: facts for name, (facts, _) in expected.items()})
    assert status == 2, output
    fatal = {
        line.partition("[")[2].partition("]")[0]: line
        for line in output.splitlines()
        if line.startswith("fatal: ")
    }
    assert fatal.keys() == expected.keys()
    for name, (_, words) in expected.items():
        assert words in fatal[name]
    assert SECRET not in output


MINT = f"""import sys, jwt
print(jwt.PyJWS().encode(sys.stdin.buffer.read(), "{SECRET}", algorithm="HS256"))"""


def test_a_command_mints_and_what_takes_its_key_is_named_as_left_out(
    tmp_path: Path, identity: Identity, port_of_bad_server: int
) -> None:
    server = {
        "jitsi_verify_port": port_of_bad_server,
        "jitsi_verify_certificate": identity.certificate,
        "jitsi_verify_mint_command": [sys.executable, "-c", MINT],
        "jitsi_verify_cases": ["valid_token_enters", "other_key_refused", "alg_confusion_refused"],
    }
    absent = {**server, "jitsi_verify_mint_command": ["/nonexistent/mint"]}
    status, output = run_play(tmp_path, {"server": server, "absent": absent}, "-vvv")
    assert status == 2, output
    said = " ".join(output.split())
    assert f"; signed by {sys.executable}; report" in said
    assert "Not tried, as that takes what jitsi_verify_mint_command signs with: " in said
    assert "/nonexistent/mint cannot be run (No such file or directory)" in said
    rows = json.loads((tmp_path / "reports/server-access.json").read_text(encoding="utf-8"))
    entered = {row["transport"]: row["ok"] for row in rows if row["case"] == "valid_token_enters"}
    assert entered["websocket"]
    assert not re.search(r"eyJ[\w-]+\.[\w-]*\.", output)


def test_check_mode_says_that_there_is_nothing_to_prove(tmp_path: Path) -> None:
    status, output = run_play(tmp_path, {"server": {}}, "--check")
    assert status == 0, output
    assert "server: in check mode nothing is deployed, so there is nothing to prove" in output


def test_a_case_that_breaks_hides_no_other_and_shows_no_token(identity: Identity) -> None:
    async def stumble(_: Scene) -> str:
        raise ValueError("eyJhbGciOiJIUzI1NiJ9.secret")

    case = Case("stumbles", "words", {"once": stumble})
    ok, got = outcome(case, HONEST, identity)
    assert not ok
    assert got.startswith("the case broke: ValueError in test_access_live.py, line ")
