"""An archive of Prosody plugins: got and looked into on the controller.

Nothing is unpacked before everything in the archive is known to be a plain file or folder below
its one top folder, so that unpacking it as root on a server writes there and nowhere else.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

from ansible.module_utils.urls import open_url
from ansible.module_utils.vestibule import lua

# What the token path needs in every plugin tree; the features need more modules.
_NEEDED = {"mod_auth_token.lua", "mod_token_verification.lua", "util.lib.lua", "token/util.lib.lua"}
_MAX_DOWNLOAD = 64 * 2**20  # bytes; the plugins of August 2026 take 0.2 MiB
_MAX_UNPACKED = 256 * 2**20  # bytes
_MAX_MEMBERS = 10_000
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ArchiveError(ValueError):
    """The archive must not be used. The message is a sentence for the operator."""


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sum(path: Path, expected: str) -> str:
    """SHA-256 of the file, which has to be ``expected`` where that is not empty."""
    actual = sha256_of(path)
    if expected and actual != expected:
        raise ArchiveError(
            f"The archive has the SHA-256 {actual}, but jitsi_tokens_archive_sha256 is"
            f" {expected}. Do not use it before you know why: get the archive again, or correct"
            " the variable."
        )
    return actual


def _check_member(member: tarfile.TarInfo) -> PurePosixPath:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise ArchiveError(
            f"The archive has the member {member.name!r}, which leads out of its folder. Do not"
            " use it: pack the plugins anew with tar, from the folder above them."
        )
    if not (member.isfile() or member.isdir()):
        raise ArchiveError(
            f"The archive has the member {member.name!r}, which is a link or a device. Pack plain"
            " files and folders only (tar --dereference)."
        )
    return path


def _read_members(path: Path) -> list[tarfile.TarInfo]:
    members = []
    unpacked = 0
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                members.append(member)
                unpacked += member.size
                if len(members) > _MAX_MEMBERS or unpacked > _MAX_UNPACKED:
                    raise ArchiveError(
                        "The archive is far larger than a tree of Prosody plugins. Set"
                        " jitsi_tokens_archive to a tarball of Jitsi's resources/prosody-plugins."
                    )
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ArchiveError(
            f"The archive cannot be read as a tarball ({error}). Set jitsi_tokens_archive to a"
            " complete .tar, .tar.gz, .tar.bz2 or .tar.xz."
        ) from error
    return members


def options(path: Path) -> list[str]:
    """Options that the modules in an archive read, as ``module.option``."""
    found: set[str] = set()
    with tarfile.open(path) as archive:
        for member in archive:
            name = PurePosixPath(member.name).name
            if member.isfile() and lua.is_module(name):
                file = archive.extractfile(member)
                found |= lua.options(name, file.read().decode(errors="replace") if file else "")
    return sorted(found)


def inspect(path: Path) -> list[str]:
    """Names of the files in an archive, below its one top folder.

    Raises ArchiveError where it is no tarball of a plugin tree, or not safe to unpack.
    """
    tops = set()
    files = set()
    for member in _read_members(path):
        parts = [part for part in _check_member(member).parts if part != "."]
        tops.update(parts[:1])
        if member.isfile():
            files.add("/".join(parts[1:]))
    missing = sorted(_NEEDED - files)
    if len(tops) != 1 or not files & _NEEDED:
        raise ArchiveError(
            "The archive holds no single folder with Jitsi's Prosody plugins directly in it. Pack"
            " resources/prosody-plugins as it is, from the folder above it."
        )
    if missing:
        raise ArchiveError(
            f"The archive lacks {', '.join(missing)}. Set jitsi_tokens_archive to a tarball of all"
            " of Jitsi's Prosody plugins."
        )
    return sorted(files)


def fetch(url: str, sha256: str, cache: Path, timeout: int) -> Path:
    """Path of the file behind ``url``, fetched unless the cache has it. Seconds for ``timeout``."""
    if not sha256:
        raise ArchiveError(
            "jitsi_tokens_archive is an address, but jitsi_tokens_archive_sha256 is empty. Set it"
            " to the SHA-256 of the archive that you have looked at."
        )
    target = cache / f"{sha256}.tar"
    if target.exists() and sha256_of(target) == sha256:
        return target
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=cache, delete=False) as file:
        temporary = Path(file.name)
        try:
            with open_url(url, timeout=timeout) as answer:
                _copy(answer, file)
            file.flush()
            check_sum(temporary, sha256)
            temporary.replace(target)
        except ArchiveError:
            raise
        except Exception as error:
            raise ArchiveError(
                f"{url} cannot be fetched ({error}). Check jitsi_tokens_archive and the network of"
                " this controller, or fetch it by hand and give its path."
            ) from error
        finally:
            temporary.unlink(missing_ok=True)
    return target


def _copy(answer: Any, file: Any) -> None:
    if int(answer.headers.get("Content-Length") or 0) > _MAX_DOWNLOAD:
        raise ArchiveError("The archive is larger than 64 MiB, which no plugin tree is.")
    copied = 0
    while chunk := answer.read(2**16):
        copied += len(chunk)
        if copied > _MAX_DOWNLOAD:
            raise ArchiveError("The archive is larger than 64 MiB, which no plugin tree is.")
        file.write(chunk)


def get(source: str, sha256: str, cache: Path, timeout: int) -> dict[str, Any]:
    """Path, SHA-256, files and options of the archive that ``source``, a path or an address, names.

    Raises ArchiveError where there is none, or none that may be used.
    """
    expected = sha256.lower()
    if expected and not _SHA256.fullmatch(expected):
        raise ArchiveError(
            "jitsi_tokens_archive_sha256 is no SHA-256: it has 64 hexadecimal digits, as"
            " sha256sum prints them."
        )
    if source.startswith("https://"):
        path = fetch(source, expected, cache, timeout)
    elif "://" in source:
        raise ArchiveError(
            "jitsi_tokens_archive is an address that does not begin with https://. Use https, or"
            " the path of a file on this controller."
        )
    else:
        path = Path(source).expanduser()
        if not path.is_file():
            raise ArchiveError(
                f'jitsi_tokens_archive is "{source}", which is no file on this controller. Give'
                " the path of a tarball of Jitsi's Prosody plugins, or set jitsi_tokens_source:"
                " package."
            )
    return {
        "path": str(path.resolve()),
        "sha256": check_sum(path, expected),
        "files": inspect(path),
        "options": options(path),
    }
