"""An archive of Prosody plugins, or of the web client: got and looked into on the controller.

Nothing is unpacked before everything in the archive is known to be a plain file or folder below
its one top folder, so that unpacking it as root on a server writes there and nowhere else.
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ansible.module_utils.urls import open_url
from ansible.module_utils.vestibule import lua

_MIB = 2**20  # bytes


@dataclass(frozen=True)
class Content:
    """What an archive is to hold: what it is called, what has to be in it, and how large it is."""

    variable: str  # that names the archive; with _sha256 behind it, the one with its sum
    what: str
    how: str  # to pack one
    needed: frozenset[str]
    max_download: int  # MiB
    max_unpacked: int  # MiB
    max_members: int
    otherwise: str  # what to do where there is none
    plugins: bool = False


# The plugins of August 2026 take 0.2 MiB, and the client with its maps some 150
CONTENTS = {
    "plugins": Content(
        "jitsi_tokens_archive",
        "Jitsi's Prosody plugins",
        "Pack resources/prosody-plugins as it is, from the folder above it.",
        # What the token path needs in every plugin tree; the features need more modules
        frozenset(
            {
                "mod_auth_token.lua",
                "mod_token_verification.lua",
                "util.lib.lua",
                "token/util.lib.lua",
            }
        ),
        64,
        256,
        10_000,
        "set jitsi_tokens_source: package",
        plugins=True,
    ),
    "client": Content(
        "jitsi_web_archive",
        "Jitsi's web client",
        "`make source-package` of jitsi-meet packs one (jitsi-meet.tar.bz2).",
        # Without one of these the page stays white
        frozenset(
            {
                "index.html",
                "interface_config.js",
                "css/all.css",
                "libs/app.bundle.min.js",
                "libs/lib-jitsi-meet.min.js",
            }
        ),
        512,
        2048,
        50_000,
        "remove jitsi_web_archive to have the package",
    ),
}
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ArchiveError(ValueError):
    """The archive must not be used. The message is a sentence for the operator."""


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sum(path: Path, expected: str, content: Content) -> str:
    """SHA-256 of the file, which has to be ``expected`` where that is not empty."""
    actual = sha256_of(path)
    if expected and actual != expected:
        raise ArchiveError(
            f"The archive has the SHA-256 {actual}, but {content.variable}_sha256 is"
            f" {expected}. Do not use it before you know why: get the archive again, or correct"
            " the variable."
        )
    return actual


def _check_member(member: tarfile.TarInfo) -> PurePosixPath:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise ArchiveError(
            f"The archive has the member {member.name!r}, which leads out of its folder. Do not"
            " use it: pack what is in it anew with tar, from the folder above."
        )
    if not (member.isfile() or member.isdir()):
        raise ArchiveError(
            f"The archive has the member {member.name!r}, which is a link or a device. Pack plain"
            " files and folders only (tar --dereference)."
        )
    return path


def _read_members(path: Path, content: Content) -> list[tarfile.TarInfo]:
    members = []
    unpacked = 0
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                members.append(member)
                unpacked += member.size
                if len(members) > content.max_members or unpacked > content.max_unpacked * _MIB:
                    raise ArchiveError(
                        f"The archive is far larger than {content.what}. Set {content.variable} to"
                        f" a tarball of these. {content.how}"
                    )
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ArchiveError(
            f"The archive cannot be read as a tarball ({error}). Set {content.variable} to a"
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


def inspect(path: Path, content: Content) -> list[str]:
    """Names of the files in an archive, below its one top folder.

    Raises ArchiveError where it is no tarball of this content, or not safe to unpack.
    """
    tops = set()
    files = set()
    for member in _read_members(path, content):
        parts = [part for part in _check_member(member).parts if part != "."]
        tops.update(parts[:1])
        if member.isfile():
            files.add("/".join(parts[1:]))
    missing = sorted(content.needed - files)
    if len(tops) != 1 or not files & content.needed:
        raise ArchiveError(
            f"The archive holds no single folder with {content.what} directly in it. {content.how}"
        )
    if missing:
        raise ArchiveError(
            f"The archive lacks {', '.join(missing)}. Set {content.variable} to a tarball of all of"
            f" {content.what}."
        )
    return sorted(files)


def fetch(url: str, sha256: str, cache: Path, timeout: int, content: Content) -> Path:
    """Path of the file behind ``url``, fetched unless the cache has it. Seconds for ``timeout``."""
    if not sha256:
        raise ArchiveError(
            f"{content.variable} is an address, but {content.variable}_sha256 is empty. Set it to"
            " the SHA-256 of the archive that you have looked at."
        )
    target = cache / f"{sha256}.tar"
    if target.exists() and sha256_of(target) == sha256:
        return target
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=cache, delete=False) as file:
        temporary = Path(file.name)
        try:
            with open_url(url, timeout=timeout) as answer:
                _copy(answer, file, content)
            file.flush()
            check_sum(temporary, sha256, content)
            temporary.replace(target)
        except ArchiveError:
            raise
        except Exception as error:
            raise ArchiveError(
                f"{url} cannot be fetched ({error}). Check {content.variable} and the network of"
                " this controller, or fetch it by hand and give its path."
            ) from error
        finally:
            temporary.unlink(missing_ok=True)
    return target


def _copy(answer: Any, file: Any, content: Content) -> None:
    """Copy the answer into the file. Its header may say less than what comes."""
    said = int(answer.headers.get("Content-Length") or 0)
    copied = 0
    while said <= content.max_download * _MIB and (chunk := answer.read(2**16)):
        copied += len(chunk)
        said = max(said, copied)
        file.write(chunk)
    if said > content.max_download * _MIB:
        raise ArchiveError(
            f"The archive is larger than {content.max_download} MiB, which {content.what} are not."
        )


def _look(path: Path, sha256: str, cache: Path, content: Content) -> dict[str, Any]:
    """Files and options of an archive. A client, which takes seconds, is read once."""
    if content.plugins:
        return {"files": inspect(path, content), "options": options(path)}
    kept = cache / f"{sha256}.json"
    try:
        files = json.loads(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        files = []
    if not content.needed <= {*files}:
        files = inspect(path, content)
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept.write_text(json.dumps(files), encoding="utf-8")
    return {"files": files, "options": []}


def get(
    source: str, sha256: str, cache: Path, timeout: int, content: Content = CONTENTS["plugins"]
) -> dict[str, Any]:
    """Path, SHA-256, files and options of the archive that ``source``, a path or an address, names.

    Raises ArchiveError where there is none, or none that may be used.
    """
    variable = content.variable
    expected = sha256.lower()
    if expected and not _SHA256.fullmatch(expected):
        raise ArchiveError(
            f"{variable}_sha256 is no SHA-256: it has 64 hexadecimal digits, as sha256sum prints"
            " them."
        )
    if source.startswith("https://"):
        path = fetch(source, expected, cache, timeout, content)
    elif "://" in source:
        raise ArchiveError(
            f"{variable} is an address that does not begin with https://. Use https, or the path of"
            " a file on this controller."
        )
    else:
        path = Path(source).expanduser()
        if not path.is_file():
            raise ArchiveError(
                f'{variable} is "{source}", which is no file on this controller. Give the path of a'
                f" tarball of {content.what}, or {content.otherwise}."
            )
    actual = check_sum(path, expected, content)
    return {
        "path": str(path.resolve()),
        "sha256": actual,
        **_look(path, actual, cache, content),
    }
