"""The verdict on a token is the server's: on the access cases, and on odd tokens beside them."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from vestibule.access.cases import Case
from vestibule.access.cases.tenants import TENANTS
from vestibule.access.cases.tokens import TOKENS
from vestibule.access.scene import Entrance, Scene
from vestibule.access.tokens import ABSENT, HEADER, Issuer, encode_part, forge
from vestibule.access.transports import WebSocketTransport
from vestibule.access.xmpp import Refused, Room, Stage
from vestibule.model.compiler import build_model
from vestibule.model.features import load_features
from vestibule.tokens.verdict import (
    Key,
    Revoked,
    Rules,
    Verdict,
    judge,
    keys_of,
    nodeprep,
    rules_of,
)

DOMAIN = "meet.example.org"
SECRET = "4Zx8k2Qv9LmT4rB7wYc1NfH6uKp3Jd5S"
ISSUER = Issuer(SECRET, "vestibule", "jitsi", DOMAIN)
NOW = 1796000000


def rules(**options: Any) -> Rules:
    model = model_of(**options)
    return rules_of(model, keys_of(model["options"], {"": SECRET}))


def model_of(**options: Any) -> Any:
    given = {"jitsi_domain": DOMAIN, **{f"jitsi_{name}": each for name, each in options.items()}}
    return build_model(load_features(), given)


def options_of(**options: Any) -> dict[str, Any]:
    return dict(model_of(**options)["options"])


# The access cases: the server is played by the verdict


@dataclass
class Somebody:
    """Who has logged in, by the verdict on their token."""

    verdict: Verdict
    jid: str = "somebody@meet.example.org/x"

    async def request_conference(self, room: Room) -> None:
        pass

    async def wait_for_occupant(self, room: Room, nick: str) -> None:
        pass

    async def join(self, room: Room, nick: str = "", address: str = "") -> None:
        assert self.verdict.doors
        where = self.verdict.doors
        if room.tenant and where.rules.tenants and room.tenant.lower() not in where.rules.tenants:
            raise Refused(Stage.JOIN, "not-allowed", "This name is reserved")
        if not where.opens(room.name, room.tenant):
            raise Refused(Stage.JOIN, "not-allowed", "Room and token mismatched")


class Judged(Entrance):
    """An entrance where no server is, but its rules."""

    def _rules(self) -> Rules:
        return rules(**self.options)

    @contextlib.asynccontextmanager
    async def login(  # type: ignore[override]  # yields a stand-in for the person
        self,
        room: Room,
        token: str | None = None,
        header: str | None = None,
        *,
        host: str = "",
        previous: str | None = None,
    ) -> AsyncIterator[Somebody]:
        if token is None and header is not None:
            token = header[7:]  # as mod_jitsi_session cuts it
        if token is None:
            raise Refused(Stage.LOGIN, "not-allowed", "token required")
        verdict = judge(token, self._rules(), time.time())
        if verdict.stage == "login":
            missing = verdict.reason in ("room claim is missing", "sub claim is missing")
            condition = "not-authorized" if missing else "not-allowed"
            raise Refused(Stage.LOGIN, condition, verdict.reason)
        yield Somebody(verdict)

    @contextlib.asynccontextmanager
    async def enter(  # type: ignore[override]  # as above
        self, room: Room, token: str | None = None, header: str | None = None
    ) -> AsyncIterator[Somebody]:
        async with self.login(room, token, header) as somebody:
            await somebody.join(room)
            yield somebody


# What they try is no token, but a way to bring one
OTHER_WAYS = {"old_name_refused", "resumption_follows_the_token", "tenants_link_leads_in"}
# What a deployment is like where the case is played
OPTIONS: dict[str, dict[str, Any]] = {
    "wildcard_room_refused": {"token_wildcard_room": False},
    "wildcard_sub_refused": {"token_wildcard_sub": False},
    "unlisted_tenant_refused": {"features": ["tenants"], "tenants": ["acme"]},
    "tenant_token_enters": {"features": ["tenants"]},
    "tenant_claim_form_refused": {"features": ["tenants"]},
}
ATTEMPTS = [
    pytest.param(case, way, id=f"{case.name}-{way}")
    for case in (*TOKENS, *TENANTS)
    if case.name not in OTHER_WAYS
    for way in case.attempts
]


@pytest.mark.parametrize(("case", "way"), ATTEMPTS)
def test_verdict_is_that_of_the_case(case: Case, way: str) -> None:
    options = OPTIONS.get(case.name, {})
    door: Any = SimpleNamespace(domain=DOMAIN)
    entrance: Any = Judged(door, WebSocketTransport, ISSUER, 1.0, options=options)
    tenant = entrance.tenant if "tenant" in case.name and "wildcard" not in case.name else ""
    scene = Scene(entrance, entrance.room(tenant=tenant))
    attempt: Any = case.attempts[way](scene)
    answer: Any
    try:
        answer = asyncio.run(attempt)
    except Refused as refused:
        answer = refused
    if case.refusals:
        assert isinstance(answer, Refused), answer
        assert any(each.covers(answer) for each in case.refusals), answer
    else:
        assert answer == case.outcome


# Odd tokens


def claims(**changes: Any) -> dict[str, Any]:
    usual = {
        "iss": "vestibule",
        "aud": "jitsi",
        "sub": DOMAIN,
        "room": "standup",
        "iat": NOW,
        "exp": NOW + 600,
        "context": {"user": {"name": "Ada", "affiliation": "owner"}},
        **changes,
    }
    return {name: value for name, value in usual.items() if value is not ABSENT}


def token(
    header: Any = HEADER, secret: str = SECRET, digest: str = "sha256", **changes: Any
) -> str:
    return forge(header, claims(**changes), secret, digest)


def literal(text: str, header: str = '{"alg":"HS256","typ":"JWT"}') -> str:
    """A token signed as agreed, of these texts."""
    return sealed(f"{encode_part(header.encode())}.{encode_part(text.encode())}")


def spare_bits() -> str:
    """A token signed as agreed, whose claims are the same bytes in other base64url."""
    text = json.dumps(claims()).encode()
    part = encode_part(text + b" " * ((1 - len(text)) % 3))
    return sealed(f"{encode_part(json.dumps(HEADER).encode())}.{_other_end(part)}")


def sealed(signed: str) -> str:
    mac = hmac.digest(SECRET.encode(), signed.encode(), "sha256")
    return f"{signed}.{encode_part(mac)}"


def usual_json(*more: str) -> str:
    return f"{json.dumps(claims())[:-1]}, {', '.join(more)}}}"


def own_rsa() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return jwt.PyJWS().encode(json.dumps(claims()).encode(), key, algorithm="RS256")


PLAIN = rules()
SWITCHED = rules(token_wildcard_room=False, token_wildcard_sub=False)
OF_TENANTS = rules(features=["tenants"], tenants=["acme", "globex"])
ANY_TENANT = rules(features=["tenants"])
UNVERIFIED = rules(token_domain_verification=False)
STRICT = rules(token_leeway=0, token_max_lifetime=60)

ODD: dict[str, tuple[Rules, Callable[[], str], str]] = {
    # Signatures and forms
    "as agreed": (PLAIN, token, ""),
    "no typ": (PLAIN, lambda: token({"alg": "HS256"}), ""),
    "typ in small letters": (PLAIN, lambda: token({"alg": "HS256", "typ": "jwt"}), "typ"),
    "typ at+jwt": (PLAIN, lambda: token({"alg": "HS256", "typ": "at+jwt"}), "typ"),
    "typ null": (PLAIN, lambda: token({"alg": "HS256", "typ": None}), "typ"),
    "alg HS384": (PLAIN, lambda: token({"alg": "HS384", "typ": "JWT"}, digest="sha384"), "alg"),
    "alg in small letters": (PLAIN, lambda: token({"alg": "hs256", "typ": "JWT"}), "alg"),
    "alg a number": (PLAIN, lambda: token({"alg": 256}), "Invalid token"),
    "alg RS256 of anybody": (PLAIN, own_rsa, "alg"),
    "crit": (PLAIN, lambda: token({**HEADER, "crit": ["exp"]}), "Invalid token"),
    "crit null": (PLAIN, lambda: token({**HEADER, "crit": None}), "Invalid token"),
    "kid of somewhere": (PLAIN, lambda: token({**HEADER, "kid": "other"}), ""),
    "kid a path": (PLAIN, lambda: token({**HEADER, "kid": "../../etc/passwd"}), ""),
    "kid a list": (PLAIN, lambda: token({**HEADER, "kid": ["a"]}), "Invalid kid"),
    "kid null": (PLAIN, lambda: token({**HEADER, "kid": None}), "Invalid kid"),
    "kid of 256 bytes": (PLAIN, lambda: token({**HEADER, "kid": "ä" * 128}), ""),
    "kid of 258 bytes": (PLAIN, lambda: token({**HEADER, "kid": "ä" * 129}), "Invalid kid"),
    "header twice alg": (
        PLAIN,
        lambda: literal(json.dumps(claims()), '{"alg":"none","typ":"JWT","alg":"HS256"}'),
        "",
    ),
    "header with a line break": (
        PLAIN,
        lambda: literal(json.dumps(claims()), '{\n"alg": "HS256"\n}'),
        "",
    ),
    "space around": (PLAIN, lambda: f" {token()} ", "Invalid token"),
    "line break behind": (PLAIN, lambda: f"{token()}\n", "Invalid token"),
    "link": (PLAIN, lambda: f"https://{DOMAIN}/standup?jwt={token()}", "Invalid token"),
    "padding": (PLAIN, lambda: f"{token()}=", "Invalid token"),
    "empty": (PLAIN, str, "Invalid token"),
    "a megabyte": (PLAIN, lambda: token(x="x" * 1024 * 1024), "too long"),
    "base64 with other end": (PLAIN, lambda: _other_end(token()), "Invalid"),
    "claims with other end": (PLAIN, spare_bits, "Invalid token"),
    "plus for minus": (PLAIN, lambda: token().replace("-", "+").replace("e", "+", 1), "Invalid"),
    # Times
    "exp a fraction": (PLAIN, lambda: token(exp=NOW + 1.5), ""),
    "exp as text": (PLAIN, lambda: token(exp=str(NOW + 60)), "exp must be number"),
    "exp true": (PLAIN, lambda: token(exp=True), "exp must be number"),
    "exp a list": (PLAIN, lambda: token(exp=[NOW + 60]), "exp must be number"),
    "exp in milliseconds": (PLAIN, lambda: token(exp=NOW * 1000), "by exp"),
    "exp in 1e400": (PLAIN, lambda: literal(usual_json('"exp": 1e400')), "by exp"),
    "exp Infinity": (PLAIN, lambda: literal(usual_json('"exp": Infinity')), "Invalid token"),
    "exp now": (PLAIN, lambda: token(exp=NOW), ""),  # the leeway
    "exp at the leeway": (PLAIN, lambda: token(exp=NOW - 30), "by exp"),
    "exp within the leeway": (PLAIN, lambda: token(exp=NOW - 29), ""),
    "exp now, no leeway": (STRICT, lambda: token(exp=NOW), "by exp"),
    "life as allowed": (STRICT, lambda: token(exp=NOW + 60), ""),
    "life too long": (STRICT, lambda: token(exp=NOW + 61), "after iat"),
    "life too long, no iat": (STRICT, lambda: token(exp=NOW + 61, iat=ABSENT), "from now"),
    "nbf in the leeway": (PLAIN, lambda: token(nbf=NOW + 30), ""),
    "nbf beyond it": (PLAIN, lambda: token(nbf=NOW + 31), "by nbf"),
    "nbf as text": (PLAIN, lambda: token(nbf=str(NOW)), "nbf must be number"),
    "nbf false": (PLAIN, lambda: token(nbf=False), "nbf must be number"),
    "iat in the future": (PLAIN, lambda: token(iat=NOW + 3600), ""),
    "iat null": (PLAIN, lambda: token(iat=None), "iat must be number"),
    # Issuer and audience
    "iss a number": (PLAIN, lambda: token(iss=1), "iss must be string"),
    "iss with a space": (PLAIN, lambda: token(iss="vestibule "), "iss"),
    "aud a list of two": (PLAIN, lambda: token(aud=["jitsi", "other"]), ""),
    "aud a list of others": (PLAIN, lambda: token(aud=["other", 5]), "aud"),
    "aud true": (PLAIN, lambda: token(aud=True), "aud"),
    "aud in capitals": (PLAIN, lambda: token(aud="JITSI"), "aud"),
    # Rooms
    "room of capitals": (PLAIN, lambda: token(room="STANDUP"), ""),
    "room *": (PLAIN, lambda: token(room="*"), ""),
    "room * switched off": (SWITCHED, lambda: token(room="*"), "wildcard"),
    "room **": (PLAIN, lambda: token(room="**"), ""),  # the name of a room
    "room empty": (PLAIN, lambda: token(room=""), "mismatched"),
    "room a number": (PLAIN, lambda: token(room=7), "room must be string"),
    "room with a space": (PLAIN, lambda: token(room="stand up"), "mismatched"),
    "room with an at sign": (PLAIN, lambda: token(room="a@b"), "mismatched"),
    "room of Jicofo's health": (PLAIN, lambda: token(room="__jicofo-health-check1"), "mismatched"),
    "room in capitals of Unicode": (PLAIN, lambda: token(room="ÄRZTE"), "mismatched"),
    "room of Unicode": (PLAIN, lambda: token(room="ärzte"), ""),
    "room encoded": (PLAIN, lambda: token(room="b%C3%BCro"), ""),
    "room of 2000 letters": (PLAIN, lambda: token(room="a" * 2000), "mismatched"),
    "room a pattern": (
        PLAIN,
        lambda: token(room="stand.*", context={"room": {"regex": True}}),
        "",
    ),
    "room a pattern, switched off": (
        SWITCHED,
        lambda: token(room="stand.*", context={"room": {"regex": "true"}}),
        "wildcard",
    ),
    # Sub
    "sub *": (PLAIN, lambda: token(sub="*"), ""),
    "sub * switched off": (SWITCHED, lambda: token(sub="*"), "sub claim may not be"),
    "sub in capitals": (PLAIN, lambda: token(sub=DOMAIN.upper()), ""),
    "sub with a dot behind": (PLAIN, lambda: token(sub=f"{DOMAIN}."), "mismatched"),
    "sub empty": (PLAIN, lambda: token(sub=""), "mismatched"),
    "sub a tenant, none here": (PLAIN, lambda: token(sub="acme"), "mismatched"),
    "sub a tenant": (OF_TENANTS, lambda: token(sub="Acme"), ""),
    "sub another tenant": (OF_TENANTS, lambda: token(sub="initech"), "no tenant"),
    "sub the domain beside tenants": (OF_TENANTS, token, ""),
    "sub any tenant": (ANY_TENANT, lambda: token(sub="whoever"), ""),
    "sub a tenant with a dot": (ANY_TENANT, lambda: token(sub="a.b"), "mismatched"),
    "claim form of the server": (ANY_TENANT, lambda: token(room="[acme]a", sub="acme"), "mismat"),
    "sub unverified": (UNVERIFIED, lambda: token(sub="elsewhere"), ""),
    # Context
    "no context": (PLAIN, lambda: token(context=ABSENT), ""),
    "context null": (PLAIN, lambda: token(context=None), "context must be object"),
    "context a list": (PLAIN, lambda: token(context=[]), ""),
    "context text": (PLAIN, lambda: token(context="x"), "context must be object"),
    "user text": (PLAIN, lambda: token(context={"user": "Ada"}), "context.user must be"),
    "features null": (PLAIN, lambda: token(context={"features": None}), "context.features"),
    "tenant a number": (PLAIN, lambda: token(context={"tenant": 1}), "context.tenant must be"),
    # JSON
    "claim twice, the last right": (PLAIN, lambda: literal(usual_json('"room": "other"')), ""),
    "claim twice, the last wrong": (PLAIN, lambda: literal(usual_json('"iss": "other"')), "iss"),
    "control character": (PLAIN, lambda: literal(usual_json(r'"x": "\u0001"')), "Invalid token"),
    "tabulator": (PLAIN, lambda: literal(usual_json(r'"x": "\t\u0009"')), ""),
    "no character": (PLAIN, lambda: literal(usual_json(r'"x": "\uFFFE"')), "Invalid token"),
    "half a surrogate": (PLAIN, lambda: literal(usual_json(r'"x": "\ud800"')), "Invalid token"),
    "comma at the end": (PLAIN, lambda: literal(json.dumps(claims())[:-1] + ",}"), "Invalid token"),
    "deep": (PLAIN, lambda: literal(usual_json(f'"x": {"[" * 2000}{"]" * 2000}')), "Invalid token"),
    "full stop behind a number": (PLAIN, lambda: literal(usual_json('"x": [1., 2.e3]')), ""),
    "full stops in a text": (PLAIN, lambda: literal(usual_json(r'"x": "1. \" 2."')), ""),
    "zero byte in the header": (
        PLAIN,
        lambda: literal(json.dumps(claims()), '{"alg":"HS256","x":"\0"}'),
        "Invalid token",
    ),
    "four-byte characters": (PLAIN, lambda: token(room="*", x="\U0001f511\u202e"), ""),
}


def _other_end(text: str) -> str:
    """The same bytes in base64url that is not canonical: the last letter has bits to spare."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + letters[letters.index(text[-1]) ^ 1]


