"""Module ``self_signed``: it creates what is missing and touches nothing that is there."""

from __future__ import annotations

import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography import x509

import self_signed

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


def test_check_mode_creates_nothing(tmp_path: Path, run_module: RunModule) -> None:
    folder = tmp_path / "web"
    options = {"directory": str(folder), "_ansible_check_mode": True}
    assert run_module(self_signed, names=[NAME], days=10, **options)["changed"] is True
    assert not folder.exists()


def test_another_user_creates_the_files() -> None:
    argv = self_signed.command("/var/lib/prosody/a.example.org", 10, "prosody")
    assert argv[:4] == ["runuser", "--user=prosody", "--", "openssl"]
