"""Tokens: which ones log in, and which room they open."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any

from ..attempts import (
    Attempt,
    MakeToken,
    claim,
    enter,
    enter_by_header,
    head,
    join,
    log_in,
    log_in_by_header,
    log_in_without_token,
    valid,
)
from ..scene import (
    Entrance,
    Scene,
    header_is_accepted,
    large_token_is_accepted,
    room_is_open,
    tenants_room_is_open,
    token_is_accepted,
)
from ..tokens import ABSENT, HEADER, forge, forge_rsa, from_now
from ..transports import HUNG_UP
from ..xmpp import MUC_OWNER, SMACKS, Refused, Stage, element, fresh_name
from .case import Case, Refusal, at_join, at_login

UNLISTED = at_login("names no tenant")  # where the operator lists the tenants


def tampered(scene: Scene) -> str:
    """A valid token with one character of its signature changed."""
    signed, _, signature = scene.token().rpartition(".")
    return f"{signed}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


def rewritten(scene: Scene) -> str:
    """Another room's claims under the signature of a valid token."""
    own, other = scene.token().split("."), scene.token(room=fresh_name()).split(".")
    return ".".join([own[0], other[1], own[2]])


def other_tenants(scene: Scene) -> str:
    """A token of a tenant that does not own the room."""
    return scene.token(sub=scene.entrance.other_tenant)


async def join_as_other_tenant(scene: Scene) -> str:
    """Join with another tenant's token and that tenant in the URL."""
    return await join(other_tenants, tenant=scene.entrance.other_tenant)(scene)


def other_secret(change: Callable[[str], str]) -> Attempt:
    """Log in with a token signed with another secret."""
    return log_in(lambda scene: forge(HEADER, scene.claims(), change(scene.secret)))


def unsigned(alg: str, signature: str) -> Attempt:
    """Log in with a token whose header asks for no signature."""

    def make(scene: Scene) -> str:
        signed, _, _ = forge({**HEADER, "alg": alg}, scene.claims(), "").rpartition(".")
        return f"{signed}.{signature}"

    return log_in(make)


def padded(scene: Scene, size: int) -> str:
    """A valid token of at least ``size`` KiB. Base64 makes four characters of three."""
    return scene.token(padding="x" * (size * 768))


def cut(shorten: Callable[[str], str]) -> Attempt:
    """Log in with a part of a valid token."""
    return log_in(lambda scene: shorten(scene.token()))


def signed_json(header: object, claims: object = None) -> Attempt:
    """Log in with a well-signed token whose parts are JSON, but no objects."""
    return log_in(lambda scene: forge(header, claims or scene.claims(), scene.secret))


def accepted_audience(scene: Scene) -> str:
    """The audience of tokens that are accepted here."""
    return scene.entrance.issuer.audience


# Times


YEAR_9999 = 253402300799  # its last second


def in_units(per_second: int, seconds: int = -86400) -> Attempt:
    """Log in with a token that ended yesterday, in a unit that makes that a distant future."""
    return log_in(lambda scene: scene.token(exp=from_now(seconds) * per_second))


def literally(*times: str, **claims: Any) -> Attempt:
    """Log in with a token that has more members, in JSON, beside its usual ones."""

    def make(scene: Scene) -> str:
        usual = json.dumps(scene.claims(**claims))
        return scene.entrance.issuer.sign(f"{usual[:-1]}, {', '.join(times)}}}")

    return log_in(make)


def longest(scene: Scene, more: int = 0) -> dict[str, int]:
    """Times of a token issued now, of the longest lifetime and ``more`` seconds."""
    issued = from_now(0)
    return {"iat": issued, "exp": issued + scene.entrance.issuer.max_lifetime + more}


def leeway(scene: Scene) -> int:
    """Seconds by which clocks may differ here."""
    seconds: int = scene.entrance.options.get("token_leeway", 30)
    return seconds


# More than the clocks of server and controller may differ by
APART = 45  # seconds


@contextlib.asynccontextmanager
async def longest_token_is_accepted(entrance: Entrance) -> AsyncIterator[Scene]:
    """A token that lives as long as the operator allows is accepted."""
    scene = Scene(entrance, entrance.room())
    async with entrance.login(scene.room, scene.token(**longest(scene))):
        yield scene


# Going on with another token


RESUMABLE = element("enable", {"xmlns": SMACKS, "resume": "true"})
AS_THE_LAST_SAYS = "is who the last token says"


async def configure_under_name(scene: Scene, token: str) -> str:
    """Log in under the name of who is inside, and ask for what the room shows to owners only.

    Rooms know people by their names, and nobody has to be inside for that.
    """
    async with scene.entrance.login(scene.room, token, previous=scene.first.stream) as other:
        form = element("query", {"xmlns": MUC_OWNER})
        await other.request("get", scene.room.address, form)
        return "has the name and the rights of the old token"