@pytest.mark.parametrize("name", ODD)
def test_odd_tokens(name: str) -> None:
    under, make, words = ODD[name]
    verdict = judge(make(), under, NOW)
    assert words in verdict.reason
    assert verdict.enters == (not words), verdict.reason
    assert verdict.enters == all(each.fits is not False for each in verdict.findings)
    assert bool(verdict.rooms) or not verdict.enters


@pytest.mark.parametrize(
    ("under", "changes", "reach"),
    [
        (PLAIN, {}, 'the room "standup"'),
        (PLAIN, {"room": "*"}, "every room"),
        (OF_TENANTS, {}, 'the room "standup" without a tenant'),
        (OF_TENANTS, {"sub": "acme", "room": "*"}, 'every room of the tenant "acme"'),
        (OF_TENANTS, {"sub": "*"}, 'the room "standup" of every tenant'),
        (UNVERIFIED, {"sub": "x"}, 'the room "standup"'),
    ],
)
def test_rooms_in_words(under: Rules, changes: dict[str, Any], reach: str) -> None:
    assert judge(token(**changes), under, NOW).rooms == reach


@pytest.mark.parametrize(
    ("user", "role"),
    [
        ({"affiliation": "owner"}, "owner"),
        ({"affiliation": "teacher"}, "owner"),
        ({"affiliation": "Owner"}, "member"),
        ({"affiliation": ["owner"]}, "member"),
        ({"moderator": True}, "owner"),
        ({"moderator": "true"}, "owner"),
        ({"moderator": 1}, "member"),
        ({"moderator": "True"}, "member"),
        ([], "member"),
    ],
)
def test_owners_are_those_of_the_plugin(user: Any, role: str) -> None:
    assert judge(token(context={"user": user}), PLAIN, NOW).role == role


