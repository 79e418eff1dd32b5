"""Whether a deployment would let a token in, into which rooms, as what, and if not, why.

The rules are those of the server, in its order: ``mod_token_guard``, upstream's ``mod_auth_token``
with ``luajwtjitsi`` and ``token/util``, ``mod_token_verification`` and ``mod_muc_reserved``. No
server is asked. Its answer is `Verdict.reason`; the `Finding`s say it claim by claim.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import math
import re
import stringprep
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote

from vestibule.rotation.state import NO_ROTATIONS, Rotations
from vestibule.tokens import key_file
from vestibule.tokens.address import HEALTH_ROOMS, address_part
from vestibule.tokens.shown import shown as shown_value
from vestibule.tokens.times import moment, span

MAX_BYTES = 8192  # token_guard_max_bytes
END_OF_TIME = 253402300800  # the year 10000; today in milliseconds is later
LONGEST_PART = 1023  # bytes, RFC 7622 section 3.3.1
PROVIDER = "the identity provider (jitsi_token_jwks_url)"
RECORDING = ("recording", "livestreaming", "transcription", "outbound-call", "sip-outbound-call")

_FORM = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_LOW = re.compile(r"\\u00([01][0-9a-fA-F])")
_RAW = re.compile(r"[\0-\x08\x0b\x0c\x0e-\x1f]|\\u[fF][fF][fF][eEfF]|[\ufffe\uffff]")
_OWNERS = ("owner", "moderator", "teacher")
_DIGESTS = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}
_RSA = ("RS256", "RS384", "RS512")
_LONGEST_KID = 256  # bytes
_ABSENT: Any = object()


@dataclass(frozen=True)
class Key:
    """A key by which a deployment verifies. What is empty or None bounds nothing."""

    secret: str = field(repr=False)  # of HS256, or a public key in PEM
    algorithm: str = "HS256"
    kid: str | None = None
    issuers: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    valid_from: float | None = None  # seconds since 1970
    valid_until: float | None = None
    is_provided: bool = False  # of the identity provider, whose keys are on the server only

    def counts(self, now: float) -> bool:
        """Whether it does at that time."""
        begun = self.valid_from is None or now >= self.valid_from
        return begun and (self.valid_until is None or now < self.valid_until)

    @property
    def called(self) -> str:
        """The name of the key for people."""
        if self.is_provided:
            return PROVIDER
        return f"the key {self.kid}" if self.kid else "the key of this deployment"


@dataclass(frozen=True)
class Revoked:
    """What makes a token count no more, whatever else it says."""

    kids: tuple[str, ...] = ()
    jtis: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    issued_before: float | None = None  # seconds since 1970


@dataclass(frozen=True)
class Rules:
    """What a deployment asks of tokens."""

    domain: str
    keys: tuple[Key, ...]
    issuers: tuple[str, ...]
    audiences: tuple[str, ...]
    lists_of_audiences: bool = False  # whether aud may be a list that holds an accepted one
    has_tenants: bool = False
    tenants: tuple[str, ...] = ()  # empty: any
    wildcard_room: bool = True
    wildcard_sub: bool = True
    domain_verification: bool = True
    max_lifetime: int = 86400  # seconds
    leeway: int = 30  # seconds, for tokens of HS256
    moderation: str = "presence"  # or token, login: moderation_by of the conference host
    recording_guard: bool = True
    revoked: Revoked = Revoked()
    provider: Key | None = None  # for whom keys sign that are on the server only


# Of nobody
_UNBOUNDED = Rules(
    domain="", keys=(), issuers=(), audiences=(), max_lifetime=END_OF_TIME, moderation="token"
)


def keys_of(
    options: Mapping[str, Any],
    secrets: Mapping[str, str],
    rotations: Rotations = NO_ROTATIONS,
) -> list[Key]:
    """The keys of a compiled model, as in its file of keys.

    ``secrets`` are those of the keys by kid; that of "" signs where there are no keys.
    """
    return [
        Key(
            key.get("public_key") or key["secret"],
            key["algorithm"],
            key.get("kid"),
            tuple(key["issuers"]),
            tuple(key.get("tenants", ())),
            key.get("not_before"),
            key["not_after"],
        )
        for key in key_file.keys_of(options, secrets, rotations)
    ]


def _provider(options: Mapping[str, Any]) -> Key | None:
    if not options["token_jwks_url"]:
        return None
    return Key(
        "",
        issuers=tuple(options["token_jwks_issuers"]),
        tenants=tuple(options["token_jwks_tenants"]),
        is_provided=True,
    )


def rules_of(model: Mapping[str, Any], keys: Sequence[Key]) -> Rules:
    """The rules of a compiled model, whose keys come from elsewhere."""
    options, features = model["options"], model["features"]
    revoked = options["token_revoked"]
    conference = model["prosody"]["hosts"][f"conference.{model['names']['domain']}"]
    return Rules(
        domain=model["names"]["domain"],
        keys=tuple(keys),
        issuers=tuple(options["token_issuers"]),
        audiences=tuple(options["token_audiences"]),
        lists_of_audiences=True,
        has_tenants="tenants" in features,
        tenants=tuple(options.get("tenants", ())),
        wildcard_room=options["token_wildcard_room"],
        wildcard_sub=options["token_wildcard_sub"],
        domain_verification=options["token_domain_verification"],
        max_lifetime=options["token_max_lifetime"],
        leeway=options["token_leeway"],
        moderation=conference["settings"].get("moderation_by", "presence"),
        recording_guard="recording_guard" in features,
        revoked=Revoked(
            tuple(revoked["kids"]),
            tuple(revoked["jtis"]),
            tuple(revoked["users"]),
            revoked["issued_before"],
        ),
        provider=_provider(options),
    )


@dataclass(frozen=True)
class Finding:
    """What is to be said of one claim: whether it fits, or None where nothing depends on it."""

    claim: str
    fits: bool | None
    words: str


@dataclass(frozen=True)
class Doors:
    """Which rooms the claims of a verified token open."""

    room: str  # in lower case as the server compares; "*" for every room
    sub: str
    is_pattern: bool
    rules: Rules
    tenants: tuple[str, ...] = ()  # of its key: rooms of no other tenant, nor without one

    def opens(self, room: str, tenant: str = "") -> bool | None:
        """Whether they open this room, named as in its address. None: a pattern decides."""
        node, of = nodeprep(room), nodeprep(tenant) if tenant else ""
        if node is None or of is None or "." in of or node.startswith(HEALTH_ROOMS):
            return False  # upstream takes no full stop for a part of a tenant
        if of and self.rules.tenants and of not in self.rules.tenants:
            return False
        if self.tenants and of not in self.tenants:
            return False
        if not self.rules.domain_verification:
            whole = f"[{of}]{node}" if of else node
            return self.room in ("*", whole) or whole.endswith(f"]{self.room}")
        if self.sub not in ("*", of or self.rules.domain):
            return False
        if self.room == "*":
            return True
        if self.is_pattern:
            return None if re.search(r"[\^$*+?.()\[\]%-]", self.room) else node == self.room
        return node == self.room

    @property
    def is_of_tenant(self) -> bool:
        """Whether the sub claim is the name of a tenant that this server can have."""
        listed = self.rules.tenants
        is_name = nodeprep(self.sub) == self.sub and "." not in self.sub
        return is_name and (not listed or self.sub in listed)

    def reach(self) -> str:
        """In words; empty where they open none."""
        if not self.rules.domain_verification or self.sub == "*":
            where = " of every tenant" if self.rules.has_tenants else ""
            if self.tenants:
                where = f" of the tenant {_one_of(self.tenants)}"
        elif self.sub == self.rules.domain:
            where = " without a tenant" if self.rules.has_tenants else ""
        elif not self.rules.has_tenants or not self.is_of_tenant:
            return ""
        else:
            where = f" of the tenant {shown(self.sub)}"
        if self.room == "*":
            return f"every room{where}"
        if self.is_pattern:
            return f"rooms{where} whose name fits the Lua pattern {shown(self.room)}"
        if not self.room or nodeprep(self.room) != self.room or self.room.startswith(HEALTH_ROOMS):
            return ""
        if self.room.startswith("[") and "]" in self.room:
            return ""  # an address within the server, which no claim equals
        name = unquote(self.room)
        read_as = f" ({shown(name)})" if name != self.room else ""
        return f"the room {shown(self.room)}{read_as}{where}"


@dataclass(frozen=True)
class Verdict:
    """The answer of the server, and why."""

    enters: bool
    stage: str  # where it ends: login, join, or empty
    reason: str  # in the server's words, empty where it enters
    findings: tuple[Finding, ...]
    rooms: str = ""
    role: str = ""
    features: tuple[str, ...] = ()
    ours: bool = False  # signed with a key of this deployment
    doors: Doors | None = None
    is_unseen: bool = False  # its key is on the server only, so nobody looked at its signature

    @property
    def is_open(self) -> bool:
        """Whether nothing but that signature can keep it out."""
        return self.is_unseen and not self.reason


def shown(value: object) -> str:
    """A value of a token, which may be missing."""
    return "missing" if value is _ABSENT else shown_value(value)


class _Refused(Exception):
    """The server goes no further."""


class _Judge:
    """Collects findings, of which the first that does not fit is the server's answer."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.stage = self.reason = ""

    def note(self, claim: str, words: str, fits: bool | None = None) -> None:
        self.findings.append(Finding(claim, fits, words))

    def fault(self, claim: str, reason: str, words: str, stage: str = "login") -> None:
        self.findings.append(Finding(claim, False, words))
        if not self.reason:
            self.stage, self.reason = stage, reason

    def end(self, claim: str, reason: str, words: str) -> _Refused:
        self.fault(claim, reason, words)
        return _Refused()


