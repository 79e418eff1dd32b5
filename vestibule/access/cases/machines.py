"""Machines: recorders and SIP gateways, as far as people come near them.

What the machines themselves do needs a login from their networks, which is not the front door.
Nothing here reaches a recorder or a gateway: it would record or call somebody.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator

from ..attempts import (
    Attempt,
    configure_internal,
    join_internal,
    list_internal,
    open_internal,
    password,
)
from ..participant import FOCUS_NICK
from ..scene import Entrance, Scene, room_is_open
from ..xmpp import FOCUS, Refused, Stage, element, qualified
from .case import Case, Refusal, at_join
from .recording import JIBRI, RECORD, moderated_by

JIGASI = "http://jitsi.org/protocol/jigasi"
KNOWN = "Jicofo looks for one"

# A lobby that is always on stands before the password
_LOCKED = at_join("", "not-authorized", "registration-required")


def brewery_closed(kind: str, name: str) -> Case:
    """The room in which machines of a kind meet Jicofo."""
    return Case(
        f"{kind}_brewery_closed",
        f"room where {kind}s meet Jicofo",
        {
            "join": join_internal(name),
            "by Jicofo": open_internal(name),
            "configuration": configure_internal(name),
            "list": list_internal(name),
        },
        (Refusal(Stage.JOIN), Refusal(Stage.REQUEST), Refusal(Stage.FOCUS, ("not-allowed",))),
        room_is_open,
    )


@contextlib.asynccontextmanager
async def locked_room_opens(entrance: Entrance) -> AsyncIterator[Scene]:
    """A room has a password, and whoever knows it enters."""
    secret = secrets.token_hex(8)
    async with room_is_open(entrance) as scene:
        room, first = scene.room, scene.first
        await first.wait_for_affiliation(room, "owner")
        await first.request("set", room.address, password(scene, secret))
        async with entrance.login(room, entrance.member_token(room)) as somebody:
            await somebody.join(room, password=secret)
            yield scene


def pose(feature: str = "", nick: str = "", *, as_guest: bool = False) -> Attempt:
    """Come without the password as a machine does: by what it says of itself, or its name."""
    more = element("feature", {"var": feature}) if feature else ""

    async def attempt(scene: Scene) -> str:
        entrance, room = scene.entrance, scene.room
        arrival = (
            entrance.guest(room) if as_guest else entrance.login(room, entrance.member_token(room))
        )
        async with arrival as somebody:
            await somebody.join(room, nick, more=element("features", None, more))
            return "enters"

    return attempt


async def order_impossible_recording(scene: Scene) -> str:
    """Order a recording that Jicofo refuses before it looks for a recorder, if it knows of any."""
    async with moderated_by(scene.entrance, {"recording": True}) as own:
        try:
            await own.first.request("set", f"{own.room.address}/{FOCUS_NICK}", RECORD(own.room))
        except Refused as refused:
            if refused.condition != "bad-request":
                raise
            return KNOWN
        return "records"


async def look_for_gateway(scene: Scene) -> str:
    """Ask for a room, and see whether Jicofo says that people can be called."""
    room = scene.room
    invitation = element(
        "conference",
        {"xmlns": FOCUS, "room": room.address, "machine-uid": secrets.token_hex(16)},
    )
    answer = await scene.first.request("set", f"focus.{room.domain}", invitation, Stage.FOCUS)
    said = {
        each.get("name"): each.get("value") for each in answer.iter(qualified(FOCUS, "property"))
    }
    return KNOWN if said.get("sipGatewayEnabled") == "true" else "Jicofo says nothing of gateways"


MACHINES = (
    brewery_closed("recorder", "jibribrewery"),
    brewery_closed("gateway", "jigasibrewery"),
    Case(
        "posing_as_machine_refused",
        "somebody who poses as a machine",
        {
            "recorder": pose(JIBRI),
            "gateway": pose(JIGASI),
            "recorder's name": pose(nick="recorder"),
            "gateway's name": pose(nick="jigasi"),
            "guest as recorder": pose(JIBRI, as_guest=True),
        },
        (_LOCKED,),
        locked_room_opens,
        needs={"guest as recorder": "guests"},
    ),
    Case(
        "recorders_are_known_to_jicofo",
        "order to record that is refused",
        {"recording": order_impossible_recording},
        outcome=KNOWN,
    ),
    Case(
        "gateways_are_known_to_jicofo",
        "answer of Jicofo about gateways",
        {"room": look_for_gateway},
        control=room_is_open,
        outcome=KNOWN,
    ),
)
