"""Packages: what is missing is installed in one go, and what cannot be is said before."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import packages
from packages import (
    PackageError,
    check,
    find_missing,
    holder_of,
    parse_companions,
    parse_madison,
    wait_for,
)

_MADISON = """\
   prosody | 13.0.1-1+deb13u1 | https://deb.example.org trixie/main amd64 Packages
   prosody | 13.0.1-1 | https://deb.example.org trixie/main amd64 Packages
   prosody | 13.0.1-1 | https://deb.example.org trixie/main Sources
    jicofo | 1.0-2 | https://jitsi.example.org stable/ Packages
"""


class Manager:
    """A package manager that remembers what it was told."""

    lock = "/nonexistent"

    def __init__(self, installed: dict[str, str], *, held: tuple[str, ...] = ()) -> None:
        self._installed = installed
        self._held = set(held)
        self.done: list[Any] = []

    def installed(self) -> dict[str, str]:
        return self._installed

    def held(self) -> set[str]:
        return self._held

    def offered(self, names: list[str]) -> dict[str, list[str]]:
        return {name: found for name, found in parse_madison(_MADISON).items() if name in names}

    def fetch_lists(self, always: bool) -> None:
        self.done.append(("lists", always))

    def answer(self, answers: str) -> None:
        self.done.append(("answer", answers))

    def install(self, wanted: list[str]) -> None:
        self.done.append(("install", wanted))


@pytest.fixture(name="install")
def _install(
    monkeypatch: pytest.MonkeyPatch, run_module: Callable[..., dict[str, Any]]
) -> Callable[..., dict[str, Any]]:
    def install(manager: Manager, **options: Any) -> dict[str, Any]:
        monkeypatch.setattr(packages, "Apt", lambda module: manager)
        monkeypatch.setattr("ansible.module_utils.basic.get_bin_path", lambda *_, **__: "/bin/true")
        return run_module(packages, **options)

    return install


# Debian 13, and Ubuntu 22.04 where the package in between has the bound
_SHOWN = """\
Package: nginx
Version: 1.26.3-3
Depends: libc6 (>= 2.34), iproute2, nginx-common (= 1.26.3-3)

Package: nginx
Version: 1.18.0-6
Pre-Depends: init-system-helpers (>= 1.54~)
Depends: nginx-core (<< 1.18.0-6.1~) | nginx-full (<< 1.18.0-6.1~), nginx-core (>= 1.18.0-6)

Package: lua-sec
Version: 1.3.2
Depends: lua-socket
"""


def test_what_goes_together_with_a_version_is_read() -> None:
    assert parse_companions(_SHOWN) == {"nginx-common": "1.26.3-3", "nginx-core": "1.18.0-6"}


def test_madison_is_read_without_sources() -> None:
    assert parse_madison(_MADISON) == {
        "prosody": ["13.0.1-1+deb13u1", "13.0.1-1"],
        "jicofo": ["1.0-2"],
    }


@pytest.mark.parametrize(
    ("names", "versions", "missing"),
    [
        pytest.param(["prosody"], {}, [], id="there"),
        pytest.param(["prosody", "jicofo", "jicofo"], {}, ["jicofo"], id="one is missing"),
        pytest.param(["prosody"], {"prosody": "1"}, [], id="there in the right version"),
        pytest.param(["prosody"], {"prosody": "2"}, ["prosody=2"], id="another version"),
        pytest.param(["jicofo"], {"jicofo": "3"}, ["jicofo=3"], id="missing, with a version"),
        pytest.param(["prosody"], {"other": "3"}, [], id="version of something else"),
    ],
)
def test_what_is_missing(names: list[str], versions: dict[str, str], missing: list[str]) -> None:
    assert find_missing(names, versions, {"prosody": "1"}) == missing


def test_nothing_is_asked_or_fetched_where_all_is_there(
    install: Callable[..., dict[str, Any]],
) -> None:
    manager = Manager({"prosody": "1"})
    result = install(manager, names=["prosody"], answers="a b c d")
    assert result["changed"] is False
    assert manager.done == []


def test_one_transaction_installs_all(install: Callable[..., dict[str, Any]]) -> None:
    manager = Manager({})
    result = install(manager, names=["prosody", "jicofo"], answers="x", fresh_lists=True)
    assert result["changed"] is True
    assert manager.done == [
        ("lists", True),
        ("answer", "x"),
        ("install", ["prosody", "jicofo"]),
    ]


def test_check_mode_says_what_would_be_installed(install: Callable[..., dict[str, Any]]) -> None:
    manager = Manager({"nginx": "1"})
    versions = {"nginx": "2"}
    names = ["prosody", "nginx"]
    result = install(manager, names=names, versions=versions, _ansible_check_mode=True)
    assert result["changed"] is True
    assert result["msg"] == "Would install prosody, nginx=2"
    assert result["diff"] == {"before": "nginx=1\n", "after": "prosody\nnginx=2\n"}
    assert manager.done == []


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        pytest.param(
            ["prosody=14"], r"prosody 14 is no longer offered.*13\.0\.1-1\+deb", id="gone"
        ),
        pytest.param(["jitsi"], "No repository of this host offers jitsi", id="unknown"),
        pytest.param(["jicofo=1.0-2"], r"jicofo is held at version 1\.0-1", id="held"),
    ],
)
def test_what_cannot_be_installed_is_said_before(missing: list[str], words: str) -> None:
    manager = Manager({"jicofo": "1.0-1"}, held=("jicofo",))
    with pytest.raises(PackageError, match=words):
        check(missing, manager.installed(), manager)  # type: ignore[arg-type]  # stands in for one
    assert manager.done == []


def test_a_lock_is_waited_for_and_its_holder_named(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    holding = "import fcntl, sys; file = open(sys.argv[1], 'r+'); fcntl.lockf(file, fcntl.LOCK_EX);"
    talking = " print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", holding + talking, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert f"(process {other.pid})" in holder_of(str(path))
        with pytest.raises(PackageError, match=rf"process {other.pid}\) has held .* for 0 s"):
            wait_for(str(path), 0)
        other.communicate()
    assert wait_for(str(path), 0) == (0.0, "")
    with path.open("r+") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the look has let go of it
