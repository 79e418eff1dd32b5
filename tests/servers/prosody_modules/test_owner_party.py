"""mod_owner_party on a deployed server: a meeting is open only while an owner is in it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from vestibule.access.cases.breakout import change_rooms, open_breakout_room
from vestibule.access.participant import Participant
from vestibule.access.scene import TENANT, Entrance
from vestibule.access.xmpp import (
    CLIENT,
    Refused,
    Room,
    element,
)

from .conftest import DOMAIN, Server, Setting
from .people import (
    BREAKOUT,
    CONFERENCE,
    administer,
    guest,
    held,
    is_in,
    lose_connection,
    member,
    owner,
    see_the_end,
    switch_lobby,
    wait_for_owner,
)

TIMEOUT = 1.0  # seconds from the leaving of the last owner to the end
UNHURRIED = 6.0  # the same where something has to be done in that time, on a busy machine too
HIBERNATION = 6.0  # seconds that a lost connection may be resumed
LATE = 20.0  # seconds by which news of the end may be late

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("settings")]


SETTINGS = (
    Setting(DOMAIN, "smacks", "smacks_hibernation_time", str(HIBERNATION)),
    Setting(CONFERENCE, "owner_party", "owner_party_timeout", str(TIMEOUT)),
    Setting(CONFERENCE, "muc_rate_limit", "muc_rate_joins", "100"),  # a second, so nobody queues
)


@pytest.fixture
def unhurried(server: Server) -> Iterator[float]:
    """A longer timeout, in seconds."""
    server.configure(SETTINGS[1]._replace(value=str(UNHURRIED)))
    yield UNHURRIED
    server.configure(SETTINGS[1])


@contextlib.asynccontextmanager
async def waiting(entrance: Entrance, room: Room) -> AsyncIterator[Participant]:
    """Somebody with a member's token, in the lobby because there is no owner."""
    async with entrance.login(room, entrance.member_token(room)) as somebody:
        await wait_for_owner(somebody, room)
        yield somebody


async def come_in(somebody: Participant, room: Room) -> None:
    """Leave the lobby when it sends people to the room, and enter the room."""
    departure = await somebody.wait_for_departure(room.lobby)
    assert departure.destroyed and departure.moved_to == room.address
    await somebody.request_conference(room)
    await somebody.join(room)


async def outlast_timeout(entrance: Entrance) -> None:
    """Return when a meeting has ended that lost its owner just now, so that older ones have too."""
    room = entrance.room()
    async with owner(entrance, room) as host, member(entrance, room) as witness:
        await host.leave(room)
        await see_the_end(witness, room)


@pytest.mark.parametrize("tenant", ["", TENANT])
@pytest.mark.parametrize("guest", [False, True], ids=["member", "guest"])
async def test_people_wait_until_an_owner_comes(
    entrance: Entrance, guest: bool, tenant: str
) -> None:
    room = entrance.room(tenant=tenant)
    arrival = entrance.guest(room) if guest else entrance.login(room, entrance.member_token(room))
    async with arrival as somebody:
        await wait_for_owner(somebody, room)
        async with owner(entrance, room):
            await come_in(somebody, room)
            assert not somebody.standing(room).moderates


async def test_people_wait_without_wait_for_host_too(server: Server, entrance: Entrance) -> None:
    server.shell("module", "unload", "muc_wait_for_host", CONFERENCE)
    try:
        room = entrance.room()
        async with waiting(entrance, room) as somebody, owner(entrance, room):
            await come_in(somebody, room)
    finally:
        server.shell("module", "load", "muc_wait_for_host", CONFERENCE)


async def test_a_guest_with_an_owners_token_waits(server: Server, entrance: Entrance) -> None:
    """Even if something else let the guest keep the token."""
    room = entrance.room()
    async with entrance.guest(room) as somebody:
        server.shell(
            f'> local session = prosody.full_sessions["{somebody.jid}"];'
            'session.auth_token, session.jitsi_meet_context_user = "any", { moderator = true };'
        )
        await wait_for_owner(somebody, room)


async def test_a_meeting_ends_for_everybody_after_the_timeout(entrance: Entrance) -> None:
    room = entrance.room()
    async with (
        owner(entrance, room) as host,
        member(entrance, room) as first,
        guest(entrance, room) as second,
    ):
        sent = time.monotonic()
        await host.leave(room)
        await asyncio.gather(see_the_end(first, room), see_the_end(second, room))
        assert time.monotonic() - sent >= TIMEOUT
        assert not await first.sees(room.address)


