"""Recording, streaming and dial-out: by the feature in the token, whoever moderates.

The server refuses a request before it reaches Jicofo. What Jicofo answers depends on what it has.
So a request that is allowed is one that Jicofo can only reject, and nothing is ever recorded or
dialled. Upstream lets through few of them a minute, of one room and of one address.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from ..attempts import Attempt
from ..participant import FOCUS_NICK, Participant
from ..scene import Control, Entrance, Scene, bring_in
from ..tokens import context
from ..xmpp import MUC_ADMIN, SMACKS, Refused, Room, Stage, element
from .case import Case, Refusal

JIBRI = "http://jitsi.org/protocol/jibri"
RAYO = "urn:xmpp:rayo:1"

RESUMABLE = element("enable", {"xmlns": SMACKS, "resume": "true"})

REACHED = "reaches whom it is for"
FOLLOWS = "as the token says"

FORBIDDEN = Refusal(Stage.REQUEST, ("forbidden",))
# What the server itself answers: the feature is missing, or it was used too often
_OF_THE_SERVER = ("forbidden", "policy-violation")

Payload = Callable[[Room], str]
Features = Mapping[str, Any] | None


def jibri(action: str, mode: str) -> Payload:
    """Order to a recorder.

    A file with the identifier of a stream, or a stream without one, is what Jicofo rejects
    (upstream: JibriRecorder.kt).
    """
    attributes = {"xmlns": JIBRI, "action": action}
    if mode:
        attributes["recording_mode"] = mode
    if mode.lower() == "file":
        attributes["streamid"] = "vestibule"
    return lambda _: element("jibri", attributes)


def dial(number: str = "") -> Payload:
    """Order to a gateway to call ``number``: nobody at all, or the transcriber."""

    def payload(room: Room) -> str:
        header = element("header", {"name": "JvbRoomName", "value": room.address})
        return element("dial", {"xmlns": RAYO, "to": number, "from": "vestibule"}, header)

    return payload


async def order(somebody: Participant, room: Room, payload: Payload, nick: str = FOCUS_NICK) -> str:
    """Send an order to Jicofo, or to ``nick``. Raises Refused where the server forbids it."""
    try:
        await somebody.request("set", f"{room.address}/{nick}", payload(room))
    except Refused as refused:
        if refused.condition in _OF_THE_SERVER:
            raise
    return REACHED


def feature_context(role: str, features: Features) -> dict[str, Any]:
    """The context claim of such a person with these features, with none named where None."""
    return context(role) if features is None else context(role, features=features)


@contextlib.asynccontextmanager
async def moderated_by(entrance: Entrance, features: Features) -> AsyncIterator[Scene]:
    """A room whose only moderator has a token with these features."""
    room = entrance.room()
    token = entrance.token(room, context=feature_context("owner", features))
    async with entrance.enter(room, token) as first:
        await first.wait_for_moderation(room)
        yield Scene(entrance, room, (first,))


@contextlib.asynccontextmanager
async def joined_by(scene: Scene, features: Features) -> AsyncIterator[Participant]:
    """Somebody who comes next, with a member's token with these features."""
    entrance, room = scene.entrance, scene.room
    token = entrance.token(room, context=feature_context("member", features))
    async with entrance.login(room, token) as somebody:
        await bring_in(somebody, room, scene.first)
        yield somebody


@contextlib.asynccontextmanager
async def joined_by_guest(scene: Scene) -> AsyncIterator[Participant]:
    """A guest who comes next."""
    async with scene.entrance.guest(scene.room) as guest:
        await bring_in(guest, scene.room, scene.first)
        yield guest


def allowed(feature: str, payload: Payload) -> Control:
    """A moderator with the feature may."""

    @contextlib.asynccontextmanager
    async def control(entrance: Entrance) -> AsyncIterator[Scene]:
        async with moderated_by(entrance, {feature: True}) as scene:
            await order_harmlessly(scene, payload)
            yield scene

    return control


