"""Tokens: which ones log in, and which room they open."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from ..attempts import (
    Attempt,
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
    Scene,
    header_is_accepted,
    large_token_is_accepted,
    room_is_open,
    tenants_room_is_open,
    token_is_accepted,
)
from ..tokens import ABSENT, HEADER, forge, forge_rsa, from_now
from ..transports import HUNG_UP
from ..xmpp import Stage, fresh_name
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
        (at_login("Invalid or incorrect alg|Invalid token"),),
        token_is_accepted,
    ),
    Case(
        "expired_refused",
        "expired token",
        {
            "two minutes ago": log_in(lambda scene: scene.token(exp=from_now(-120))),
            "in 1970": claim(exp=1),
            "before 1970": claim(exp=-1),
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
        },
        (at_login("Not acceptable by nbf|nbf must be number"),),
        token_is_accepted,
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
            "list": log_in(lambda scene: scene.token(aud=[scene.entrance.issuer.audience])),
            "wildcard": claim(aud="*"),
        },
        (at_login("invalid 'aud'"),),
        token_is_accepted,
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
