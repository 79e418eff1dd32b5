"""What this project put on a host for a wish that is gone: how it is found, and a copy of it."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterable
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.vestibule import files

MANIFESTS = "/var/lib/vestibule/files"
BACKUP = "/var/backups/vestibule"
_BESIDE = re.compile(r"^\.(.+)\.config_files-(?:old|new)$")


def manifest_of(name: str) -> str:
    """Where it is written which files a set has."""
    return os.path.join(MANIFESTS, f"{name}.json")


def render(bodies: dict[str, bytes | None]) -> bytes:
    """A manifest: paths, and SHA-256 of those whose content is no secret."""
    known = {
        path: {} if body is None else {"sha256": hashlib.sha256(body).hexdigest()}
        for path, body in sorted(bodies.items())
    }
    return (json.dumps(known, indent=1) + "\n").encode()


def read(name: str) -> dict[str, dict[str, str]]:
    """The manifest of a set, with those beside it that a run left which was cut off.

    Nothing where there is none, or none that can be read.
    """
    folder, file = os.path.split(manifest_of(name))
    known: dict[str, dict[str, str]] = {}
    for each in (f".{file}.config_files-new", f".{file}.config_files-old", file):
        try:
            found = json.loads(files.read(os.path.join(folder, each)))
        except ValueError:
            continue
        known.update(found if isinstance(found, dict) else {})
    return known


def find(module: AnsibleModule, name: str, places: Iterable[str]) -> dict[str, dict[str, str]]:
    """Paths that a set had or may have had, with what the manifest says of each.

    Where there is no manifest, as from before there were any, ours is what stands at one of the
    ``places`` and says that this project made it, or is a certificate as it makes them, with its
    key. A place without C(*) is ours by its name.
    """
    known = read(name)
    links = {}
    for place in places:
        if "*" not in place:
            known.setdefault(place, {})
            continue
        for path, there in _at(place):
            if os.path.islink(there):
                links[path] = os.readlink(there)
            if path in known:
                continue
            if path.endswith(".crt"):
                if _own_certificate(module, path, there):
                    known.update({path: {}, f"{path[:-4]}.key": {}})
            elif os.path.isfile(there) and files.MADE_BY in files.read(there):
                known[path] = {}
    # Also one that leads to nothing any more, as where a run was cut off
    return {**{path: {} for path, target in links.items() if target in known}, **known}


def _at(place: str) -> Iterable[tuple[str, str]]:
    """Paths at a place, and where the file is that a run moved aside before it was cut off."""
    for path in sorted(glob.glob(place)):
        yield path, path
    folder, pattern = os.path.split(place)
    for there in sorted(glob.glob(os.path.join(folder, f".{pattern}.config_files-*"))):
        found = _BESIDE.match(os.path.basename(there))
        if found:
            yield os.path.join(folder, found[1]), there


def _own_certificate(module: AnsibleModule, path: str, there: str) -> bool:
    """Whether a certificate signs itself and says nothing but the name in its path."""
    name = os.path.basename(path)[: -len(".crt")]
    if "." not in name or not os.path.isfile(there):
        return False
    argv = ["openssl", "x509", "-noout", "-subject", "-issuer", "-nameopt", "RFC2253", "-in", there]
    status, output, _ = module.run_command(argv)
    said = re.findall(r"^(?:subject|issuer)= *(.*)$", output, re.MULTILINE)
    return status == 0 and said == [f"CN={name}"] * 2


def changed_since(path: str, known: dict[str, str]) -> bool:
    """Whether a file is another than the one that was written."""
    if "sha256" not in known or not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest() != known["sha256"]


def keep(paths: Iterable[str], backup: str | None = None) -> str:
    """Copy files with owner and mode to a new folder that root alone reads, and return it."""
    backup = backup or BACKUP
    os.makedirs(backup, mode=0o700, exist_ok=True)
    began = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    folder, number = os.path.join(backup, began), 1
    while os.path.lexists(folder):
        number += 1
        folder = os.path.join(backup, f"{began}-{number}")
    os.mkdir(folder, mode=0o700)
    for path in paths:
        if not os.path.isfile(path):
            continue  # a link to nothing
        copy = folder + path
        os.makedirs(os.path.dirname(copy), mode=0o700, exist_ok=True)
        shutil.copy2(path, copy)
        status = os.stat(path)
        os.chown(copy, status.st_uid, status.st_gid)
    return folder


def tell(module: AnsibleModule, paths: Iterable[str], folder: str, others: Iterable[str]) -> None:
    """Say what went, and what of it is not as it was written."""
    module.warn(
        f"Nobody asks for these any more, so they are gone: {', '.join(paths)}. Copies are in "
        f"{folder}, which root alone reads."
    )
    edited = list(others)
    if edited:
        module.warn(f"Of these, somebody had changed {', '.join(edited)}.")


SPEC: dict[str, Any] = {
    "type": "dict",
    "options": {
        "name": {"type": "str", "required": True},
        "also": {"type": "list", "elements": "str", "default": []},
        "keep": {"type": "list", "elements": "str", "default": []},
        "places": {"type": "list", "elements": "str", "default": []},
    },
}