def test_a_room_is_asked_about() -> None:
    assert judge(token(), PLAIN, NOW, "StandUp").enters
    other = judge(token(), PLAIN, NOW, "other")
    assert (other.enters, other.stage, other.reason) == (False, "join", "Room and token mismatched")
    assert not judge(token(sub="acme"), OF_TENANTS, NOW, "standup", "globex").enters
    # Where no page leads, the server opens it all the same
    assert judge(token(sub="acme"), PLAIN, NOW, "standup", "acme").enters
    assert judge(token(sub="acme"), OF_TENANTS, NOW, "standup", "acme").enters


def test_a_tenant_with_a_full_stop_has_no_rooms() -> None:
    for under in (ANY_TENANT, replace(ANY_TENANT, domain_verification=False)):
        assert not judge(token(sub="a.b"), under, NOW, "standup", "a.b").enters
    verdict = judge(token(sub="a.b"), ANY_TENANT, NOW)
    assert [each.claim for each in verdict.findings if each.fits is False] == ["sub"]
    assert "no name of a tenant" in "".join(each.words for each in verdict.findings)


def test_a_token_of_others_is_read_all_the_same() -> None:
    verdict = judge(token(secret="other" * 8, sub="meet.other.example"), PLAIN, NOW)
    words = "\n".join(f"{each.claim}: {each.words}" for each in verdict.findings)
    assert not verdict.ours
    assert "a key that this deployment does not have" in words
    assert '"meet.other.example"' in words
    assert "It ends in 10 minutes (2026-11-30" in words