@contextlib.asynccontextmanager
async def old_name_is_given(entrance: Entrance) -> AsyncIterator[Scene]:
    """An owner inside has a stream to resume, whose name a token of the same rights brings."""
    room = entrance.room()
    async with entrance.enter(room, entrance.token(room)) as first:
        await first.wait_for_affiliation(room, "owner")
        await first.ask_for_smacks(RESUMABLE)
        scene = Scene(entrance, room, (first,))
        await configure_under_name(scene, scene.token())
        yield scene


def take_name(make: MakeToken) -> Attempt:
    """Do the same with a token of other rights."""

    async def attempt(scene: Scene) -> str:
        return await configure_under_name(scene, make(scene))

    return attempt


async def resume_elsewhere(scene: Scene) -> str:
    """Go on with a token for another room: into that, and no longer in the old one."""
    entrance, old, new = scene.entrance, scene.entrance.room(), scene.entrance.room()
    async with entrance.enter(old, entrance.token(old)) as first:
        await first.wait_for_affiliation(old, "owner")  # or its news would be repeated
        await first.ask_for_smacks(RESUMABLE)
        token = entrance.token(new)
        async with entrance.approach(new, token, previous=first.stream) as somebody:
            await somebody.resume(first)
            await somebody.wait_for_departure(old)
            await somebody.request_conference(new)
            await somebody.join(new)
            try:
                await somebody.join(old)
            except Refused:
                return AS_THE_LAST_SAYS
            return "enters the room of the old token"


async def resume_as_before(scene: Scene) -> str:
    """Go on with a token of the same rights, and stay in the room."""
    entrance, room = scene.entrance, scene.entrance.room()
    async with entrance.enter(room, entrance.token(room)) as first:
        await first.wait_for_affiliation(room, "owner")
        await first.ask_for_smacks(RESUMABLE)
        token = entrance.token(room)
        async with entrance.approach(room, token, previous=first.stream) as somebody:
            await somebody.resume(first)
            await somebody.settle(room)
            return AS_THE_LAST_SAYS


