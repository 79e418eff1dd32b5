"""Module ``self_signed``: it creates what is missing, and renews what is about to expire."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.vestibule import self_signed
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

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


def expiry(folder: Path) -> timedelta:
    """Time for which the certificate is made, which knows the key beside it."""
    pem = (folder / f"{NAME}.crt").read_bytes()
    certificate = x509.load_pem_x509_certificate(pem)
    key = load_pem_private_key((folder / f"{NAME}.key").read_bytes(), None)
    assert certificate.public_key() == key.public_key()
    return certificate.not_valid_after_utc - certificate.not_valid_before_utc


@pytest.mark.parametrize(("days", "due"), [(29, True), (31, False)])
def test_a_certificate_is_renewed_in_its_last_30_days(
    tmp_path: Path, run_module: RunModule, days: int, due: bool
) -> None:
    options = {"names": [NAME], "directory": str(tmp_path)}
    run_module(self_signed, days=days, **options)
    before = (tmp_path / f"{NAME}.crt").read_bytes()
    told = run_module(self_signed, days=90, **options, _ansible_check_mode=True)
    assert (told["changed"], len(told["renewed"])) == (due, due)
    assert (tmp_path / f"{NAME}.crt").read_bytes() == before

    result = run_module(self_signed, days=90, **options)
    assert (result["changed"], result["created"]) == (due, [])
    assert result["renewed"] == [f"{tmp_path}/{NAME}.crt"] * due
    assert expiry(tmp_path) == timedelta(days=90 if due else days)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{NAME}.crt", f"{NAME}.key"]
    assert stat.S_IMODE((tmp_path / f"{NAME}.key").stat().st_mode) == 0o600
    assert run_module(self_signed, days=90, **options)["changed"] is False


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
    run_module(self_signed, days=1, **options)
    before = (tmp_path / f"{NAME}.crt").read_bytes()
    (tmp_path / f"{NAME}.key").write_text("no key")
    assert run_module(self_signed, days=90, **options)["failed"]
    assert (tmp_path / f"{NAME}.crt").read_bytes() == before


def test_a_certificate_that_somebody_else_signed_is_theirs_to_renew(
    tmp_path: Path, run_module: RunModule
) -> None:
    run_module(self_signed, names=["ca.example.org"], directory=str(tmp_path), days=1)
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={NAME}"]
    argv += ["-CA", "ca.example.org.crt", "-CAkey", "ca.example.org.key", "-days", "1"]
    argv += ["-keyout", f"{NAME}.key", "-out", f"{NAME}.crt"]
    subprocess.run(argv, cwd=tmp_path, check=True, capture_output=True)
    result = run_module(self_signed, names=[NAME], directory=str(tmp_path), days=90)
    assert (result["changed"], expiry(tmp_path)) == (False, timedelta(days=1))


def test_check_mode_creates_nothing(tmp_path: Path, run_module: RunModule) -> None:
    folder = tmp_path / "web"
    options = {"directory": str(folder), "_ansible_check_mode": True}
    assert run_module(self_signed, names=[NAME], days=10, **options)["changed"] is True
    assert not folder.exists()


def test_another_user_creates_the_files() -> None:
    argv = self_signed.command("/var/lib/prosody/a.example.org", 10, "prosody", renew=False)
    assert argv[:4] == ["runuser", "--user=prosody", "--", "openssl"]
