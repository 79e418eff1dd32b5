"""Recorders and gateways on a deployed server: they pass every door, and are no people behind it.

The bots speak as Jibri and Jigasi do. Each door has a control: a person whom it keeps out.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
import ssl
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import yaml

from vestibule.access.attempts import members_only, password
from vestibule.access.cases.recording import dial
from vestibule.access.participant import PRESENCE, Participant
from vestibule.access.scene import TENANT, Entrance, Scene
from vestibule.access.transports import BoshTransport, Transport, WebSocketTransport
from vestibule.access.xmpp import FOCUS, MUC_USER, Refused, Room, Stage, element, qualified

from .conftest import DOMAIN, Server, Setting
from .machines import BRIDGE, GATEWAY, JIBRI, KINDS, RAYO, RECORDER, Kind, Machine, Yard, tunnel
from .people import (
    CONFERENCE,
    FOCUS_USER,
    administer,
    bare,
    guest,
    is_in,
    member,
    owner,
    owner_token,
    see_the_end,
    set_affiliation,
    switch_lobby,
    wait_for_owner,
)

ROOT = Path(__file__).parents[3]
RIGHTS = {"recording": True, "livestreaming": True, "outbound-call": True}
SETTINGS = (
    Setting(CONFERENCE, "muc_rate_limit", "muc_rate_joins", "100"),  # a second, so nobody queues
    Setting(CONFERENCE, "empty_meetings", "empty_meetings_timeout", "0.5"),  # seconds
    Setting(DOMAIN, "filter_iq_jibri", "max_number_room_attempts_per_minute", "100"),
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("settings")]


@pytest.fixture(scope="module")
def port(server: Server) -> Iterator[int]:
    """A port of this machine that leads to Prosody's own one."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        number: int = free.getsockname()[1]
    backend = server.host.backend
    with tunnel(backend.ssh_config, backend.host.name, number, 5222):
        yield number


@pytest.fixture(scope="module")
def trust(server: Server) -> ssl.SSLContext:
    """Who is on the hosts of machines, by the certificates that an operator copies."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for kind in (*KINDS.values(), BRIDGE):
        file = server.host.file(f"/var/lib/prosody/{kind.host}.{DOMAIN}.crt")
        context.load_verify_locations(cadata=file.content_string)
    return context


@pytest.fixture
def yard(server: Server, entrance: Entrance, port: int, trust: ssl.SSLContext) -> Yard:
    name = server.host.backend.host.name
    kept = ROOT / "molecule/modules/.secrets" / f"{name}.yml"
    return Yard(entrance, port, trust, yaml.safe_load(kept.read_text(encoding="utf-8")))


@pytest.fixture
def browsers(server: Server, entrance: Entrance) -> Iterator[None]:
    """Recorders may log in from here through the front door."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((entrance.door.address, 1))
        here = probe.getsockname()[0]
    setting = Setting(
        f"recorder.{DOMAIN}", "local_login", "local_login_web_networks", f'{{ "{here}/32" }}'
    )
    with server.configured(setting):
        yield


@pytest.fixture
def places(server: Server) -> Iterator[Callable[[int], None]]:
    """How many people a meeting takes, from now on."""
    setting = Setting(CONFERENCE, "muc_max_occupants", "muc_max_occupants", "75")
    yield lambda number: server.configure(setting._replace(value=str(number)))
    server.forget(setting)


def recording_owner(
    entrance: Entrance, room: Room
) -> contextlib.AbstractAsyncContextManager[Participant]:
    return entrance.enter(room, owner_token(entrance, room, RIGHTS))


async def configure(host: Participant, room: Room, payload: str) -> None:
    await host.request("set", room.address, payload)


async def close_lobby(entrance: Entrance, host: Participant, room: Room) -> None:
    await configure(host, room, members_only(Scene(entrance, room)))


async def close_password(entrance: Entrance, host: Participant, room: Room) -> None:
    await configure(host, room, password(Scene(entrance, room)))


async def close_nothing(entrance: Entrance, host: Participant, room: Room) -> None:
    pass


