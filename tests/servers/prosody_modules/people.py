"""People who come to meetings, and what they do there; what several files of tests need."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import httpx
import pytest

from vestibule.access.participant import Participant
from vestibule.access.scene import Entrance
from vestibule.access.transports import WebSocketTransport
from vestibule.access.xmpp import (
    CLIENT,
    DATA_FORM,
    MUC_ADMIN,
    MUC_OWNER,
    PING,
    SMACKS,
    Broken,
    Refused,
    Room,
    element,
    text,
)

from .conftest import DOMAIN, Server

CONFERENCE = f"conference.{DOMAIN}"
BREAKOUT = f"breakout.{DOMAIN}"
FOCUS_USER = f"focus@auth.{DOMAIN}"
END = 26.0  # seconds within which a meeting has ended, on a busy machine too


def bare(somebody: Participant) -> str:
    return somebody.jid.partition("/")[0]


def owner_token(entrance: Entrance, room: Room, features: dict[str, bool] | None = None) -> str:
    context = {"user": {"affiliation": "owner"}}
    return entrance.token(
        room, context=context if features is None else {**context, "features": features}
    )


@contextlib.asynccontextmanager
async def owner(entrance: Entrance, room: Room) -> AsyncIterator[Participant]:
    """An owner in the room."""
    async with entrance.enter(room, entrance.token(room)) as somebody:
        yield somebody


@contextlib.asynccontextmanager
async def member(entrance: Entrance, room: Room) -> AsyncIterator[Participant]:
    """A member in the room."""
    async with entrance.enter(room, entrance.member_token(room)) as somebody:
        yield somebody


@contextlib.asynccontextmanager
async def guest(entrance: Entrance, room: Room) -> AsyncIterator[Participant]:
    """A guest in the room."""
    async with entrance.guest(room) as somebody:
        await somebody.request_conference(room)
        await somebody.join(room)
        yield somebody


@contextlib.asynccontextmanager
async def held(entrance: Entrance, room: Room) -> AsyncIterator[Participant]:
    """Somebody with a member's token, in the lobby that a moderator has turned on."""
    async with entrance.login(room, entrance.member_token(room)) as somebody:
        refused = await somebody.wait_in_lobby(room)
        assert "waiting-for-host" not in refused.details
        yield somebody


async def ask(
    entrance: Entrance, method: str, path: str, body: str = "", query: bytes = b""
) -> httpx.Response:
    """The answer to one request of HTTP that no transport makes."""
    door = entrance.door
    return await door.http.request(
        method,
        httpx.URL(scheme="https", host=door.address, port=door.port, path=path, query=query),
        content=body,
        headers={"Host": door.host_header},
        extensions={"sni_hostname": door.domain},
    )


async def status_of(entrance: Entrance, method: str, path: str, body: str = "") -> int:
    """The status of that answer."""
    return (await ask(entrance, method, path, body)).status_code


async def until_it_ends(somebody: Participant) -> str:
    """Why a session ends that says nothing."""
    with pytest.raises((Refused, Broken)) as caught:
        await somebody.wait_for(lambda _: False, "the end of the session")
    return str(caught.value)


async def wait_for_owner(somebody: Participant, room: Room) -> None:
    await somebody.request_conference(room)
    refused = await somebody.wait_in_lobby(room)
    assert refused.condition == "registration-required"
    assert "waiting-for-host" in refused.details


async def see_the_end(somebody: Participant, room: Room) -> None:
    """Stay in the room until it ends."""
    departure = await somebody.wait_for_departure(room, within=END)
    assert departure.destroyed


async def is_in(somebody: Participant, room: Room) -> bool:
    """Whether somebody reaches themselves through the room (XEP-0410)."""
    try:
        await somebody.request(
            "get", f"{room.address}/{somebody.nick}", element("ping", {"xmlns": PING})
        )
    except Refused as refused:
        return refused.condition == "feature-not-implemented"  # as this client answers
    return True


async def administer(actor: Participant, room: Room, **item: str) -> None:
    """Change somebody's role or affiliation (XEP-0045, sections 9 and 10)."""
    await actor.request(
        "set", room.address, element("query", {"xmlns": MUC_ADMIN}, element("item", item))
    )


async def switch_lobby(actor: Participant, room: Room, on: bool) -> None:
    fields = {
        "FORM_TYPE": "http://jabber.org/protocol/muc#roomconfig",
        "muc#roomconfig_membersonly": str(int(on)),
    }
    form = element(
        "x",
        {"xmlns": DATA_FORM, "type": "submit"},
        *(
            element("field", {"var": name}, element("value", {}, text(value)))
            for name, value in fields.items()
        ),
    )
    await actor.request("set", room.address, element("query", {"xmlns": MUC_OWNER}, form))


def presence(room: Room, nick: str, *children: str, **attributes: str) -> str:
    to = f"{room.address}/{nick}"
    return element("presence", {"xmlns": CLIENT, "to": to, **attributes}, *children)


def message(to: str, *children: str, **attributes: str) -> str:
    return element("message", {"xmlns": CLIENT, "to": to, **attributes}, *children)


async def lose_connection(somebody: Participant) -> None:
    """Cut the connection without a word, once it may be resumed (XEP-0198)."""
    await somebody.ask_for_smacks(element("enable", {"xmlns": SMACKS, "resume": "true"}))
    transport = somebody._transport
    assert isinstance(transport, WebSocketTransport)
    transport._connection.transport.abort()


def set_affiliation(server: Server, room: Room, actor: str, jid: str) -> bool:
    """Let a module (actor true) or Jicofo make somebody an owner. Whether the room lets them."""
    muc = f'prosody.hosts["{CONFERENCE}"].modules.muc'
    order = f'get_room_from_jid("{room.address}"):set_affiliation({actor}, "{jid}", "owner")'
    return "true" in server.shell(f"> return tostring({muc}.{order})")


async def log_in(entrance: Entrance, room: Room, token: str) -> str:
    """What the server says to a token: nothing where it lets in."""
    async with entrance.approach(room, token) as somebody:
        await somebody.open(DOMAIN)
        try:
            await somebody.authenticate("ANONYMOUS")
        except Refused as refused:
            return refused.text
        return ""