def judge(token: str, rules: Rules, now: float, room: str = "", tenant: str = "") -> Verdict:
    """What the server of these rules answers at the time ``now``, in seconds since 1970.

    With ``room``, and its ``tenant``, the verdict is about that room; without, about any.
    """
    our, time = _Judge(), math.floor(now)
    try:
        header, text, signed, signature = read(token, our)
        claims = json_of(text)
        key = _check_key(header, claims, signed, signature, rules, time, our)
        _check_claims(claims, text, our)
    except _Refused:
        return Verdict(False, our.stage, our.reason, tuple(our.findings))
    _check_types(claims, our)
    _check_times(claims, rules, rules.leeway, time, our)
    _check_issuer(claims, rules, key, our)
    if key is not None:
        _check_tenants_of_key(claims, key, our)
    _check_revoked(claims, rules.revoked, key, time, our)
    _check_type_of_token(header, our)
    _check_audience(claims, rules, our)
    doors = _check_rooms(claims, rules, key, our)
    if doors is not None and not room:
        _note_rooms(doors, claims, our)
    elif doors is not None:
        opened = doors.opens(room, tenant)
        asked = f"the room {shown(room)}{f' of the tenant {shown(tenant)}' if tenant else ''}"
        if opened is False:
            our.fault("room", "Room and token mismatched", f"It does not open {asked}.", "join")
        else:
            words = f"It opens {asked}."
            our.note("room", words if opened else f"Its pattern decides about {asked}.", opened)
    role = _role(claims, rules, our)
    features = _features(claims, rules, our)
    reach = doors.reach() if doors else ""
    is_unseen = key is not None and key.is_provided
    return Verdict(
        enters=not our.reason and not is_unseen,
        stage=our.stage,
        reason=our.reason,
        findings=tuple(our.findings),
        rooms=reach,
        role=role,
        features=features,
        ours=key is not None and not is_unseen,
        doors=doors if our.stage != "login" else None,
        is_unseen=is_unseen,
    )


