"""A package of which no repository has a file is made anew of what is installed."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.vestibule import package_files
from ansible.module_utils.vestibule.package_files import deb_name, not_kept, parse_desc


class Module:
    """Runs programs as Ansible's module does."""

    def run_command(self, argv: list[str], **_: Any) -> tuple[int, str, str]:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr


def told(*argv: str | Path) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def test_a_package_of_this_machine_is_made_anew(tmp_path: Path) -> None:
    deb = tmp_path / "dash.deb"
    package_files.repack_deb(Module(), "dash", str(deb))
    version = told("dpkg-query", "--show", "--showformat=${Version}", "dash")
    assert told("dpkg-deb", "--field", deb, "Package", "Version") == (
        f"Package: dash\nVersion: {version}\n"
    )
    assert "Status:" not in told("dpkg-deb", "--field", deb)
    told("dpkg-deb", "--extract", deb, tmp_path / "tree")
    # Beside its folders, of which the host may have made links
    (there,) = (path for path in (tmp_path / "tree").rglob("bin/dash"))
    assert there.read_bytes() == Path("/bin/dash").read_bytes()
    assert there.stat().st_mode == Path("/bin/dash").stat().st_mode
    told("dpkg-deb", "--control", deb, tmp_path / "control")
    ours = {path.name: path.read_bytes() for path in (tmp_path / "control").iterdir()}
    for name, body in ours.items():
        original = Path(f"/var/lib/dpkg/info/dash.{name}")
        assert name == "control" or original.read_bytes() == body
    assert "postinst" in ours
    assert (tmp_path / "control/postinst").stat().st_mode & 0o111


def test_names_are_those_that_apt_gives(tmp_path: Path) -> None:
    assert deb_name("a", "2:1.0-1", "all") == "a_2%3a1.0-1_all.deb"
    (tmp_path / "a_2%3a1.0-1_all.deb").touch()
    (tmp_path / "b-1.0-1-any.pkg.tar.zst").touch()
    assert not_kept({"a": "2:1.0-1", "b": "1.0-1", "c": "1"}, str(tmp_path)) == ["c"]
    assert not_kept({"a": "2:1.0-2", "b": "1.0-2"}, str(tmp_path)) == ["a", "b"]


@pytest.fixture(name="local")
def _local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What pacman knows of a package that it has installed."""
    monkeypatch.setattr(package_files, "_LOCAL", str(tmp_path / "local"))
    monkeypatch.setattr(package_files, "_PACMAN_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "local/hello-1.0-1"
    folder.mkdir(parents=True)
    (folder / "desc").write_text(
        "%NAME%\nhello\n\n%VERSION%\n1.0-1\n\n%ARCH%\nany\n\n%DEPENDS%\nlua\nprosody\n\n"
    )
    (tmp_path / "hello").write_text("hello")
    relative = str(tmp_path / "hello").lstrip("/")
    (folder / "files").write_text(f"%FILES%\n{relative}\n\n%BACKUP%\n{relative}\tmd5\n\n")
    (folder / "install").write_text("post_install() { true; }\n")
    (tmp_path / "kept").mkdir()
    return tmp_path


def test_a_package_of_pacman_is_made_anew(local: Path) -> None:
    name = package_files._keep_arch("hello", "1.0-1", str(local / "kept"))
    assert name == "hello-1.0-1-any.pkg.tar.gz"
    relative = str(local / "hello").lstrip("/")
    with tarfile.open(local / "kept" / name) as archive:
        assert archive.getnames() == [".PKGINFO", ".INSTALL", relative]
        info = archive.extractfile(".PKGINFO")
        assert info
        assert info.read().decode().splitlines() == [
            "pkgname = hello",
            "pkgver = 1.0-1",
            "arch = any",
            "depend = lua",
            "depend = prosody",
            f"backup = {relative}",
        ]


def test_the_cache_of_pacman_comes_first(local: Path) -> None:
    (local / "cache").mkdir()
    (local / "cache/hello-1.0-1-any.pkg.tar.zst").write_text("cached")
    (local / "cache/hello-1.0-1-any.pkg.tar.zst.sig").write_text("signature")
    name = package_files._keep_arch("hello", "1.0-1", str(local / "kept"))
    assert (local / "kept" / name).read_text() == "cached"


def test_fields_of_pacman_are_read() -> None:
    assert parse_desc("%NAME%\na\n\n%DEPENDS%\nb\nc\n") == {"NAME": ["a"], "DEPENDS": ["b", "c"]}
