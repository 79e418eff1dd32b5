"""The keys that sign tokens and the tokens that are revoked, as an operator writes them.

No sentence here shows a secret or a key: a text in the wrong place may be a private one.
"""

from __future__ import annotations

import datetime
import re
import time
from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import Any, Final

from vestibule.model import ModelError
from vestibule.values import LABEL, type_name

HMAC, RSA = ("HS256",), ("RS256", "RS384", "RS512")
COUNTS, EARLY, EXPIRED = "counts", "early", "expired"
# Issuer of the key that a proof brings where it can sign with none of the operator's, the beginning
# of its kid, and where it is kept meanwhile
PROOF: Final = "vestibule-proof"
PROOF_FILE: Final = "/etc/vestibule/tokens/proof.json"
MOST_KEYS = 64
_LEAST_BITS, _MOST_BITS = 2048, 8192
_LONGEST_FILE = 65536  # bytes
_LONGEST_PATH = 4096  # characters
_KID = re.compile(r"[A-Za-z0-9._:/@+=~-]{1,256}")
# Not one of an account: whoever mints would know its password
_SECRET_NAME = re.compile(r"token_[a-z0-9_]{1,58}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)")
_MATERIAL = ("secret", "secret_name", "public_key", "public_key_file")
_MEMBERS = ("kid", "algorithm", *_MATERIAL, "issuers", "tenants", "not_before", "not_after")
_REVOKED = ("kids", "jtis", "users")

CheckEach = Callable[[str, Any], Any]


def check_keys(variable: str, value: Any, check_secret: CheckEach) -> list[dict[str, Any]]:
    """The keys with public keys in one form, times in seconds since 1970, and nothing left out.

    ``check_secret`` refuses a text that is no secret. Raises ModelError.
    """
    if not isinstance(value, list):
        raise ModelError(
            f"{variable} must be a list of keys, e.g. {variable}: [{{kid: app-2026, algorithm:"
            " HS256, secret_name: token_key_1}]."
        )
    if len(value) > MOST_KEYS:
        raise ModelError(f"{variable} has more than {MOST_KEYS} keys. Remove some.")
    keys = [_key(f"{variable}[{index}]", each, check_secret) for index, each in enumerate(value)]
    for member, words in (
        ("kid", "the kid {} twice. Give each key its own."),
        ("secret_name", "the secret_name {} twice. Give each key its own secret."),
    ):
        seen = [key[member] for key in keys if key[member]]
        for each in seen:
            if seen.count(each) > 1:
                raise ModelError(f"{variable} has {words.format(each)}")
    material: dict[str, str] = {}
    for key in keys:
        same = key["secret"] or key["public_key"]
        if same and same in material:
            raise ModelError(
                f"{variable} has one key as {material[same]} and as {key['kid']}: whoever has it"
                " could sign for both. Give each its own, or remove one."
            )
        material[same] = key["kid"]
    return keys


def _key(place: str, value: Any, check_secret: CheckEach) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ModelError(
            f"{place} must be a mapping with kid, algorithm, and secret_name or public_key_file."
        )
    for member in value:
        if member not in _MEMBERS:
            raise ModelError(
                f"{place} has a member that keys do not have. There are: {', '.join(_MEMBERS)}."
            )
    kid = value.get("kid")
    if not isinstance(kid, str) or not _KID.fullmatch(kid):
        raise ModelError(
            f"{place}.kid must be the kid in the header of its tokens, letters, digits and"
            " . _ : / @ + = ~ - (at most 256), in quotes if it is a number."
        )
    if kid.startswith(PROOF):
        raise ModelError(f"{place}.kid begins with {PROOF}, as keys of proofs do. Choose another.")
    algorithm = value.get("algorithm")
    if algorithm not in (*HMAC, *RSA):
        raise ModelError(f"{place}.algorithm {_why_not(algorithm)}")
    key = {
        "kid": kid,
        "algorithm": algorithm,
        "secret": None,
        "secret_name": None,
        "public_key": None,
        "issuers": _texts(f"{place}.issuers", value.get("issuers", [])),
        "tenants": _texts(f"{place}.tenants", value.get("tenants", [])),
        "not_before": _moment(f"{place}.not_before", value.get("not_before")),
        "not_after": _moment(f"{place}.not_after", value.get("not_after")),
    }
    if algorithm in HMAC:
        key.update(_shared(place, algorithm, value, check_secret))
    else:
        key["public_key"] = _public(place, algorithm, value)
    begin, end = key["not_before"], key["not_after"]
    if begin is not None and end is not None and end <= begin:
        raise ModelError(f"{place}.not_after is not after not_before. Correct one of them.")
    key["state"] = state(key, time.time())
    return key