async def order_harmlessly(scene: Scene, payload: Payload) -> str:
    """Send an order that may go through: to Jicofo, or to oneself, whom no gateway calls."""
    first = scene.first
    to_oneself = "dial" in payload(scene.room)
    return await order(first, scene.room, payload, first.nick if to_oneself else FOCUS_NICK)


def as_moderator(features: Features, payload: Payload, *, harmless: bool = False) -> Attempt:
    """Send the order as the only moderator of a room of one's own."""

    async def attempt(scene: Scene) -> str:
        async with moderated_by(scene.entrance, features) as own:
            if harmless:
                return await order_harmlessly(own, payload)
            return await order(own.first, own.room, payload)

    return attempt


def as_member(payload: Payload) -> Attempt:
    """Send the order as a member who is told of no feature."""

    async def attempt(scene: Scene) -> str:
        async with joined_by(scene, None) as member:
            return await order(member, scene.room, payload)

    return attempt


def as_guest(payload: Payload) -> Attempt:
    """Send the order as a guest."""

    async def attempt(scene: Scene) -> str:
        async with joined_by_guest(scene) as guest:
            return await order(guest, scene.room, payload)

    return attempt


def to_another(payload: Payload) -> Attempt:
    """Send the order to another participant instead of Jicofo."""

    async def attempt(scene: Scene) -> str:
        async with joined_by(scene, {}) as member:
            return await order(member, scene.room, payload, scene.first.nick)

    return attempt


def without_feature(feature: str, others: tuple[str, ...], payload: Payload) -> dict[str, Attempt]:
    """Who tries, and with which features in the token."""
    return {
        "moderator without features": as_moderator(None, payload),
        "no feature": as_moderator({}, payload),
        "other features": as_moderator(dict.fromkeys(others, True), payload),
        "feature off": as_moderator({feature: False}, payload),
        "feature off as text": as_moderator({feature: "false"}, payload),
        "feature 1": as_moderator({feature: 1}, payload),
        "member": as_member(payload),
        "guest": as_guest(payload),
        "to another participant": to_another(payload),
    }


# Other people's rights


async def make_moderator(scene: Scene, somebody: Participant) -> None:
    """Let the moderator make somebody else one."""
    await affiliate(scene, somebody, "owner")
    await somebody.wait_for_affiliation(scene.room, "owner")


async def affiliate(scene: Scene, somebody: Participant, affiliation: str) -> None:
    """Let the moderator change the affiliation of somebody."""
    item = {"affiliation": affiliation, "jid": somebody.jid.partition("/")[0]}
    payload = element("query", {"xmlns": MUC_ADMIN}, element("item", item))
    await scene.first.request("set", scene.room.address, payload)


async def refused_to(somebody: Participant, room: Room) -> bool:
    """Whether the server forbids somebody to record."""
    try:
        await order(somebody, room, RECORD)
    except Refused:
        return True
    return False


async def outlast_others(scene: Scene) -> str:
    """Record after somebody without the feature came, tried and left."""
    async with moderated_by(scene.entrance, {"recording": True}) as own:
        async with joined_by(own, {"recording": False}) as other:
            if not await refused_to(other, own.room):
                return "whoever comes next records"
            await other.leave(own.room)
        await order(own.first, own.room, RECORD)
        return FOLLOWS


async def promote(scene: Scene) -> str:
    """Record as who was made a moderator by somebody with the feature, and after a demotion."""
    async with (
        moderated_by(scene.entrance, {"recording": True}) as own,
        joined_by(own, {"recording": False}) as other,
    ):
        await make_moderator(own, other)
        if not await refused_to(other, own.room):
            return "whom a recorder promotes records"
        await affiliate(own, other, "member")
        if not await refused_to(other, own.room):
            return "whom a recorder demotes records"
        return FOLLOWS


async def promote_guest(scene: Scene) -> str:
    """Record as a guest who was made a moderator by somebody with the feature."""
    async with (
        moderated_by(scene.entrance, {"recording": True}) as own,
        joined_by_guest(own) as guest,
    ):
        await make_moderator(own, guest)
        if not await refused_to(guest, own.room):
            return "a guest whom a recorder promotes records"
        return FOLLOWS