def look(token: str, now: float) -> Verdict:
    """What a token says of itself, where nobody is known who would verify it.

    It does not enter where every deployment would refuse it: no token, or none of this time.
    """
    our, time = _Judge(), math.floor(now)
    try:
        header, text, _, _ = read(token, our)
        claims = json_of(text)
        _check_claims(claims, text, our)
    except _Refused:
        return Verdict(False, our.stage, our.reason, tuple(our.findings))
    for name in ("alg", "typ", "kid"):
        if member(header, name) is not _ABSENT:
            our.note(name, f"It is {shown(header[name])}.")
    our.note("signature", "Nobody has looked at it: name an inventory.")
    _check_types(claims, our)
    _check_times(claims, _UNBOUNDED, 0, time, our)
    for name in ("iss", "aud", "sub", "room"):
        our.note(name, f"It is {shown(member(claims, name))}.")
    _role(claims, _UNBOUNDED, our)
    features = _features(claims, _UNBOUNDED, our)
    return Verdict(not our.reason, our.stage, our.reason, tuple(our.findings), features=features)


# Form


def text_of(part: str) -> str | None:
    """The text in one part of a token, base64url in its canonical form (RFC 7515, section 2)."""
    try:
        content = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
        canonical = base64.urlsafe_b64encode(content).rstrip(b"=").decode() == part
        return content.decode() if canonical else None
    except (binascii.Error, UnicodeDecodeError):
        return None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


