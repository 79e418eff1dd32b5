"""What is stored on a server, as one archive: what may be in it, how it is made and put back."""

from __future__ import annotations

import base64
import errno
import glob
import grp
import hashlib
import os
import posixpath
import pwd
import shutil
import subprocess
import tarfile
from collections.abc import Iterable
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.vestibule import before, files, former, leftovers, services

PACKED = f"{before.HOME}/backup/data.tar.gz"
ARRIVED = f"{before.HOME}/restored/data.tar.gz"
MOST = 1_000_000  # files and folders
_SPARE = 64 * 2**20  # bytes that stay free on the disk
_NEW = ".vestibule-restored"

SPEC: dict[str, Any] = {
    "state": {
        "choices": ["packed", "read", "removed", "written", "restored"],
        "required": True,
    },
    "paths": {"type": "list", "elements": "str", "default": []},
    "offset": {"type": "int", "default": 0},
    "length": {"type": "int", "default": 0},
    "content": {"type": "str", "default": "", "no_log": True},
    "sha256": {"type": "str", "default": ""},
    "unpacked": {"type": "int", "default": 0},
    "backup": {"type": "path", "default": leftovers.BACKUP},
}


class StoredError(ValueError):
    """A sentence for the operator."""


def refuse(member: tarfile.TarInfo, tops: Iterable[str]) -> None:
    """Refuse what is not a plain file, folder or link inside of one of the folders.

    ``tops`` are absolute paths. Raises StoredError.
    """
    name = member.name
    path = posixpath.normpath(f"/{name}")
    if name.startswith("/") or ".." in name.split("/") or path != f"/{name}":
        raise StoredError(f"The backup has the member {name!r}, which leads out of its folder.")
    top = next((each for each in tops if path == each or path.startswith(f"{each}/")), None)
    if top is None:
        raise StoredError(f"The backup has {path}, which is in no folder of a server's data.")
    if member.issym():
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), member.linkname))
        if not f"{target}/".startswith(f"{top}/"):
            raise StoredError(f"The backup has the link {path}, which leads out of {top}.")
    elif not (member.isreg() or member.isdir()):
        raise StoredError(f"The backup has {path}, which is a device or no file.")


def members(source: Any, tops: Iterable[str]) -> Any:
    """Each member of an archive that is read once, looked at. Raises StoredError."""
    tops, count = list(tops), 0
    try:
        with tarfile.open(fileobj=source, mode="r|gz") as archive:
            for member in archive:
                count += 1
                if count > MOST:
                    raise StoredError(f"The backup has more than {MOST} files.")
                refuse(member, tops)
                yield archive, member
    except (tarfile.TarError, EOFError, OSError) as error:
        raise StoredError(f"The data in the backup cannot be read: {error}.") from error


def tops(patterns: Iterable[str]) -> list[str]:
    """Paths that there are, of those with C(*) for anything, without links."""
    found = [path for each in patterns for path in sorted(glob.glob(each))]
    return [path for path in dict.fromkeys(found) if not os.path.islink(path)]