async def promote_recorder(scene: Scene) -> str:
    """Record with the feature, made a moderator by somebody without it."""
    async with (
        moderated_by(scene.entrance, {"recording": False}) as own,
        joined_by(own, {"recording": True}) as other,
    ):
        await make_moderator(own, other)
        await order(other, own.room, RECORD)
        return FOLLOWS


async def resume_without(scene: Scene) -> str:
    """Go on from a room where one may record into another where one may not."""
    return await _resume(scene, {"recording": True}, None)


async def resume_with(scene: Scene) -> str:
    """Go on from a room where one may not record into another where one may."""
    return await _resume(scene, None, {"recording": True})


async def _resume(scene: Scene, before: Features, after: Features) -> str:
    entrance, room = scene.entrance, scene.entrance.room()
    token = entrance.token(room, context=feature_context("owner", after))
    async with moderated_by(entrance, before) as own:
        await own.first.ask_for_smacks(RESUMABLE)
        async with entrance.approach(room, token, previous=own.first.stream) as somebody:
            await somebody.resume(own.first)
            await somebody.request_conference(room)
            await somebody.join(room)
            await somebody.wait_for_moderation(room)
            if await refused_to(somebody, room) is (after is None):
                return FOLLOWS
            return "records as the token before says"


RECORD, STREAM, CALL = jibri("start", "file"), jibri("start", "stream"), dial()
FEATURES = ("recording", "livestreaming", "outbound-call", "transcription")


def others(feature: str) -> tuple[str, ...]:
    """All other features that matter here."""
    return tuple(each for each in FEATURES if each != feature)


def cases(
    name: str, words: str, feature: str, payload: Payload, more: Mapping[str, Payload]
) -> tuple[Case, Case]:
    """Both cases of one feature, whose orders come in ``more`` forms as well."""
    variants = {way: variant for way, variant in more.items() if way != "long s"}
    return (
        Case(
            f"{name}_without_feature_refused",
            f"{words} without the feature",
            {
                **without_feature(feature, others(feature), payload),
                **{way: as_moderator(None, variant) for way, variant in more.items()},
            },
            (FORBIDDEN,),
            allowed(feature, payload),
            needs={"guest": "guests"},
        ),
        Case(
            f"{name}_with_feature_allowed",
            f"{words} with the feature",
            {
                "moderator": as_moderator({feature: True}, payload, harmless=True),
                "feature as text": as_moderator({feature: "true"}, payload, harmless=True),
                **{
                    way: as_moderator({feature: True}, variant, harmless=True)
                    for way, variant in variants.items()
                },
            },
            outcome=REACHED,
        ),
    )


RECORDING = (
    *cases(
        "recording",
        "recording",
        "recording",
        RECORD,
        {
            "stop in capitals": jibri("STOP", "FILE"),
            # Java, and so Jicofo, takes it for an S in capital letters
            "long s": jibri("\u017ftart", "file"),
        },
    ),
    *cases(
        "streaming",
        "streaming",
        "livestreaming",
        STREAM,
        {
            "stop in capitals": jibri("STOP", "STREAM"),
            "long s": jibri("start", "\u017ftream"),
        },
    ),
    *cases("dial_out", "dial-out", "outbound-call", CALL, {}),
    Case(
        "recording_rights_stay",
        "recording, when others come, go or promote",
        {
            "others came and left": outlast_others,
            "promoted by a recorder": promote,
            "guest promoted by a recorder": promote_guest,
            "recorder promoted": promote_recorder,
        },
        outcome=FOLLOWS,
        needs={"guest promoted by a recorder": "guests"},
    ),
    Case(
        "recording_rights_follow_the_token",
        "recording after another token resumed",
        {"without the feature": resume_without, "with the feature": resume_with},
        outcome=FOLLOWS,
        only_over="websocket",  # Prosody resumes no BOSH
    ),
)