def test_a_name_that_no_link_leads_to_is_said() -> None:
    verdict = judge(token(room="ärzte"), PLAIN, NOW)
    assert '"%c3%a4rzte"' in "".join(each.words for each in verdict.findings)


def test_terminals_are_not_moved_by_names() -> None:
    name = "\u202e\x9b31m" + "x" * 200
    verdict = judge(token(context={"user": {"name": name}}), PLAIN, NOW)
    words = "".join(each.words for each in verdict.findings)
    assert words.isprintable()
    assert "x" * 100 not in words


# More than one key


def pem(key: rsa.RSAPrivateKey) -> str:
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


OWN = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = "9Kd7sPq1Zr5Xv3Bn8Lm2Tw6Hy4Jc0Gf"
KEYS = (
    Key(SECRET, kid="old", valid_until=NOW + 100),
    Key(OTHER, kid="new", valid_from=NOW - 100, issuers=("vestibule",), tenants=("acme",)),
    Key(pem(OWN), "RS256", "idp", issuers=("idp",)),
)
MANY = replace(OF_TENANTS, keys=KEYS, issuers=("vestibule", "idp"))


def signed_by_rsa(kid: str, **changes: Any) -> str:
    return jwt.encode(claims(**changes), OWN, "RS256", {"kid": kid})


