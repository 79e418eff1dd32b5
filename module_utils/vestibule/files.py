"""Files on a host: read whole, replaced at once."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile

from ansible.module_utils.basic import AnsibleModule

MADE_BY = "Made by Vestibule"  # stands at the head of each file of ours


def read(path: str) -> str:
    """What a file holds, with its line breaks as they are. Nothing where there is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def write(module: AnsibleModule, path: str, text: str, mode: int | None = None) -> None:
    """Replace what a file holds at once.

    A file of ours has a ``mode``. Without one the file is somebody else's, and keeps owner and
    mode; where a link stands, what it leads to is replaced.
    """
    path = os.path.realpath(path) if mode is None else path
    folder, name = os.path.split(path)
    descriptor, new = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
    with open(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        file.write(text)
    module.atomic_move(new, path, keep_dest_attrs=mode is None)
    if mode is not None:
        os.chmod(path, mode)


def write_for_root(path: str, body: bytes) -> None:
    """For root alone, whole, and on disk before anything else is done."""
    new = f"{path}.new"
    remove(new)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    os.rename(new, path)
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def remove(path: str) -> None:
    """Have no file there."""
    if os.path.lexists(path):
        os.unlink(path)


def remove_all(path: str) -> None:
    """Have nothing there: no file, no link, whatever it leads to, and no folder."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        remove(path)


def state(path: str) -> tuple[str, int, int] | None:
    """What a file of ours is compared by: text, mode and owner. None where there is none."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return read(path), stat.S_IMODE(status.st_mode), status.st_uid