# As cjson reads: line breaks may stand in texts, and every number is a double
_JSON = json.JSONDecoder(
    strict=False,
    parse_constant=_refuse_constant,
    parse_int=lambda text: int(text) if len(text) < 300 else float(text),
)


# Texts, which stay as they are, or a full stop at the end of a number, which cjson takes
_WITHOUT_DIGITS = re.compile(r'"(?:[^"\\]|\\.)*"|(?<=[0-9])\.(?![0-9])', re.DOTALL)


def _with_digit(found: re.Match[str]) -> str:
    return ".0" if found[0] == "." else found[0]


def json_of(text: str | None) -> Any:
    """The object or list in some JSON, or None."""
    if text is None or "\0" in text:
        return None
    try:
        value = _JSON.decode(_WITHOUT_DIGITS.sub(_with_digit, text))
        json.dumps(value, ensure_ascii=False).encode()  # halves of surrogates are no text
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, (dict, list)) else None


def breaks_xml(text: str) -> bool:
    """Whether JSON has characters that XML cannot carry, as they are or escaped."""
    low = any(code.lower() not in ("09", "0a", "0d") for code in _LOW.findall(text))
    return low or _RAW.search(text) is not None


def member(value: Any, name: str) -> Any:
    """A member, or `_ABSENT`; lists have none with a name."""
    return value.get(name, _ABSENT) if isinstance(value, dict) else _ABSENT


def read(token: str, our: _Judge) -> tuple[Any, str | None, str, str]:
    """Header, the text of the claims, what is signed, and the signature."""
    size = len(token.encode(errors="surrogatepass"))
    if size > MAX_BYTES:
        raise our.end(
            "form", "Token too long", f"It has {size} bytes, and at most {MAX_BYTES} are taken."
        )
    found = _FORM.fullmatch(token)
    if not found:
        raise our.end("form", "Invalid token", _form_fault(token))
    header = json_of(text_of(found[1]))
    if header is None or not isinstance(member(header, "alg"), str):
        raise our.end(
            "header",
            "Invalid token",
            "Its first part is no header of a token: base64url of a JSON object with alg.",
        )
    if member(header, "crit") is not _ABSENT:
        raise our.end(
            "crit",
            "Invalid token",
            "Its header has crit: it asks for something that no server here understands.",
        )
    return header, text_of(found[2]), f"{found[1]}.{found[2]}", found[3]


def _check_claims(claims: Any, text: str | None, our: _Judge) -> None:
    if claims is None or text is None or breaks_xml(text):
        raise our.end(
            "claims",
            "Invalid token",
            "Its claims are no JSON object that XML could carry: cut off, or with control"
            " characters.",
        )


def _form_fault(token: str) -> str:
    if not token:
        return "It is empty."
    if token.startswith(("http://", "https://")):
        return "It is an address. The token is what stands behind jwt= in it."
    if token != token.strip():
        return "It has white space around it."
    if token.lower().startswith("bearer "):
        return "It begins with Bearer, which belongs to a header of HTTP and not to the token."
    parts = token.split(".")
    if len(parts) != 3:
        return f"It has {len(parts)} parts with dots between them, and a token has three."
    if not parts[2]:
        return "It has no signature."
    if not all(parts):
        return "One of its parts is empty."
    return "It has other characters than letters, digits, - and _ in its parts."


# Keys