def of_acme(**changes: Any) -> str:
    return token({**HEADER, "kid": "new"}, OTHER, sub="acme", **changes)


@pytest.mark.parametrize(
    ("make", "at", "words"),
    [
        (lambda: token({**HEADER, "kid": "old"}), NOW, ""),
        (token, NOW, ""),  # without kid all are tried
        (lambda: token({**HEADER, "kid": "new"}), NOW, "Invalid signature"),
        (lambda: token({**HEADER, "kid": "gone"}), NOW, "Unknown kid"),
        (lambda: token({**HEADER, "kid": "old"}), NOW + 100, "Key not valid now"),
        (token, NOW + 100, "Invalid signature"),  # another of that algorithm counts
        (lambda: token({**HEADER, "kid": "new"}, OTHER, sub="acme"), NOW, ""),
        (lambda: token({**HEADER, "kid": "new"}, OTHER, sub="globex"), NOW, "tenant of the key"),
        (lambda: token({**HEADER, "kid": "new"}, OTHER, sub="*"), NOW, "tenant of the key"),
        (lambda: token({**HEADER, "kid": "new"}, OTHER, sub="acme"), NOW - 101, "Key not valid"),
        (lambda: token({**HEADER, "kid": "new"}, OTHER, sub="acme", iss="idp"), NOW, "'iss'"),
        (lambda: signed_by_rsa("idp", iss="idp"), NOW, ""),
        (lambda: signed_by_rsa("idp"), NOW, "'iss'"),
        (lambda: signed_by_rsa("old", iss="idp"), NOW, "incorrect alg"),
        (lambda: token({**HEADER, "kid": "idp"}, pem(OWN), iss="idp"), NOW, "incorrect alg"),
        (lambda: signed_by_rsa("idp", iss="idp", exp=NOW - 29), NOW, ""),  # the leeway
        (lambda: _other_end(signed_by_rsa("idp", iss="idp")), NOW, "Invalid signature"),
        (
            lambda: token(
                {**HEADER, "kid": "new"}, OTHER, sub="acme", context={"tenant": "globex"}
            ),
            NOW,
            "tenant of the key",
        ),
        *(
            (lambda regex=regex: of_acme(context={"room": {"regex": regex}}), NOW, words)
            for regex, words in ((True, "pattern"), ("true", "pattern"), (False, ""), (1, ""))
        ),
        (lambda: token(context={"room": {"regex": True}}), NOW, ""),
        (lambda: token(aud=["other", "jitsi"]), NOW, ""),
        (lambda: token(aud=["other"]), NOW, "'aud'"),
    ],
)
def test_keys_sign_for_their_own(make: Callable[[], str], at: int, words: str) -> None:
    verdict = judge(make(), MANY, at)
    assert words in verdict.reason
    assert verdict.enters == (not words), verdict.reason