def pack(patterns: list[str]) -> dict[str, Any]:
    """Make the archive for root alone. Sockets and the like are left out."""
    linked = [each for each in patterns if os.path.islink(each)]
    if linked:
        raise StoredError(
            f"{linked[0]} is a link to {os.path.realpath(linked[0])}, and a backup would leave out"
            " what is there. Have that folder at its own path: move it there, or mount it there."
        )
    there = tops(patterns)
    os.makedirs(os.path.dirname(PACKED), mode=0o700, exist_ok=True)
    files.remove(PACKED)
    unpacked = count = 0

    def chosen(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        nonlocal unpacked, count
        try:
            refuse(member, there)
        except StoredError:
            return None
        unpacked += member.size
        count += 1
        return member

    descriptor = os.open(PACKED, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with (
            os.fdopen(descriptor, "wb") as file,
            tarfile.open(fileobj=file, mode="w:gz", dereference=False) as archive,
        ):
            for path in there:
                archive.add(path, arcname=path[1:], filter=chosen)
    except OSError:
        files.remove(PACKED)
        raise
    return {
        "tops": there,
        "size": os.path.getsize(PACKED),
        "sha256": sha256_of(PACKED),
        "unpacked": unpacked,
        "count": count,
    }


def sha256_of(path: str) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    found = hashlib.sha256()
    with open(path, "rb") as file:
        for part in iter(lambda: file.read(2**20), b""):
            found.update(part)
    return found.hexdigest()


def write(offset: int, content: str) -> None:
    """Write a part of the archive that arrives, for root alone; the first one begins anew."""
    os.makedirs(os.path.dirname(ARRIVED), mode=0o700, exist_ok=True)
    if offset == 0:
        files.remove(ARRIVED)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    with os.fdopen(os.open(ARRIVED, flags, 0o600), "ab") as file:
        if file.tell() != offset:
            raise StoredError("A part of the backup is missing on the host. Run this again.")
        file.write(base64.b64decode(content))


def restore(module: AnsibleModule) -> list[str]:
    """Put each folder of the archive in the place of the one that is there. The paths of these."""
    params = module.params
    if sha256_of(ARRIVED) != params["sha256"]:
        raise StoredError("The backup arrived with other content than it has. Run this again.")
    free = shutil.disk_usage(before.HOME).free
    if free < params["unpacked"] + _SPARE:
        raise StoredError(
            f"The host has {free // 2**20} MB left, and the data takes"
            f" {params['unpacked'] // 2**20} MB more. Nothing was changed: make room first."
        )
    for path in params["paths"]:
        if os.path.ismount(path) or os.path.islink(path):
            raise StoredError(
                f"{path} is a mount or a link, and cannot be replaced as a whole. Nothing was"
                " changed. Move what is there away, and take the mount or link away until the"
                " restoration is done."
            )
    missing = _missing_parents(params["paths"])
    for path in params["paths"]:
        files.remove_all(path + _NEW)
    folders: dict[str, tarfile.TarInfo] = {}
    with open(ARRIVED, "rb") as file:
        for archive, member in members(file, params["paths"]):
            path = f"/{member.name}"
            top = next(each for each in params["paths"] if f"{path}/".startswith(f"{each}/"))
            to = top + _NEW + path[len(top) :]
            os.makedirs(os.path.dirname(to), mode=0o755, exist_ok=True)
            if member.isdir():
                os.makedirs(to, mode=0o700, exist_ok=True)
                folders[to] = member
            elif member.issym():
                os.symlink(member.linkname, to)
                os.lchown(to, *_owner(member))
            else:
                source = archive.extractfile(member)
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
                with os.fdopen(os.open(to, flags, 0o600), "wb") as target:
                    shutil.copyfileobj(source, target)
                _own(to, member)
    for to, member in sorted(folders.items(), reverse=True):
        _own(to, member)
    new = [path for path in params["paths"] if os.path.lexists(path + _NEW)]
    kept = leftovers.keep([], params["backup"]) if any(map(os.path.lexists, new)) else ""
    plain = [path for path in new if not os.path.isdir(path + _NEW)]
    before.note(
        module,
        dict.fromkeys(plain, before.WHATEVER),
        [*missing, *(path for path in new if path not in plain)],
        data=True,
    )
    running = services.running(module)
    # A run that fails later has those running again that run now
    former.keep({}, lambda: running)
    if "prosody" in running:
        module.run_command(["systemctl", "stop", "prosody"], check_rc=True)
    try:
        _replace(new, kept)
    except OSError:
        if "prosody" in running:
            module.run_command(["systemctl", "start", "prosody"])
        raise
    shutil.rmtree(os.path.dirname(ARRIVED))
    return new


def _replace(paths: Iterable[str], kept: str) -> None:
    """Put what is new at these paths, and what was there below ``kept``: all of it, or nothing."""
    done: list[str] = []
    try:
        for path in paths:
            done.append(path)
            if os.path.lexists(path):
                os.makedirs(os.path.dirname(kept + path), mode=0o700, exist_ok=True)
                _move(path, kept + path)
            os.rename(path + _NEW, path)
    except OSError:
        for path in reversed(done):
            if os.path.lexists(kept + path):
                files.remove_all(path)
                _move(kept + path, path)
        raise


def _move(path: str, to: str) -> None:
    """Also to another disk, with all owners: whole, or not at all."""
    try:
        os.rename(path, to)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        try:
            subprocess.run(["cp", "-a", "--", path, to], check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError as failed:
            files.remove_all(to)
            raise OSError(failed.stderr.strip()) from None
        files.remove_all(path)


def _missing_parents(paths: Iterable[str]) -> list[str]:
    """Folders above paths that are not there, the outer ones first."""
    found: set[str] = set()
    for path in paths:
        folder = os.path.dirname(path)
        while not os.path.lexists(folder):
            found.add(folder)
            folder = os.path.dirname(folder)
    return sorted(found)


def _owner(member: tarfile.TarInfo) -> tuple[int, int]:
    """By the names, as numbers differ between hosts; root where there is no such name."""
    try:
        user = pwd.getpwnam(member.uname).pw_uid
    except KeyError:
        user = 0
    try:
        group = grp.getgrnam(member.gname).gr_gid
    except KeyError:
        group = 0
    return user, group


def _own(path: str, member: tarfile.TarInfo) -> None:
    os.chown(path, *_owner(member))
    os.chmod(path, member.mode & 0o0777)
    os.utime(path, (member.mtime, member.mtime))


def run(module: AnsibleModule) -> dict[str, Any]:
    """Do what the task says."""
    params, state = module.params, module.params["state"]
    if module.check_mode:
        return {"changed": state == "restored"}
    if state == "packed":
        if not os.path.isdir(leftovers.MANIFESTS):
            raise StoredError(
                "Nothing is deployed on this host, so there is nothing to back up. Where it was"
                " lost, restore the last backup with playbooks/restore.yml."
            )
        return {"changed": False, **pack(params["paths"])}
    if state == "read":
        with open(PACKED, "rb") as file:
            file.seek(params["offset"])
            content = file.read(params["length"])
        return {"changed": False, "content": base64.b64encode(content).decode()}
    if state == "removed":
        files.remove_all(os.path.dirname(PACKED))
        return {"changed": False}
    if state == "written":
        write(params["offset"], params["content"])
        return {"changed": False}
    return {"changed": True, "paths": restore(module)}


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    module.no_log_values.clear()  # an archive of megabytes, which no result has
    try:
        module.exit_json(**run(module))
    except (StoredError, OSError) as error:
        module.fail_json(msg=str(error))