def _check_key(
    header: Any,
    claims: Any,
    signed: str,
    signature: str,
    rules: Rules,
    now: int,
    our: _Judge,
) -> Key | None:
    algorithm, kid = header["alg"], member(header, "kid")
    if kid is not _ABSENT and not (isinstance(kid, str) and len(kid.encode()) <= _LONGEST_KID):
        words = f"It is {shown(kid)}, and has to be text of at most {_LONGEST_KID} bytes."
        our.fault("kid", "Invalid kid", words)
        return None
    # A kid that nobody has leaves the keys without one
    named = [key for key in rules.keys if kid is not _ABSENT and key.kid == kid]
    tried = named or [key for key in rules.keys if kid is _ABSENT or key.kid is None]
    fitting = [key for key in tried if key.algorithm == algorithm]
    counting = [key for key in fitting if key.counts(now)]
    signer = next((key for key in fitting if verifies(key, signed, signature)), None)
    if signer in counting:
        our.note("signature", f"It was signed with {signer.called}.", fits=True)
        if kid is not _ABSENT and not named:
            our.note("kid", f"No key has the kid {shown(kid)}, and {signer.called} has none.")
        return signer
    provider = rules.provider
    if provider and algorithm in _RSA and member(claims, "iss") in provider.issuers:
        our.note(
            "signature",
            f"Keys of {provider.called} are on the server only, so nobody has looked at it.",
        )
        return replace(provider, algorithm=algorithm, kid=None if kid is _ABSENT else kid)
    if not tried:
        our.fault("kid", "Unknown kid", f"This deployment has no key with the kid {shown(kid)}.")
        return None
    if not fitting:
        algorithms = " and ".join(sorted({key.algorithm for key in tried}))
        whose = f"the key {shown(kid)} is of" if named else "this deployment takes"
        our.fault(
            "alg",
            "Invalid or incorrect alg",
            f"It is signed by {shown(algorithm)}, and {whose} {algorithms}.",
        )
        return None
    if signer or not counting:
        reason = "Invalid signature" if counting else "Key not valid now"
        our.fault("kid", reason, _time_of_key(signer or fitting[0], now))
        return signer
    our.fault(
        "signature",
        "Invalid signature",
        "It was signed with a key that this deployment does not have, or was changed. What it says"
        " of itself is below; perhaps it is for another deployment"
        f"{_whose(claims, rules)}.",
    )
    return None


def _whose(claims: Any, rules: Rules) -> str:
    said = member(claims, "sub")
    others = isinstance(said, str) and said.lower() != rules.domain and said != "*"
    return f", as its sub claim is {shown(said)}" if others else ""


def _time_of_key(key: Key, now: int) -> str:
    if key.valid_from is not None and now < key.valid_from:
        words = f"{key.called} counts from {moment(key.valid_from, now)}."
    else:
        words = f"{key.called} counted until {moment(key.valid_until or 0, now)}."
    return words[0].upper() + words[1:]


def verifies(key: Key, signed: str, signature: str) -> bool:
    """Whether the signature is right and in canonical base64url."""
    if key.algorithm in _DIGESTS:
        mac = hmac.digest(key.secret.encode(), signed.encode(), _DIGESTS[key.algorithm])
        right = base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
        return hmac.compare_digest(right, signature)
    if key.algorithm not in _RSA:
        return False
    from jwt import algorithms  # noqa: PLC0415 — it loads cryptography, which HS256 does without

    try:
        content = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
        if base64.urlsafe_b64encode(content).rstrip(b"=").decode() != signature:
            return False
        rsa = algorithms.get_default_algorithms()[key.algorithm]
        return bool(rsa.verify(signed.encode(), rsa.prepare_key(key.secret), content))
    except (ValueError, TypeError):
        return False


# Claims


