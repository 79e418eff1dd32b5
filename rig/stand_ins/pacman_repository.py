#!/usr/bin/env python3
"""Write packages and repositories that pacman takes, on machines without pacman.

Formats: PKGINFO(5), and what repo-add(8) writes.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PACKAGER = "Vestibule tests <stand-ins@example.org>"


@dataclass(frozen=True)
class Package:
    """What a package says of itself, and the tree of files that it installs."""

    name: str
    version: str  # [epoch:]version-release
    description: str
    tree: Path
    architecture: str = "any"
    depends: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    backup: tuple[str, ...] = ()  # configuration, without the leading slash
    install: str = ""  # shell functions like post_install

    @property
    def filename(self) -> str:
        """The name of its file."""
        return f"{self.name}-{self.version}-{self.architecture}.pkg.tar.gz"

    def size(self) -> int:
        """Bytes that it takes when installed."""
        return sum(path.lstat().st_size for path in self.tree.rglob("*") if not path.is_dir())


def _fields(package: Package) -> Iterator[tuple[str, str]]:
    """Yield what both formats know, by the names of PKGINFO."""
    yield "pkgname", package.name
    yield "pkgver", package.version
    yield "pkgdesc", package.description
    yield "url", "https://example.org/"
    yield "packager", PACKAGER
    yield "arch", package.architecture
    yield "license", "custom"
    for name, values in (
        ("depend", package.depends),
        ("provides", package.provides),
        ("conflict", package.conflicts),
        ("backup", package.backup),
    ):
        for value in values:
            yield name, value


@contextmanager
def _compressed_tar(file: Path, time: int) -> Iterator[tarfile.TarFile]:
    """Open a new archive; the same members make the same bytes."""
    with (
        gzip.GzipFile(file, "wb", compresslevel=1, mtime=time) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        yield archive


def write_package(package: Package, directory: Path, time: int) -> Path:
    """Write a package into ``directory``, everything in it from ``time`` and owned by root."""

    def reset(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        member.mtime = time
        return member

    def add(archive: tarfile.TarFile, name: str, text: str) -> None:
        content = text.encode()
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(reset(member), io.BytesIO(content))

    file = directory / package.filename
    info = [*_fields(package), ("builddate", str(time)), ("size", str(package.size()))]
    with _compressed_tar(file, time) as archive:
        add(archive, ".PKGINFO", "".join(f"{name} = {value}\n" for name, value in info))
        if package.install:
            add(archive, ".INSTALL", package.install)
        for path in sorted(package.tree.rglob("*")):
            name = str(path.relative_to(package.tree))
            archive.add(path, name, recursive=False, filter=reset)
    return file


def _entry(package: Package, file: Path, time: int) -> str:
    """Return the file desc of a package in a repository."""
    names = {
        "pkgname": "NAME",
        "pkgver": "VERSION",
        "pkgdesc": "DESC",
        "depend": "DEPENDS",
        "conflict": "CONFLICTS",
    }
    content = file.read_bytes()
    rows: dict[str, list[str]] = {"FILENAME": [file.name]}
    for name, value in _fields(package):
        if name != "backup":
            rows.setdefault(names.get(name, name.upper()), []).append(value)
    rows |= {
        "CSIZE": [str(len(content))],
        "ISIZE": [str(package.size())],
        "SHA256SUM": [hashlib.sha256(content).hexdigest()],
        "BUILDDATE": [str(time)],
    }
    return "".join(f"%{name}%\n" + "\n".join(values) + "\n\n" for name, values in rows.items())


def write_repository(
    directory: Path, name: str, packages: Iterable[Package], time: int
) -> list[Path]:
    """Write packages and the database ``name`` of them into ``directory``; all these files."""
    database = directory / f"{name}.db"
    files = []
    with _compressed_tar(database, time) as archive:
        for package in packages:
            file = write_package(package, directory, time)
            files.append(file)
            content = _entry(package, file, time).encode()
            member = tarfile.TarInfo(f"{package.name}-{package.version}/desc")
            member.size, member.mtime = len(content), time
            archive.addfile(member, io.BytesIO(content))
    return [*files, database]
