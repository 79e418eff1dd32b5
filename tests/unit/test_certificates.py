"""Module ``certificates``: what is wrong with files, as those see it who would have to use them."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.vestibule import certificates as shared
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

import certificates
from tests.authority import BETWEEN, ROOT, issue

RunModule = Callable[..., dict[str, Any]]
NAME = "meet.example.org"
SERVER = issue(NAME, BETWEEN)
CHAIN = SERVER.pem + BETWEEN.pem
_DER = SERVER.certificate.public_bytes(Encoding.DER)
_KEY_DER = SERVER.private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
_PKCS12 = pkcs12.serialize_key_and_certificates(
    b"x", SERVER.private, SERVER.certificate, None, BestAvailableEncryption(b"x")
)
_ENCRYPTED = SERVER.private.private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")
)
_OLD_ENCRYPTED = SERVER.private.private_bytes(
    Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"x")
)
_REQUEST = "-----BEGIN CERTIFICATE REQUEST-----\nx\n-----END CERTIFICATE REQUEST-----\n"
_PKCS7 = "-----BEGIN PKCS7-----\nx\n-----END PKCS7-----\n"
_OPENSSH = SERVER.private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
_CROSS = issue(
    "Root", issue("Older", authority=True), authority=True, days=(-900, -1), key=ROOT.key
)


def look(
    run_module: RunModule,
    folder: Path,
    chain: str | bytes | None = CHAIN,
    key: str | bytes | None = SERVER.key,
    **more: Any,
) -> dict[str, Any]:
    """What the module tells of these files. Those that are None are not there."""
    for name, content in (("chain", chain), ("key", key), ("root", more.pop("root", ROOT.pem))):
        if content is not None:
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    given = {
        "names": [NAME],
        "path": str(folder / "chain"),
        "key": str(folder / "key"),
        "variable": "jitsi_web_certificate",
        "authority": str(folder / "root"),
        **more,
    }
    given = {name: value for name, value in given.items() if value is not None}
    found = run_module(certificates, certificates=[given])["certificates"]
    told: dict[str, Any] = found[str(folder / "chain")]
    return told


@pytest.mark.parametrize(
    ("chain", "key"),
    [
        pytest.param(CHAIN, SERVER.key, id="a chain"),
        pytest.param(CHAIN + ROOT.pem, SERVER.key, id="with its root"),
        pytest.param(f"words\n{SERVER.pem}words\n{BETWEEN.pem}", SERVER.key, id="with words"),
        pytest.param(CHAIN + _CROSS.pem, SERVER.key, id="with another way that has ended"),
        pytest.param(issue(NAME, ROOT, key=SERVER.key).pem, SERVER.key, id="of the root itself"),
        pytest.param(
            issue("x", BETWEEN, names=("*.example.org",), key=SERVER.key).pem + BETWEEN.pem,
            SERVER.key,
            id="a wildcard",
        ),
    ],
)
def test_what_clients_take_is_no_problem(
    run_module: RunModule, tmp_path: Path, chain: str, key: str
) -> None:
    told = look(run_module, tmp_path, chain, key)
    assert told["problem"] == ""
    first = shared.blocks(chain)[0]
    assert told["ends"] is not None
    assert told["chain"].count(first) == 1


def again(**changes: Any) -> str:
    """The chain with another certificate for the same key."""
    return (
        issue(**{"name": NAME, "issuer": BETWEEN, "key": SERVER.key, **changes}).pem + BETWEEN.pem
    )


@pytest.mark.parametrize(
    ("chain", "key", "words"),
    [
        pytest.param(None, SERVER.key, "is not there. Put the certificate chain", id="nothing"),
        pytest.param(SERVER.pem, SERVER.key, "without its chain", id="no chain"),
        pytest.param(BETWEEN.pem + SERVER.pem, SERVER.key, "in another order", id="wrong order"),
        pytest.param(CHAIN, ROOT.key, "made for another key", id="other key"),
        pytest.param(again(days=(-90, -1)), SERVER.key, "has ended on ", id="ended"),
        pytest.param(again(days=(1, 90)), SERVER.key, "begins in the future", id="not yet"),
        pytest.param(again(name="x.example.org"), SERVER.key, f"is not for {NAME}", id="name"),
        pytest.param(again(names=()), SERVER.key, f"is not for {NAME}", id="commonName alone"),
        pytest.param(
            issue(NAME, key=SERVER.key).pem, SERVER.key, "nobody whom clients know", id="self"
        ),
        pytest.param(SERVER.pem + ROOT.pem, SERVER.key, "leads to nobody", id="hole in the chain"),
        pytest.param(_DER, SERVER.key, "in DER form", id="DER"),
        pytest.param(_PKCS12, SERVER.key, "is PKCS #12", id="PKCS #12"),
        pytest.param(_PKCS7, SERVER.key, "is PKCS #7", id="PKCS #7"),
        pytest.param(_REQUEST, SERVER.key, "is a request", id="request"),
        pytest.param(SERVER.key, SERVER.key, "holds a key", id="key in its place"),
        pytest.param(CHAIN[:300], SERVER.key, "no whole certificate", id="cut off"),
        pytest.param("", SERVER.key, "no whole certificate", id="empty"),
    ],
)
def test_a_certificate_that_nobody_could_use(
    run_module: RunModule, tmp_path: Path, chain: str | bytes | None, key: str, words: str
) -> None:
    problem = look(run_module, tmp_path, chain, key)["problem"]
    assert problem.startswith(f"jitsi_web_certificate names {tmp_path}/chain, which ")
    assert words in problem


@pytest.mark.parametrize(
    ("key", "words"),
    [
        pytest.param(None, "is not there. Put the key", id="nothing"),
        pytest.param(_ENCRYPTED, "is encrypted", id="encrypted"),
        pytest.param(_OLD_ENCRYPTED, "is encrypted", id="encrypted as of old"),
        pytest.param(_KEY_DER, "in DER form", id="DER"),
        pytest.param(_PKCS12, "is PKCS #12", id="PKCS #12"),
        pytest.param(_OPENSSH, "is a key of OpenSSH", id="OpenSSH"),
        pytest.param(CHAIN, "holds a certificate", id="certificate in its place"),
        pytest.param("", "holds no key", id="empty"),
        pytest.param(SERVER.key[:100], "is cut off or damaged", id="cut off"),
    ],
)
def test_a_key_that_nobody_could_use(
    run_module: RunModule, tmp_path: Path, key: str | bytes | None, words: str
) -> None:
    problem = look(run_module, tmp_path, CHAIN, key)["problem"]
    assert problem.startswith(f"jitsi_web_certificate_key names {tmp_path}/key, which ")
    assert words in problem
    assert SERVER.key[60:100] not in problem


@pytest.mark.parametrize(
    ("root", "words"),
    [
        pytest.param("", "no whole certificate", id="empty"),
        pytest.param(SERVER.key, "holds a key", id="a key"),
    ],
)
def test_an_authority_that_is_none(
    run_module: RunModule, tmp_path: Path, root: str, words: str
) -> None:
    problem = look(run_module, tmp_path, root=root)["problem"]
    assert problem.startswith(f"jitsi_web_certificate_authority names {tmp_path}/root, which ")
    assert words in problem


def test_an_authority_in_between_does_not_stand_in_for_the_chain(
    run_module: RunModule, tmp_path: Path
) -> None:
    problem = look(run_module, tmp_path, SERVER.pem, root=BETWEEN.pem + ROOT.pem)["problem"]
    assert "without its chain" in problem


def test_a_link_and_a_folder(run_module: RunModule, tmp_path: Path) -> None:
    (tmp_path / "chain").symlink_to("renewed/fullchain.pem")
    assert "is a link to " in look(run_module, tmp_path, None)["problem"]
    (tmp_path / "chain").unlink()
    (tmp_path / "chain").mkdir()
    assert "is a folder" in look(run_module, tmp_path, None)["problem"]


def test_who_is_not_known_is_asked_for(
    run_module: RunModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the authorities of the system, or where it has none, by what cannot be a chain."""
    (tmp_path / "roots.pem").write_text(issue("Known", authority=True).pem)
    monkeypatch.setattr(shared, "ROOTS", str(tmp_path / "roots.pem"))
    problem = look(run_module, tmp_path, authority=None)["problem"]
    assert "name its root in jitsi_web_certificate_authority" in problem
    (tmp_path / "roots.pem").write_text(ROOT.pem)
    assert look(run_module, tmp_path, authority=None)["problem"] == ""
    monkeypatch.setattr(shared, "ROOTS", str(tmp_path / "gone.pem"))
    assert look(run_module, tmp_path, authority=None)["problem"] == ""
    assert "without its chain" in look(run_module, tmp_path, SERVER.pem, authority=None)["problem"]


