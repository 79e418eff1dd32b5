"""What stood on a host before this project came, so that it can be left as it was.

``manifest.json`` tells what was at each path that was written, and copies of the files lie beside
it, for root alone: keys and passwords of others may be among them. It also has the packages, users
and files that came with installations of ours. What is noted once stays: later runs find what
earlier ones wrote.
"""

from __future__ import annotations

import glob
import grp
import json
import os
import pwd
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.vestibule import files, former, leftovers, managers

HOME = "/var/lib/vestibule"
PLACE = f"{HOME}/before"
OURS_BY_NAME = "/etc/vestibule"
DROP_INS = "/etc/systemd/system/*.service.d/vestibule.conf"
WHATEVER = former.WHATEVER  # in place of a digest, where a program decides what is written
_REMEMBERED = 4  # versions of a file that count as ours: a run that fails puts an earlier one back
# Where scripts of packages write, and how deep; nothing else is looked at around an installation
_LOOKED_AT = {
    "/etc": 9,
    "/usr/local": 9,
    "/var/lib": 2,
    "/var/log": 1,
    "/var/cache": 1,
    "/var/www": 3,
}
_FLEETING = (
    "/var/lib/apt",
    "/var/lib/dpkg",
    "/var/lib/pacman",
    "/var/lib/systemd",
    "/etc/ssl/certs",
)


def read() -> dict[str, Any]:
    """The manifest, empty where nothing was noted yet."""
    try:
        with open(f"{PLACE}/manifest.json", encoding="utf-8") as file:
            known: dict[str, Any] = json.load(file)
    except (FileNotFoundError, ValueError):
        return {}
    return known


def begun(module: AnsibleModule) -> dict[str, Any]:
    """The manifest, begun where there is none.

    It is ``complete`` where nothing of ours was there by then. An earlier version left no notes.
    """
    known = read()
    if known:
        return known
    # Every deployment has both, and neither stays when it goes
    is_new = not os.path.isdir(leftovers.MANIFESTS) and not glob.glob(DROP_INS)
    return {
        "complete": is_new,
        "there": sorted(_packages(module)),
        "packages": [],
        "users": [],
        "groups": [],
        "answers": [],
        "units": {},
        "paths": {},
        "data": [],
        "directories": {},
        "made": {},
    }


def note(
    module: AnsibleModule,
    wrote: dict[str, str],
    directories: Iterable[str] = (),
    *,
    data: bool = False,
) -> None:
    """Note what stands at paths, before what has these digests is written there.

    ``directories`` are about to be made, or to get another mode. ``data`` cannot be made again.
    """
    known = begun(module)
    for path in directories:
        known["directories"].setdefault(path, _directory(path))
    for path, digest in wrote.items():
        if path.startswith(f"{HOME}/"):
            continue
        entry = known["paths"].get(path) or _found(path)
        ours = [*entry.get("wrote", []), digest]
        known["paths"][path] = {**entry, "wrote": list(dict.fromkeys(ours))[-_REMEMBERED:]}
        if data and path not in known["data"]:
            known["data"].append(path)
    _write(known)


def note_unit(module: AnsibleModule, name: str, *, enabled: bool, runs: bool) -> None:
    """Note what a service was like before it was enabled and started."""
    known = begun(module)
    if name not in known["units"]:
        known["units"][name] = {"enabled": enabled, "runs": runs}
        _write(known)


def note_answers(module: AnsibleModule, answers: Iterable[tuple[str, str]]) -> None:
    """Note questions of debconf that nobody had asked, by their owner."""
    known = begun(module)
    known["answers"] += [list(each) for each in answers if list(each) not in known["answers"]]
    _write(known)


@contextmanager
def installing(module: AnsibleModule, planned: Iterable[str]) -> Iterator[None]:
    """Note what an installation brings: packages, which are known before, users and files."""
    known = begun(module)
    known["packages"] = sorted({*known["packages"], *planned})
    _write(known)
    users, groups, there, packages = _users(), _groups(), _listing(), _packages(module)
    try:
        yield
    finally:
        known = begun(module)
        # Also what a helper for the AUR brings with what it builds
        known["packages"] = sorted({*known["packages"], *(_packages(module) - packages)})
        known["users"] = sorted({*known["users"], *(_users() - users)})
        known["groups"] = sorted({*known["groups"], *(_groups() - groups)})
        known["made"].update({path: _kind(path) for path in sorted(_listing() - there)})
        _write(known)


def _packages(module: AnsibleModule) -> set[str]:
    manager = managers.find(module)
    return set(manager.packages()) if manager else set()


def _users() -> set[str]:
    return {each.pw_name for each in pwd.getpwall()}


def _groups() -> set[str]:
    return {each.gr_name for each in grp.getgrall()}


def _listing() -> set[str]:
    """Paths where scripts of packages write."""
    found: set[str] = set()
    for top, depth in _LOOKED_AT.items():
        for folder, folders, names in os.walk(top):
            below = folder.count("/") - top.count("/") + 1
            folders[:] = [each for each in folders if f"{folder}/{each}" not in _FLEETING]
            found.update(f"{folder}/{each}" for each in (*folders, *names))
            if below >= depth:
                folders.clear()
    return found


def _kind(path: str) -> str:
    """What tells later whether somebody changed it: a digest, or that it is a folder."""
    return "directory" if os.path.isdir(path) and not os.path.islink(path) else digest(path)


def digest(path: str) -> str:
    """Of what stands at a path."""
    return str(former.state(path)["digest"]) if _is_plain(path) else "other"


def _is_plain(path: str) -> bool:
    return os.path.islink(path) or os.path.isfile(path) or not os.path.lexists(path)


def _directory(path: str) -> dict[str, int] | None:
    """Owner and mode of a folder, none where it is about to be made."""
    if not os.path.isdir(path):
        return None
    status = os.stat(path)
    return {"uid": status.st_uid, "gid": status.st_gid, "mode": status.st_mode & 0o7777}


def _found(path: str) -> dict[str, Any]:
    """What stands there, with a copy; nothing where it is ours from before there was this list."""
    if not _is_plain(path) or files.MADE_BY in _text(path):
        return {"kind": "absent", "digest": former.digest_of("absent", b"")}
    found = former.state(path)
    if found["kind"] == "file":
        _prepare()
        found["copy"] = former.copy(path, PLACE)
    return found


def _text(path: str) -> str:
    return files.read(path) if os.path.isfile(path) else ""


def body_of(entry: dict[str, Any]) -> bytes:
    """What a file or link of the manifest held."""
    return former.body_of(entry, PLACE)


def _write(known: dict[str, Any]) -> None:
    _prepare()
    files.write_for_root(f"{PLACE}/manifest.json", json.dumps(known, indent=1).encode())


def _prepare() -> None:
    os.makedirs(PLACE, mode=0o700, exist_ok=True)
    os.chmod(PLACE, 0o700)
