"""Snapshots of what a run may change on a host: packages with their files, files, holds, services.

One snapshot is one file of JSON, which is there once all that it names is. What several snapshots
have in common is there once: files by their digest, packages by their name. All of it is for root
alone, as secrets are among it.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import shutil
import stat
import time
from collections.abc import Iterable
from typing import Any

from ansible.module_utils.vestibule import files, former, leftovers

PLACE = "/var/lib/vestibule/snapshots"
NAME = re.compile(r"\d{8}T\d{6}Z(?:-\d+)?")
_BODIES = "bodies"
_PACKAGES = "packages"
_UNDECIDED = former.UNDECIDED
# What package managers leave beside a file of configuration
_BESIDE = (".dpkg-dist", ".dpkg-new", ".dpkg-old", ".dpkg-tmp", ".ucf-dist", ".pacnew", ".pacsave")
_BLOCK = 1 << 20


class SnapshotError(Exception):
    """A sentence for the operator: what is wrong and what to do about it."""


def path_of(name: str) -> str:
    """Where a snapshot is."""
    return os.path.join(PLACE, f"{name}.json")


def packages_folder() -> str:
    """Where files of packages are kept."""
    return os.path.join(PLACE, _PACKAGES)


def prepare() -> None:
    """Have the folders, for root alone."""
    for folder in (PLACE, packages_folder(), os.path.join(PLACE, _BODIES)):
        os.makedirs(folder, mode=0o700, exist_ok=True)
        os.chmod(folder, 0o700)


def names() -> list[str]:
    """Names of the snapshots, the latest last."""
    found = (os.path.basename(path)[: -len(".json")] for path in glob.glob(f"{PLACE}/*.json"))
    return sorted((each for each in found if NAME.fullmatch(each)), key=order)


def order(name: str) -> tuple[str, int]:
    """What a name is sorted by: the time, and a number within a second."""
    began, _, number = name.partition("-")
    return began, int(number or 1)


def new_name() -> str:
    """A name that no snapshot has, by the time (UTC)."""
    began, number = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), 1
    name = began
    while os.path.lexists(path_of(name)):
        number += 1
        name = f"{began}-{number}"
    return name


def read(name: str) -> dict[str, Any]:
    """A snapshot. Raises SnapshotError where there is none of this name."""
    if not NAME.fullmatch(name) or name not in names():
        there = ", ".join(names()) or "none"
        raise SnapshotError(
            f"There is no snapshot {name[:40]} on this host; there are: {there}. Name one of them."
        )
    try:
        manifest: dict[str, Any] = json.loads(files.read(path_of(name)))
    except ValueError as error:
        raise SnapshotError(
            f"The snapshot {name} cannot be read ({error}). Name another one."
        ) from None
    return manifest


def readable() -> dict[str, dict[str, Any]]:
    """The snapshots by name, the latest last, without those that cannot be read."""
    found = {}
    for name in names():
        try:
            found[name] = read(name)
        except SnapshotError:
            continue
    return found


def write(name: str, manifest: dict[str, Any]) -> None:
    """Write a snapshot, whole and after all that it names is on disk."""
    os.sync()
    files.write_for_root(path_of(name), json.dumps(manifest).encode())


def undecided() -> str:
    """Name of the snapshot before a change of which nobody knows yet whether it is good, or empty.

    A run that was cut off leaves it behind: what is there now is no state to come back to.
    """
    name = files.read(_UNDECIDED).strip()
    return name if name in names() else ""


def decide_later(name: str) -> None:
    """Remember that a change begins, and where it can go back to."""
    files.write_for_root(_UNDECIDED, f"{name}\n".encode())


def decide() -> None:
    """The change is good, or was taken back."""
    files.remove(_UNDECIDED)


def look(trees: Iterable[str], more: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The state of each path in some folders, and of some files, by path.

    Of files the digest tells what they hold. Sockets and the like are left out.
    """
    found: dict[str, dict[str, Any]] = {}
    for tree in trees:
        for folder, folders, there in os.walk(tree):
            folders[:] = [each for each in folders if not _is_ours(os.path.join(folder, each))]
            found[folder] = state(folder)
            links = [each for each in folders if os.path.islink(os.path.join(folder, each))]
            for name in [*there, *links]:
                path = os.path.join(folder, name)
                found[path] = state(path)
    for path in more:
        found[path] = state(path)
    return {path: known for path, known in found.items() if known["kind"] != "other"}


def _is_ours(path: str) -> bool:
    """Whether a folder is no part of the state that it helps to restore."""
    return path in (PLACE, former.PLACE)


def state(path: str) -> dict[str, Any]:
    """Kind, owner, mode, time and content of what stands at a path."""
    try:
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            return {"kind": "link", "target": os.readlink(path)}
        known = {
            "uid": status.st_uid,
            "gid": status.st_gid,
            "mode": stat.S_IMODE(status.st_mode),
        }
        if stat.S_ISDIR(status.st_mode):
            return {"kind": "directory", **known}
        if not stat.S_ISREG(status.st_mode):
            return {"kind": "other"}
        more = {"modified": status.st_mtime_ns, "size": status.st_size}
        return {"kind": "file", **known, **more, "digest": _digest(path)}
    except (FileNotFoundError, NotADirectoryError):
        return {"kind": "absent"}