def _check_types(claims: Any, our: _Judge) -> None:
    for name in ("iss", "sub", "room"):
        value = member(claims, name)
        if value is not _ABSENT and not isinstance(value, str):
            our.fault(name, f"{name} must be string", f"It is {shown(value)}, and has to be text.")
    context = member(claims, "context")
    if context is _ABSENT:
        return
    if not isinstance(context, (dict, list)):
        our.fault("context", "context must be object", f"It is {shown(context)}, and no object.")
        return
    tenant = member(context, "tenant")
    if tenant is not _ABSENT and not isinstance(tenant, str):
        our.fault(
            "context.tenant", "context.tenant must be string", f"It is {shown(tenant)}, no text."
        )
    for name in ("user", "features", "room"):
        value = member(context, name)
        if value is not _ABSENT and not isinstance(value, (dict, list)):
            our.fault(
                f"context.{name}",
                f"context.{name} must be object",
                f"It is {shown(value)}, and no object.",
            )


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_times(claims: Any, rules: Rules, leeway: int, now: int, our: _Judge) -> None:
    times = {name: member(claims, name) for name in ("exp", "nbf", "iat")}
    faults = len(our.findings)
    for name, value in times.items():
        if value is not _ABSENT and not _number(value):
            our.fault(
                name,
                f"{name} must be number",
                f"It is {shown(value)}, and has to be a number: seconds since 1970.",
            )
        elif value is not _ABSENT and not -END_OF_TIME < value < END_OF_TIME:
            our.fault(
                name,
                f"Not acceptable by {name} (no time in seconds since 1970, perhaps in"
                " milliseconds)",
                f"It is {shown(value)}, which is no time in seconds since 1970."
                " Perhaps these are milliseconds.",
            )
    exp, nbf, iat = times.values()
    if exp is _ABSENT:
        our.fault("exp", "exp claim is missing", "It is missing. A token has to end.")
    if len(our.findings) > faults:
        return
    if now >= exp + leeway:
        our.fault(
            "exp",
            f"Not acceptable by exp ({now - exp:.0f} sec since expired)",
            f"It ended {moment(exp, now)}.",
        )
        return
    if nbf is not _ABSENT and now + leeway < nbf:
        our.fault(
            "nbf",
            f"Not acceptable by nbf (valid in {nbf - now:.0f} sec)",
            f"It begins {moment(nbf, now)}.",
        )
    elif iat is not _ABSENT and exp - iat > rules.max_lifetime:
        our.fault(
            "exp",
            f"Not acceptable by exp ({exp - iat:.0f} sec after iat, {rules.max_lifetime} are"
            " allowed)",
            f"It ends {span(exp - iat)} after it was issued, and"
            f" {span(rules.max_lifetime)} are allowed (jitsi_token_max_lifetime).",
        )
    elif exp - now > rules.max_lifetime + leeway:
        our.fault(
            "exp",
            f"Not acceptable by exp ({exp - now:.0f} sec from now, {rules.max_lifetime} are"
            " allowed)",
            f"It ends {moment(exp, now)}, and tokens live"
            f" {span(rules.max_lifetime)} at most (jitsi_token_max_lifetime).",
        )
    else:
        late = f" It lives on for the leeway of {leeway} seconds." if now >= exp else ""
        our.note("exp", f"It ends {moment(exp, now)}.{late}".replace("ends", _ends(exp, now)), True)
    for name, words in (("nbf", "It counts from"), ("iat", "It was issued")):
        value = times[name]
        if value is not _ABSENT and not any(each.claim == name for each in our.findings[faults:]):
            our.note(name, f"{words} {moment(value, now)}.", True if name == "nbf" else None)


def _ends(exp: float, now: int) -> str:
    return "ended" if now >= exp else "ends"


def _check_type_of_token(header: Any, our: _Judge) -> None:
    kind = member(header, "typ")
    if kind not in ("JWT", _ABSENT):  # mod_token_guard adds what is missing
        our.fault("typ", "Invalid typ", f'typ in its header is {shown(kind)}, and has to be "JWT".')


def _check_issuer(claims: Any, rules: Rules, key: Key | None, our: _Judge) -> None:
    value = member(claims, "iss")
    if value is _ABSENT:
        our.fault("iss", "'iss' claim is missing", f"It is missing. Set {_one_of(rules.issuers)}.")
    elif isinstance(value, str) and value not in rules.issuers:
        our.fault(
            "iss",
            "invalid 'iss' claim",
            f"It is {shown(value)}, and this deployment takes {_one_of(rules.issuers)}"
            " (jitsi_token_issuer).",
        )
    elif isinstance(value, str) and key and key.issuers and value not in key.issuers:
        our.fault(
            "iss",
            "invalid 'iss' claim",
            f"It is {shown(value)}, and {key.called} signs for {_one_of(key.issuers)} alone.",
        )
    elif isinstance(value, str):
        our.note("iss", f"It is {shown(value)}, as this deployment asks.", fits=True)


def _check_tenants_of_key(claims: Any, key: Key, our: _Judge) -> None:
    sub, tenant = member(claims, "sub"), member(member(claims, "context"), "tenant")
    if not key.tenants or sub is _ABSENT:
        return
    for name, value in (("sub", sub), ("context.tenant", tenant)):
        if isinstance(value, str) and _lower(value) not in key.tenants:
            our.fault(
                name,
                "sub claim is no tenant of the key",
                f"It is {shown(value)}, and {key.called} signs for {_one_of(key.tenants)} alone.",
            )
    if _is_pattern(claims):
        our.fault(
            "room",
            "room claim may not be a pattern",
            f"context.room.regex makes a pattern of it, and {key.called} signs for tenants,"
            ' whose tokens name one room or "*".',
        )