def state(key: Mapping[str, Any], now: float) -> str:
    """Whether a key counts, or will, or did."""
    if key["not_before"] is not None and now < key["not_before"]:
        return EARLY
    return EXPIRED if key["not_after"] is not None and now >= key["not_after"] else COUNTS


def _why_not(algorithm: Any) -> str:
    known = ", ".join((*HMAC, *RSA))
    if isinstance(algorithm, str) and re.fullmatch(r"(ES|PS)\d{3}K?|EdDSA", algorithm):
        return (
            f"is {algorithm}, which Jitsi's plugins cannot verify. Have the tokens signed with"
            " RS256, with an RSA key of 2048 bits or more."
        )
    return f"is none that Vestibule takes. Choose one of: {known}."


def _only_one(place: str, algorithm: str, value: Mapping[str, Any], *wanted: str) -> str:
    other = next((each for each in _MATERIAL if each in value and each not in wanted), "")
    if other:
        raise ModelError(
            f"{place} is a key of {algorithm} and has {other}. Remove that, or correct algorithm."
        )
    given = [each for each in wanted if value.get(each) is not None]
    if len(given) != 1:
        raise ModelError(f"{place} must have one of {' and '.join(wanted)}, and no other.")
    return given[0]


def _shared(
    place: str, algorithm: str, value: Mapping[str, Any], check_secret: CheckEach
) -> dict[str, Any]:
    given = _only_one(place, algorithm, value, "secret", "secret_name")
    if given == "secret":
        return {"secret": check_secret(f"{place}.secret", value["secret"])}
    name = value["secret_name"]
    if not isinstance(name, str) or not _SECRET_NAME.fullmatch(name):
        raise ModelError(
            f"{place}.secret_name must begin with token_ and have small letters, digits and"
            " underscores, e.g. token_key_1."
        )
    if name.endswith(("_next", "_former")):
        raise ModelError(
            f"{place}.secret_name ends as secrets do that playbooks/rotate.yml makes. Choose"
            " another, e.g. token_key_1."
        )
    return {"secret_name": name}


def _public(place: str, algorithm: str, value: Mapping[str, Any]) -> str:
    given = _only_one(place, algorithm, value, "public_key", "public_key_file")
    place = f"{place}.{given}"
    text = value[given]
    if not isinstance(text, str):
        raise ModelError(f"{place} is of type {type_name(text)}, not a text.")
    if given == "public_key_file":
        text = _read(place, text)
    return public_key(place, text)


def _read(place: str, name: str) -> str:
    is_name = 0 < len(name) <= _LONGEST_PATH and name.isprintable() and "-----BEGIN" not in name
    if not is_name:
        raise ModelError(
            f"{place} is no name of a file. Name the file with the public key there, or put the key"
            " itself into public_key."
        )
    path = Path(name)
    try:
        path = path.expanduser().absolute()
        with path.open("rb") as file:
            content = file.read(_LONGEST_FILE + 1)
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "there is no such name"
        raise ModelError(
            f"{place} is {path} on this controller, which cannot be read ({reason}). Name the file"
            " with the public key there."
        ) from None
    if len(content) > _LONGEST_FILE:
        raise ModelError(f"{place} names a file of more than 64 KiB, which is no public key.")
    return content.decode("utf-8-sig", errors="replace")


