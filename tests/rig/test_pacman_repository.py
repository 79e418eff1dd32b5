"""Packages for pacman, read back as PKGINFO(5) and repo-add(8) describe them.

Whether pacman takes them shows where they are installed: in the facsimile of Arch.
"""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

import pytest

from rig.stand_ins import pacman_repository
from rig.stand_ins.pacman_repository import Package

TIME = 1767225600


@pytest.fixture
def package(tmp_path: Path) -> Package:
    tree = tmp_path / "tree"
    (tree / "etc/door").mkdir(parents=True)
    (tree / "etc/door/door.conf").write_text("closed\n", "utf-8")
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "usr/bin/door").write_text("#!/bin/sh\n", "utf-8")
    (tree / "usr/bin/door").chmod(0o755)
    (tree / "usr/bin/gate").symlink_to("door")
    return Package(
        "door",
        "1:2.0-1",
        "A door",
        tree,
        depends=("lua", "openssl"),
        conflicts=("gate",),
        backup=("etc/door/door.conf",),
        install="post_install() {\n  true\n}\n",
    )


def text(archive: tarfile.TarFile, name: str) -> str:
    file = archive.extractfile(name)
    assert file is not None
    return file.read().decode()


def test_package_says_what_it_is_before_its_files(package: Package, tmp_path: Path) -> None:
    file = pacman_repository.write_package(package, tmp_path, TIME)

    assert file.name == "door-1:2.0-1-any.pkg.tar.gz"
    with tarfile.open(file) as archive:
        assert archive.getnames()[:2] == [".PKGINFO", ".INSTALL"]
        info = text(archive, ".PKGINFO").splitlines()
        assert "post_install" in text(archive, ".INSTALL")
    assert [row for row in info if row.startswith(("pkg", "depend", "conflict", "backup"))] == [
        "pkgname = door",
        "pkgver = 1:2.0-1",
        "pkgdesc = A door",
        "depend = lua",
        "depend = openssl",
        "conflict = gate",
        "backup = etc/door/door.conf",
    ]


def test_files_belong_to_root_and_keep_modes_and_links(package: Package, tmp_path: Path) -> None:
    with tarfile.open(pacman_repository.write_package(package, tmp_path, TIME)) as archive:
        members = {member.name: member for member in archive if not member.name.startswith(".")}

    assert sorted(members) == [
        "etc", "etc/door", "etc/door/door.conf", "usr", "usr/bin", "usr/bin/door", "usr/bin/gate",
    ]  # fmt: skip
    assert {(m.uid, m.gid, m.mtime) for m in members.values()} == {(0, 0, TIME)}
    assert members["usr/bin/door"].mode == 0o755
    assert members["usr/bin/gate"].linkname == "door"


def test_database_describes_the_file(package: Package, tmp_path: Path) -> None:
    file, database = pacman_repository.write_repository(tmp_path, "jitsi", [package], TIME)

    assert database.name == "jitsi.db"
    with tarfile.open(database) as archive:
        assert archive.getnames() == ["door-1:2.0-1/desc"]
        rows = text(archive, "door-1:2.0-1/desc").strip().split("\n\n")
    entry = {row.split("\n")[0].strip("%"): row.split("\n")[1:] for row in rows}
    content = file.read_bytes()
    assert entry["FILENAME"] == [file.name]
    assert entry["DEPENDS"] == ["lua", "openssl"]
    assert entry["CONFLICTS"] == ["gate"]
    assert entry["CSIZE"] == [str(len(content))]
    assert entry["SHA256SUM"] == [hashlib.sha256(content).hexdigest()]
    assert "BACKUP" not in entry


def test_same_files_make_the_same_package(
    package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The layouts share packages; pacman refuses a cached one whose checksum is another."""
    (tmp_path / "again").mkdir()
    one = pacman_repository.write_package(package, tmp_path, TIME)
    monkeypatch.setattr("time.time", lambda: 1.0)
    other = pacman_repository.write_package(package, tmp_path / "again", TIME)
    assert one.read_bytes() == other.read_bytes()