def _is_pattern(claims: Any) -> bool:
    regex = member(member(member(claims, "context"), "room"), "regex")
    return regex is True or regex == "true"


def _check_revoked(claims: Any, revoked: Revoked, key: Key | None, now: int, our: _Judge) -> None:
    """As mod_token_keys, which goes by the kid of the key and not by that of the header."""
    place = "in jitsi_token_revoked"
    user = member(member(member(claims, "context"), "user"), "id")
    of_user = "context.user.id"
    if member(claims, "context") is _ABSENT:
        user, of_user = member(claims, "user_id"), "user_id"
    for claim, value, names, kind in (
        ("kid", key.kid if key else None, revoked.kids, "kids"),
        ("jti", _name_of(member(claims, "jti")), revoked.jtis, "jtis"),
        (of_user, _name_of(user), revoked.users, "users"),
    ):
        if value is not None and value in names:
            our.fault(claim, "Token revoked", f"It is {shown(value)}, which is {place}: {kind}.")
    before, issued = revoked.issued_before, member(claims, "iat")
    if before is not None and issued is _ABSENT:
        our.fault(
            "iat",
            "Token revoked",
            f"It is missing, and {place} is issued_before: every token has to say when it was"
            " issued.",
        )
    elif before is not None and _number(issued) and issued < before:
        words = f"It is before {moment(before, now)}, issued_before {place}."
        our.fault("iat", "Token revoked", words)


def _name_of(value: Any) -> str | None:
    """The text of an id, which may be a number, as in Lua."""
    if _number(value):
        return f"{float(value):.0f}" if value % 1 == 0 else f"{value:.14g}"
    return value if isinstance(value, str) else None


def _check_audience(claims: Any, rules: Rules, our: _Judge) -> None:
    value = member(claims, "aud")
    in_list = rules.lists_of_audiences and isinstance(value, list)
    if value is _ABSENT:
        our.fault(
            "aud", "'aud' claim is missing", f"It is missing. Set {_one_of(rules.audiences)}."
        )
    elif isinstance(value, str) and value in rules.audiences:
        our.note("aud", f"It is {shown(value)}, as this deployment asks.", fits=True)
    elif in_list and any(each in rules.audiences for each in value if isinstance(each, str)):
        our.note("aud", f"It is {shown(value)}, with one of this deployment.", fits=True)
    else:
        words = f"It is {shown(value)}, and this deployment takes {_one_of(rules.audiences)}"
        more = " as one text, not in a list" if isinstance(value, list) and not in_list else ""
        our.fault("aud", "invalid 'aud' claim", f"{words}{more} (jitsi_token_audience).")


def _one_of(names: Iterable[str]) -> str:
    return " or ".join(f'"{name}"' for name in names)


def _check_rooms(claims: Any, rules: Rules, key: Key | None, our: _Judge) -> Doors | None:
    room, sub = member(claims, "room"), member(claims, "sub")
    if room is _ABSENT:
        our.fault("room", "room claim is missing", "It is missing. Name the room, or '*'.")
    if sub is _ABSENT:
        our.fault(
            "sub",
            "sub claim is missing",
            f'It is missing. Set "{rules.domain}", or the tenant of the room.',
        )
    if not isinstance(room, str) or not isinstance(sub, str):
        return None
    is_pattern = _is_pattern(claims)
    tenants = key.tenants if key else ()
    doors = Doors(_lower(room), _lower(sub), is_pattern, rules, tenants)
    if not rules.wildcard_room and (room == "*" or is_pattern):
        our.fault(
            "room",
            "room claim may not be a wildcard",
            "It opens many rooms, and jitsi_token_wildcard_room is off.",
        )
    if not rules.wildcard_sub and sub == "*":
        our.fault(
            "sub",
            "sub claim may not be a wildcard",
            "It opens rooms of every tenant, and jitsi_token_wildcard_sub is off.",
        )
    elif rules.tenants and doors.sub not in ("*", rules.domain, *rules.tenants):
        our.fault(
            "sub",
            "sub claim names no tenant of this server",
            f"It is {shown(sub)}, and neither {rules.domain} nor in jitsi_tenants.",
        )
    return doors