@pytest.mark.usefixtures("unhurried")
async def test_an_owner_who_returns_keeps_the_meeting_alive(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, member(entrance, room) as somebody:
        await host.leave(room)
        await host.join(room)
        await outlast_timeout(entrance)
        assert await is_in(somebody, room)


@pytest.mark.usefixtures("unhurried")
async def test_another_owner_keeps_the_meeting_alive(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, member(entrance, room) as somebody:
        await host.leave(room)
        async with owner(entrance, room):
            await outlast_timeout(entrance)
            assert await is_in(somebody, room)


async def test_only_the_last_owner_who_leaves_ends_the_meeting(entrance: Entrance) -> None:
    room = entrance.room()
    async with (
        owner(entrance, room) as first,
        owner(entrance, room) as second,
        member(entrance, room) as somebody,
    ):
        await first.leave(room)
        await outlast_timeout(entrance)
        await second.leave(room)
        await see_the_end(somebody, room)


@pytest.mark.usefixtures("unhurried")
async def test_newcomers_wait_while_the_owner_is_away(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, member(entrance, room):
        await host.leave(room)
        async with waiting(entrance, room) as newcomer:
            await host.join(room)
            await come_in(newcomer, room)


@pytest.mark.usefixtures("unhurried")
async def test_who_left_before_waits_as_a_newcomer_does(entrance: Entrance) -> None:
    room = entrance.room()
    async with (
        owner(entrance, room) as host,
        member(entrance, room) as somebody,
        member(entrance, room),
    ):
        beside = await open_breakout_room(host, room)
        await change_rooms(somebody, room, beside)
        await change_rooms(somebody, beside, room)
        await somebody.leave(room)
        await host.leave(room)
        await wait_for_owner(somebody, room)


@pytest.mark.usefixtures("unhurried")
async def test_who_waits_at_the_end_waits_on_for_the_next_meeting(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, member(entrance, room):
        await host.leave(room)
        async with waiting(entrance, room) as somebody:
            departure = await somebody.wait_for_departure(room.lobby, within=UNHURRIED + LATE)
            assert departure.destroyed and departure.moved_to == room.address
            await wait_for_owner(somebody, room)
            async with owner(entrance, room):
                await come_in(somebody, room)


async def test_a_lost_owner_counts_until_the_hibernation_ends(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, member(entrance, room) as somebody:
        await lose_connection(host)
        async with member(entrance, room):
            await somebody.wait_for_departure(room, host.nick, within=HIBERNATION + LATE)
            await see_the_end(somebody, room)


async def test_a_lost_owner_who_has_heard_too_much_is_not_waited_for(entrance: Entrance) -> None:
    """Prosody 13 would stop to wait for the client, and never end the session."""
    room = entrance.room()
    async with owner(entrance, room) as host, member(entrance, room) as somebody:
        await lose_connection(host)
        token = entrance.token(room)
        async with entrance.approach(room, token, previous=host.stream) as again:
            with pytest.raises(Refused, match="feature-not-implemented"):
                await again.resume(host, heard=999_999)
        await somebody.wait_for_departure(room, host.nick, within=HIBERNATION + LATE)
        await see_the_end(somebody, room)


async def test_an_owner_who_is_demoted_counts_no_more(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as first, owner(entrance, room) as second:
        await administer(first, room, jid=second.jid.partition("/")[0], affiliation="member")
        await first.leave(room)
        await see_the_end(second, room)


async def test_a_meeting_ends_after_its_owner_stepped_down(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host:
        await administer(host, room, jid=host.jid.partition("/")[0], affiliation="member")
        await see_the_end(host, room)


async def test_somebody_made_owner_keeps_the_meeting_alive(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, guest(entrance, room) as somebody:
        await administer(host, room, jid=somebody.jid.partition("/")[0], affiliation="owner")
        await host.leave(room)
        await outlast_timeout(entrance)
        assert await is_in(somebody, room)


async def test_recorders_are_no_owners(server: Server, entrance: Entrance) -> None:
    """Guests stand for them here: whose host is named is no person."""
    recorders = Setting(
        CONFERENCE, "owner_party", "owner_party_service_hosts", f'{{ "{entrance.guest_host}" }}'
    )
    server.configure(recorders)
    try:
        room = entrance.room()
        async with (
            owner(entrance, room) as host,
            member(entrance, room) as somebody,
            guest(entrance, room) as recorder,
        ):
            await administer(host, room, jid=recorder.jid.partition("/")[0], affiliation="owner")
            await host.leave(room)
            await see_the_end(somebody, room)
    finally:
        server.configure(recorders._replace(value="nil"))


async def test_a_meeting_ends_after_its_owner_was_thrown_out(entrance: Entrance) -> None:
    room = entrance.room()
    async with (
        owner(entrance, room) as first,
        owner(entrance, room) as second,
        member(entrance, room) as somebody,
    ):
        await administer(first, room, nick=second.nick, role="none")
        await first.leave(room)
        await see_the_end(somebody, room)


async def test_an_owner_in_a_breakout_room_is_in_the_meeting(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, member(entrance, room) as somebody:
        beside = await open_breakout_room(host, room)
        await change_rooms(host, room, beside)
        await outlast_timeout(entrance)
        assert await is_in(somebody, room)
        async with member(entrance, room):
            await host.leave(beside)
            await see_the_end(somebody, room)


async def test_breakout_rooms_end_with_their_meeting(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, member(entrance, room) as somebody:
        beside = await open_breakout_room(host, room)
        await change_rooms(somebody, room, beside)
        await host.leave(room)
        await see_the_end(somebody, beside)


async def test_who_was_in_a_breakout_room_that_is_closed_returns_to_the_meeting(
    entrance: Entrance,
) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, member(entrance, room) as somebody:
        beside = await open_breakout_room(host, room)
        await change_rooms(somebody, room, beside)
        close = {"type": "features/breakout-rooms/remove", "breakoutRoomJid": beside.address}
        order = element("breakout_rooms", close)
        await host.send(element("message", {"xmlns": CLIENT, "to": BREAKOUT}, order))
        await somebody.wait_for_departure(beside)
        await host.leave(room)
        await somebody.join(room)
        await see_the_end(somebody, room)


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("kind", [member, guest])
async def test_people_return_from_a_breakout_room_while_the_owner_is_away(
    entrance: Entrance,
    kind: Callable[[Entrance, Room], contextlib.AbstractAsyncContextManager[Participant]],
) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, kind(entrance, room) as somebody:
        beside = await open_breakout_room(host, room)
        await change_rooms(somebody, room, beside)
        await host.leave(room)
        async with waiting(entrance, room):
            await change_rooms(somebody, beside, room)
            await somebody.wait_for_departure(room, within=UNHURRIED + LATE)


@pytest.mark.usefixtures("unhurried")
async def test_the_lobby_of_a_moderator_is_as_it_was(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, member(entrance, room):
        await switch_lobby(host, room, on=True)
        async with held(entrance, room) as first:
            await host.leave(room)
            async with (
                waiting(entrance, room) as second,
                owner(entrance, room) as other,
                held(entrance, room) as third,
            ):
                for somebody in (first, second, third):
                    await other.invite(room, somebody.jid)
                    await somebody.wait_for_invitation(room)
                    await somebody.join(room)


async def test_a_lobby_that_was_on_before_the_owner_stays_on(
    server: Server, entrance: Entrance
) -> None:
    room = entrance.room()
    async with entrance.login(room, entrance.member_token(room)) as somebody:
        await somebody.request_conference(room)
        server.shell(
            f'> local muc = prosody.hosts["{CONFERENCE}"].modules.muc;'
            f'local room = muc.get_room_from_jid("{room.address}");'
            'prosody.events.fire_event("create-persistent-lobby-room", { room = room });'
        )
        await wait_for_owner(somebody, room)
        async with owner(entrance, room), held(entrance, room):
            pass


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize(
    "reload", [("module", "reload", "owner_party", CONFERENCE), ("config", "reload")], ids=" ".join
)
async def test_a_reload_does_not_stop_the_timer(
    server: Server, entrance: Entrance, reload: tuple[str, ...]
) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, member(entrance, room) as somebody:
        await host.leave(room)
        server.shell(*reload)
        await somebody.wait_for_departure(room, within=UNHURRIED + LATE)


@pytest.mark.parametrize("timeout", ["0", "-1", "0/0", "1/0", '"soon"', "{}"])
def test_a_wrong_timeout_is_no_guard(server: Server, timeout: str) -> None:
    elsewhere = Setting(f"lobby.{DOMAIN}", "owner_party", "owner_party_timeout", timeout)
    attempt = (
        f'require "core.configmanager".set("{elsewhere.host}", "{elsewhere.option}", {timeout});'
        'local modules = require "core.modulemanager";'
        f'local _, problem = modules.load("{elsewhere.host}", "owner_party");'
        f'modules.unload("{elsewhere.host}", "owner_party"); return problem;'
    )
    problem = server.shell(f"> {attempt}")
    assert "owner_party_timeout has to be a number of seconds above 0" in problem