CLOSE: dict[str, Callable[[Entrance, Participant, Room], Awaitable[None]]] = {
    "token": close_nothing,
    "lobby": close_lobby,
    "password": close_password,
    "full": close_nothing,
}
# What a person hears there
HEARS = {
    "token": "mismatched",
    "lobby": "registration-required",
    "password": "not-authorized",
    "full": "service-unavailable",
}


async def come_as_person(entrance: Entrance, room: Room, door: str) -> None:
    claimed = entrance.room() if door == "token" else room
    async with entrance.login(room, entrance.member_token(claimed)) as somebody:
        await somebody.join(room)


def stands_as_machine(machine: Machine, room: Room) -> bool:
    standing = machine.standing(room)
    return standing.role == "participant" and standing.affiliation in ("none", "member")


@pytest.mark.parametrize("door", CLOSE)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
async def test_a_machine_passes_where_a_person_is_kept_out(
    entrance: Entrance, yard: Yard, places: Callable[[int], None], kind: Kind, door: str
) -> None:
    room = entrance.room()
    places(1 if door == "full" else 75)
    async with owner(entrance, room) as host, yard.login(kind) as machine:
        await CLOSE[door](entrance, host, room)
        with pytest.raises(Refused, match=HEARS[door]):
            await come_as_person(entrance, room, door)
        await machine.join(room)
        assert stands_as_machine(machine, room)


@contextlib.asynccontextmanager
async def closed_room(
    entrance: Entrance, places: Callable[[int], None], tenant: str = ""
) -> AsyncIterator[tuple[Room, Participant]]:
    """A room with every door closed at once, and its owner, whose rights are all there are."""
    room = entrance.room(tenant=tenant)
    places(1)
    async with recording_owner(entrance, room) as host:
        await close_lobby(entrance, host, room)
        await close_password(entrance, host, room)
        with pytest.raises(Refused):
            await come_as_person(entrance, room, "all of them")
        yield room, host


@pytest.mark.parametrize("tenant", ["", TENANT], ids=["plain", "tenant"])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
async def test_a_machine_passes_all_of_them_at_once(
    entrance: Entrance, yard: Yard, places: Callable[[int], None], kind: Kind, tenant: str
) -> None:
    async with closed_room(entrance, places, tenant) as (room, _), yard.login(kind) as machine:
        await machine.request_conference(room)
        await machine.join(room)
        assert stands_as_machine(machine, room)


@pytest.mark.parametrize(
    "transport", [WebSocketTransport, BoshTransport], ids=lambda each: each.name
)
async def test_a_recorder_comes_in_a_browser(
    server: Server,
    entrance: Entrance,
    yard: Yard,
    places: Callable[[int], None],
    browsers: None,
    transport: type[Transport],
) -> None:
    async with (
        closed_room(entrance, places) as (room, _),
        yard.browse(RECORDER, transport, room=room.name) as machine,
    ):
        await machine.request_conference(room)
        await machine.join(room)
        assert stands_as_machine(machine, room)


@pytest.mark.usefixtures("browsers")
async def test_a_token_that_a_recorder_brings_counts_for_nothing(
    entrance: Entrance, yard: Yard
) -> None:
    room = entrance.room()
    async with owner(entrance, room):
        query = {"room": room.name, "token": entrance.token(room)}
        async with yard.browse(RECORDER, WebSocketTransport, **query) as machine:
            await machine.join(room)
            assert machine.standing(room).role == "participant"
            assert machine.standing(room).affiliation == "none"  # nor a member by it


@pytest.mark.parametrize(
    "transport", [WebSocketTransport, BoshTransport], ids=lambda each: each.name
)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
async def test_nobody_logs_in_as_a_machine_from_elsewhere(
    yard: Yard, kind: Kind, transport: type[Transport]
) -> None:
    """With the right password, which opens the door where the machines are."""
    async with yard.login(kind):
        pass
    with pytest.raises(Refused, match=r"not-authorized|No stream features"):
        async with yard.browse(kind, transport):
            pass