def _digest(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def beside(configuration: Iterable[str]) -> list[str]:
    """Files of configuration, and what package managers leave beside them."""
    return [
        *(path for path in configuration),
        *(path + end for path in configuration for end in _BESIDE if os.path.lexists(path + end)),
    ]


def listed() -> list[str]:
    """Paths that this project has written down as its own."""
    found: set[str] = set()
    for path in glob.glob(f"{leftovers.MANIFESTS}/*.json"):
        found.update(leftovers.read(os.path.basename(path)[: -len(".json")]))
    return sorted(found)


def size_of(paths: dict[str, dict[str, Any]]) -> int:
    """Bytes of what is not kept yet."""
    new = {known["digest"]: known["size"] for known in paths.values() if known["kind"] == "file"}
    return sum(size for digest, size in new.items() if not os.path.exists(_body(digest)))


def _body(digest: str) -> str:
    return os.path.join(PLACE, _BODIES, digest)


def keep_bodies(paths: dict[str, dict[str, Any]]) -> None:
    """Copy what files hold. Where one changed meanwhile, what it holds now counts."""
    for path, known in paths.items():
        if known["kind"] != "file" or os.path.exists(_body(known["digest"])):
            continue
        new = _body("new")
        digest = hashlib.sha256()
        with open(path, "rb") as source, open(new, "wb") as target:
            os.fchmod(target.fileno(), 0o600)
            while block := source.read(_BLOCK):
                digest.update(block)
                target.write(block)
            known["size"] = target.tell()
        known["digest"] = digest.hexdigest()
        os.rename(new, _body(known["digest"]))


def prune(keep: int, *, spare: str = "") -> list[str]:
    """Forget all but the latest, and what no other one has. Returns names of what went.

    What a change that is under way may go back to stays, what it goes back to, and ``spare``. One
    that a change went back to by itself is what was there afterwards, and goes first, once there
    is a later one.
    """
    there = readable()
    begun = undecided()
    needed = {begun, there.get(begun, {}).get("towards", ""), spare}
    back = [name for name in list(there)[:-1] if there[name].get("taken_back")]
    others = [name for name in there if name not in back]
    gone = [name for name in (*back, *others[: max(len(others) - keep, 0)]) if name not in needed]
    for name in gone:
        os.unlink(path_of(name))
    if len(there) < len(names()) + len(gone):  # nobody knows what a damaged one has
        return gone
    manifests = [there[name] for name in there if name not in gone]
    bodies = {
        known["digest"]
        for manifest in manifests
        for known in manifest["paths"].values()
        if known["kind"] == "file"
    }
    packages = {name for manifest in manifests for name in manifest["kept"].values()}
    for folder, used in ((_BODIES, bodies), (_PACKAGES, packages)):
        for each in os.listdir(os.path.join(PLACE, folder)):
            if each not in used:
                files.remove_all(os.path.join(PLACE, folder, each))
    for each in glob.glob(f"{PLACE}/*.new"):
        files.remove_all(each)
    return gone


def restore(wanted: dict[str, dict[str, Any]], trees: list[str], now: Iterable[str]) -> list[str]:
    """Make paths what they were. Returns those that were otherwise.

    What a folder has that it did not have goes, and so does what stands at other paths ``now``.
    """
    present = look(trees, now)
    gone = [path for path in present if path not in wanted and present[path]["kind"] != "absent"]
    done: list[str] = []
    for path in sorted(wanted, key=lambda path: path.count("/")):
        known = wanted[path]
        if known["kind"] == "absent":
            gone.append(path)
        elif _differs(known, present.get(path) or state(path)):
            _make(path, known)
            done.append(path)
    for path in sorted(set(gone), key=lambda path: -path.count("/")):
        if os.path.lexists(path):
            _remove(path)
            done.append(path)
    return done


def _differs(known: dict[str, Any], found: dict[str, Any]) -> bool:
    # A time alone is no difference of a folder or link; services are told by that of a file
    return known != found


def _make(path: str, known: dict[str, Any]) -> None:
    """One path, replaced at once."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if known["kind"] == "directory":
        if not os.path.isdir(path) or os.path.islink(path):
            if os.path.lexists(path):
                os.unlink(path)
            os.mkdir(path, 0o700)
        os.chown(path, known["uid"], known["gid"])
        os.chmod(path, known["mode"])
        return
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    folder, name = os.path.split(path)
    new = os.path.join(folder, f".{name}.vestibule-new")
    if os.path.lexists(new):
        os.unlink(new)
    if known["kind"] == "link":
        os.symlink(known["target"], new)
    else:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
            with open(_body(known["digest"]), "rb") as source:
                shutil.copyfileobj(source, target, _BLOCK)
            os.fchown(target.fileno(), known["uid"], known["gid"])
            os.fchmod(target.fileno(), known["mode"])
        # What reads it need not be told, where it has read it already
        os.utime(new, ns=(known["modified"], known["modified"]))
    os.rename(new, path)


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        # It may have what is none of ours
        if not os.listdir(path):
            os.rmdir(path)
    else:
        os.unlink(path)
