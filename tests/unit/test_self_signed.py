"""Module ``self_signed``: it creates what is missing, and renews what is about to expire."""

from __future__ import annotations

import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.vestibule import self_signed
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

RunModule = Callable[..., dict[str, Any]]
NAME = "auth.meet.example.org"


def test_a_certificate_for_the_name_and_its_key(tmp_path: Path, run_module: RunModule) -> None:
    folder = tmp_path / "web" / "tls"
    result = run_module(self_signed, names=[NAME], directory=str(folder), days=10)
    assert result["changed"] is True
    assert result["created"] == [f"{folder}/{NAME}.crt"]

    certificate = x509.load_pem_x509_certificate((folder / f"{NAME}.crt").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [NAME]
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == timedelta(days=10)
    assert stat.S_IMODE((folder / f"{NAME}.key").stat().st_mode) == 0o600


def test_what_is_there_stays(tmp_path: Path, run_module: RunModule) -> None:
    (tmp_path / f"{NAME}.crt").write_text("bought")
    result = run_module(self_signed, names=[NAME], directory=str(tmp_path), days=10)
    assert (result["changed"], result["created"]) == (False, [])
    assert [path.name for path in tmp_path.iterdir()] == [f"{NAME}.crt"]


def test_a_key_that_others_could_read_is_closed(tmp_path: Path, run_module: RunModule) -> None:
    arguments = {"names": [NAME], "directory": str(tmp_path), "days": 10}
    run_module(self_signed, **arguments)
    key = tmp_path / f"{NAME}.key"
    key.chmod(0o644)
    assert run_module(self_signed, _ansible_check_mode=True, **arguments)["closed"] == [str(key)]
    assert stat.S_IMODE(key.stat().st_mode) == 0o644
    assert run_module(self_signed, **arguments)["changed"] is True
    assert stat.S_IMODE(key.stat().st_mode) == 0o640
    assert run_module(self_signed, **arguments)["changed"] is False


def expiry(folder: Path) -> timedelta:
    """Time for which the certificate is made, which knows the key beside it."""
    pem = (folder / f"{NAME}.crt").read_bytes()
    certificate = x509.load_pem_x509_certificate(pem)
    key = load_pem_private_key((folder / f"{NAME}.key").read_bytes(), None)
    assert certificate.public_key() == key.public_key()
    return certificate.not_valid_after_utc - certificate.not_valid_before_utc


def made(folder: Path, begin: int, end: int, issuer: str = NAME) -> None:
    """A certificate that is good from and to these days, counted from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=begin))
        .not_valid_after(now + timedelta(days=end))
        .sign(key, hashes.SHA256())
    )
    (folder / f"{NAME}.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / f"{NAME}.key").touch(0o600)
    (folder / f"{NAME}.key").write_bytes(key.private_bytes(*form))


@pytest.mark.parametrize(
    ("begin", "end", "due"),
    [
        pytest.param(-546, 274, False, id="more than a third of 820 days is left"),
        pytest.param(-548, 272, True, id="less than a third of 820 days is left"),
        pytest.param(-2435, 1215, True, id="less than a third of 3650 days is left"),
        pytest.param(-900, -80, True, id="it has ended"),
        pytest.param(0, 1, False, id="it is new, and short"),
    ],
)
def test_a_certificate_is_renewed_in_the_last_third_of_its_life(
    tmp_path: Path, run_module: RunModule, begin: int, end: int, due: bool
) -> None:
    options = {"names": [NAME], "directory": str(tmp_path), "days": 90}
    made(tmp_path, begin, end)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    told = run_module(self_signed, **options, _ansible_check_mode=True)
    assert (told["changed"], len(told["renewed"])) == (due, due)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before

    result = run_module(self_signed, **options)
    assert (result["changed"], result["created"]) == (due, [])
    assert result["renewed"] == [f"{tmp_path}/{NAME}.crt"] * due
    assert expiry(tmp_path) == timedelta(days=90 if due else end - begin)
    assert (tmp_path / f"{NAME}.key").read_bytes() == before[f"{NAME}.key"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(before)
    assert stat.S_IMODE((tmp_path / f"{NAME}.key").stat().st_mode) == 0o600
    assert run_module(self_signed, **options)["changed"] is False


def test_a_certificate_that_somebody_removed_gets_a_new_key(
    tmp_path: Path, run_module: RunModule
) -> None:
    (tmp_path / f"{NAME}.key").write_text("half of a k")
    options = {"names": [NAME], "directory": str(tmp_path)}
    assert run_module(self_signed, days=90, **options)["changed"] is True
    assert expiry(tmp_path) == timedelta(days=90)


def test_the_old_certificate_stays_where_no_new_one_can_be_made(
    tmp_path: Path, run_module: RunModule
) -> None:
    options = {"names": [NAME], "directory": str(tmp_path)}
    made(tmp_path, -20, 1)
    before = (tmp_path / f"{NAME}.crt").read_bytes()
    (tmp_path / f"{NAME}.key").write_text("no key")
    assert run_module(self_signed, days=90, **options)["failed"]
    assert (tmp_path / f"{NAME}.crt").read_bytes() == before


def test_a_certificate_that_somebody_else_signed_is_theirs_to_renew(
    tmp_path: Path, run_module: RunModule
) -> None:
    made(tmp_path, -89, 1, issuer="ca.example.org")
    result = run_module(self_signed, names=[NAME], directory=str(tmp_path), days=80)
    assert (result["changed"], expiry(tmp_path)) == (False, timedelta(days=90))


def test_check_mode_creates_nothing(tmp_path: Path, run_module: RunModule) -> None:
    folder = tmp_path / "web"
    options = {"directory": str(folder), "_ansible_check_mode": True}
    assert run_module(self_signed, names=[NAME], days=10, **options)["changed"] is True
    assert not folder.exists()


def names_of(folder: Path) -> list[str]:
    certificate = x509.load_pem_x509_certificate((folder / f"{NAME}.crt").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.DNSName)


def test_a_further_name_makes_another_certificate_for_the_same_key(
    tmp_path: Path, run_module: RunModule
) -> None:
    options = {"names": [NAME], "directory": str(tmp_path), "days": 90}
    more = {**options, "more_names": ["turn.example.org", "b.example.org"]}
    run_module(self_signed, **options)
    key = (tmp_path / f"{NAME}.key").read_bytes()
    assert names_of(tmp_path) == [NAME]
    assert run_module(self_signed, _ansible_check_mode=True, **more)["renewed"] != []
    assert run_module(self_signed, **more)["renewed"] == [f"{tmp_path}/{NAME}.crt"]
    assert names_of(tmp_path) == [NAME, "turn.example.org", "b.example.org"]
    assert (tmp_path / f"{NAME}.key").read_bytes() == key
    assert run_module(self_signed, **more)["changed"] is False
    # One that it is no longer for does no harm
    assert run_module(self_signed, **options)["changed"] is False


def test_one_that_somebody_else_signed_gets_no_further_name(
    tmp_path: Path, run_module: RunModule
) -> None:
    made(tmp_path, -1, 89, issuer="ca.example.org")
    options = {"names": [NAME], "directory": str(tmp_path), "days": 90}
    assert run_module(self_signed, more_names=["b.example.org"], **options)["changed"] is False


def test_another_user_creates_the_files() -> None:
    argv = self_signed.command("/var/lib/prosody/a.example.org", 10, "prosody", renew=False)
    assert argv[:4] == ["runuser", "--user=prosody", "--", "openssl"]
