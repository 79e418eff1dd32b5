"""Backups of a server: what goes into one, what it is checked for, and how it comes back."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from ansible.module_utils.vestibule import stored

from vestibule import secret_store, versions
from vestibule.backup_file import PART, BackupError, Reader, buffered, opened, written
from vestibule.secret_store import SecretError

if TYPE_CHECKING:
    from ansible.parsing.vault import VaultLib

# Runs the module stored_data on the host, with these options
Ask = Callable[[Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True)
class Place:
    """Which server a backup is of, and what the controller has of it."""

    host: str
    domain: str
    inventory: Path
    versions: Path

    @property
    def secrets(self) -> Path:
        """Where its secrets are kept."""
        return self.inventory / ".secrets" / f"{self.host}.yml"


def name_of(host: str) -> str:
    """What the file of a backup that is made now is called."""
    return f"{host}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.vestibule"


def take(
    place: Place,
    paths: list[str],
    variables: Mapping[str, Any],
    path: Path,
    vault: VaultLib,
    ask: Ask,
) -> dict[str, Any]:
    """Write a backup. What it has, without secrets. Raises BackupError."""
    with written(path, vault) as writer:
        known, _ = _secrets(place, vault)
        packed = ask({"state": "packed", "paths": paths})
        whole = hashlib.sha256()
        try:
            for offset in range(0, packed["size"], PART):
                answer = ask({"state": "read", "offset": offset, "length": PART})
                part = base64.b64decode(answer["content"])
                whole.update(part)
                writer.add(part)
        finally:
            ask({"state": "removed"})
        if whole.hexdigest() != packed["sha256"]:
            raise BackupError("The data changed on its way from the host. Run this again.")
        contents = {
            "host": place.host,
            "domain": place.domain,
            "made": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
            "secrets": known,
            "versions": versions.read(place.versions),
            "variables": json.loads(json.dumps(variables, default=str)),
            **{each: packed[each] for each in ("tops", "size", "sha256", "unpacked", "count")},
        }
        writer.finish(contents)
    return {"path": str(path), **summary(contents)}


def summary(contents: Mapping[str, Any]) -> dict[str, Any]:
    """What a backup has, for people: names and sizes, and no secret."""
    shown = ("host", "domain", "made", "tops", "count", "unpacked")
    return {
        **{name: contents[name] for name in shown},
        "secrets": sorted(contents["secrets"]),
        "variables": sorted(contents["variables"]),
        "has_versions": bool(contents["versions"]),
    }


def check(path: Path, vault: VaultLib, place: Place | None = None) -> dict[str, Any]:
    """Contents of a backup of which everything was read and looked at. Raises BackupError.

    With a ``place`` it has to be of that server, whose secrets are the same or not there.
    """
    with opened(path, vault) as reader:
        contents = reader.contents
        if place and contents["domain"] != place.domain:
            raise BackupError(
                f"{path} is a backup of {contents['domain']} (host {contents['host']}), and "
                f"{place.host} is {place.domain}. Name a backup of that server, or correct "
                "jitsi_domain."
            )
        if place:
            _compare_secrets(path, place, contents["secrets"], vault)
        _look_at_data(path, reader)
    return contents


def _look_at_data(path: Path, reader: Reader) -> None:
    """Read all of the data, a part at a time. Raises BackupError."""
    contents, whole = reader.contents, hashlib.sha256()

    def parts() -> Iterator[bytes]:
        for part in reader.parts():
            whole.update(part)
            yield part

    unpacked = 0
    source = parts()
    try:
        for _, member in stored.members(buffered(source), contents["tops"]):
            unpacked += member.size
            if unpacked > contents["unpacked"]:
                raise BackupError(f"{path} has more data than it says.")
    except stored.StoredError as error:
        raise BackupError(f"{path}: {error}") from None
    for _ in source:  # behind the end of the archive
        pass
    if whole.hexdigest() != contents["sha256"] or unpacked != contents["unpacked"]:
        raise BackupError(f"{path} has other data than it says.")


def _secrets(place: Place, vault: VaultLib) -> tuple[dict[str, str], bool]:
    try:
        return secret_store.read(place.secrets, vault)
    except SecretError as error:
        raise BackupError(str(error)) from None


def _compare_secrets(
    path: Path, place: Place, kept: Mapping[str, str], vault: VaultLib
) -> Mapping[str, str]:
    """Those that the controller has. Raises BackupError where these are others."""
    there, _ = _secrets(place, vault)
    other = sorted(name for name, value in there.items() if kept.get(name, value) != value)
    if other:
        raise BackupError(
            f"{place.secrets} has other secrets than {path}: {', '.join(other)}. Links that people "
            "have go by one of the two. Move that file away to take those of the backup, or name "
            "another backup."
        )
    return there


def put_beside(
    path: Path, vault: VaultLib, place: Place, paths: list[str], *, check_mode: bool
) -> tuple[bool, dict[str, Any]]:
    """Put secrets and versions beside the inventory where there are none. Whether any were.

    ``paths`` are those at which a server of this version has data, with C(*) for anything. Raises
    BackupError, before anything is written.
    """
    contents = check(path, vault, place)
    strange = [top for top in contents["tops"] if not any(fnmatch(top, each) for each in paths)]
    if strange:
        raise BackupError(
            f"{path} has data for {', '.join(strange)}, where a server of {place.domain} has none. "
            "Restore it with the inventory that it was made with."
        )
    there = _compare_secrets(path, place, contents["secrets"], vault)
    lacks = contents["secrets"].keys() - there.keys()
    lacks_versions = bool(contents["versions"]) and not place.versions.exists()
    if lacks and not check_mode:
        place.secrets.parent.mkdir(mode=0o700, exist_ok=True)
        text = yaml.safe_dump({**contents["secrets"], **there}, sort_keys=False, allow_unicode=True)
        with secret_store.locked(place.inventory):
            head = secret_store.HEADER.format(host=place.host)
            secret_store.write(place.secrets, head + text + secret_store.END, vault)
    if lacks_versions and not check_mode:
        versions.write(place.versions, contents["versions"])
    return bool(lacks or lacks_versions), contents


def other_variables(contents: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Names of variables that had another value when the backup was made."""
    then, now = contents["variables"], json.loads(json.dumps(given, default=str))
    return sorted(name for name in then.keys() | now if then.get(name) != now.get(name))


def bring_back(path: Path, vault: VaultLib, backup: str, ask: Ask) -> list[str]:
    """Put the data in its place on the host. Paths of what is there again. Raises BackupError."""
    with opened(path, vault) as reader:
        offset = 0
        for part in reader.parts():
            content = base64.b64encode(part).decode()
            ask({"state": "written", "offset": offset, "content": content})
            offset += len(part)
        told = ask(
            {
                "state": "restored",
                "paths": reader.contents["tops"],
                "sha256": reader.contents["sha256"],
                "unpacked": reader.contents["unpacked"],
                "backup": backup,
            }
        )
    return list(told["paths"])