def public_key(place: str, text: str) -> str:
    """An RSA key of 2048 bits or more in PEM form, from one or a certificate in any PEM form.

    Raises ModelError with a sentence about ``place``.
    """
    # Slow to import, and most inventories have no public key
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415
    from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415

    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").strip() + "\n"
    if "PRIVATE KEY" in text:
        raise ModelError(
            f"{place} is a private key, which stays with whoever mints tokens and belongs on no"
            " server. Put its public half there: openssl pkey -in private.pem -pubout."
        )
    if text.count("-----BEGIN ") != 1:
        raise ModelError(
            f"{place} is no public key in PEM form, or more than one. Put one there, which begins"
            " with -----BEGIN PUBLIC KEY-----."
        )
    try:
        key: Any = (
            load_pem_x509_certificate(text.encode()).public_key()
            if "-----BEGIN CERTIFICATE-----" in text
            else serialization.load_pem_public_key(text.encode())
        )
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ModelError(
            f"{place} cannot be read as a public key in PEM form. Export it again, e.g. by openssl"
            " pkey -in private.pem -pubout."
        ) from None
    if not isinstance(key, rsa.RSAPublicKey):
        raise ModelError(
            f"{place} is no RSA key, and Jitsi's plugins verify no others: neither EC nor Ed25519."
            " Have the tokens signed with RS256, with an RSA key of 2048 bits or more."
        )
    if not _LEAST_BITS <= key.key_size <= _MOST_BITS:
        raise ModelError(
            f"{place} has {key.key_size} bits. Use an RSA key of {_LEAST_BITS} to {_MOST_BITS}"
            " bits."
        )
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form).decode()


