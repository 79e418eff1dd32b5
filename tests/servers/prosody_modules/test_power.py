"""mod_inside_stays, mod_moderator_returns and mod_empty_meetings on a deployed server.

Who is inside stays, whoever may moderate comes back, and a meeting without people ends.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Iterator

import pytest

from vestibule.access.attempts import configuration
from vestibule.access.cases.breakout import change_rooms, open_breakout_room
from vestibule.access.participant import Participant
from vestibule.access.scene import Entrance
from vestibule.access.tokens import context
from vestibule.access.xmpp import CLIENT, Refused, Room, element

from .conftest import DOMAIN, Server, Setting
from .people import (
    BREAKOUT,
    CONFERENCE,
    administer,
    bare,
    guest,
    is_in,
    lose_connection,
    member,
    owner,
)

AV_MODERATION = f"avmoderation.{DOMAIN}"
GRACE = 0.5  # seconds
LATE = 20.0  # seconds
SECRET = "open sesame"

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("settings")]


SETTINGS = (Setting(CONFERENCE, "muc_rate_limit", "muc_rate_joins", "100"),)  # a second


@pytest.fixture
def by_presence(server: Server) -> Iterator[None]:
    """The server decides by presence who moderates, and looks often. Tokens make owners as well."""
    settings = (
        Setting(CONFERENCE, "moderator_returns", "moderation_grace", str(GRACE)),
        Setting(CONFERENCE, "moderator_returns", "moderation_by", '"presence"'),
    )
    with server.configured(*settings):
        yield


async def configure(actor: Participant, room: Room, **fields: str) -> None:
    await actor.request("set", room.address, configuration(**fields))


async def switch_av_moderation(actor: Participant, medium: str) -> None:
    order = element("av_moderation", {"mediaType": medium, "enable": "true"})
    await actor.send(element("message", {"xmlns": CLIENT, "to": AV_MODERATION}, order))
    await actor.wait_for(lambda stanza: stanza.get("from") == AV_MODERATION, "the moderation")


async def may_speak(somebody: Participant, room: Room, medium: str) -> None:
    """Wait until somebody who moderates is told that they may use a medium."""

    def names_them(text: str) -> bool:
        speakers = json.loads(text).get("whitelists", {}).get(medium, [])
        return f"{room.address}/{somebody.nick}" in speakers

    path = "{http://jitsi.org/jitmeet}json-message"
    await somebody.wait_for(
        lambda stanza: (
            stanza.get("from") == AV_MODERATION and names_them(stanza.findtext(path, "{}"))
        ),
        f"the right to {medium}",
    )


async def is_held(somebody: Participant, room: Room) -> bool:
    """Whether the room sends somebody to its lobby."""
    try:
        await somebody.join(room)
    except Refused as refused:
        return bool(refused.details.get("lobbyroom"))
    return False


# Who is inside stays


async def test_everybody_stays_when_a_lobby_is_turned_on(entrance: Entrance) -> None:
    """Jicofo too, which leaves when the last person does and not before."""
    room = entrance.room()
    async with (
        owner(entrance, room) as host,
        member(entrance, room) as first,
        guest(entrance, room) as second,
        guest(entrance, room) as third,
    ):
        beside = await open_breakout_room(host, room)
        await change_rooms(third, room, beside)
        await configure(host, room, membersonly="1")
        await configure(host, room, membersonly="1")
        for somebody in (host, first, second):
            assert await is_in(somebody, room)
        await change_rooms(third, beside, room)
        assert await is_in(third, room)
        async with entrance.guest(room) as newcomer:
            assert await is_held(newcomer, room)


async def test_who_is_on_the_way_stays_too(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, guest(entrance, room) as somebody:
        await open_breakout_room(host, room)
        leaving = {"xmlns": CLIENT, "to": f"{room.address}/{somebody.nick}", "type": "unavailable"}
        await somebody.send(element("presence", leaving, element("status", {}, "switch_room")))
        await somebody.wait_for_departure(room)
        await configure(host, room, membersonly="1", roomsecret=SECRET)
        await somebody.join(room)
        await somebody.leave(room)
        with pytest.raises(Refused, match="not-authorized"):  # a member without the password
            await somebody.join(room, password="another")


async def test_who_is_banned_does_not_become_a_member(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, guest(entrance, room) as somebody:
        await administer(host, room, jid=bare(somebody), affiliation="outcast")
        await somebody.wait_for_departure(room)
        await configure(host, room, membersonly="1")
        with pytest.raises(Refused):
            await somebody.join(room)


@pytest.mark.parametrize("reason", ["create-lobby-room", "create-persistent-lobby-room", ""])
async def test_other_modules_send_nobody_out(
    server: Server, entrance: Entrance, reason: str
) -> None:
    order = (
        f'prosody.events.fire_event("{reason}", {{ room = room }});'
        if reason
        else "room:set_members_only(true);"
    )
    room = entrance.room()
    async with owner(entrance, room) as host, guest(entrance, room) as somebody:
        beside = await open_breakout_room(host, room)
        async with guest(entrance, room) as other:
            await change_rooms(other, room, beside)
            server.shell(
                f'> local room = prosody.hosts["{CONFERENCE}"].modules.muc'
                f'.get_room_from_jid("{room.address}"); {order}'
            )
            assert await is_in(somebody, room)
            await change_rooms(other, beside, room)


@pytest.mark.parametrize("fields", [{"roomdesc": "Other"}, {"roomsecret": SECRET}, {}], ids=str)
async def test_another_form_leaves_the_lobby_on(entrance: Entrance, fields: dict[str, str]) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, guest(entrance, room) as newcomer:
        await newcomer.leave(room)
        await configure(host, room, membersonly="1")
        await configure(host, room, **fields)
        async with entrance.guest(room) as other:
            assert await is_held(other, room)
            await configure(host, room, membersonly="0", roomsecret="")
            await other.join(room)


async def test_a_breakout_room_takes_no_lobby(server: Server, entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, member(entrance, room) as somebody:
        beside = await open_breakout_room(host, room)
        await change_rooms(host, room, beside)
        await change_rooms(somebody, room, beside)
        server.shell(
            f'> prosody.hosts["{BREAKOUT}"].modules.muc.get_room_from_jid("{beside.address}")'
            f':set_affiliation(true, "{bare(host)}", "owner")'
        )
        with contextlib.suppress(Refused):  # where forms for breakout rooms are refused altogether
            await configure(host, beside, membersonly="1")
        assert await is_in(somebody, beside)


async def test_nobody_bans_a_host_or_makes_admins(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, guest(entrance, room) as somebody:
        for item in (
            {"jid": DOMAIN, "affiliation": "outcast"},
            {"jid": entrance.guest_host, "affiliation": "outcast"},
            {"jid": entrance.guest_host, "affiliation": "member"},
            {"jid": bare(somebody), "affiliation": "admin"},
        ):
            with pytest.raises(Refused, match="not-allowed"):
                await administer(host, room, **item)
        assert await is_in(host, room) and await is_in(somebody, room)
        await administer(host, room, jid=bare(somebody), affiliation="member")


# Who may moderate comes back


async def test_a_password_keeps_no_owner_out(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, member(entrance, room) as somebody:
        await configure(host, room, roomsecret=SECRET)
        async with entrance.login(room, entrance.member_token(room)) as other:
            with pytest.raises(Refused, match="not-authorized"):
                await other.join(room)
            await host.leave(room)
            async with entrance.login(room, entrance.token(room)) as second:
                await second.join(room)
                await second.wait_for_moderation(room)
                await configure(second, room, roomsecret="")
                await other.join(room)
        assert await is_in(somebody, room)


async def test_a_password_is_not_found_by_trying(entrance: Entrance) -> None:
    """However many sessions one makes; owners who come meanwhile are let in."""
    room = entrance.room()
    async with owner(entrance, room) as host, contextlib.AsyncExitStack() as others:
        await configure(host, room, roomsecret=SECRET)
        for number in range(10):
            somebody = await others.enter_async_context(entrance.guest(room))
            with pytest.raises(Refused, match="not-authorized"):
                await somebody.join(room, password=f"{number:04}")
        for secret in ("0010", SECRET):
            somebody = await others.enter_async_context(entrance.guest(room))
            with pytest.raises(Refused, match="resource-constraint"):
                await somebody.join(room, password=secret)
        async with owner(entrance, room) as second:
            assert await is_in(second, room)
        beside = entrance.room()  # of another room nobody has tried anything
        async with owner(entrance, beside) as its_host:
            await configure(its_host, beside, roomsecret=SECRET)
            somebody = await others.enter_async_context(entrance.guest(beside))
            await somebody.join(beside, password=SECRET)


async def test_lobby_and_password_keep_no_owner_out(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, member(entrance, room):
        await configure(host, room, roomsecret=SECRET, membersonly="1")
        await host.leave(room)
        for secret in ("", "another"):
            async with entrance.login(room, entrance.token(room)) as second:
                await second.join(room, password=secret)
                await second.wait_for_moderation(room)


@pytest.mark.parametrize("medium", ["audio", "video", "desktop"])
async def test_who_comes_as_an_owner_may_speak(entrance: Entrance, medium: str) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, member(entrance, room):
        await switch_av_moderation(host, medium)
        await host.leave(room)
        async with owner(entrance, room) as second:
            await may_speak(second, room, medium)


@pytest.fixture
def two_places(server: Server) -> Iterator[None]:
    machines = f'{{ "auth.{DOMAIN}" }}'
    settings = (
        Setting(CONFERENCE, "moderator_returns", "moderation_places", "2"),
        Setting(CONFERENCE, "moderator_returns", "muc_access_whitelist", machines),
    )
    with server.configured(*settings):
        yield


@pytest.mark.usefixtures("two_places")
async def test_a_full_meeting_without_owner_takes_one(entrance: Entrance) -> None:
    room = entrance.room()
    async with (
        owner(entrance, room) as host,
        member(entrance, room),
        entrance.login(room, entrance.member_token(room)) as other,
        entrance.login(room, entrance.token(room)) as second,
        entrance.login(room, entrance.token(room)) as third,
    ):
        for somebody in (other, second):
            with pytest.raises(Refused, match="service-unavailable"):
                await somebody.join(room)
        await administer(host, room, jid=bare(host), affiliation="member")
        with pytest.raises(Refused, match="service-unavailable"):
            await other.join(room)
        await second.join(room)
        await second.wait_for_moderation(room)
        with pytest.raises(Refused, match="service-unavailable"):
            await third.join(room)


@pytest.mark.usefixtures("two_places")
async def test_a_lost_owner_takes_nobodys_place(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, member(entrance, room):
        await lose_connection(host)
        async with owner(entrance, room):
            pass


@pytest.mark.usefixtures("two_places")
async def test_who_is_in_a_breakout_room_keeps_the_place(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, member(entrance, room) as somebody:
        beside = await open_breakout_room(host, room)
        await change_rooms(somebody, room, beside)
        async with entrance.login(room, entrance.member_token(room)) as other:
            with pytest.raises(Refused, match="service-unavailable"):
                await other.join(room)
            await change_rooms(somebody, beside, room)
            await somebody.leave(room)
            await other.join(room)


@contextlib.asynccontextmanager
async def plain(entrance: Entrance, room: Room) -> AsyncIterator[Participant]:
    """Somebody at the door of a room whose token makes no owner."""
    token = entrance.token(room, context=context("member"))
    async with entrance.login(room, token) as somebody:
        yield somebody


@pytest.mark.usefixtures("by_presence")
async def test_somebody_is_made_owner_where_nobody_is(entrance: Entrance) -> None:
    room = entrance.room()
    async with (
        owner(entrance, room) as host,
        guest(entrance, room) as other,
        member(entrance, room) as somebody,
    ):
        await administer(host, room, jid=bare(somebody), affiliation="owner")
        await somebody.wait_for_affiliation(room, "owner")
        await administer(somebody, room, jid=bare(host), affiliation="member")
        await host.wait_for_affiliation(room, "member")
        await somebody.leave(room)
        await host.wait_for_affiliation(room, "owner")
        assert not other.standing(room).moderates


@pytest.mark.usefixtures("by_presence")
async def test_a_token_is_asked_in_where_nobody_has_one(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, guest(entrance, room) as other:
        await configure(host, room, membersonly="1")
        async with plain(entrance, room) as somebody:
            await somebody.wait_in_lobby(room)
            await host.leave(room)
            await somebody.wait_for_invitation(room)
            assert not other.standing(room).moderates


@pytest.fixture
def tokens_make_no_members(server: Server) -> Iterator[None]:
    """Which would take the ownership away that a newcomer is given by presence."""
    server.shell("module", "unload", "token_affiliation", CONFERENCE)
    yield
    server.shell("module", "load", "token_affiliation", CONFERENCE)


@pytest.mark.usefixtures("by_presence", "tokens_make_no_members")
async def test_a_lost_connection_keeps_only_others_out(entrance: Entrance) -> None:
    room = entrance.room()
    other = {"user": {"id": "somebody else"}}
    async with owner(entrance, room) as host, guest(entrance, room):
        await configure(host, room, membersonly="1", roomsecret=SECRET)
        async with plain(entrance, room) as somebody:
            assert await is_held(somebody, room)
        await lose_connection(host)
        async with entrance.login(room, entrance.token(room, context=other)) as somebody:
            assert await is_held(somebody, room)
        async with plain(entrance, room) as host_again:
            await host_again.join(room)
            await host_again.wait_for_moderation(room)


@pytest.mark.usefixtures("by_presence")
async def test_nobody_is_asked_in_while_somebody_can_let_them_in(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, member(entrance, room) as other:
        await configure(host, room, membersonly="1")
        async with plain(entrance, room) as somebody:
            await somebody.wait_in_lobby(room)
            await host.leave(room)
            await other.wait_for_affiliation(room, "owner")
            await other.invite(room, somebody.jid)
            await somebody.wait_for_invitation(room)


# A meeting without people ends


@pytest.fixture
def guests_are_machines(server: Server) -> Iterator[None]:
    """Guests stand for recorders."""
    hosts = f'{{ "guest.{DOMAIN}" }}'
    settings = (
        Setting(CONFERENCE, "empty_meetings", "empty_meetings_timeout", str(GRACE)),
        Setting(CONFERENCE, "empty_meetings", "owner_party_service_hosts", hosts),
    )
    with server.configured(*settings):
        yield


@pytest.mark.usefixtures("guests_are_machines")
@pytest.mark.parametrize("beside", [False, True], ids=["room", "breakout room"])
async def test_a_meeting_of_machines_ends(entrance: Entrance, beside: bool) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, guest(entrance, room) as machine:
        last = room
        if beside:
            last = await open_breakout_room(host, room)
            await change_rooms(host, room, last)
        await host.leave(last)
        end = await machine.wait_for_departure(room, within=LATE)
        assert end.destroyed


@pytest.mark.usefixtures("guests_are_machines")
async def test_a_meeting_in_breakout_rooms_goes_on(entrance: Entrance) -> None:
    room = entrance.room()
    async with owner(entrance, room) as host, guest(entrance, room) as machine:
        beside = await open_breakout_room(host, room)
        await change_rooms(host, room, beside)
        other = entrance.room()
        async with owner(entrance, other) as leaver, guest(entrance, other) as witness:
            await leaver.leave(other)
            await witness.wait_for_departure(other, within=LATE)
        assert await is_in(machine, room)