def test_what_the_keys_of_a_model_are() -> None:
    given = {
        "features": ["tenants"],
        "token_issuers": ["vestibule", "idp"],
        "token_keys": [
            {"kid": "app", "algorithm": "HS256", "secret_name": "token_app", "tenants": ["acme"]},
            {
                "kid": "idp",
                "algorithm": "RS384",
                "public_key": pem(OWN),
                "issuers": ["idp"],
                "not_before": "2026-01-01T00:00:00Z",
                "not_after": "2199-01-01T00:00:00Z",
            },
        ],
    }
    both = ("vestibule", "idp")
    assert keys_of(options_of(**given), {"app": SECRET}) == [
        Key(SECRET, "HS256", "app", both, ("acme",)),
        Key(pem(OWN), "RS384", "idp", ("idp",), (), 1767225600, 7226582400),
    ]


def test_without_keys_the_one_secret_signs_for_all_but_the_provider() -> None:
    options = options_of(**PROVIDED)
    assert keys_of(options, {"": SECRET}) == [Key(SECRET, issuers=("vestibule",))]


def test_a_key_of_a_tenant_opens_no_room_of_another() -> None:
    own = replace(MANY, domain_verification=False)
    acme = token({**HEADER, "kid": "new"}, OTHER, sub="acme")
    assert judge(acme, own, NOW).rooms == 'the room "standup" of the tenant "acme"'
    assert judge(acme, own, NOW, "standup", "acme").enters
    for tenant in ("", "globex"):
        assert judge(acme, own, NOW, "standup", tenant).reason == "Room and token mismatched"