def _texts(place: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ModelError(f"{place} must be a list of texts.")
    for each in value:
        if value.count(each) > 1:
            raise ModelError(f"{place} has {each} twice. Remove one.")
    return list(value)


def _moment(place: str, value: Any) -> int | None:
    """Seconds since 1970 of a time as people write it, or None."""
    if value is None:
        return None
    if isinstance(value, str) and _TIME.fullmatch(value):
        try:
            return int(datetime.datetime.fromisoformat(value).timestamp())
        except (ValueError, OverflowError):
            pass
    raise ModelError(
        f"{place} is no time with a zone. Write it in quotes as in"
        f' {place.rpartition(".")[2]}: "2026-12-31T23:59:59Z".'
    )


def check_revoked(variable: str, value: Any, spec: Mapping[str, Any]) -> dict[str, Any]:
    """What is revoked, with the time in seconds since 1970. Raises ModelError."""
    if not isinstance(value, dict) or not set(value) <= {*_REVOKED, "issued_before"}:
        raise ModelError(
            f"{variable} must map {', '.join(_REVOKED)} and issued_before, and nothing else, e.g."
            f" {variable}: {spec['example']}."
        )
    before = _moment(f"{variable}.issued_before", value.get("issued_before"))
    if before is not None and before > time.time():
        raise ModelError(
            f"{variable}.issued_before is still to come, and every token would be refused until"
            " then. Name a time that has passed."
        )
    return {
        **{name: _texts(f"{variable}.{name}", value.get(name, [])) for name in _REVOKED},
        "issued_before": before,
    }


def settle(
    options: dict[str, Any], given: Container[str], chosen: Container[str]
) -> dict[str, str]:
    """Say of the options of tokens what they mean together, and return secrets by where they are.

    A singular name and its list become the same thing, keys sign for all issuers that are accepted
    unless they say otherwise, and what mints is chosen. Raises ModelError.
    """
    for one, several in (("token_issuer", "token_issuers"), ("token_audience", "token_audiences")):
        if not options[several]:
            options[several] = [options[one]]
        elif f"jitsi_{one}" not in given:
            options[one] = options[several][0]
        elif options[one] not in options[several]:
            raise ModelError(
                f"jitsi_{one} is {options[one]}, which is not in jitsi_{several}. Add it there, or"
                f" remove jitsi_{one}."
            )
    own = options["token_own_issuers"] = _own_issuers(options, "tenants" in chosen)
    secrets = {}
    for index, key in enumerate(options["token_keys"]):
        place = f"jitsi_token_keys[{index}]"
        _check_bounds(place, key, options, "tenants" in chosen)
        key["issuers"] = key["issuers"] or own
        secret = key.pop("secret")
        if secret is not None:
            secrets[f"{place}.secret"] = secret
    minting = _minting(options)
    issuers = minting["issuers"] if minting else own
    options["token_mint_kid"] = minting["kid"] if minting else ""
    options["token_mint_issuer"] = (
        PROOF
        if not signs_itself(options)
        else options["token_issuer"]
        if options["token_issuer"] in issuers
        else issuers[0]
    )
    return secrets


def _check_bounds(
    place: str, key: Mapping[str, Any], options: Mapping[str, Any], has_tenants: bool
) -> None:
    for issuer in key["issuers"]:
        if issuer not in options["token_issuers"]:
            raise ModelError(
                f"{place}.issuers has {issuer}, whose tokens this server does not accept. Add it to"
                " jitsi_token_issuers, or remove it."
            )
    _check_tenants(f"{place}.tenants", key["tenants"], options, has_tenants)


def _check_tenants(
    place: str, tenants: list[str], options: Mapping[str, Any], has_tenants: bool
) -> None:
    if tenants and not has_tenants:
        raise ModelError(
            f"{place} needs the feature tenants. Add tenants to jitsi_features, or remove {place}."
        )
    listed = options.get("tenants", [])
    for tenant in tenants:
        if not LABEL.fullmatch(tenant):
            raise ModelError(
                f"{place} has what is no name of a tenant. Write small letters, digits and"
                " hyphens, as in jitsi_tenants."
            )
        if listed and tenant not in listed:
            raise ModelError(
                f"{place} has {tenant}, which is not in jitsi_tenants. There are"
                f" {', '.join(listed)}."
            )


def _own_issuers(options: Mapping[str, Any], has_tenants: bool) -> list[str]:
    """Those for which keys sign that name none: all but the identity provider's."""
    provided, accepted = options["token_jwks_issuers"], options["token_issuers"]
    if not options["token_jwks_url"]:
        for member in ("issuers", "tenants"):
            if options[f"token_jwks_{member}"]:
                raise ModelError(
                    f"jitsi_token_jwks_{member} is about an identity provider, and there is none."
                    " Name its keys in jitsi_token_jwks_url, or remove it."
                )
        return list(accepted)
    if not provided:
        raise ModelError(
            "jitsi_token_jwks_url has keys that could sign for everybody. Name the iss claims of"
            " that provider's tokens in jitsi_token_jwks_issuers."
        )
    for issuer in provided:
        if issuer not in accepted:
            raise ModelError(
                f"jitsi_token_jwks_issuers has {issuer}, whose tokens this server does not accept."
                " Add it to jitsi_token_issuers, or remove it."
            )
    own = [issuer for issuer in accepted if issuer not in provided]
    if not own:
        raise ModelError(
            "jitsi_token_issuers has the identity provider's alone, so nothing could be minted"
            " here, and no proof made. Add one of your own, e.g. vestibule."
        )
    _check_tenants("jitsi_token_jwks_tenants", options["token_jwks_tenants"], options, has_tenants)
    return own


def _minting(options: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The key that signs what this project mints; None for the one secret, and for public keys."""
    keys = options["token_keys"]
    usable = {
        key["kid"]: key
        for key in keys
        if key["algorithm"] in HMAC and key["state"] == COUNTS and not key["tenants"]
    }
    wish = options["token_mint_kid"]
    if wish and wish not in usable:
        raise ModelError(
            f"jitsi_token_mint_kid is {wish}, which is no key of jitsi_token_keys that can mint."
            " Name one with the algorithm HS256 and without tenants that counts now."
        )
    if keys and not any(key["state"] == COUNTS for key in keys):
        raise ModelError(
            "jitsi_token_keys has no key that counts now, so nobody would get in. Look at"
            " not_before and not_after of its keys, or add one."
        )
    revoked = options["token_revoked"]["kids"]
    for kid in revoked:
        if kid == wish:
            raise ModelError(
                f"jitsi_token_revoked.kids has {kid}, with which jitsi_token_mint_kid mints. Name"
                " another key there."
            )
    usable = {kid: key for kid, key in usable.items() if kid not in revoked}
    return usable[wish] if wish else next(iter(usable.values()), None)


def signs_itself(options: Mapping[str, Any]) -> bool:
    """Whether this project has a key that signs tokens, or needs one for each proof."""
    return not options["token_keys"] or bool(options["token_mint_kid"])
