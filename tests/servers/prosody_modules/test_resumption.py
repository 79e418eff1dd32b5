"""A session that goes on with another token: its bearer is who that token says, and nobody else."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from vestibule.access.cases.breakout import change_rooms, open_breakout_room
from vestibule.access.cases.recording import RECORD, order
from vestibule.access.participant import Participant
from vestibule.access.scene import TENANT, Entrance
from vestibule.access.tokens import Issuer, context
from vestibule.access.transports import TRANSPORTS, front_door
from vestibule.access.xmpp import MUC_OWNER, SMACKS, Refused, Room, element

from .conftest import DOMAIN, Server, Setting
from .people import CONFERENCE, is_in

RESUMABLE = element("enable", {"xmlns": SMACKS, "resume": "true"})
PATIENCE = 5.0  # seconds
RECORDS, STREAMS = {"recording": True}, {"livestreaming": True}
SETTINGS = (
    Setting(CONFERENCE, "muc_rate_limit", "muc_rate_joins", "100"),  # a second, so nobody queues
    Setting(CONFERENCE, "owner_party", "owner_party_timeout", "60"),
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("settings")]


@pytest.fixture
async def entrances(front: tuple[str, str, Issuer]) -> AsyncIterator[dict[str, Entrance]]:
    """The way in for people, by transport."""
    address, certificate, issuer = front
    async with front_door(DOMAIN, address, 443, certificate) as door:
        yield {name: Entrance(door, kind, issuer, PATIENCE) for name, kind in TRANSPORTS.items()}


@pytest.fixture
def entrance(entrances: dict[str, Entrance]) -> Entrance:
    """That over WebSocket, which alone can be resumed."""
    return entrances["websocket"]


@contextlib.asynccontextmanager
async def resumed(
    entrance: Entrance, previous: Participant, room: Room, token: str
) -> AsyncIterator[Participant]:
    """Somebody who takes up a session with this token, on the way to ``room``."""
    if not previous.stream:
        await previous.ask_for_smacks(RESUMABLE)
    async with entrance.approach(room, token, previous=previous.stream) as somebody:
        await somebody.resume(previous)
        yield somebody


async def may_record(somebody: Participant, room: Room) -> bool:
    try:
        await order(somebody, room, RECORD)
    except Refused:
        return False
    return True


def rights(
    role: str = "owner",
    features: dict[str, bool] | None = None,
    regex: bool = False,
    **claims: str,
) -> dict[str, Any]:
    """Changes of claims."""
    more: dict[str, Any] = {} if features is None else {"features": features}
    if regex:
        more["room"] = {"regex": True}
    return {**claims, "context": context(role, **more)}


def dump(server: Server, *people: Participant) -> list[dict[str, str]]:
    """What the sessions know of tokens and addresses."""
    code = """
    local json = require "util.json"
    local found = {}
    for _, jid in ipairs { PEOPLE } do
        local fields = {}
        for name, value in pairs(prosody.full_sessions[jid]) do
            local kind = type(name) == "string" and name:match("^%l+_%l+") or ""
            if name == "auth_token" or kind == "jitsi_meet" or kind == "jitsi_web"
                or kind == "token_guard" or kind == "granted_jitsi" then
                fields[name] = json.encode_ordered and json.encode_ordered(value) or tostring(value)
            end
        end
        found[#found + 1] = fields
    end
    return json.encode(found)
    """.replace("PEOPLE", ", ".join(json.dumps(each.jid) for each in people))
    printed = server.shell(f"> {' '.join(code.split())}")
    found: list[dict[str, str]] = json.loads(printed[printed.index("[") : printed.rindex("]") + 1])
    return found


KINDS = {
    "recorder": rights(features=RECORDS),
    "streamer": rights(features=STREAMS),
    "owner": rights(),
    "member": rights("member"),
    "everywhere": rights(room="*", sub="*"),
    "pattern": rights(regex=True, room=".*", features=RECORDS),
    "tenant": {**rights(), "sub": TENANT, "context": context(tenant=TENANT, group="g")},
    "nobody": {"context": {}},
}


@pytest.mark.parametrize("before", KINDS)
async def test_a_session_is_what_its_last_token_says(
    server: Server, entrance: Entrance, before: str
) -> None:
    """All that a session knows, whatever it was before."""
    old, new, now = entrance.room(), entrance.room(), int(time.time())

    def token(room: Room, kind: str) -> str:
        claims = {"room": room.name, "sub": DOMAIN, "iat": now, **KINDS[kind]}
        return entrance.issuer.token(**claims)

    async with contextlib.AsyncExitStack() as stack:
        resumers, newcomers = [], []
        for after in KINDS:
            first = await stack.enter_async_context(entrance.login(old, token(old, before)))
            arrival = resumed(entrance, first, new, token(new, after))
            resumers.append(await stack.enter_async_context(arrival))
            arrival = entrance.login(new, token(new, after))
            newcomers.append(await stack.enter_async_context(arrival))
        assert all("token_guard_door" in known for known in dump(server, *newcomers))
        assert dict(zip(KINDS, dump(server, *resumers), strict=True)) == dict(
            zip(KINDS, dump(server, *newcomers), strict=True)
        )


async def test_rights_of_another_room_stay_there(entrance: Entrance) -> None:
    old, new = entrance.room(), entrance.room()
    async with (
        entrance.enter(old, entrance.token(old)),
        entrance.enter(old, entrance.token(old, **rights(features=RECORDS))) as first,
    ):
        assert await may_record(first, old)
        async with resumed(entrance, first, new, entrance.token(new)) as somebody:
            await somebody.request_conference(new)
            await somebody.join(new)
            assert not await may_record(somebody, new)
            assert not await may_record(somebody, old)
            with pytest.raises(Refused):
                await somebody.join(old)


async def test_rights_that_are_new_count(entrance: Entrance) -> None:
    old, new = entrance.room(), entrance.room()
    token = entrance.token(new, **rights(features=RECORDS))
    async with (
        entrance.enter(old, entrance.token(old)) as first,
        resumed(entrance, first, new, token) as somebody,
    ):
        await somebody.request_conference(new)
        await somebody.join(new)
        assert await may_record(somebody, new)


@pytest.mark.parametrize("before", [None, RECORDS], ids=["new", "gone"])
async def test_features_change_in_the_meeting(
    entrance: Entrance, before: dict[str, bool] | None
) -> None:
    room = entrance.room()
    after = None if before else RECORDS
    async with entrance.enter(room, entrance.token(room, **rights(features=before))) as first:
        assert await may_record(first, room) is (before is not None)
        token = entrance.token(room, **rights(features=after))
        async with resumed(entrance, first, room, token) as somebody:
            assert await is_in(somebody, room)
            assert somebody.standing(room).moderates
            assert await may_record(somebody, room) is (after is not None)


async def test_the_same_rights_keep_the_seat(entrance: Entrance) -> None:
    room = entrance.room()
    async with (
        entrance.enter(room, entrance.token(room)) as first,
        resumed(entrance, first, room, entrance.token(room)) as second,
    ):
        assert await is_in(second, room)
        await second.settle(room)
        assert second.standing(room).moderates
        async with resumed(entrance, second, room, entrance.token(room)) as third:
            assert await is_in(third, room)


async def configures(somebody: Participant, room: Room) -> bool:
    """Whether the room shows its configuration, which it does to owners, inside or not."""
    try:
        await somebody.request("get", room.address, element("query", {"xmlns": MUC_OWNER}))
    except Refused:
        return False
    return True


@pytest.mark.parametrize("stays", [True, False], ids=["inside", "has left"])
async def test_who_may_open_other_rooms_leaves_these(entrance: Entrance, stays: bool) -> None:
    """Also what the room has in mind of them goes: an owner need not be inside to configure it."""
    old, new = entrance.room(), entrance.room()
    async with (
        entrance.enter(old, entrance.token(old)) as other,
        entrance.enter(old, entrance.token(old)) as first,
    ):
        assert await configures(first, old)
        if not stays:
            await first.leave(old)
        async with resumed(entrance, first, new, entrance.token(new)) as somebody:
            if stays:
                await other.wait_for_departure(old, first.nick)
            assert not await is_in(somebody, old)
            assert not await configures(somebody, old)
        assert await configures(other, old)


async def test_who_is_no_owner_any_more_does_not_moderate(entrance: Entrance) -> None:
    room = entrance.room()
    async with (
        entrance.enter(room, entrance.token(room)),
        entrance.enter(room, entrance.token(room)) as first,
        resumed(entrance, first, room, entrance.member_token(room)) as somebody,
    ):
        await somebody.wait_for_affiliation(room, "member")
        assert not somebody.standing(room).moderates
        assert not await configures(somebody, room)


async def test_who_is_owner_now_moderates(entrance: Entrance) -> None:
    room = entrance.room()
    async with (
        entrance.enter(room, entrance.token(room)),
        entrance.enter(room, entrance.member_token(room)) as first,
    ):
        assert not await configures(first, room)
        async with resumed(entrance, first, room, entrance.token(room)) as somebody:
            await somebody.wait_for_affiliation(room, "owner")
            assert await configures(somebody, room)


async def test_who_is_banned_stays_banned(server: Server, entrance: Entrance) -> None:
    room, elsewhere = entrance.room(), entrance.room()
    async with (
        entrance.enter(room, entrance.token(room)),
        entrance.enter(room, entrance.token(room)) as first,
    ):
        muc = f'prosody.hosts["{CONFERENCE}"].modules.muc'
        bare = first.jid.partition("/")[0]
        ban = f'get_room_from_jid("{room.address}"):set_affiliation(true, "{bare}", "outcast")'
        server.shell(f"> {muc}.{ban}")
        await first.wait_for_departure(room)
        async with (
            resumed(entrance, first, elsewhere, entrance.token(elsewhere)) as second,
            resumed(entrance, second, room, entrance.token(room)) as somebody,
        ):
            with pytest.raises(Refused, match="forbidden"):
                await somebody.join(room)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("same", [True, False], ids=["same rights", "other room"])
async def test_a_name_goes_with_its_rights(
    entrances: dict[str, Entrance], transport: str, same: bool
) -> None:
    """Who binds instead of resuming has a session beside the old one."""
    entrance = entrances[transport]
    old, new = entrance.room(), entrance.room()
    async with entrance.enter(old, entrance.token(old)) as first:
        await first.ask_for_smacks(RESUMABLE)
        wanted = old if same else new
        second = entrance.login(wanted, entrance.token(wanted), previous=first.stream)
        async with second as somebody:
            assert (somebody.jid.partition("/")[0] == first.jid.partition("/")[0]) is same
            assert await configures(somebody, old) is same
        assert await configures(first, old)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_members_login_takes_nothing_from_an_owner(
    entrances: dict[str, Entrance], transport: str
) -> None:
    entrance = entrances[transport]
    room = entrance.room()
    async with entrance.enter(room, entrance.token(room)) as first:
        await first.ask_for_smacks(RESUMABLE)
        member = entrance.login(room, entrance.member_token(room), previous=first.stream)
        async with member as somebody:
            await somebody.join(room)
            assert not somebody.standing(room).moderates
        await first.settle(room)
        assert first.standing(room).moderates


@pytest.mark.parametrize(
    ("old", "new"),
    [("bosh", "bosh"), ("websocket", "bosh"), ("bosh", "websocket")],
)
async def test_bosh_is_not_resumed(entrances: dict[str, Entrance], old: str, new: str) -> None:
    """Prosody would stop half-way. Its client is told, and binds."""
    room = entrances[old].room()
    token = entrances[old].token(room)
    async with entrances[old].enter(room, token) as first:
        with pytest.raises(Refused, match="feature-not-implemented"):
            async with resumed(entrances[new], first, room, token):
                pass
        assert await is_in(first, room)
        again = entrances[new].login(room, token, previous=first.stream)
        async with again as somebody:
            await somebody.join(room)


async def test_who_resumes_may_still_go_into_breakout_rooms(entrance: Entrance) -> None:
    room = entrance.room()
    async with (
        entrance.enter(room, entrance.token(room)) as host,
        entrance.enter(room, entrance.member_token(room)) as first,
    ):
        breakout = await open_breakout_room(host, room)
        async with resumed(entrance, first, room, entrance.member_token(room)) as somebody:
            await change_rooms(somebody, room, breakout)


async def test_a_token_that_is_refused_takes_up_nothing(entrance: Entrance) -> None:
    room = entrance.room()
    async with entrance.enter(room, entrance.token(room)) as first:
        await first.ask_for_smacks(RESUMABLE)
        late = entrance.token(room, exp=1)
        async with entrance.approach(room, late, previous=first.stream) as somebody:
            with pytest.raises(Refused, match="exp"):
                await somebody.resume(first)
        assert await is_in(first, room)
