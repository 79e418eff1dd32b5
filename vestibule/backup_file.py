"""The file of a backup: one tar of parts, each of which Ansible Vault encrypts by itself.

Vault takes a text whole and needs some twenty times as much memory, so an archive of any size is
cut into parts of `PART` bytes. What is in the backup, and the SHA-256 of each part in its order, is
the last member, encrypted as well: who has no password can change, leave out or add nothing.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from vestibule.secret_store import encrypted

if TYPE_CHECKING:
    from ansible.parsing.vault import VaultLib

FORMAT = 1
PART = 2 * 2**20  # bytes; some 50 MB of memory while it is encrypted
LARGEST_CONTENTS = 64 * 2**20  # bytes, encrypted
_MARK = "vestibule-backup"
_CONTENTS = "contents"
_SAYS = f"A backup by Vestibule, format {FORMAT}: parts that Ansible Vault encrypts.\n"
_REMEDY = "Take another backup, or the same one from where it is whole."


class BackupError(ValueError):
    """The backup cannot be made or used. The message is a sentence for the operator."""


def require_password(vault: VaultLib) -> None:
    """Refuse to write secrets in clear text. Raises BackupError."""
    if not vault.secrets:
        raise BackupError(
            "No vault password is configured, and a backup is encrypted with it. Give one with "
            "--vault-password-file or --ask-vault-pass, or name its file in "
            "ANSIBLE_VAULT_PASSWORD_FILE; keep it elsewhere than the backup."
        )


class Writer:
    """Takes parts, and at the end what they are."""

    def __init__(self, archive: tarfile.TarFile, vault: VaultLib) -> None:
        self._archive, self._vault = archive, vault
        self._sums: list[str] = []
        self._add(_MARK, _SAYS.encode())

    def add(self, part: bytes) -> None:
        """The next part of the data."""
        self._sums.append(hashlib.sha256(part).hexdigest())
        self._add(f"part-{len(self._sums) - 1:06}", encrypted(part, self._vault))

    def finish(self, contents: Mapping[str, Any]) -> None:
        """What the backup has, which is its last member."""
        whole = {"format": FORMAT, "parts": self._sums, **contents}
        self._add(_CONTENTS, encrypted(json.dumps(whole).encode(), self._vault))

    def _add(self, name: str, body: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(body), 0o600
        self._archive.addfile(member, io.BytesIO(body))


@contextmanager
def written(path: Path, vault: VaultLib) -> Iterator[Writer]:
    """A backup that has its name once it is whole, for its owner alone."""
    require_password(vault)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            with tarfile.open(fileobj=file, mode="w") as archive:
                yield Writer(archive, vault)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


class Reader:
    """What a backup has, once its contents have been opened."""

    def __init__(self, path: Path, archive: tarfile.TarFile, vault: VaultLib) -> None:
        self._path, self._archive, self._vault = path, archive, vault
        self._members = {member.name: member for member in archive.getmembers()}
        if _MARK not in self._members:
            raise BackupError(f"{path} is no backup that Vestibule made. {_REMEDY}")
        if self._body(_MARK).decode(errors="replace") != _SAYS:
            raise BackupError(
                f"{path} has another format than this version of Vestibule reads ({FORMAT}). Use "
                "the version that made it."
            )
        if _CONTENTS not in self._members:
            raise BackupError(f"{path} is cut off: its end is missing. {_REMEDY}")
        require_password(vault)
        if self._members[_CONTENTS].size > LARGEST_CONTENTS:
            raise BackupError(f"{path} has contents of a size that no backup has. {_REMEDY}")
        try:
            self.contents: dict[str, Any] = json.loads(self._open(_CONTENTS))
        except ValueError as error:
            if isinstance(error, BackupError):
                raise
            raise BackupError(f"{path} is damaged: its contents are no JSON. {_REMEDY}") from None
        names = [f"part-{number:06}" for number in range(len(self.contents["parts"]))]
        if archive.getnames() != [_MARK, *names, _CONTENTS]:
            raise BackupError(f"{path} has other parts than it should have. {_REMEDY}")

    def parts(self) -> Iterator[bytes]:
        """The parts of the data, each as it was. Raises BackupError."""
        for number, expected in enumerate(self.contents["parts"]):
            part = self._open(f"part-{number:06}")
            if hashlib.sha256(part).hexdigest() != expected:
                raise BackupError(f"{self._path} is damaged in part {number}. {_REMEDY}")
            yield part

    def _body(self, name: str) -> bytes:
        member = self._members[name]
        if not member.isreg() or member.size > max(LARGEST_CONTENTS, 5 * PART):
            raise BackupError(f"{self._path} has a member {name} of no kind. {_REMEDY}")
        source = self._archive.extractfile(member)
        body = source.read() if source else b""
        if len(body) != member.size:
            raise BackupError(f"{self._path} is cut off in {name}. {_REMEDY}")
        return body

    def _open(self, name: str) -> bytes:
        from ansible.errors import AnsibleError  # noqa: PLC0415 — help needs no Ansible

        body = self._body(name)
        try:
            clear: bytes = self._vault.decrypt(body)
        except AnsibleError:
            raise BackupError(
                f"{self._path} does not open with the vault password that is configured: it was "
                "made with another one, or is damaged. Give the one it was made with."
            ) from None
        return clear


@contextmanager
def opened(path: Path, vault: VaultLib) -> Iterator[Reader]:
    """The backup at a path. Raises BackupError."""
    if not path.is_file():
        raise BackupError(f"There is no file {path}. Name a backup, e.g. -e backup=FILE.")
    try:
        with tarfile.open(path, mode="r:") as archive:
            yield Reader(path, archive, vault)
    except (tarfile.TarError, EOFError) as error:
        raise BackupError(
            f"{path} is cut off, or is no backup that Vestibule made ({error}). {_REMEDY}"
        ) from None


class Stream(io.RawIOBase):
    """Parts as one file that is read once."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts, self._rest = parts, b""

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as the next part goes."""
        while not self._rest:
            part = next(self._parts, None)
            if part is None:
                return 0
            self._rest = part
        taken = self._rest[: len(buffer)]
        self._rest = self._rest[len(taken) :]
        buffer[: len(taken)] = taken
        return len(taken)


def buffered(parts: Iterator[bytes]) -> IO[bytes]:
    """The same, with reads of any length."""
    return io.BufferedReader(Stream(parts))
