"""Roles: who moderates, by each of the features that decide it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from ..attempts import Attempt
from ..scene import (
    MODERATES,
    Entrance,
    Scene,
    bring_in,
    judged_by_role,
    room_is_open,
)
from ..tokens import ABSENT
from .case import Case, at_join, by_role


@contextlib.asynccontextmanager
async def first_moderates(entrance: Entrance) -> AsyncIterator[Scene]:
    """Who came first moderates the room and stays there."""
    async with room_is_open(entrance) as scene:
        await scene.first.wait_for_moderation(scene.room)
        yield scene


@contextlib.asynccontextmanager
async def member_is_inside(entrance: Entrance) -> AsyncIterator[Scene]:
    """A member is in the room of somebody who moderates it."""
    async with (
        first_moderates(entrance) as scene,
        entrance.login(scene.room, scene.member_token()) as member,
    ):
        await bring_in(member, scene.room, scene.first)
        yield Scene(entrance, scene.room, (scene.first, member))


def user(**claims: Any) -> dict[str, Any]:
    """The context of a token that says this of its user."""
    return {"user": {"id": "vestibule", "name": "Access case", **claims}}


def come_first(**changes: Any) -> Attempt:
    """Open a room with a token whose claims are changed."""

    async def attempt(scene: Scene) -> str:
        room = scene.entrance.room()
        async with scene.entrance.enter(room, scene.entrance.token(room, **changes)) as somebody:
            await somebody.wait_for_moderation(room)
            return MODERATES

    return attempt


def come_next(**changes: Any) -> Attempt:
    """Enter the room of somebody else with a token whose claims are changed."""

    async def attempt(scene: Scene) -> str:
        async with scene.entrance.login(scene.room, scene.token(**changes)) as somebody:
            await bring_in(somebody, scene.room, scene.first)
            return await judged_by_role(somebody, scene.room)

    return attempt


def come_next_and_moderate(**changes: Any) -> Attempt:
    """Enter the room of somebody else and become a moderator there."""

    async def attempt(scene: Scene) -> str:
        async with (
            first_moderates(scene.entrance) as opened,
            scene.entrance.login(opened.room, opened.token(**changes)) as somebody,
        ):
            await somebody.request_conference(opened.room)  # which tells Jicofo who comes
            await bring_in(somebody, opened.room, opened.first)
            await somebody.wait_for_moderation(opened.room)
            return MODERATES

    return attempt


async def come_alone(scene: Scene) -> str:
    """Open a room in which nobody moderates."""
    room = scene.entrance.room()
    async with scene.entrance.enter(room, scene.entrance.member_token(room)) as somebody:
        return await judged_by_role(somebody, room)


async def outstay_owner(scene: Scene) -> str:
    """Stay when the last owner leaves."""
    await leave_room(scene)
    return await judged_by_role(scene.second, scene.room)


async def come_after_owner(scene: Scene) -> str:
    """Come when the last owner has left."""
    await leave_room(scene)
    async with scene.entrance.login(scene.room, scene.member_token()) as somebody:
        await somebody.join(scene.room)
        return await judged_by_role(somebody, scene.room)


async def leave_room(scene: Scene) -> None:
    """Let the owner leave, and the member see that."""
    if scene.first.standing(scene.room).moderates:
        await scene.first.leave(scene.room)
        await scene.second.wait_for_departure(scene.room, scene.first.nick)


# As upstream has it in prosody-plugins/mod_token_affiliation.lua
OWNERS: Mapping[str, Mapping[str, Any]] = {
    "affiliation owner": {"context": user(affiliation="owner")},
    "affiliation moderator": {"context": user(affiliation="moderator")},
    "affiliation teacher": {"context": user(affiliation="teacher")},
    "moderator true": {"context": user(moderator=True)},
    "moderator as text": {"context": user(moderator="true")},
}
MEMBERS: Mapping[str, Mapping[str, Any]] = {
    "affiliation member": {"context": user(affiliation="member")},
    "no affiliation": {"context": user()},
    "no user": {"context": {}},
    "no context": {"context": ABSENT},
    "capitals": {"context": user(affiliation="OWNER")},
    "affiliation admin": {"context": user(affiliation="admin")},
    "affiliation list": {"context": user(affiliation=["owner"])},
    "moderator number": {"context": user(moderator=1)},
    "beside the context": {"context": user(), "moderator": True, "affiliation": "owner"},
    "beside the user": {"context": {**user(), "moderator": True, "affiliation": "owner"}},
}
PARTICIPATES = by_role("participant")
WAITS = at_join("", "registration-required", detail="lobbyroom")  # where rooms need an owner

ROLES: tuple[Case, ...] = (
    Case(
        "first_moderates",
        "who comes first",
        {
            "member's token": come_first(**MEMBERS["affiliation member"]),
            "owner's token": come_first(),
        },
        outcome=MODERATES,
    ),
    Case(
        "second_does_not_moderate",
        "who comes second",
        {
            "member's token": come_next(**MEMBERS["affiliation member"]),
            "owner's token": come_next(),
        },
        (PARTICIPATES,),
        first_moderates,
    ),
    Case(
        "token_holder_moderates",
        "anybody with a token",
        {
            "first": come_first(**MEMBERS["affiliation member"]),
            "second": come_next_and_moderate(**MEMBERS["affiliation member"]),
        },
        outcome=MODERATES,
    ),
    Case(
        "owner_token_moderates",
        "owner's token",
        {
            **{way: come_first(**claims) for way, claims in OWNERS.items()},
            "second owner": come_next_and_moderate(),
        },
        outcome=MODERATES,
    ),
    Case(
        "member_token_does_not_moderate",
        "member's token",
        {
            **{way: come_next(**claims) for way, claims in MEMBERS.items()},
            "alone": come_alone,
        },
        (PARTICIPATES, WAITS),
        first_moderates,
    ),
    Case(
        "member_is_not_promoted",
        "member whom the owner left alone",
        {"stays": outstay_owner, "comes then": come_after_owner},
        (PARTICIPATES, WAITS),
        member_is_inside,
    ),
)