async def ask(somebody: Participant, room: Room, payload: str) -> ET.Element:
    return await somebody.request("set", f"{room.address}/focus", payload)


RECORD = element("jibri", {"xmlns": JIBRI, "action": "start", "recording_mode": "file"})
STOP = element("jibri", {"xmlns": JIBRI, "action": "stop", "recording_mode": "file"})


async def recording_status(somebody: Participant, status: str) -> None:
    await somebody.wait_for(
        lambda stanza: (
            stanza.tag == PRESENCE
            and (found := stanza.find(qualified(JIBRI, "jibri-recording-status"))) is not None
            and found.get("status") == status
        ),
        f"the news that recording is {status}",
    )


async def seen_from(somebody: Participant, machine: Machine) -> str:
    """Of which host somebody sees a machine to be: clients hide those of one."""
    seen = await somebody.wait_for(
        lambda stanza: stanza.get("from", "").endswith(f"/{machine.nick}"), "the machine"
    )
    item = seen.find(f"{qualified(MUC_USER, 'x')}/{qualified(MUC_USER, 'item')}")
    assert item is not None
    return item.get("jid", "").partition("@")[2].partition("/")[0]


def hidden_domain(server: Server) -> str:
    config = server.host.check_output("cat /etc/vestibule/web/config.js")
    content = json.loads(config.partition("var config = ")[2].rpartition(";")[0])
    return str(content["hiddenDomain"])


async def test_a_recorder_records(
    server: Server, entrance: Entrance, yard: Yard, places: Callable[[int], None]
) -> None:
    async with (
        closed_room(entrance, places) as (room, host),
        yard.wait_for_orders(RECORDER) as waiting,
        yard.login(RECORDER) as browser,
    ):
        # Jicofo answers the moderator once the recorder has answered
        started = asyncio.create_task(ask(host, room, RECORD))
        order = await waiting.next_order()
        said = order.find(qualified(JIBRI, "jibri"))
        assert said is not None
        assert (said.get("action"), said.get("room")) == ("start", room.address)
        focus = order.get("from", "")
        assert focus == f"{yard.brewery(RECORDER).address}/focus"
        await waiting.answer(order, element("jibri", {"xmlns": JIBRI, "status": "pending"}))
        await started
        await browser.request_conference(room)
        await browser.join(room)
        assert stands_as_machine(browser, room)
        assert await seen_from(host, browser) == hidden_domain(server)
        on = element("jibri", {"xmlns": JIBRI, "status": "on"})
        await waiting.request("set", focus, on)
        await recording_status(host, "on")
        with pytest.raises(Refused, match="unexpected-request"):
            await ask(host, room, RECORD)
        await ask(host, room, STOP)
        stop = (await waiting.next_order()).find(qualified(JIBRI, "jibri"))
        assert stop is not None and stop.get("action") == "stop"
        await recording_status(host, "off")


async def test_nothing_records_without_an_idle_recorder(entrance: Entrance, yard: Yard) -> None:
    room = entrance.room()
    async with recording_owner(entrance, room) as host:
        with pytest.raises(Refused, match="service-unavailable"):
            await ask(host, room, RECORD)
        async with yard.wait_for_orders(RECORDER, busy=True):
            with pytest.raises(Refused, match="resource-constraint"):
                await ask(host, room, RECORD)


async def test_the_token_decides_though_a_recorder_waits(entrance: Entrance, yard: Yard) -> None:
    room = entrance.room()
    async with (
        owner(entrance, room) as host,
        yard.wait_for_orders(RECORDER) as waiting,
        yard.wait_for_orders(GATEWAY) as gateway,
    ):
        with pytest.raises(Refused, match="forbidden"):
            await ask(host, room, RECORD)
        with pytest.raises(Refused, match="forbidden"):
            await ask(host, room, dial("tel:1")(room))
        assert waiting.orders.empty() and gateway.orders.empty()