TOKENS = (
    Case(
        "valid_token_enters",
        "valid token",
        {"in the URL": enter(valid), "in the header": enter_by_header},
    ),
    Case(
        "no_token_refused",
        "no token",
        {
            "none": log_in_without_token,
            "empty": log_in(lambda scene: ""),
            "empty header": log_in_by_header(lambda scene: "Bearer"),
        },
        (at_login("token required|Invalid token"),),
        header_is_accepted,
    ),
    Case(
        "bad_signature_refused",
        "tampered token",
        {
            "signature changed": log_in(tampered),
            "claims changed": log_in(rewritten),
            "in the header": log_in_by_header(lambda scene: f"Bearer {tampered(scene)}"),
        },
        (at_login("Invalid signature"),),
        header_is_accepted,
    ),
    Case(
        "other_key_refused",
        "token signed with another secret",
        {
            "random": other_secret(lambda secret: secrets.token_urlsafe(32)),
            "one character more": other_secret(lambda secret: f"{secret}x"),
            "empty": other_secret(lambda secret: ""),
        },
        (at_login("Invalid signature"),),
        token_is_accepted,
    ),
    Case(
        "alg_none_refused",
        "unsigned token (alg none)",
        {
            "no signature": unsigned("none", ""),
            "some signature": unsigned("none", "c2lnbmF0dXJl"),
            "capital letter": unsigned("None", "c2lnbmF0dXJl"),
            "right signature": head(alg="none"),
        },
        (at_login("Invalid or incorrect alg|Invalid token"),),
        token_is_accepted,
    ),
    Case(
        "alg_confusion_refused",
        "token signed with another algorithm",
        {
            "HS384": head("sha384", alg="HS384"),
            "HS512": head("sha512", alg="HS512"),
            "RS256 with our own key": log_in(lambda scene: forge_rsa(scene.claims())),
            "RS256 that is none": head(alg="RS256"),
            "no alg": head(alg=None),
            "list": head(alg=["HS256"]),
        },
        # The last where the server has keys of that algorithm
        (at_login("Invalid or incorrect alg|Invalid token|Invalid signature"),),
        token_is_accepted,
    ),
    Case(
        "expired_refused",
        "expired token",
        {
            "two minutes ago": log_in(lambda scene: scene.token(exp=from_now(-120))),
            "in 1970": claim(exp=1),
            "before 1970": claim(exp=-1),
            "beyond the leeway": log_in(
                lambda scene: scene.token(exp=from_now(-leeway(scene) - APART))
            ),
        },
        (at_login("Not acceptable by exp"),),
        token_is_accepted,
    ),
    Case(
        "not_yet_valid_refused",
        "token that is not valid yet",
        {
            "in ten minutes": log_in(lambda scene: scene.token(nbf=from_now(600))),
            "text": log_in(lambda scene: scene.token(nbf=str(from_now(-60)))),
            "beyond the leeway": log_in(
                lambda scene: scene.token(nbf=from_now(leeway(scene) + APART))
            ),
            "milliseconds": log_in(lambda scene: scene.token(nbf=from_now(-60) * 1000)),
            "issued in milliseconds": log_in(lambda scene: scene.token(iat=from_now(-60) * 1000)),
        },
        (at_login("Not acceptable by (nbf|iat)|nbf must be number"),),
        token_is_accepted,
    ),
    Case(
        "other_clock_enters",
        "token of a clock that differs by seconds",
        {
            "ahead": enter(lambda scene: scene.token(iat=from_now(2), nbf=from_now(2))),
            "behind": enter(lambda scene: scene.token(exp=from_now(-2))),
        },
    ),
    Case(
        "boundless_exp_refused",
        "token whose exp bounds nothing",
        {
            "milliseconds": in_units(1000),
            "microseconds": in_units(10**6),
            "year 9999": claim(exp=YEAR_9999),
            "1e999": literally('"exp": 1e999', exp=ABSENT),
            "no number": claim(exp=float("nan")),
            "longer": log_in(lambda scene: scene.token(**longest(scene, more=1))),
            "longer, not issued": log_in(
                lambda scene: scene.token(
                    **{**longest(scene, more=leeway(scene) + APART), "iat": ABSENT}
                )
            ),
            "issued long ago": log_in(lambda scene: scene.token(iat=0)),
            "issued in 9999": claim(iat=YEAR_9999 - 600, exp=YEAR_9999),
            "twice": literally(f'"exp": {YEAR_9999}'),
        },
        (at_login("Not acceptable by exp|Invalid token"),),
        longest_token_is_accepted,
    ),
    Case(
        "missing_exp_refused",
        "token that never expires (no exp)",
        {
            "absent": claim(exp=ABSENT),
            "null": claim(exp=None),
            "false": claim(exp=False),
            "text": log_in(lambda scene: scene.token(exp=str(from_now(600)))),
        },
        (at_login("exp.* (missing|must be number)"),),
        token_is_accepted,
    ),
    Case(
        "missing_iss_refused",
        "token without issuer",
        {
            "absent": claim(iss=ABSENT),
            "null": claim(iss=None),
            "list": log_in(lambda scene: scene.token(iss=[scene.entrance.issuer.issuer])),
        },
        (at_login("iss.* (missing|must be string)|invalid 'iss'"),),
        token_is_accepted,
    ),
    Case(
        "missing_sub_refused",
        "token without sub",
        {"absent": claim(sub=ABSENT), "null": claim(sub=None), "number": claim(sub=1)},
        (at_login("sub.* (missing|must be string)", "not-authorized", "not-allowed"),),
        token_is_accepted,
    ),
    Case(
        "missing_aud_refused",
        "token without audience",
        {"absent": claim(aud=ABSENT), "null": claim(aud=None)},
        (at_login("aud.* missing|invalid 'aud'"),),
        token_is_accepted,
    ),
    Case(
        "missing_room_refused",
        "token without room",
        {"absent": claim(room=ABSENT), "null": claim(room=None), "number": claim(room=1)},
        (at_login("room.* (missing|must be string)", "not-authorized", "not-allowed"),),
        token_is_accepted,
    ),
    Case(
        "wrong_issuer_refused",
        "token of another issuer",
        {
            "other": log_in(lambda scene: scene.token(iss=fresh_name())),
            "capitals": log_in(
                lambda scene: scene.token(iss=scene.entrance.issuer.issuer.swapcase())
            ),
            "wildcard": claim(iss="*"),
        },
        (at_login("invalid 'iss'"),),
        token_is_accepted,
    ),
    Case(
        "wrong_audience_refused",
        "token for another audience",
        {
            "other": log_in(lambda scene: scene.token(aud=fresh_name())),
            "list of others": log_in(lambda scene: scene.token(aud=[fresh_name(), ""])),
            "list in a list": log_in(lambda scene: scene.token(aud=[[accepted_audience(scene)]])),
            "empty list": claim(aud=[]),
            "object": log_in(lambda scene: scene.token(aud={"0": accepted_audience(scene)})),
            "wildcard": claim(aud="*"),
        },
        (at_login("invalid 'aud'"),),
        token_is_accepted,
    ),
    Case(
        "list_audience_enters",
        "token whose audience is a list",
        {
            "alone": enter(lambda scene: scene.token(aud=[accepted_audience(scene)])),
            "behind another": enter(
                lambda scene: scene.token(aud=[fresh_name(), accepted_audience(scene)])
            ),
        },
    ),
    Case(
        "wrong_room_refused",
        "token for another room",
        {
            "other": join(lambda scene: scene.token(room=fresh_name())),
            "empty": join(lambda scene: scene.token(room="")),
            "beginning of the name": join(lambda scene: scene.token(room=scene.room.name[:-1])),
            "pattern": join(lambda scene: scene.token(room=".*")),
        },
        (at_join("match"),),
        room_is_open,
    ),
    Case(
        "wrong_sub_refused",
        "token for another domain",
        {
            "other domain": join(lambda scene: scene.token(sub="other.example.org")),
            "tenant": join(other_tenants),
            "subdomain": join(lambda scene: scene.token(sub=f"x.{scene.entrance.domain}")),
        },
        (at_join("match"), UNLISTED),
        room_is_open,
    ),
    Case(
        "old_name_refused",
        "name of a session with other rights",
        {
            "other room": take_name(lambda scene: scene.token(room=fresh_name())),
            "member": take_name(lambda scene: scene.member_token()),
        },
        (Refusal(Stage.REQUEST, ("forbidden",)),),
        old_name_is_given,
    ),
    Case(
        "resumption_follows_the_token",
        "session resumed with another token",
        {"other room": resume_elsewhere, "same rights": resume_as_before},
        outcome=AS_THE_LAST_SAYS,
        only_over="websocket",  # Prosody resumes no BOSH
    ),
    Case(
        "wildcard_room_enters",
        "token for every room (*)",
        {"*": enter(lambda scene: scene.token(room="*"))},
    ),
    Case(
        "wildcard_room_refused",
        "token for every room (*)",
        {"*": claim(room="*")},
        (at_login("wildcard"),),
        token_is_accepted,
    ),
    Case(
        "wildcard_sub_enters",
        "token for every domain (*)",
        {"*": enter(lambda scene: scene.token(sub="*"))},
    ),
    Case(
        "wildcard_sub_refused",
        "token for every domain (*)",
        {"*": claim(sub="*")},
        (at_login("wildcard"),),
        token_is_accepted,
    ),
    Case(
        "room_case_insensitive",
        "room name in capital letters",
        {
            "in the token": enter(lambda scene: scene.token(room=scene.room.name.upper())),
            "in the address": enter(valid, str.upper),
        },
    ),
    Case(
        "other_tenant_refused",
        "another tenant's token",
        {
            "other tenant": join(other_tenants),
            "main domain": join(valid),
            "mapped address": join(other_tenants, mapped=True),
            "own tenant in the URL": join_as_other_tenant,
        },
        (at_join("match"), UNLISTED),
        tenants_room_is_open,
    ),
    Case(
        "garbage_refused",
        "garbage instead of a token",
        {
            "words": log_in(lambda scene: "not a token"),
            "dots": log_in(lambda scene: ".."),
            "three words": log_in(lambda scene: "a.b.c"),
            "random bytes": log_in(lambda scene: secrets.token_urlsafe(200)),
            "control characters": log_in(lambda scene: "\0\r\n\x7f"),
            "not ASCII": log_in(lambda scene: "jeton-\u00e9\u4e2d\U0001f511"),
            "header null": signed_json(None),
            "header list": signed_json([]),
            "header number": signed_json(1),
            "claims list": signed_json(HEADER, ["*"]),
            "claims text": signed_json(HEADER, "*"),
            "context number": claim(context=1),
            "Bearer in the URL": log_in(lambda scene: f"Bearer {scene.token()}"),
            "four parts": log_in(lambda scene: f"{scene.token()}.x"),
        },
        (at_login("Invalid|must be|missing"),),
        token_is_accepted,
    ),
    Case(
        "truncated_refused",
        "truncated token",
        {
            "one character": cut(lambda token: token[:-1]),
            "half of the signature": cut(lambda token: token[:-21]),
            "no signature": cut(lambda token: token.rpartition(".")[0]),
            "half": cut(lambda token: token[: len(token) // 2]),
            "header alone": cut(lambda token: token.partition(".")[0]),
        },
        (at_login("Invalid"),),
        token_is_accepted,
    ),
    Case(
        "oversized_refused",
        "oversized token",
        {
            # One that fits a TLS record, so that the answer arrives before the server hangs up
            "12 KiB": log_in(lambda scene: padded(scene, 12)),
            "12 KiB in the header": log_in_by_header(lambda scene: f"Bearer {padded(scene, 12)}"),
            "32 KiB": log_in(lambda scene: padded(scene, 32)),
        },
        (Refusal(Stage.HTTP, ("414", "400", "413", "431", HUNG_UP)), at_login("too long|Invalid")),
        large_token_is_accepted,
    ),
)
