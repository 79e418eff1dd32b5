"""Sources of packages that are ours, as files: what apt and pacman read of a repository."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from ansible.module_utils.vestibule import files

APT = "/etc/apt"
PACMAN = "/etc/pacman.d"
MODE = 0o644
_HEAD = "# Made by Vestibule, role {}. Changes made here are overwritten.\n"
_SIGNED = (
    r"# Made by Vestibule, role (?P<role>\S+)\..*\n# Signed by the key (?P<fingerprint>\w+)\.\n"
)
_SOURCE = re.compile(_SIGNED + r"Types: deb\nURIs: (?P<url>\S+)\nSuites: (?P<suite>\S+)\n")
_PACMAN_SOURCE = re.compile(
    _SIGNED + r"\[(?P<repository>\S+)\]\nSigLevel = .*\nServer = (?P<url>\S+)\n"
)
_PINS = re.compile(
    r"\nPackage: (?P<packages>[^*\n].*)\nPin: .*\nPin-Priority: (?P<priority>-?\d+)\n"
)


def _signed(source: Mapping[str, Any]) -> str:
    """How the file of a source begins, as `_SIGNED` reads it."""
    return f"{_HEAD.format(source['role'])}# Signed by the key {source['fingerprint']}.\n"


def apt_paths(name: str) -> tuple[str, str, str]:
    """Key, pins and source. In this order they bound what a source may do before it is there."""
    return (
        f"{APT}/keyrings/vestibule-{name}.asc",
        f"{APT}/preferences.d/vestibule-{name}",
        f"{APT}/sources.list.d/vestibule-{name}.sources",
    )


def render_apt(source: Mapping[str, Any]) -> dict[str, str]:
    """The files of a source by path, in the order of `apt_paths`.

    The pins let it bring the packages that it is named for and nothing else (apt_preferences(5)),
    the source has the form deb822 (sources.list(5)), and the one key signs it.
    """
    keyring, pins, listed = apt_paths(source["name"])
    head, origin = _HEAD.format(source["role"]), urlsplit(source["url"]).hostname
    suite = source["suite"]

    def pin(packages: str, priority: int) -> str:
        return f'Package: {packages}\nPin: origin "{origin}"\nPin-Priority: {priority}\n'

    return {
        keyring: source["key"],
        pins: f"{head}# It brings these packages and replaces nothing else.\n"
        + pin("*", -1)
        + "\n"
        + pin(source["packages"], source["priority"]),
        listed: _signed(source)
        + f"Types: deb\nURIs: {source['url']}\nSuites: {suite}\n"
        + ("" if suite.endswith("/") else "Components: main\n")
        + f"Signed-By: {keyring}\n",
    }


def read_apt() -> dict[str, dict[str, Any]]:
    """Sources by name, each as `render_apt` takes it, empty where a file is not what it makes."""
    paths = glob.glob(f"{APT}/*/vestibule-*")
    names = {os.path.basename(path)[len("vestibule-") :].partition(".")[0] for path in paths}
    return {name: _read(name) for name in sorted(names)}


def _read(name: str) -> dict[str, Any]:
    keyring, pins, listed = apt_paths(name)
    source, bounds = _SOURCE.match(files.read(listed)), _PINS.search(files.read(pins))
    if not source or not bounds:
        return {}
    found = {"name": name, **source.groupdict(), **bounds.groupdict(), "key": files.read(keyring)}
    found["priority"] = int(found["priority"])
    whole = all(is_as(path, text) for path, text in render_apt(found).items())
    return found if whole and found["key"] else {}


def is_as(path: str, text: str) -> bool:
    """Whether one of our files holds this, and belongs to us alone."""
    return files.state(path) == (text, MODE, os.geteuid())


def render_pacman(source: Mapping[str, Any]) -> str:
    """The file with a repository: no package without a good signature (pacman.conf(5))."""
    return (
        f"{_signed(source)}[{source['repository']}]\n"
        f"SigLevel = Required DatabaseOptional\nServer = {source['url']}\n"
    )


def pacman_path(name: str) -> str:
    """That file."""
    return f"{PACMAN}/vestibule-{name}.conf"


def read_pacman(configuration: str, trusts: Callable[[str], bool]) -> dict[str, dict[str, Any]]:
    """Repositories by name, as `render_pacman` takes them, empty where one does not count.

    ``configuration`` is the text of pacman.conf, ``trusts`` says whether pacman takes what a key
    has signed.
    """
    included = re.findall(
        rf"^\s*Include\s*=\s*({PACMAN}/vestibule-\S+[.]conf)\s*$", configuration, re.MULTILINE
    )
    found: dict[str, dict[str, Any]] = {}
    for path in sorted({*glob.glob(pacman_path("*")), *included}):
        name = os.path.basename(path)[len("vestibule-") : -len(".conf")]
        source = _PACMAN_SOURCE.match(files.read(path))
        whole = (
            source is not None
            and path in included
            and is_as(path, render_pacman(source.groupdict()))
            and trusts(source["fingerprint"])
        )
        found[name] = {"name": name, **source.groupdict()} if source and whole else {}
    return found