def _note_rooms(doors: Doors, claims: Any, our: _Judge) -> None:
    rules, reach = doors.rules, doors.reach()
    mismatch = "Room and token mismatched"
    if reach:
        our.note("room", f"It opens {reach}.{_not_as_linked(doors)}", fits=True)
    elif rules.domain_verification and not rules.has_tenants and doors.sub != rules.domain:
        our.fault(
            "sub",
            mismatch,
            f"It is {shown(member(claims, 'sub'))}, and rooms of this deployment ask for"
            f' "{rules.domain}": it opens none of them.',
            "join",
        )
    elif any(each.claim == "sub" and each.fits is False for each in our.findings):
        return
    elif (
        rules.domain_verification
        and doors.sub not in ("*", rules.domain)
        and not doors.is_of_tenant
    ):
        our.fault(
            "sub",
            mismatch,
            f"It is {shown(member(claims, 'sub'))}, which is no name of a tenant: it opens no"
            " room.",
            "join",
        )
    else:
        our.fault(
            "room", mismatch, f"It is {shown(member(claims, 'room'))}, which opens no room.", "join"
        )


def _not_as_linked(doors: Doors) -> str:
    """A hint where Jitsi's client writes the name otherwise into the address of the room."""
    if doors.is_pattern or doors.room == "*":
        return ""
    linked = address_part(doors.room)
    return (
        ""
        if linked.lower() == doors.room
        else f" Jitsi's client writes that name {shown(linked)} into the address, so no link leads"
        " there: write it so in the claim."
    )


# Of strings in Lua, ASCII alone changes its case
def _lower(text: str) -> str:
    return "".join(each.lower() if each.isascii() else each for each in text)


def nodeprep(name: str) -> str | None:
    """The name as Prosody writes it into an address (RFC 6122, appendix A), or None."""
    mapped = "".join(
        stringprep.map_table_b2(each) for each in name if not stringprep.in_table_b1(each)
    )
    text = unicodedata.normalize("NFKC", mapped)
    if not text or len(text.encode(errors="surrogatepass")) > LONGEST_PART:
        return None
    if any(each in "\"&'/:<>@" or _is_prohibited(each) for each in text):
        return None
    if any(map(stringprep.in_table_d1, text)) and (
        any(map(stringprep.in_table_d2, text))
        or not (stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1]))
    ):
        return None
    return text


def _is_prohibited(character: str) -> bool:
    return any(
        table(character)
        for table in (
            stringprep.in_table_c11_c12,
            stringprep.in_table_c21_c22,
            stringprep.in_table_c3,
            stringprep.in_table_c4,
            stringprep.in_table_c5,
            stringprep.in_table_c6,
            stringprep.in_table_c7,
            stringprep.in_table_c8,
            stringprep.in_table_c9,
        )
    )


# Rights


def _role(claims: Any, rules: Rules, our: _Judge) -> str:
    user = member(member(claims, "context"), "user")
    moderator, affiliation = member(user, "moderator"), member(user, "affiliation")
    owner = (
        (isinstance(affiliation, str) and affiliation in _OWNERS)
        or moderator is True
        or moderator == "true"
    )
    if rules.moderation == "token":
        words = "moderates" if owner else "does not moderate"
    elif rules.moderation == "login":
        words = "moderates, as everybody with a token does here"
    else:
        words = "moderates if nobody is there before, whatever the token says"
    name = member(user, "name")
    our.note(
        "context.user",
        f"{shown(name) if isinstance(name, str) else 'Whoever has it'} {words}.",
    )
    if isinstance(member(claims, "moderator"), bool):
        our.note("moderator", "The server reads context.user.moderator, and not this one.")
    return "owner" if owner else "member"


def _features(claims: Any, rules: Rules, our: _Judge) -> tuple[str, ...]:
    given = member(member(claims, "context"), "features")
    names = (
        tuple(name for name, value in given.items() if value is True or value == "true")
        if isinstance(given, dict)
        else ()
    )
    if names:
        our.note("context.features", f"It allows {', '.join(shown(name)[1:-1] for name in names)}.")
    elif rules.recording_guard:
        our.note("context.features", "It allows no recording, streaming or calls.")
    return names
