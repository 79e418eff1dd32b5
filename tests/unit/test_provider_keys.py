"""Keys of an identity provider: what is taken over TLS, what is not, and what stays then."""

from __future__ import annotations

import functools
import http.server
import json
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.vestibule import provider_keys
from ansible.module_utils.vestibule.provider_keys import ProviderError
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from tests.authority import Issued, issue

PATIENCE = 1.0  # seconds
Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


@functools.cache
def rsa_key(number: int = 0, bits: int = 2048) -> rsa.RSAPrivateKey:
    """A key of this number."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def jwk(kid: str, key: rsa.RSAPrivateKey | None = None, **more: Any) -> dict[str, Any]:
    """Its public half, as providers show it."""
    said: dict[str, Any] = RSAAlgorithm.to_jwk((key or rsa_key()).public_key(), as_dict=True)
    said.pop("key_ops", None)
    return {**said, "kid": kid, "use": "sig", "alg": "RS256", **more}


def jwks(*keys: dict[str, Any]) -> bytes:
    """A JWK Set."""
    return json.dumps({"keys": keys}).encode()


class Provider:
    """A server over TLS that answers as ``answer`` says."""

    def __init__(self, authority: Issued) -> None:
        self.answer: Answer = self.show(jwks(jwk("one")))
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        own = issue("localhost", authority)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._load(context, own)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://localhost:{self.server.server_port}/keys"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @staticmethod
    def _load(context: ssl.SSLContext, own: Issued) -> None:
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(own.key + own.pem)
            file.flush()
            context.load_cert_chain(file.name)

    @staticmethod
    def show(content: bytes, status: int = 200, **headers: str) -> Answer:
        """Answer with this."""

        def answer(request: http.server.BaseHTTPRequestHandler) -> None:
            request.send_response(status)
            for name, value in headers.items():
                request.send_header(name, value)
            request.end_headers()
            request.wfile.write(content)

        return answer


@pytest.fixture(name="authority", scope="module")
def _authority() -> Issued:
    return issue("authority", authority=True)


@pytest.fixture(name="provider", scope="module")
def _provider(authority: Issued) -> Iterator[Provider]:
    provider = Provider(authority)
    yield provider
    provider.server.shutdown()
    provider.server.server_close()


@pytest.fixture(name="wish")
def _wish(provider: Provider, authority: Issued, tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "authority.pem").write_text(authority.pem)
    provider.answer = provider.show(jwks(jwk("one")))
    return {
        "url": provider.url,
        "issuers": ["https://id.example.org"],
        "tenants": [],
        "authority": str(tmp_path / "authority.pem"),
        "file": str(tmp_path / "provider.json"),
        "group": "root",
        "metrics": str(tmp_path / "token_keys.prom"),
    }


def taken(wish: dict[str, Any]) -> list[dict[str, Any]]:
    """What lies in the file."""
    keys: list[dict[str, Any]] = json.loads(Path(wish["file"]).read_text())["keys"]
    return keys


def test_keys_come_as_openssl_writes_them(wish: dict[str, Any], provider: Provider) -> None:
    provider.answer = provider.show(jwks(jwk("b"), jwk("a", rsa_key(1, 3072), alg="RS512")))
    assert provider_keys.update(wish) == f"2 keys of {wish['url']} count."
    pem = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert taken(wish) == [
        {
            "kid": "a",
            "algorithm": "RS512",
            "public_key": rsa_key(1, 3072).public_key().public_bytes(*pem).decode(),
            "issuers": ["https://id.example.org"],
        },
        {
            "kid": "b",
            "algorithm": "RS256",
            "public_key": rsa_key().public_key().public_bytes(*pem).decode(),
            "issuers": ["https://id.example.org"],
        },
    ]
    assert Path(wish["file"]).stat().st_mode & 0o777 == 0o640


def test_keys_sign_for_the_tenants_of_the_provider_alone(wish: dict[str, Any]) -> None:
    provider_keys.update({**wish, "tenants": ["sales"]})
    assert taken(wish)[0]["tenants"] == ["sales"]


def test_a_withdrawn_key_counts_no_more(wish: dict[str, Any], provider: Provider) -> None:
    provider.answer = provider.show(jwks(jwk("old"), jwk("new", rsa_key(1))))
    provider_keys.update(wish)
    provider.answer = provider.show(jwks(jwk("new", rsa_key(1))))
    provider_keys.update(wish)
    assert [key["kid"] for key in taken(wish)] == ["new"]


def test_what_did_not_change_is_not_written_again(wish: dict[str, Any]) -> None:
    provider_keys.update(wish)
    before = Path(wish["file"]).stat()
    provider_keys.update(wish)
    after = Path(wish["file"]).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"use": "enc"}, id="for encryption"),
        pytest.param({"alg": "PS256"}, id="another algorithm"),
        pytest.param({"alg": "HS256"}, id="an algorithm of secrets"),
        pytest.param({"key_ops": ["encrypt"]}, id="for something else"),
        pytest.param({"kty": "EC"}, id="another kind"),
    ],
)
def test_keys_for_something_else_are_left_out(other: dict[str, Any]) -> None:
    keys = provider_keys.keys_of(jwks(jwk("one"), jwk("other", **other)))
    assert [key["kid"] for key in keys] == ["one"]


def _of_elliptic_curves() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    said: dict[str, Any] = ECAlgorithm.to_jwk(key, as_dict=True)
    return jwks({**said, "kid": "ec", "alg": "ES256"})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"<html>", "it is no JSON", id="a page"),
        pytest.param(b"[" * 100_000, "it is no JSON", id="nested without an end"),
        pytest.param(b"\xff\xfe", "it is no JSON", id="no UTF-8"),
        pytest.param(b"[]", "it is no JWK Set", id="a list"),
        pytest.param(b'{"keys": {}}', "it is no JWK Set", id="no list"),
        pytest.param(b'{"keys": []}', "it has no key of RSA that signs", id="empty"),
        pytest.param(b'{"keys": [1]}', "one of its keys is no object", id="a number"),
        pytest.param(_of_elliptic_curves(), "it has no key of RSA that signs", id="curves"),
        pytest.param(jwks(jwk("a"), jwk("a")), "two keys with the kid a", id="doubled"),
        pytest.param(jwks(jwk("")), "no kid of 1 to 256 bytes", id="no kid"),
        pytest.param(jwks(jwk("k" * 257)), "no kid of 1 to 256 bytes", id="a long kid"),
        pytest.param(jwks(jwk("a\nb")), "no kid of 1 to 256 bytes", id="a kid of two lines"),
        pytest.param(jwks(jwk("a", n="?")), "n of its key a is no base64url", id="no number"),
        pytest.param(jwks(jwk("a", n="A" * 341)), "n of its key a is no base64", id="odd length"),
        pytest.param(jwks(jwk("a", n="_" * 2000)), "its key a has 12000 bits", id="a giant"),
        pytest.param(jwks(jwk("\ud800")), "no kid of 1 to 256 bytes", id="half a character"),
        pytest.param(jwks(jwk("a", e="Ag")), "its key a is none of RSA", id="an even exponent"),
        pytest.param(jwks(jwk("a", e="AQ")), "its key a is none of RSA", id="an exponent of 1"),
        pytest.param(
            jwks(jwk("a", rsa_key(2, 1024))),
            "its key a has 1024 bits, and 2048 to 8192 are taken",
            id="a short key",
        ),
        pytest.param(
            jwks(*(jwk(str(number)) for number in range(65))), "it has 65 keys", id="many"
        ),
        pytest.param(jwks(jwk("a", d="c2VjcmV0")), "shows private keys", id="private"),
        pytest.param(jwks(jwk("a"), {"kty": "oct", "k": "x"}), "shows private keys", id="secret"),
    ],
)
def test_no_other_set_is_taken(
    wish: dict[str, Any], provider: Provider, content: bytes, words: str
) -> None:
    provider_keys.update(wish)
    provider.answer = provider.show(content)
    with pytest.raises(ProviderError, match=words):
        provider_keys.update(wish)
    assert [key["kid"] for key in taken(wish)] == ["one"]


def _hang(request: http.server.BaseHTTPRequestHandler) -> None:
    request.rfile.read()


def _dribble(request: http.server.BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.end_headers()
    for _ in range(1000):
        request.wfile.write(b" ")
        request.wfile.flush()
        time.sleep(0.01)  # it is slow on purpose


def _gigabyte(request: http.server.BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(10**9))
    request.end_headers()
    for _ in range(1000):
        request.wfile.write(b" " * 10**6)


def _cut(request: http.server.BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    request.wfile.write(b"{")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(_hang, "no whole answer within 1 s", id="it hangs"),
        pytest.param(_dribble, "no whole answer within 1 s", id="byte by byte"),
        pytest.param(_gigabyte, "it is larger than 256 KiB", id="a gigabyte"),
        pytest.param(_cut, "it is no JSON", id="it is cut off"),
        pytest.param(Provider.show(b"", 500), "HTTP status 500", id="an error of its own"),
        pytest.param(
            Provider.show(b"", 302, Location="http://localhost/keys"),
            "it leads to an address without TLS",
            id="to HTTP",
        ),
        pytest.param(
            Provider.show(b"", 302, Location="file:///etc/passwd"),
            "HTTP status 302",
            id="to a file",
        ),
    ],
)
def test_a_provider_in_trouble_changes_nothing(
    wish: dict[str, Any], provider: Provider, answer: Answer, words: str
) -> None:
    provider_keys.update(wish)
    provider.answer = answer
    with pytest.raises(ProviderError, match=words):
        provider_keys.update(wish, PATIENCE)
    assert [key["kid"] for key in taken(wish)] == ["one"]
    said = Path(wish["metrics"]).read_text()
    assert "vestibule_token_keys_keys 1\n" in said
    assert "vestibule_token_keys_fetch_success 0\n" in said
    assert "vestibule_token_keys_fetched_seconds 0\n" not in said


def test_somebody_without_its_certificate_is_not_asked(
    wish: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "authority.pem").write_text(issue("other", authority=True).pem)
    with pytest.raises(ProviderError, match=r"nobody is reached there \(.*certificate"):
        provider_keys.update(wish)
    assert not Path(wish["file"]).exists()


def test_the_proxy_of_the_environment_is_asked(
    wish: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(ProviderError, match="nobody is reached there"):
        provider_keys.update(wish)
    monkeypatch.setenv("no_proxy", "localhost")
    provider_keys.update(wish)


def test_the_program_says_how_it_went(
    wish: dict[str, Any],
    provider: Provider,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "wish.json").write_text(json.dumps(wish))
    argv = ["fetch-keys", str(tmp_path / "wish.json")]
    assert provider_keys.main(argv) == 0
    assert capfd.readouterr().out == f"1 keys of {wish['url']} count.\n"
    assert "vestibule_token_keys_fetch_success 1\n" in Path(wish["metrics"]).read_text()
    provider.answer = provider.show(b"{}")
    assert provider_keys.main(argv) == 1
    assert capfd.readouterr().err == (
        f"The keys of {wish['url']} were not fetched: it is no JWK Set, which has a list of keys. "
        "Those from before count.\n"
    )