async def test_a_gateway_calls(
    server: Server, entrance: Entrance, yard: Yard, places: Callable[[int], None]
) -> None:
    async with closed_room(entrance, places) as (room, host):
        with pytest.raises(Refused, match="service-unavailable"):
            await ask(host, room, dial("tel:1")(room))
        async with (
            yard.wait_for_orders(GATEWAY, busy=True),
            yard.wait_for_orders(GATEWAY) as waiting,
        ):
            called = asyncio.create_task(ask(host, room, dial("tel:1")(room)))
            order = await waiting.next_order()
            said = order.find(qualified(RAYO, "dial"))
            assert said is not None and said.get("to") == "tel:1"
            ref = element("ref", {"xmlns": RAYO, "uri": "xmpp:call@example.org"})
            await waiting.answer(order, ref)
            assert (await called).find(qualified(RAYO, "ref")) is not None
            await waiting.join(room)
            assert stands_as_machine(waiting, room)
            # People see who called
            assert await seen_from(host, waiting) == f"gateway.{DOMAIN}" != hidden_domain(server)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
async def test_nobody_makes_a_machine_a_moderator(
    server: Server, entrance: Entrance, yard: Yard, kind: Kind
) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, yard.login(kind) as machine:
        await machine.join(room)
        address = machine.jid.partition("/")[0]
        for change in (
            {"jid": address, "affiliation": "owner"},
            {"jid": address, "affiliation": "admin"},
            {"nick": machine.nick, "role": "moderator"},
        ):
            with pytest.raises(Refused):
                await administer(host, room, **change)
        for actor in ("true", f'"{FOCUS_USER}/x"'):
            assert not set_affiliation(server, room, actor, address)
        await machine.hear()
        assert stands_as_machine(machine, room)
        async with member(entrance, room) as other:  # a person is made one
            await administer(host, room, jid=other.jid.partition("/")[0], affiliation="owner")
            await other.wait_for_affiliation(room, "owner")


async def ask_jicofo(somebody: Participant, room: Room) -> None:
    order = {"xmlns": FOCUS, "room": room.address, "machine-uid": secrets.token_hex(8)}
    await somebody.request("set", f"focus.{DOMAIN}", element("conference", order), Stage.FOCUS)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
async def test_a_machine_opens_no_meeting(entrance: Entrance, yard: Yard, kind: Kind) -> None:
    room = entrance.room()
    async with yard.login(kind) as machine:
        for _ in range(2):  # neither a room that is not there, nor one in which nobody is
            with pytest.raises(Refused, match="not-allowed"):
                await ask_jicofo(machine, room)
            with pytest.raises(Refused, match="not-allowed"):
                await machine.join(room)
            async with entrance.login(room, entrance.member_token(room)) as somebody:
                await wait_for_owner(somebody, room)
        async with owner(entrance, room):
            await ask_jicofo(machine, room)
            await machine.join(room)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
async def test_no_meeting_lives_on_machines(entrance: Entrance, yard: Yard, kind: Kind) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, yard.login(kind) as machine:
        await machine.join(room)
        async with guest(entrance, room) as last:
            await host.leave(room)
            await last.hear()
            assert machine.standing(room).role == "participant"
        await see_the_end(machine, room)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
async def test_machines_take_nobodys_place(
    entrance: Entrance, yard: Yard, places: Callable[[int], None], kind: Kind
) -> None:
    room = entrance.room()
    places(2)
    async with owner(entrance, room), yard.login(kind) as machine:
        await machine.join(room)
        async with member(entrance, room):
            with pytest.raises(Refused, match="service-unavailable"):
                await come_as_person(entrance, room, "full")


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
async def test_a_machine_meets_jicofo_in_its_brewery_alone(
    server: Server, yard: Yard, kind: Kind
) -> None:
    async with yard.wait_for_orders(kind) as machine:
        brewery = yard.brewery(kind)
        assert machine.standing(brewery).affiliation == "none"
        others = {"jvbbrewery", "jibribrewery", "jigasibrewery", "new"} - {kind.brewery}
        for name in sorted(others):
            with pytest.raises(Refused, match="not-allowed"):
                await machine.join(Room(name, DOMAIN, component="internal.auth"))


