#!/usr/bin/python3
"""Fetches the keys of an identity provider: a JWK Set (RFC 7517), for ``mod_token_keys``.

The module ``provider_keys`` asks this before a deployment, and a timer of the server runs it as a
program, so it needs nothing but Python: ``fetch-keys CONFIGURATION``, a JSON file with

- ``url``: address of the set, https.
- ``issuers``, ``tenants``: for whom its keys may sign, lists of texts; no tenants are all.
- ``authority``: root certificate of the provider's, a path; empty for those that the host trusts.
- ``file``: where the keys go, written at once or not at all, for root and ``group``.
- ``metrics``: where it writes how it went, as Prometheus reads it.

Whatever goes wrong, the keys that were fetched before stay. The exit code is 1 then.
"""

from __future__ import annotations

import base64
import contextlib
import grp
import http.client
import json
import os
import re
import signal
import ssl
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

LARGEST = 256 * 1024  # bytes
MOST = 64  # keys
LEAST, MOST_BITS = 2048, 8192  # of a modulus; RFC 7518, section 3.3, and what verifies in time
PATIENCE = 20  # seconds for all of it
_LONGEST = 256  # bytes of a kid
ALGORITHMS = ("RS256", "RS384", "RS512")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")
_PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")  # RFC 7518, sections 6.3.2 and 6.4
_RSA = bytes.fromhex("300d06092a864886f70d0101010500")  # rsaEncryption, RFC 3279, section 2.3.1
_SAID = re.compile(r"^vestibule_token_keys_fetched_seconds (\d+)$", re.MULTILINE)


class ProviderError(Exception):
    """A sentence for the operator, which has nothing of any key in it."""