def test_it_tells_when_the_first_of_a_chain_ends(run_module: RunModule, tmp_path: Path) -> None:
    between = issue("Between", ROOT, authority=True, days=(-9, 9))
    told = look(run_module, tmp_path, issue(NAME, between, key=SERVER.key).pem + between.pem)
    assert told["ends"] == pytest.approx(between.certificate.not_valid_after_utc.timestamp())


def test_further_names_have_to_be_in_it(run_module: RunModule, tmp_path: Path) -> None:
    second = f"turn.{NAME}"
    problem = look(run_module, tmp_path, more_names=[second])["problem"]
    assert f"which is not for {second}. Get one that has {second} as subjectAltName." in problem
    both = again(names=(NAME, second))
    assert look(run_module, tmp_path, both, more_names=[second])["problem"] == ""
    own = issue(NAME)  # a run makes another one
    ours = {"variable": "", "authority": None, "more_names": [second]}
    assert look(run_module, tmp_path, own.pem, own.key, **ours)["problem"] == ""


def test_of_ours_nothing_is_asked_that_a_run_makes(run_module: RunModule, tmp_path: Path) -> None:
    ours = {"variable": "", "authority": None}
    assert look(run_module, tmp_path, None, None, **ours)["problem"] == ""
    own = issue(NAME)
    assert look(run_module, tmp_path, own.pem, own.key, **ours)["problem"] == ""
    ended = issue(NAME, days=(-900, -1), key=own.key)  # the run renews it
    assert look(run_module, tmp_path, ended.pem, own.key, **ours)["problem"] == ""
    problem = look(run_module, tmp_path, own.pem, SERVER.key, **ours)["problem"]
    assert "of an earlier run, was made for another key. Remove " in problem


