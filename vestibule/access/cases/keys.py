"""Keys: for whom each may sign, and until when. Only those that sign here are tried."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

from vestibule.model.token_keys import COUNTS, EARLY, EXPIRED

from ..attempts import LOGGED_IN, Attempt, enter, log_in
from ..participant import FOCUS_NICK
from ..scene import Entrance, Scene, token_is_accepted
from ..tokens import ABSENT, HEADER, Key, context, forge, from_now
from ..transports import HUNG_UP
from ..xmpp import Refused, Room, Stage, fresh_name
from .case import Case, Refusal, at_join, at_login

Tokens = Callable[[Scene], Iterable[str]]


def known(entrance: Entrance, state: str = COUNTS) -> Iterator[Key]:
    """Keys that can sign here, in that state."""
    return (key for key in entrance.keys if key.private and key.state == state)


def of_key(scene: Scene, key: Key, *, named: bool = True, **changes: Any) -> str:
    """A token of a key, right unless ``changes`` make it otherwise."""
    own = {"iss": key.issuers[0], **({"sub": key.tenants[0]} if key.tenants else {})}
    return key.sign(scene.claims(**{**own, **changes}), named=named)


def all_refused(make: Tokens, words: str) -> Attempt:
    """Log in with one token after the other, each of which is refused in these words."""

    async def attempt(scene: Scene) -> str:
        refusal: Refused | None = None
        for token in make(scene):
            try:
                return await log_in(lambda _, token=token: token)(scene)  # type: ignore[misc]
            except Refused as refused:
                refusal = refused
                if not at_login(words).covers(refused):
                    raise
        raise refusal or Refused(Stage.LOGIN, "untried", "no key for it is known")

    return attempt


def all_enter(make: Tokens) -> Attempt:
    """Log in with one token after the other."""

    async def attempt(scene: Scene) -> str:
        for token in make(scene):
            async with scene.entrance.login(scene.room, token):
                pass
        return LOGGED_IN

    return attempt


def with_kid(kid: object) -> Attempt:
    """Log in with a token that is right but for this kid."""
    return log_in(lambda scene: forge({**HEADER, "kid": kid}, scene.claims(), scene.secret))


# Issuers and tenants


def for_other_issuers(scene: Scene) -> Iterator[str]:
    """Tokens of keys for accepted issuers that are not theirs."""
    accepted = scene.entrance.options.get("token_issuers", [])
    for key in known(scene.entrance):
        for issuer in accepted:
            if issuer not in key.issuers:
                yield of_key(scene, key, iss=issuer)
                yield of_key(scene, key, iss=issuer, named=False)


def for_other_tenants(scene: Scene) -> Iterator[str]:
    """Tokens of tenants' keys for what is not theirs."""
    for key in known(scene.entrance):
        if key.tenants:
            others = (
                *("*", scene.entrance.domain),
                *(each for each in scene.entrance.tenants if each not in key.tenants),
            )
            for sub in others:
                yield of_key(scene, key, sub=sub)
                yield of_key(scene, key, sub=sub, named=False)
            yield of_key(scene, key, context=context(tenant=others[-1]))


def patterns(scene: Scene) -> Iterator[str]:
    """Tokens of tenants' keys that have a pattern in place of a room, as a flag and as a text."""
    for key in known(scene.entrance):
        if key.tenants:
            for regex in (True, "true"):
                yield of_key(scene, key, room=".*", context=context(room={"regex": regex}))


@contextlib.asynccontextmanager
async def tenants_keys_are_accepted(entrance: Entrance) -> AsyncIterator[Scene]:
    """Each tenant's key opens a room of its tenant, and a room of nobody is open beside."""
    room = entrance.room()
    scene = Scene(entrance, room)
    async with entrance.enter(room, entrance.token(room)):
        for key in known(entrance):
            for tenant in key.tenants:
                own = entrance.room(tenant=tenant)
                async with entrance.enter(own, of_key(scene, key, sub=tenant, room=own.name)) as it:
                    await it.wait_for_occupant(own, FOCUS_NICK)
        yield scene


async def join_beside(scene: Scene) -> str:
    """Join the room of nobody with a token of a tenant's key, whose room has that name."""
    for key in known(scene.entrance):
        if key.tenants:
            claimed = Room(scene.room.name, scene.room.domain, key.tenants[0])
            token = of_key(scene, key)
            async with scene.entrance.login(claimed, token) as participant:
                await participant.join(scene.room)
    return LOGGED_IN


@contextlib.asynccontextmanager
async def keys_are_accepted(entrance: Entrance) -> AsyncIterator[Scene]:
    """Each key that counts is accepted with its own issuer."""
    async with token_is_accepted(entrance) as scene:
        await all_enter(each_key)(scene)
        yield scene


def each_key(scene: Scene) -> Iterator[str]:
    """A token of each key that counts, with its kid."""
    return (of_key(scene, key) for key in known(scene.entrance) if not is_revoked(scene, key))


def each_key_unnamed(scene: Scene) -> Iterator[str]:
    """The same without a kid."""
    return (
        of_key(scene, key, named=False)
        for key in known(scene.entrance)
        if not is_revoked(scene, key)
    )


def is_revoked(scene: Scene, key: Key) -> bool:
    """Whether all tokens of a key are revoked."""
    return key.kid in scene.entrance.options.get("token_revoked", {}).get("kids", [])


# Times


def of_keys(state: str, *, named: bool) -> Tokens:
    """Tokens of all keys that count no more, or not yet."""
    return lambda scene: (of_key(scene, key, named=named) for key in known(scene.entrance, state))