def test_an_ended_key_says_when_it_ended() -> None:
    for header in ({**HEADER, "kid": "old"}, HEADER):
        verdict = judge(token(header), MANY, NOW + 100)
        assert verdict.ours
        words = [each.words for each in verdict.findings if each.claim == "kid"]
        assert words == ["The key old counted until now (2026-11-30 00:55 UTC)."]


def test_a_kid_of_nobody_leaves_the_key_without_one() -> None:
    (said,) = (
        each
        for each in judge(token({**HEADER, "kid": "other"}), PLAIN, NOW).findings
        if each.claim == "kid"
    )
    assert (said.fits, said.words) == (
        None,
        'No key has the kid "other", and the key of this deployment has none.',
    )


# Revocation

REVOKED = replace(
    MANY,
    revoked=Revoked(kids=("old",), jtis=("t-1", "7"), users=("u-17",), issued_before=NOW - 60),
)


@pytest.mark.parametrize(
    ("header", "changes", "claim"),
    [
        ({"kid": "new"}, {}, ""),
        ({"kid": "old"}, {}, "kid"),
        ({}, {}, "kid"),  # of the key, whatever the header names
        ({"kid": "new"}, {"jti": "t-1"}, "jti"),
        ({"kid": "new"}, {"jti": 7}, "jti"),
        ({"kid": "new"}, {"jti": 7.0}, "jti"),
        ({"kid": "new"}, {"jti": 7.5}, ""),
        ({"kid": "new"}, {"jti": ["t-1"]}, ""),
        ({"kid": "new"}, {"context": {"user": {"id": "u-17"}}}, "context.user.id"),
        ({"kid": "new"}, {"context": {"user": {"id": "U-17"}}}, ""),
        ({"kid": "new"}, {"context": ABSENT, "user_id": "u-17"}, "user_id"),
        ({"kid": "new"}, {"user_id": "u-17"}, ""),  # there is a context
        ({"kid": "new"}, {"iat": NOW - 61}, "iat"),
        ({"kid": "new"}, {"iat": NOW - 60}, ""),
        ({"kid": "new"}, {"iat": ABSENT}, "iat"),
    ],
)
def test_what_is_revoked_counts_no_more(
    header: dict[str, Any], changes: dict[str, Any], claim: str
) -> None:
    secret = OTHER if header.get("kid") == "new" else SECRET
    sub = "acme" if secret == OTHER else DOMAIN
    verdict = judge(token({**HEADER, **header}, secret, sub=sub, **changes), REVOKED, NOW)
    assert verdict.reason == ("Token revoked" if claim else "")
    refused = [each for each in verdict.findings if each.fits is False]
    assert [each.claim for each in refused] == ([claim] if claim else [])
    assert all("jitsi_token_revoked" in each.words for each in refused)


