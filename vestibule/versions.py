"""Versions of packages: what is missing, and what is kept beside the inventory."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

_HEAD = """\
# Versions on {host} with which its access cases passed. To install the same again:
# ansible-playbook -i <inventory> playbooks/site.yml --limit {host} -e @{file}
# Where groups split the server, put what is below into host_vars/{host}.yml instead.
"""
_ROOT = Path(__file__).resolve().parents[1]

# Epoch, and what upstream calls its version as far as it is numbers
_UPSTREAM = re.compile(r"(?:[0-9]+:)?([0-9.]*)")


class LockError(ValueError):
    """The versions are not as asked for. The message is a sentence for the operator."""


def missing(
    names: Iterable[str], installed: Mapping[str, str], versions: Mapping[str, str]
) -> list[str]:
    """Names that are not installed, or not in the version of ``versions``."""
    return [
        name
        for name in names
        if name not in installed or installed[name] != versions.get(name, installed[name])
    ]


def upstream_of(package: str, known: Sequence[Mapping[str, str]], default: str = "") -> str:
    """Upstream's number in the first version that is known of a package, numbers with dots."""
    versions = [versions[package] for versions in known if package in versions]
    found = _UPSTREAM.match(versions[0]) if versions else None
    return (found[1] if found else "") or default


def lock_of(packages: Iterable[str], installed: Mapping[str, str]) -> dict[str, str]:
    """Version by name of those packages that are there, sorted."""
    return {name: installed[name] for name in sorted(set(packages)) if name in installed}


def check_pins(pins: Mapping[str, str], installed: Mapping[str, str]) -> None:
    """Refuse versions that no role has brought about. Raises LockError."""
    other = [name for name, version in pins.items() if installed.get(name) != version]
    if other:
        found = ", ".join(f"{name} {installed.get(name, 'not at all')}" for name in other)
        raise LockError(
            f"jitsi_versions asks for other versions than those installed: {found}. Install them by"
            f" hand, or remove {', '.join(other)} from jitsi_versions."
        )


def _as_named(path: Path) -> str:
    """The path from the checkout, which is the same for everybody who has one."""
    try:
        return str(path.resolve().relative_to(_ROOT))
    except ValueError:
        return f"<folder>/{path.name}"


def render(host: str, file: str, lock: Mapping[str, str]) -> str:
    """The file of versions, which ``-e @file`` takes."""
    # As Ansible hands them over these are texts with tags, which no dumper of YAML knows
    plain = {str(name): str(version) for name, version in lock.items()}
    return _HEAD.format(host=host, file=file) + yaml.safe_dump({"jitsi_versions": plain})


def read(path: Path) -> str:
    """What was written down before, nothing on the first run."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def write(path: Path, content: str) -> None:
    """Replace the file at once. It is no secret."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
        new = Path(file.name)
        file.write(content)
    new.chmod(0o644)
    new.replace(path)


def keep(
    host: str, path: Path, arguments: Mapping[str, Any], *, check_mode: bool
) -> dict[str, Any]:
    """What became of the file at ``path``, with ``arguments`` of the action version_lock.

    Where no package is to be kept, or one of ``complete`` ones lacks, the file stays as it is.
    Raises LockError.
    """
    installed, packages = arguments["installed"], arguments["packages"]
    lacking = arguments["complete"] and missing(packages or [], installed, arguments["versions"])
    if packages == [] or lacking:
        return {"changed": False, "lock": {}, "stale": False}
    lock = lock_of(installed if packages is None else packages, installed)
    complete = packages is None or lock.keys() == set(packages)
    if not check_mode:
        check_pins(arguments["versions"], installed)
    elif not complete:
        # Nobody knows yet which versions that run would bring
        return {"changed": False, "lock": lock, "stale": False}
    content = render(host, _as_named(path), lock)
    try:
        before = read(path)
        stale = before != content
        if stale and arguments["write"] and not check_mode:
            write(path, content)
    except OSError as error:
        raise LockError(
            f"The versions of {host} cannot be kept: {error.filename}: {error.strerror}. Run as"
            " the user who owns the inventory, or set jitsi_lock_directory."
        ) from None
    result = {"changed": stale and arguments["write"], "lock": lock, "stale": stale}
    if result["changed"]:
        result["diff"] = {
            "before_header": str(path),
            "after_header": str(path),
            "before": before,
            "after": content,
        }
    return result