# Public keys


def signed_with_public_keys(scene: Scene) -> Iterator[str]:
    """Tokens whose HMAC has the text of a public key for a secret, which everybody may know."""
    for key in scene.entrance.keys:
        if key.public:
            body = "".join(key.public.splitlines()[1:-1])
            claims = scene.claims(iss=key.issuers[0])
            for text in (key.public, key.public.strip(), key.public.replace("\n", "\r\n"), body):
                yield forge({**HEADER, "kid": key.kid}, claims, text)


def named_other_algorithm(scene: Scene) -> Iterator[str]:
    """The same with the algorithm of the key in the header, or none."""
    for key in scene.entrance.keys:
        if key.public:
            for alg in (key.algorithm, "none"):
                header = {**HEADER, "alg": alg, "kid": key.kid}
                yield forge(header, scene.claims(iss=key.issuers[0]), key.public)


# Revocation


def revoked_tokens(scene: Scene) -> Iterator[str]:
    """Tokens that are revoked, each by one thing."""
    revoked = scene.entrance.options.get("token_revoked", {})
    before = revoked.get("issued_before")
    for jti in revoked.get("jtis", []):
        yield scene.token(jti=jti)
    for user in revoked.get("users", []):
        yield scene.token(context={"user": {"id": user}})
    if before is not None:
        yield scene.token(iat=before - 1)
        yield scene.token(iat=ABSENT)
    for key in known(scene.entrance):
        if is_revoked(scene, key):
            yield of_key(scene, key)
            yield of_key(scene, key, named=False)


@contextlib.asynccontextmanager
async def other_token_is_accepted(entrance: Entrance) -> AsyncIterator[Scene]:
    """A token with a jti and a user's id that are not revoked is accepted."""
    scene = Scene(entrance, entrance.room())
    token = scene.token(jti=fresh_name(), context={"user": {"id": fresh_name()}}, iat=from_now(0))
    async with entrance.login(scene.room, token):
        yield scene


_NO_MORE = "Key not valid now"

KEYS = (
    Case(
        "token_without_kid_enters",
        "token whose header names no key",
        {
            "no kid": enter(
                lambda scene: forge(dict(HEADER), scene.claims(), scene.secret),
            )
        },
    ),
    Case(
        "each_key_enters",
        "tokens of each key that is known here",
        {"named": all_enter(each_key), "not named": all_enter(each_key_unnamed)},
        outcome=LOGGED_IN,
    ),
    Case(
        "unknown_kid_refused",
        "token that names a key nobody has",
        {"other": with_kid("nobody-has-this"), "empty": with_kid("")},
        (at_login("Unknown kid"),),
        token_is_accepted,
    ),
    Case(
        "strange_kid_refused",
        "token whose kid is no name",
        {
            "path": with_kid("../../../../etc/passwd"),
            "address": with_kid("https://example.org/key.pem"),
            "NUL": with_kid("a\0b"),
            "null": with_kid(None),
            "number": with_kid(5),
            "list": with_kid(["a"]),
            "object": with_kid({"a": "b"}),
            "257 bytes": with_kid("k" * 257),
            "40 KiB": with_kid("k" * 40_960),
        },
        (
            at_login("Unknown kid|Invalid kid|too long"),
            Refusal(Stage.HTTP, ("414", "400", "413", "431", HUNG_UP)),
        ),
        token_is_accepted,
    ),
    Case(
        "key_of_other_issuer_refused",
        "key that signs for another issuer",
        {"other issuer": all_refused(for_other_issuers, "invalid 'iss'")},
        (at_login("invalid 'iss'"),),
        keys_are_accepted,
    ),
    Case(
        "key_of_other_tenant_refused",
        "key that signs for another tenant",
        {
            "other sub": all_refused(for_other_tenants, "no tenant|wildcard"),
            "room of nobody": join_beside,
            "pattern": all_refused(patterns, "pattern|wildcard"),
        },
        (at_login("no tenant|wildcard|pattern"), at_join("match")),
        tenants_keys_are_accepted,
    ),
    Case(
        "expired_key_refused",
        "key that counts no more",
        {
            "named": all_refused(of_keys(EXPIRED, named=True), _NO_MORE),
            "not named": all_refused(of_keys(EXPIRED, named=False), f"{_NO_MORE}|Invalid sig"),
        },
        (at_login(f"{_NO_MORE}|Invalid signature"),),
        token_is_accepted,
    ),
    Case(
        "key_not_yet_valid_refused",
        "key that does not count yet",
        {
            "named": all_refused(of_keys(EARLY, named=True), _NO_MORE),
            "not named": all_refused(of_keys(EARLY, named=False), f"{_NO_MORE}|Invalid sig"),
        },
        (at_login(f"{_NO_MORE}|Invalid signature"),),
        token_is_accepted,
    ),
    Case(
        "public_key_as_secret_refused",
        "public key used as a secret",
        {
            "HS256": all_refused(signed_with_public_keys, "incorrect alg"),
            "other alg": all_refused(named_other_algorithm, "incorrect alg|Invalid signature"),
        },
        (at_login("Invalid or incorrect alg|Invalid signature"),),
        token_is_accepted,
    ),
    Case(
        "revoked_token_refused",
        "token that is revoked",
        {"revoked": all_refused(revoked_tokens, "Token revoked")},
        (at_login("Token revoked"),),
        other_token_is_accepted,
    ),
)