def test_what_a_model_revokes() -> None:
    given = {"jtis": ["t-1"], "users": ["u"], "issued_before": "2026-01-01T00:00:00Z"}
    assert rules(token_revoked=given).revoked == Revoked((), ("t-1",), ("u",), 1767225600)


# Of the identity provider

PROVIDED: dict[str, Any] = {
    "features": ["tenants"],
    "token_issuers": ["vestibule", "idp"],
    "token_jwks_url": "https://id.example.org/keys.json",
    "token_jwks_issuers": ["idp"],
    "token_jwks_tenants": ["acme"],
    "token_revoked": {"kids": ["stolen"]},
}
OF_PROVIDER: dict[str, Any] = {"iss": "idp", "sub": "acme"}


def test_keys_of_the_provider_are_on_the_server_only() -> None:
    verdict = judge(signed_by_rsa("any", **OF_PROVIDER), rules(**PROVIDED), NOW)
    assert (verdict.enters, verdict.reason, verdict.ours) == (False, "", False)
    assert verdict.is_open
    assert [each for each in verdict.findings if each.fits is False] == []
    (words,) = (each.words for each in verdict.findings if each.claim == "signature")
    assert "on the server only, so nobody has looked at it" in words


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: signed_by_rsa("any", **{**OF_PROVIDER, "exp": NOW - 60}), "by exp"),
        (lambda: signed_by_rsa("any", **{**OF_PROVIDER, "sub": "globex"}), "tenant of the key"),
        (lambda: signed_by_rsa("stolen", **OF_PROVIDER), "Token revoked"),
        (lambda: signed_by_rsa("any", sub="acme"), "incorrect alg"),
        (lambda: token(**OF_PROVIDER), "'iss'"),
        (lambda: token(secret=OTHER, **OF_PROVIDER), "Invalid signature"),
    ],
)
def test_what_no_signature_of_the_provider_could_save(make: Callable[[], str], words: str) -> None:
    verdict = judge(make(), rules(**PROVIDED), NOW)
    assert words in verdict.reason
    assert not (verdict.enters or verdict.is_open)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("Standup", "standup"),
        ("Ä", "ä"),
        ("ß", "ss"),
        ("a b", None),
        ("a/b", None),
        ("", None),
        ("\u05d0a", None),
        ("ﬁ", "fi"),
    ],
)
def test_names_in_addresses(name: str, address: str | None) -> None:
    assert nodeprep(name) == address
