"""Tenants: organisations of one server, each with rooms of its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable

from ..attempts import ENTERED, Attempt
from ..participant import FOCUS_NICK
from ..scene import Entrance, Scene, tenants_room_is_open
from ..xmpp import Room, fresh_name
from .case import Case, at_join, at_login
from .web import LEADS, LEADS_NEED

Spell = Callable[[str], str]


@contextlib.asynccontextmanager
async def tenants_room(entrance: Entrance) -> AsyncIterator[Scene]:
    """A tenant's room that nobody has opened."""
    yield Scene(entrance, entrance.room(tenant=entrance.tenant))


@contextlib.asynccontextmanager
async def namesakes_are_open(entrance: Entrance) -> AsyncIterator[Scene]:
    """A tenant's room and one of the same name without tenant, each opened by its own token."""
    async with tenants_room_is_open(entrance) as scene:
        room = entrance.room(scene.room.name)
        async with entrance.enter(room, entrance.token(room)):
            yield scene


def enter(claim: Spell = str, tenant: Spell = str, name: Spell = str) -> Attempt:
    """Enter the tenant's room, spelling the sub claim and both parts of its address so."""

    async def attempt(scene: Scene) -> str:
        own = scene.room
        room = scene.entrance.room(name(own.name), tenant(own.tenant))
        token = scene.token(sub=claim(own.tenant))
        async with scene.entrance.enter(room, token) as participant:
            await participant.wait_for_occupant(room, FOCUS_NICK)
            return ENTERED

    return attempt


def join_with_claim_form(sub: str = "", *, namesake: bool = False) -> Attempt:
    """Join with the room claim in the form that only the server uses, inside."""

    async def attempt(scene: Scene) -> str:
        own = scene.room
        room = Room(own.name, own.domain) if namesake else own
        token = scene.token(room=f"[{own.tenant}]{own.name}", sub=sub or own.tenant)
        async with scene.entrance.login(room, token) as participant:
            await participant.join(room)
            return ENTERED

    return attempt


async def join_with_domains_token(scene: Scene) -> str:
    """Join the tenant's room with the token that opens its namesake."""
    async with scene.entrance.login(scene.room, scene.token()) as participant:
        await participant.join(scene.room)
        return ENTERED


async def join_namesake(scene: Scene) -> str:
    """Join the namesake with the tenant's token."""
    room = Room(scene.room.name, scene.room.domain)
    async with scene.entrance.login(room, scene.token(sub=scene.room.tenant)) as participant:
        await participant.join(room)
        return ENTERED


def enter_unlisted(sub: str = "") -> Attempt:
    """Enter a room of a tenant that is not listed."""

    async def attempt(scene: Scene) -> str:
        room = scene.entrance.room(tenant=fresh_name("tenant"))
        token = scene.entrance.token(room, sub=sub or room.tenant)
        async with scene.entrance.enter(room, token):
            return ENTERED

    return attempt


TENANTS = (
    Case(
        "tenants_link_leads_in",
        "tenant's token where its page leads",
        LEADS,
        control=tenants_room,
        needs=LEADS_NEED,
    ),
    Case(
        "tenant_token_enters",
        "tenant's token for the tenant's room",
        {
            "token": enter(),
            "capital letters in the token": enter(claim=str.upper),
            "capital letters in the address": enter(tenant=str.upper, name=str.upper),
        },
        control=tenants_room,
    ),
    Case(
        "tenant_claim_form_refused",
        "room claim [tenant]room or the namesake's",
        {
            "tenant": join_with_claim_form(),
            "every tenant": join_with_claim_form("*"),
            "namesake": join_with_claim_form(namesake=True),
            "domain's token": join_with_domains_token,
            "tenant's token in the namesake": join_namesake,
        },
        # A wildcard may be switched off, then it ends at the login
        (at_join("match"), at_login("wildcard")),
        namesakes_are_open,
    ),
    Case(
        "unlisted_tenant_refused",
        "tenant that is not listed",
        {"token": enter_unlisted(), "every tenant": enter_unlisted("*")},
        (at_login("names no tenant|wildcard"), at_join("reserved")),
        tenants_room_is_open,
    ),
)