async def test_a_bridge_enters_its_brewery_alone(entrance: Entrance, yard: Yard) -> None:
    """It knows the names of all meetings that it carries, and most doors let its host pass."""
    room = entrance.room()
    closed = [Room(name, DOMAIN, component="internal.auth") for name in ("jibribrewery", "new")]
    async with owner(entrance, room) as host, yard.wait_for_orders(BRIDGE) as bridge:
        await close_lobby(entrance, host, room)
        async with entrance.login(room, entrance.member_token(room)) as somebody:
            await somebody.wait_in_lobby(room)
            for each in (*closed, room, room.lobby, entrance.room(), entrance.room(tenant=TENANT)):
                with pytest.raises(Refused, match="not-allowed"):
                    await bridge.join(each)


async def test_a_bridge_orders_nothing(entrance: Entrance, yard: Yard) -> None:
    brewery, focus = yard.brewery(BRIDGE), "focus"
    order = element("conference", {"xmlns": FOCUS, "room": f"new@internal.auth.{DOMAIN}"})
    async with yard.wait_for_orders(BRIDGE) as bridge:
        assert not bridge.standing(brewery).moderates
        for change in ({"nick": focus, "role": "none"}, {"jid": FOCUS_USER, "affiliation": "none"}):
            with pytest.raises(Refused, match=r"forbidden|not-allowed|not-acceptable"):
                await administer(bridge, brewery, **change)
        for address in (f"{brewery.address}/{focus}", FOCUS_USER, f"focus.{DOMAIN}"):
            with pytest.raises(Refused, match="not-allowed"):
                await bridge.request("set", address, order, Stage.FOCUS)
        with pytest.raises(Refused, match="not-allowed"):
            await ask_jicofo(bridge, entrance.room())


@pytest.mark.parametrize("kind", [*KINDS.values(), BRIDGE], ids=[*KINDS, "bridge"])
async def test_who_comes_before_jicofo_does_not_own_the_brewery(
    server: Server, entrance: Entrance, yard: Yard, kind: Kind
) -> None:
    """Its bots are back before Jicofo is, after a restart of the server."""
    server.host.check_output("systemctl stop jicofo")
    try:
        brewery = yard.brewery(kind)
        muc = f'prosody.hosts["internal.auth.{DOMAIN}"].modules.muc'
        order = f'local room = {muc}.get_room_from_jid("{brewery.address}")'
        server.shell(f"> {order} if room then room:destroy() end")
        async with yard.wait_for_orders(kind) as machine:
            assert not machine.standing(brewery).moderates
            server.host.check_output("systemctl start jicofo")
            await machine.wait_for_occupant(brewery, "focus")
            assert not machine.standing(brewery).moderates
    finally:
        server.host.check_output("systemctl start jicofo")


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
async def test_machines_stay_out_of_lobbies(entrance: Entrance, yard: Yard, kind: Kind) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, yard.login(kind) as machine:
        await close_lobby(entrance, host, room)
        async with entrance.login(room, entrance.member_token(room)) as somebody:
            await somebody.wait_in_lobby(room)
            with pytest.raises(Refused, match="not-allowed"):
                await machine.join(room.lobby)


@pytest.mark.parametrize("lobby", [False, True], ids=["open", "lobby"])
async def test_who_throws_out_one_machine_means_no_other(
    entrance: Entrance, yard: Yard, lobby: bool
) -> None:
    """All machines of a kind have one account."""
    room = entrance.room()
    async with (
        owner(entrance, room) as host,
        yard.login(GATEWAY) as first,
        yard.login(GATEWAY) as second,
        yard.login(GATEWAY) as third,
    ):
        await switch_lobby(host, room, lobby)
        await first.join(room)
        await second.join(room)
        await administer(host, room, nick=first.nick, role="none")
        await first.wait_for_departure(room)
        for affiliation in ("outcast", "none", "owner"):
            with pytest.raises(Refused, match="not-allowed"):
                await administer(host, room, jid=bare(first), affiliation=affiliation)
        await third.join(room)
        assert await is_in(second, room)
