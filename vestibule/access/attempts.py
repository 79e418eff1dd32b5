"""What people try at the door. An attempt returns what the server let happen, or raises Refused."""

from __future__ import annotations

import base64
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from .participant import CHALLENGE, FOCUS_NICK, Participant
from .scene import Scene
from .tokens import HEADER, forge
from .xmpp import (
    DATA_FORM,
    DISCO_ITEMS,
    MUC_ADMIN,
    MUC_OWNER,
    Refused,
    Stage,
    element,
    fresh_name,
    qualified,
    text,
)

Attempt = Callable[[Scene], Awaitable[str]]
MakeToken = Callable[[Scene], str]

ENTERED = "enters"
LOGGED_IN = "logs in"

HEALTH_ROOM = "__jicofo-health-check"
BREWERY = "jvbbrewery"
DROPPED = "dropped"  # condition of a join that was ignored


def valid(scene: Scene) -> str:
    """The token that opens the room."""
    return scene.token()


# Login


def log_in(make: MakeToken) -> Attempt:
    """Log in with a token in the URL."""

    async def attempt(scene: Scene) -> str:
        async with scene.entrance.login(scene.room, make(scene)):
            return LOGGED_IN

    return attempt


def log_in_by_header(make: MakeToken) -> Attempt:
    """Log in with this as the whole Authorization header."""

    async def attempt(scene: Scene) -> str:
        async with scene.entrance.login(scene.room, header=make(scene)):
            return LOGGED_IN

    return attempt


async def log_in_without_token(scene: Scene) -> str:
    """Log in with no token at all."""
    async with scene.entrance.login(scene.room):
        return LOGGED_IN


def claim(**changes: Any) -> Attempt:
    """Log in with a well-signed token whose claims are changed."""
    return log_in(lambda scene: scene.token(**changes))


def head(digest: str = "sha256", **changes: Any) -> Attempt:
    """Log in with valid claims, signed with the right secret, under a changed header."""
    return log_in(lambda scene: forge({**HEADER, **changes}, scene.claims(), scene.secret, digest))


# Rooms


def enter(make: MakeToken, spell: Callable[[str], str] = str) -> Attempt:
    """Go into the room as clients do and find Jicofo there, spelling the room's name so."""

    async def attempt(scene: Scene) -> str:
        room = scene.entrance.room(spell(scene.room.name))
        async with scene.entrance.enter(room, make(scene)) as participant:
            await participant.wait_for_occupant(room, FOCUS_NICK)
            return ENTERED

    return attempt


async def enter_by_header(scene: Scene) -> str:
    """Go into the room with the token in the Authorization header."""
    async with scene.entrance.enter(scene.room, header=f"Bearer {scene.token()}"):
        return ENTERED


def join(make: MakeToken, nick: str = "", *, mapped: bool = False, tenant: str = "") -> Attempt:
    """Join the open room, by its mapped address or with another tenant in the URL."""

    async def attempt(scene: Scene) -> str:
        claimed = scene.entrance.room(scene.room.name, tenant or scene.room.tenant)
        async with scene.entrance.login(claimed, make(scene)) as participant:
            address = scene.room.mapped_address if mapped else scene.room.address
            await participant.join(scene.room, nick, address)
            return ENTERED

    return attempt


def join_unopened(nick: str = "") -> Attempt:
    """Join a room that Jicofo was never asked for, which would create it."""

    async def attempt(scene: Scene) -> str:
        room = scene.entrance.room()
        async with scene.entrance.login(room, scene.token(room=room.name)) as participant:
            await participant.join(room, nick)
            return ENTERED

    return attempt


def create_elsewhere(component: str) -> Attempt:
    """Create a room at a MUC beside the main one, which may drop the join without a word."""

    async def attempt(scene: Scene) -> str:
        room = scene.entrance.room(component=component)
        async with scene.entrance.login(room, scene.token(room=room.name)) as participant:
            return await _join_or_create(participant, room.address)

    return attempt


async def configure_unopened(scene: Scene) -> str:
    """Create a room by accepting its default configuration (XEP-0045, section 10.1.2)."""
    room = scene.entrance.room()
    async with scene.entrance.login(room, scene.token(room=room.name)) as participant:
        await participant.request("set", room.address, _submit(MUC_OWNER))
        return "creates the room"