@contextmanager
def showing(folder: Path, *, xmpp: bool = False) -> Iterator[int]:
    """The port of a program that shows the files of a folder."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "shown", folder / "key")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            plain, _ = server.accept()
            if xmpp:
                plain.recv(4096)
                plain.sendall(b"<stream:stream><stream:features><starttls/></stream:features>")
                assert b"<starttls" in plain.recv(4096)
                plain.sendall(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
            with context.wrap_socket(plain, server_side=True):
                pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


@pytest.mark.parametrize("xmpp", [False, True])
@pytest.mark.parametrize("newest", [True, False])
def test_it_sees_what_a_program_shows(
    run_module: RunModule, tmp_path: Path, xmpp: bool, newest: bool
) -> None:
    (tmp_path / "key").write_text(SERVER.key)
    (tmp_path / "shown").write_text(CHAIN if newest else again())
    with showing(tmp_path, xmpp=xmpp) as port:
        told = look(run_module, tmp_path, address="127.0.0.1", port=port, xmpp=xmpp)
    assert told["shown"] is newest
    assert look(run_module, tmp_path, address="127.0.0.1", port=1)["shown"] is None


def test_it_sees_what_java_trusts(run_module: RunModule, tmp_path: Path) -> None:
    store = tmp_path / "cacerts"
    assert look(run_module, tmp_path, java=str(store))["in_java"] is None
    store.write_bytes(b"\xfe\xed\xfe\xed" + _DER)
    assert look(run_module, tmp_path, java=str(store))["in_java"] is True
    store.write_bytes(b"\xfe\xed\xfe\xed" + _DER[:-1])
    assert look(run_module, tmp_path, java=str(store))["in_java"] is False