def _tagged(tag: int, content: bytes) -> bytes:
    """DER (X.690, section 8.1)."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def _integer(number: int) -> bytes:
    return _tagged(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def pem_of(modulus: int, exponent: int) -> str:
    """A public key of RSA as SubjectPublicKeyInfo (RFC 5280, section 4.1)."""
    key = _tagged(0x30, _integer(modulus) + _integer(exponent))
    text = base64.encodebytes(_tagged(0x30, _RSA + _tagged(0x03, b"\0" + key))).decode()
    lines = re.findall(".{1,64}", text.replace("\n", ""))
    return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])


def _number(said: Any, name: str, kid: str) -> int:
    if not isinstance(said, str) or not _BASE64URL.fullmatch(said):
        raise ProviderError(f"{name} of its key {kid} is no base64url")
    try:
        return int.from_bytes(base64.urlsafe_b64decode(said + "=" * (-len(said) % 4)), "big")
    except ValueError:
        raise ProviderError(f"{name} of its key {kid} is no base64url") from None


def _is_name(kid: str) -> bool:
    """Whether it is text of the right length that a line of a log can have."""
    return kid.isprintable() and 0 < len(kid.encode(errors="replace")) <= _LONGEST


def _key(said: Any) -> dict[str, Any] | None:
    """A key of the set, None for one that signs no tokens here. Raises ProviderError."""
    if not isinstance(said, dict):
        raise ProviderError("one of its keys is no object")
    if any(name in said for name in _PRIVATE):
        raise ProviderError(
            "it shows private keys to everybody; have the provider make new ones, and show the"
            " public ones alone"
        )
    algorithm = said.get("alg", ALGORITHMS[0])
    operations = said.get("key_ops", ["verify"])
    signs = said.get("use", "sig") == "sig" and (
        isinstance(operations, list) and "verify" in operations
    )
    if said.get("kty") != "RSA" or not signs or algorithm not in ALGORITHMS:
        return None
    kid = said.get("kid")
    if not isinstance(kid, str) or not _is_name(kid):
        raise ProviderError(f"one of its keys has no kid of 1 to {_LONGEST} bytes")
    modulus, exponent = (_number(said.get(name), name, kid) for name in ("n", "e"))
    if not LEAST <= modulus.bit_length() <= MOST_BITS:
        raise ProviderError(
            f"its key {kid} has {modulus.bit_length()} bits, and {LEAST} to {MOST_BITS} are taken"
        )
    if exponent < 3 or exponent % 2 == 0 or exponent.bit_length() > 64 or modulus % 2 == 0:
        raise ProviderError(f"its key {kid} is none of RSA")
    return {"kid": kid, "algorithm": algorithm, "public_key": pem_of(modulus, exponent)}


def keys_of(content: bytes) -> list[dict[str, Any]]:
    """The keys that sign tokens, of the text of a JWK Set. Raises ProviderError."""
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        raise ProviderError("it is no JSON") from None
    listed = said.get("keys") if isinstance(said, dict) else None
    if not isinstance(listed, list):
        raise ProviderError("it is no JWK Set, which has a list of keys")
    if len(listed) > MOST:
        raise ProviderError(f"it has {len(listed)} keys, and {MOST} are the most")
    found = [key for key in map(_key, listed) if key]
    kids = [key["kid"] for key in found]
    doubled = next((kid for kid in kids if kids.count(kid) > 1), None)
    if doubled is not None:
        raise ProviderError(f"it has two keys with the kid {doubled}")
    if not found:
        raise ProviderError("it has no key of RSA that signs (use, alg)")
    return sorted(found, key=lambda key: str(key["kid"]))


class _OverTlsAlone(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if not newurl.lower().startswith("https://"):
            raise ProviderError("it leads to an address without TLS")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@contextlib.contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """End what is inside by a ProviderError, also where an answer comes byte by byte."""

    def end(*_: object) -> None:
        raise ProviderError(f"it had no whole answer within {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _trust(authority: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=authority or None)
    except OSError as error:  # of which ssl.SSLError is one
        why = error.strerror or "it is no certificate in PEM form"
        raise ProviderError(f"{authority} cannot be read ({why})") from None


def fetch(url: str, authority: str = "", patience: float = PATIENCE) -> bytes:
    """What is there, by the proxy that the environment names, if any. Raises ProviderError."""
    try:
        with _at_most(patience):
            trust = _trust(authority)
            opener = urllib.request.build_opener(
                urllib.request.HTTPSHandler(context=trust), _OverTlsAlone
            )
            wish = urllib.request.Request(  # noqa: S310 — https alone, by the type of the option
                url, headers={"Accept": "application/jwk-set+json, application/json"}
            )
            with opener.open(wish, timeout=patience) as answer:
                content: bytes = answer.read(LARGEST + 1)
    except urllib.error.HTTPError as error:
        raise ProviderError(f"it answers with HTTP status {error.code}") from None
    except urllib.error.URLError as error:
        reason = error.reason
        why = getattr(reason, "verify_message", "") or getattr(reason, "strerror", "") or reason
        raise ProviderError(f"nobody is reached there ({why})") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ProviderError(f"the answer is broken ({type(error).__name__})") from None
    if len(content) > LARGEST:
        raise ProviderError(f"it is larger than {LARGEST // 1024} KiB")
    return content


def text_of(keys: list[dict[str, Any]], url: str, issuers: list[str], tenants: list[str]) -> str:
    """The file with these keys, as ``mod_token_keys`` reads it, which leaves ``from`` alone."""
    whose: dict[str, Any] = {"issuers": issuers, **({"tenants": tenants} if tenants else {})}
    content = {"made_by": "Vestibule", "from": url, "keys": [{**key, **whose} for key in keys]}
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, ValueError):
        return ""


def _write(path: str, text: str, mode: int, group: int = -1) -> None:
    """At once or not at all."""
    handle, new = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chown(new, -1, group)
        os.chmod(new, mode)
        os.rename(new, path)
    except BaseException:
        os.unlink(new)
        raise


def _metrics(keys: int, fetched: int, *, good: bool) -> str:
    described = (
        ("keys", "Keys of the identity provider that count.", keys),
        ("fetched_seconds", "When they were fetched last, in seconds since 1970.", fetched),
        ("fetch_success", "Whether the last try went well.", int(good)),
    )
    lines = []
    for name, words, value in described:
        lines += [f"# HELP vestibule_token_keys_{name} {words}"]
        lines += [f"# TYPE vestibule_token_keys_{name} gauge"]
        lines += [f"vestibule_token_keys_{name} {value}"]
    return "\n".join(lines) + "\n"


def _count(text: str) -> int:
    try:
        return len(json.loads(text)["keys"])
    except (ValueError, LookupError, TypeError):
        return 0


def update(wish: dict[str, Any], patience: float = PATIENCE) -> str:
    """Fetch, write, and say how it went. Raises ProviderError where the former keys stay."""
    before = _read(wish["file"])
    known = _SAID.search(_read(wish["metrics"]))
    fetched, good = int(known[1]) if known else 0, False
    try:
        keys = keys_of(fetch(wish["url"], wish["authority"], patience))
        text = text_of(keys, wish["url"], wish["issuers"], wish["tenants"])
        if text != before:
            _write(wish["file"], text, 0o640, grp.getgrnam(wish["group"]).gr_gid)
            before = text
        fetched, good = int(time.time()), True
    except (OSError, LookupError) as error:
        raise ProviderError(f"{wish['file']} cannot be written ({error})") from None
    finally:
        _write(wish["metrics"], _metrics(_count(before), fetched, good=good), 0o644)
    return f"{len(keys)} keys of {wish['url']} count."


def main(argv: list[str]) -> int:
    """The program."""
    with open(argv[1], encoding="utf-8") as file:
        wish = json.load(file)
    try:
        said = update(wish)
    except ProviderError as error:
        said = f"The keys of {wish['url']} were not fetched: {error}. Those from before count."
        sys.stderr.write(f"{said}\n")
        return 1
    sys.stdout.write(f"{said}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
