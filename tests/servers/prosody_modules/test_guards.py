"""Our smaller modules on a deployed server: what the access cases do not reach."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Iterator

import pytest

from vestibule.access.participant import Participant
from vestibule.access.scene import Entrance
from vestibule.access.xmpp import (
    CLIENT,
    FOCUS,
    SMACKS,
    Refused,
    Room,
    Stage,
    element,
    qualified,
    text,
)

from .conftest import DOMAIN, Server, Setting
from .people import (
    CONFERENCE,
    FOCUS_USER,
    administer,
    bare,
    guest,
    member,
    owner,
    owner_token,
    set_affiliation,
)

RECORDS = {"recording": True}

pytestmark = pytest.mark.anyio


async def may_record(somebody: Participant, room: Room, to: str = "", **changed: str) -> bool:
    """Whether a request to record reaches Jicofo, whatever that makes of it."""
    order = {"xmlns": "http://jitsi.org/protocol/jibri", "action": "start"}
    request = element("jibri", {**order, "recording_mode": "file", **changed})
    try:
        await somebody.request("set", to or f"{room.address}/focus", request)
    except Refused as refused:
        return refused.condition != "forbidden"
    return True


@pytest.mark.parametrize(
    "address",
    [f"focus.{DOMAIN}", f"focus.{DOMAIN}/x", f"x@focus.{DOMAIN}", f"x@focus.{DOMAIN}/y"],
)
async def test_jicofo_is_asked_for_meetings_only(entrance: Entrance, address: str) -> None:
    """The proxy hands on what goes to any address of its host."""

    async def ask_for(room: str) -> None:
        order = {"xmlns": FOCUS, "room": room, "machine-uid": "x"}
        await somebody.request("set", address, element("conference", order), Stage.FOCUS)

    room = entrance.room()
    async with entrance.guest(room) as somebody:
        await ask_for(room.address)
        with pytest.raises(Refused, match="not-allowed"):
            await ask_for(f"jvbbrewery@internal.auth.{DOMAIN}")


@pytest.mark.parametrize(
    "changed",
    [
        {"action": "\u017ftart"},  # Java's toUpperCase makes START of it
        {"action": "\ufb06art"},
        {"recording_mode": "\ufb01le"},
        {"recording_mode": ""},
        {"to": f"focus.{DOMAIN}"},
    ],
    ids=["long s", "ligature st", "ligature fi", "no mode", "past the room"],
)
async def test_odd_requests_do_not_record(entrance: Entrance, changed: dict[str, str]) -> None:
    room = entrance.room()
    async with (
        entrance.enter(room, owner_token(entrance, room, RECORDS)) as recorder,
        entrance.enter(room, owner_token(entrance, room, {"livestreaming": True})) as other,
    ):
        assert not await may_record(other, room, **changed)
        assert await may_record(recorder, room)


async def test_a_second_session_does_not_record(entrance: Entrance) -> None:
    """It has the same JID, and jitsi_permissions gives its features to the first one only."""
    room = entrance.room()
    token = owner_token(entrance, room)
    async with entrance.enter(room, token) as first:
        await first.send(element("enable", {"xmlns": SMACKS, "resume": "true"}))
        enabled = await first.wait_for(
            lambda stanza: stanza.tag == qualified(SMACKS, "enabled"), "stream management"
        )
        query = {"room": room.name, "token": token, "previd": enabled.get("id", "")}
        async with Participant.connect(
            entrance.kind, entrance.door, entrance.patience, query, {}
        ) as second:
            await second.login()
            assert bare(second) == bare(first)
            await second.join(room)
            assert second.standing(room).moderates
            assert not await may_record(second, room)


async def test_promotion_does_not_hand_on_features(entrance: Entrance) -> None:
    room = entrance.room()
    async with (
        entrance.enter(room, owner_token(entrance, room, RECORDS)) as recorder,
        member(entrance, room) as first,
        guest(entrance, room) as second,
    ):
        for somebody in (first, second):
            await administer(recorder, room, jid=bare(somebody), affiliation="owner")
            await somebody.wait_for_affiliation(room, "owner")
            assert not await may_record(somebody, room)
        assert await may_record(recorder, room)


async def test_transcription_is_not_switched_on_without_the_feature(entrance: Entrance) -> None:
    async def switch_on(somebody: Participant, by: str) -> None:
        data = json.dumps({"key": "recording", "data": {"isTranscribingEnabled": by}})
        order = {"xmlns": "http://jitsi.org/jitmeet", "room": room.address}
        metadata = element("room_metadata", order, text(data))
        await somebody.send(
            element("message", {"xmlns": CLIENT, "to": f"metadata.{DOMAIN}"}, metadata)
        )

    room = entrance.room()
    async with (
        entrance.enter(room, owner_token(entrance, room, {"transcription": True})) as writer,
        guest(entrance, room) as other,
    ):
        await administer(writer, room, jid=bare(other), affiliation="owner")
        await other.wait_for_affiliation(room, "owner")
        await switch_on(other, "other")
        await other.hear()  # so that the server has seen to it
        await switch_on(writer, "writer")
        await writer.wait_for(
            lambda stanza: "writer" in "".join(stanza.itertext()), "the news of the transcription"
        )
        assert not any("other" in "".join(stanza.itertext()) for stanza in await writer.hear())


async def test_machines_promote_no_guest(server: Server, entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, guest(entrance, room) as somebody:
        for actor in ("true", f'"{FOCUS_USER}/x"'):
            assert not set_affiliation(server, room, actor, bare(somebody))
        assert not somebody.standing(room).moderates
        await administer(host, room, jid=bare(somebody), affiliation="owner")
        await somebody.wait_for_affiliation(room, "owner")


async def test_where_jicofo_chose_a_guest_somebody_else_becomes_owner(
    server: Server, entrance: Entrance
) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, guest(entrance, room) as somebody:
        async with member(entrance, room) as other:
            assert not set_affiliation(server, room, f'"{FOCUS_USER}/x"', bare(somebody))
            assert not other.standing(room).moderates  # as long as there is an owner
            await host.leave(room)
            await other.wait_for_affiliation(room, "owner")
        assert not somebody.standing(room).moderates


async def test_who_was_promoted_comes_back_as_the_token_says(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as first, member(entrance, room) as second:
        await administer(first, room, jid=bare(second), affiliation="owner")
        await second.wait_for_affiliation(room, "owner")
        await second.leave(room)
        await second.join(room)
        assert not second.standing(room).moderates


async def test_who_is_banned_stays_out(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as first, owner(entrance, room) as second:
        await administer(first, room, jid=bare(second), affiliation="outcast")
        await second.wait_for_departure(room)
        with pytest.raises(Refused, match="forbidden"):
            await second.join(room)


@pytest.fixture
def one_tenant(server: Server) -> Iterator[str]:
    settings = (
        Setting(DOMAIN, "token_guard", "token_guard_tenants", '{ "tenant-a" }'),
        Setting(CONFERENCE, "muc_reserved", "muc_reserved_but_tenants", '{ "tenant-a" }'),
    )
    with server.configured(*settings):
        yield "tenant-a"


@contextlib.asynccontextmanager
async def tenant_owner(entrance: Entrance, tenant: str, sub: str) -> AsyncIterator[Participant]:
    room = entrance.room(tenant=tenant)
    async with entrance.enter(room, entrance.token(room, sub=sub)) as somebody:
        yield somebody


@pytest.mark.parametrize("sub", ["tenant-b", "*"])
async def test_rooms_of_unlisted_tenants_are_closed(
    entrance: Entrance, one_tenant: str, sub: str
) -> None:
    with pytest.raises(Refused, match=r"tenant|reserved"):
        async with tenant_owner(entrance, "tenant-b", sub):
            pass
    for listed in (one_tenant, "*"):
        async with tenant_owner(entrance, one_tenant, listed):
            pass


async def test_a_pattern_is_a_wildcard_too(server: Server, entrance: Entrance) -> None:
    room = entrance.room()
    context = {"user": {}, "room": {"regex": True}}
    token = entrance.issuer.token(room=".*", context=context)
    async with entrance.login(room, token):
        pass
    strict = Setting(DOMAIN, "token_guard", "token_guard_wildcard_room", "false")
    server.configure(strict)
    try:
        with pytest.raises(Refused, match="wildcard"):
            async with entrance.login(room, token):
                pass
    finally:
        server.forget(strict)


@pytest.fixture
def without_upstreams(server: Server) -> Iterator[None]:
    """The plugins of somebody whose set has no token_affiliation."""
    name = "mod_token_affiliation.lua"
    folders = "/usr/local/share/vestibule/jitsi-plugins/current /usr/share/jitsi-meet"
    # A server that went from packages to an archive has two
    theirs = server.host.check_output(f"find -L {folders} -name {name} || true").split()
    assert theirs
    for path in theirs:
        server.host.check_output(f"mv {path} {path}.away")
    try:
        server.shell("module", "reload", "token_affiliation", CONFERENCE)
        yield
    finally:
        for path in theirs:
            server.host.check_output(f"mv {path}.away {path}")
        server.shell("module", "reload", "token_affiliation", CONFERENCE)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ({"affiliation": "owner"}, "owner"),
        ({"affiliation": "moderator"}, "owner"),
        ({"affiliation": "teacher"}, "owner"),
        ({"moderator": True}, "owner"),
        ({"moderator": "true"}, "owner"),
        ({}, "member"),
        ({"affiliation": "OWNER"}, "member"),
        ({"affiliation": ["owner"]}, "member"),
        ({"affiliation": {"owner": True}}, "member"),
        ({"moderator": 1}, "member"),
        ({"moderator": None}, "member"),
    ],
    ids=json.dumps,
)
@pytest.mark.usefixtures("without_upstreams")
async def test_the_fallback_does_as_upstream(
    entrance: Entrance, user: dict[str, object], expected: str
) -> None:
    room = entrance.room()
    async with (
        owner(entrance, room),
        entrance.enter(room, entrance.token(room, context={"user": user})) as somebody,
    ):
        await somebody.wait_for_affiliation(room, expected)