def join_health_room(nick: str = "", *, asked: bool = False, tenant: bool = False) -> Attempt:
    """Join a room named like one of Jicofo's health checks, which Jicofo may have opened."""

    async def attempt(scene: Scene) -> str:
        owner = scene.entrance.tenant if tenant else ""
        room = scene.entrance.room(fresh_name(HEALTH_ROOM), owner)
        async with scene.entrance.login(room, scene.entrance.token(room)) as participant:
            if asked:
                with contextlib.suppress(Refused):
                    await participant.request_conference(room)
            await participant.join(room, nick)
            return ENTERED

    return attempt


def rename(nick: str) -> Attempt:
    """Change the nick of somebody who is in the room."""

    async def attempt(scene: Scene) -> str:
        await scene.second.show_presence(scene.room, nick)
        return f"is now {nick}"

    return attempt


# Questions to a room


def ask_room(kind: str, payload: Callable[[Scene], str]) -> Attempt:
    """Ask the room for something, as a participant who does not own it."""

    async def attempt(scene: Scene) -> str:
        await scene.second.request(kind, scene.room.address, payload(scene))
        return "is granted it"

    return attempt


async def configure_from_outside(scene: Scene) -> str:
    """Configure the open room with a valid token, without joining it."""
    async with scene.entrance.login(scene.room, scene.token()) as outsider:
        await outsider.request("set", scene.room.address, _submit(MUC_OWNER))
        return "configures the room"


def configuration_form(_: Scene) -> str:
    """Request for the room's configuration."""
    return element("query", {"xmlns": MUC_OWNER})


def form(fields: Mapping[str, Sequence[str]]) -> str:
    """Form that sets these fields of a room (XEP-0045, section 10.2)."""
    return _submit(
        MUC_OWNER,
        _field("FORM_TYPE", "http://jabber.org/protocol/muc#roomconfig"),
        *(_field(name, *values) for name, values in fields.items()),
    )


def configuration(**values: str) -> str:
    """Form that sets these fields of a room, each without muc#roomconfig_ before its name."""
    return form({f"muc#roomconfig_{name}": [value] for name, value in values.items()})


def password(_: Scene, secret: str = "") -> str:
    """Configuration that locks the room with a password, one that nobody knows by default."""
    return configuration(passwordprotectedroom="1", roomsecret=secret or secrets.token_hex(8))


def members_only(_: Scene, value: str = "1") -> str:
    """Configuration that turns the lobby on, or off with the value 0."""
    return configuration(membersonly=value)


def destruction(_: Scene) -> str:
    """Order to destroy the room."""
    return element("query", {"xmlns": MUC_OWNER}, element("destroy"))


def ownership(scene: Scene) -> str:
    """Order to make the asking person an owner."""
    return item({"affiliation": "owner", "jid": scene.second.jid.partition("/")[0]})


def moderation(scene: Scene) -> str:
    """Order to make the asking person a moderator."""
    return item({"role": "moderator", "nick": scene.second.nick})


def item(attributes: Mapping[str, str]) -> str:
    """Order to change somebody's role or affiliation (XEP-0045, sections 9 and 10)."""
    return element("query", {"xmlns": MUC_ADMIN}, element("item", attributes))


def kick(nick: str) -> Callable[[Scene], str]:
    """Order to throw somebody out."""
    return lambda _: item({"role": "none", "nick": nick})


def kick_owner(scene: Scene) -> str:
    """Order to throw the owner out."""
    return item({"role": "none", "nick": scene.first.nick})


def silence_owner(scene: Scene) -> str:
    """Order to take the owner's voice."""
    return item({"role": "visitor", "nick": scene.first.nick})


def _submit(namespace: str, *fields: str) -> str:
    form = element("x", {"xmlns": DATA_FORM, "type": "submit"}, *fields)
    return element("query", {"xmlns": namespace}, form)


def _field(name: str, *values: str) -> str:
    return element(
        "field", {"var": name}, *(element("value", None, text(value)) for value in values)
    )


# The internal MUC


def join_internal(name: str) -> Attempt:
    """Join a room of the internal MUC, a new one where ``name`` is empty."""

    async def attempt(scene: Scene) -> str:
        room = f"{name or fresh_name()}@{_internal(scene)}"
        if name:
            return await _join_or_hear_nothing(scene.first, room)
        return await _join_or_create(scene.first, room)

    return attempt


def open_internal(name: str) -> Attempt:
    """Ask Jicofo to open a room of the internal MUC, which it alone could enter."""

    async def attempt(scene: Scene) -> str:
        room = scene.entrance.room(name, component="internal.auth")
        await scene.first.request_conference(room)
        return "sends Jicofo there"

    return attempt


def configure_internal(name: str) -> Attempt:
    """Configure a room of the internal MUC, which creates one that does not exist."""

    async def attempt(scene: Scene) -> str:
        room = f"{name or fresh_name()}@{_internal(scene)}"
        await scene.first.request("set", room, _submit(MUC_OWNER))
        return "configures the room"

    return attempt


def list_internal(name: str = "") -> Attempt:
    """List the rooms of the internal MUC, or who is in one."""

    async def attempt(scene: Scene) -> str:
        address = f"{name}@{_internal(scene)}" if name else _internal(scene)
        answer = await scene.first.request("get", address, element("query", {"xmlns": DISCO_ITEMS}))
        if any(True for _ in answer.iter(qualified(DISCO_ITEMS, "item"))):
            return "sees a list"
        raise Refused(Stage.REQUEST, "hidden", "the list is empty")

    return attempt


async def _join_or_create(participant: Participant, room: str) -> str:
    try:
        return await _join_or_hear_nothing(participant, room)
    except Refused as refused:
        if refused.condition == DROPPED and await participant.sees(room):
            return "creates the room"
        raise


async def _join_or_hear_nothing(participant: Participant, room: str) -> str:
    if await participant.try_to_join(room):
        return ENTERED
    raise Refused(Stage.JOIN, DROPPED, "no answer, while the stream goes on")


def _internal(scene: Scene) -> str:
    return f"internal.auth.{scene.entrance.domain}"


# Hosts that are not for people


def look_for_login(host: str) -> Attempt:
    """Open a stream to an internal host and see whether it offers a login."""

    async def attempt(scene: Scene) -> str:
        async with scene.entrance.approach(scene.room) as somebody:
            offered = await somebody.open(f"{host}.{scene.entrance.domain}")
            if offered:
                return f"offers {', '.join(sorted(offered))}"
            raise Refused(Stage.STREAM, "no-mechanism", "no login is offered")

    return attempt


def log_in_anyway(host: str, mechanism: str, initial: bytes = b"") -> Attempt:
    """Send a login to an internal host, whatever it offers."""

    async def attempt(scene: Scene) -> str:
        async with scene.entrance.approach(scene.room, scene.token()) as somebody:
            await somebody.open(f"{host}.{scene.entrance.domain}")
            answer = await somebody.authenticate(mechanism, base64.b64encode(initial).decode())
            return "tries the password" if answer.tag == CHALLENGE else LOGGED_IN

    return attempt


def be_answered_by(other: str, host: str) -> Attempt:
    """Open a stream to an internal host, and have another host answer the login."""

    async def attempt(scene: Scene) -> str:
        domain = scene.entrance.domain
        async with scene.entrance.approach(scene.room, scene.token()) as somebody:
            await somebody.open(f"{host}.{domain}")
            await somebody.authenticate("ANONYMOUS", to=f"{other}{domain}")
            await somebody.bind(f"{host}.{domain}")
            return f"becomes {somebody.jid.partition('@')[2].partition('/')[0]}"

    return attempt


def ask_before_login(host: str, namespace: str) -> Attempt:
    """Ask an internal host for a form without a login (XEP-0077, XEP-0078)."""

    async def attempt(scene: Scene) -> str:
        address = f"{host}.{scene.entrance.domain}"
        async with scene.entrance.approach(scene.room) as somebody:
            await somebody.open(address)
            await somebody.request("get", address, element("query", {"xmlns": namespace}))
            return "gets a form"

    return attempt


def move_stream(host: str) -> Attempt:
    """Log in on the main domain and restart the stream on an internal host."""

    async def attempt(scene: Scene) -> str:
        address = f"{host}.{scene.entrance.domain}"
        async with scene.entrance.approach(scene.room, scene.token()) as somebody:
            await somebody.open(scene.entrance.domain)
            await somebody.authenticate("ANONYMOUS")
            await somebody.bind(address)
            if f"@{address}/" in somebody.jid:
                return f"becomes somebody at {address}"
            raise Refused(Stage.STREAM, "not-moved", "the stream stays on the main domain")

    return attempt
