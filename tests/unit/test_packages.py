"""Packages: what is missing is installed in one go, and what cannot be is said before."""

from __future__ import annotations

import fcntl
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.vestibule import managers, package_locks
from ansible.module_utils.vestibule.managers import (
    Apt,
    PackageError,
    Pacman,
    parse_companions,
    parse_madison,
    parse_new,
)

import packages
from packages import find_missing, wait_for

_MADISON = """\
   prosody | 13.0.1-1+deb13u1 | https://deb.example.org trixie/main amd64 Packages
   prosody | 13.0.1-1 | https://deb.example.org trixie/main amd64 Packages
   prosody | 13.0.1-1 | https://deb.example.org trixie/main Sources
    jicofo | 1.0-2 | https://jitsi.example.org stable/ Packages
"""


class Manager:
    """A package manager that remembers what it was told."""

    locks = ("/nonexistent",)

    def __init__(
        self,
        installed: dict[str, str],
        *,
        held: tuple[str, ...] = (),
        ours: tuple[str, ...] = (),
        fresh: bool = False,
    ) -> None:
        self._installed = installed
        self._held = set(held)
        self._ours = set(ours)
        self._fresh = fresh
        self._offers = parse_madison(_MADISON)
        self.done: list[Any] = []
        self.latest = self._offers  # what the repositories have, whatever the host's lists say

    def packages(self) -> dict[str, tuple[str, bool]]:
        return {name: (version, False) for name, version in self._installed.items()}

    def held_by_others(self, names: list[str]) -> set[str]:
        return self._held & set(names)

    def how_to_release(self, names: list[str]) -> str:
        return f"apt-mark unhold {names[0]}"

    def ours(self) -> set[str]:
        return self._ours

    def unasked(self, answers: str) -> list[tuple[str, str]]:
        return []

    def planned(self, wanted: list[str]) -> list[str]:
        return [each.partition("=")[0] for each in wanted]

    @contextmanager
    def released(self, names: set[str]) -> Iterator[None]:
        self.done.append(("release", names))
        yield

    def offered(self, names: list[str]) -> dict[str, list[str]]:
        return {name: found for name, found in self._offers.items() if name in names}

    def are_lists_fresh(self) -> bool:
        return self._fresh

    def fetch_lists(self) -> None:
        self.done.append("lists")

    def learn(self) -> None:
        self._offers = self.latest

    def fetch_lists_aside(self, folder: str) -> None:
        assert list(Path(folder).iterdir()) == []
        self.learn()
        self.done.append("lists aside")

    def was_cut_off(self) -> bool:
        return managers.installation_was_cut_off()

    def finish(self) -> None:
        managers.restore_policy()

    def warning(self) -> str:
        return "2 packages wait"

    def answer(self, answers: str) -> None:
        self.done.append(("answer", answers))

    def install(self, wanted: list[str]) -> None:
        self.done.append(("install", wanted))


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lock that a module of ours holds while it installs."""
    path = tmp_path / "run" / "installing"
    monkeypatch.setattr(package_locks, "OURS", str(path))
    return path


@pytest.fixture(name="install")
def _install(
    monkeypatch: pytest.MonkeyPatch, run_module: Callable[..., dict[str, Any]]
) -> Callable[..., dict[str, Any]]:
    def install(manager: Manager, **options: Any) -> dict[str, Any]:
        monkeypatch.setattr(managers, "of", lambda module: manager)
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


def test_new_packages_are_those_that_apt_names_before_it_asks() -> None:
    text = """\
Reading package lists...
The following additional packages will be installed:
  java-common lua5.4
Suggested packages:
  lua-zlib
The following NEW packages will be installed:
  java-common lua5.4
  libc6:i386 prosody
The following packages will be upgraded:
  openssl
1 upgraded, 4 newly installed, 0 to remove and 3 not upgraded.
"""
    assert parse_new(text) == ["java-common", "lua5.4", "libc6", "prosody"]
    assert parse_new("openssl is already the newest version (3.5).\n") == []


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
        "lists",
        ("answer", "x"),
        ("release", set()),
        ("install", ["prosody", "jicofo"]),
    ]
    assert [each["event"]["msg"] for each in result["warnings"]] == ["2 packages wait"]


@pytest.mark.parametrize(
    ("fresh", "options", "fetched"),
    [(True, {}, False), (True, {"fresh_lists": True}, True), (False, {}, True)],
)
def test_lists_are_fetched_where_they_are_old_or_fresh_ones_are_asked_for(
    install: Callable[..., dict[str, Any]], fresh: bool, options: dict[str, Any], fetched: bool
) -> None:
    manager = Manager({}, fresh=fresh)
    install(manager, names=["prosody"], **options)
    assert ("lists" in manager.done) == fetched


def test_what_we_hold_at_the_version_asked_for_is_not_let_go(
    install: Callable[..., dict[str, Any]],
) -> None:
    manager = Manager({"nginx": "1", "jicofo": "0", "openssl": "3"}, ours=("nginx", "jicofo"))
    install(manager, names=["jicofo"], versions={"nginx": "1", "jicofo": "1.0-2"})
    assert manager.done[1:] == [("release", {"jicofo"}), ("install", ["jicofo=1.0-2"])]


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
    ("names", "versions", "words"),
    [
        pytest.param(
            ["prosody"], {"prosody": "14"}, r"prosody 14 is no longer .*13\.0\.1-1\+deb", id="gone"
        ),
        pytest.param(["jitsi"], {}, "No repository of this host offers jitsi", id="unknown"),
        pytest.param(
            ["jicofo"], {"jicofo": "1.0-2"}, r"jicofo is held at version 1\.0-1", id="held"
        ),
        pytest.param(
            ["nginx"],
            {},
            r"nginx has to be installed, .*: not installed\. .*unhold nginx",
            id="held before it was installed",
        ),
    ],
)
def test_what_cannot_be_installed_is_said_before(
    install: Callable[..., dict[str, Any]], names: list[str], versions: dict[str, str], words: str
) -> None:
    manager = Manager({"jicofo": "1.0-1"}, held=("jicofo", "nginx"), fresh=True)
    failed = install(manager, names=names, versions=versions)
    assert re.search(words, failed["msg"])
    assert manager.done == []


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize(
    ("versions", "fresh", "done"),
    [
        pytest.param({"jicofo": "1.0-1"}, False, [], id="all installed"),
        pytest.param({"prosody": "13.0.1-1"}, True, [], id="known to the lists of this hour"),
        pytest.param({"prosody": "13.0.1-1"}, False, ["lists aside"], id="known to old lists"),
        pytest.param({"prosody": "13.0.2-1"}, True, ["lists aside"], id="published meanwhile"),
        pytest.param({"jitsi": "9"}, True, ["lists aside"], id="its repository is not named yet"),
    ],
)
def test_versions_are_checked_and_nothing_changes(
    install: Callable[..., dict[str, Any]],
    versions: dict[str, str],
    fresh: bool,
    done: list[str],
    check_mode: bool,
) -> None:
    manager = Manager({"jicofo": "1.0-1"}, fresh=fresh)
    manager.latest = {**manager.latest, "prosody": ["13.0.2-1", "13.0.1-1"]}
    options = {"versions": versions, "state": "checked", "_ansible_check_mode": check_mode}
    result = install(manager, names=list(versions), **options)
    assert (result["changed"], manager.done) == (False, done)


@pytest.mark.parametrize(
    ("versions", "fresh", "words"),
    [
        (
            {"prosody": "14"},
            False,
            "prosody 14 is no longer offered; the repositories have 13.0.2-1.",
        ),
        ({"prosody": "13.0.1-1"}, False, "prosody 13.0.1-1 is no longer offered; the repositories"),
        ({"prosody": "13.0.2-1", "nginx": "9"}, True, "nginx 9 is no longer offered; the"),
        ({"jicofo": "1.0-2"}, False, "jicofo is held at version 1.0-1, but 1.0-2 is asked for."),
    ],
    ids=["never there", "only in old lists", "one of two", "held by others"],
)
def test_versions_that_cannot_be_installed_are_refused_without_a_change(
    install: Callable[..., dict[str, Any]], versions: dict[str, str], fresh: bool, words: str
) -> None:
    manager = Manager({"jicofo": "1.0-1"}, held=("jicofo",), fresh=fresh)
    manager.latest = {"prosody": ["13.0.2-1"], "nginx": ["1"]}
    if fresh:
        manager.learn()
    failed = install(manager, names=list(versions), versions=versions, state="checked")
    assert failed["msg"].startswith(words)
    assert manager.done in ([], ["lists aside"])


class Module:
    """The part of AnsibleModule that a package manager needs."""

    @staticmethod
    def run_command(argv: list[str], **_: Any) -> tuple[int, str, str]:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    @staticmethod
    def atomic_move(src: str, dest: str, **_: Any) -> None:
        Path(src).replace(dest)


@pytest.fixture(name="host")
def _host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with programs, and with files in it that tell what is held."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(managers, "HELD_BY_US", str(tmp_path / "ours"))
    monkeypatch.setattr(managers, "IGNORED_BY_US", str(tmp_path / "ignored"))
    monkeypatch.setattr(managers, "POLICY", str(tmp_path / "policy"))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    (tmp_path / "ours").write_text("jicofo\nnginx\n")
    return tmp_path


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\ncd {folder}\n{script}\n")
    path.chmod(0o755)


_APT_MARK = """\
[ $1 = showhold ] || ! rm locked 2>&- || { echo 'E: Could not get lock' >&2; exit 100; }
verb=$1; shift
case $verb in
    showhold) cat holds;;
    hold) for name; do echo "$name"; done >> holds;;
    unhold) for name; do sed -i "/^$name$/d" holds; done;;
esac"""
_HELD_BROKEN = """\
cat holds > seen; touch locked
echo 'Depends: openssl (>= 3) but it is not going to be installed'
echo 'E: you have held broken packages.'
exit 100"""


def test_apt_holds_again_after_a_transaction_that_failed(host: Path) -> None:
    program(host, "apt-mark", _APT_MARK)
    program(host, "apt-cache", "")
    program(host, "apt-get", _HELD_BROKEN)
    (host / "holds").write_text("jicofo\nnginx\nopenssl\nvim\n")
    apt = Apt(Module())
    assert apt.ours() == {"jicofo", "nginx"}
    assert apt.held_by_others(["jicofo", "openssl", "lua"]) == {"openssl"}
    with pytest.raises(PackageError) as caught, apt.released({"jicofo"}):
        apt.install(["jicofo=2"])
    assert str(caught.value) == (
        "apt-get cannot install jicofo=2. It said: E: you have held broken packages. Somebody"
        " else holds openssl. Release what is in the way (apt-mark unhold openssl), then run this"
        " again."
    )
    assert (host / "seen").read_text().split() == ["nginx", "openssl", "vim"]
    # Another program had the lock just then
    assert sorted((host / "holds").read_text().split()) == ["jicofo", "nginx", "openssl", "vim"]


_PACMAN = """\
[ ! -e $1 ] || { cat -- $1; exit; }
case "$*" in
    *--print*) cat transaction;;
    *) cat ignored > seen; exit 1;;
esac"""


@pytest.fixture(name="pacman")
def _pacman(host: Path) -> Pacman:
    program(host, "pacman", _PACMAN)
    program(host, "pacman-conf", "sed -n 's/^IgnorePkg = //p' ignored theirs")
    (host / "ignored").write_text("[options]\nIgnorePkg = jicofo\nIgnorePkg = nginx\n")
    (host / "theirs").write_text("IgnorePkg = linux*\nIgnorePkg = nginx\n")
    (host / "-Q").write_text("nginx 1-1\nopenssl 3-1\nglibc 2-1\n")
    (host / "transaction").write_text("")
    return Pacman(Module())


@pytest.fixture(name="policy")
def _policy(host: Path) -> Path:
    """The policy-rc.d of a host on which apt-get tells which one it finds."""
    program(host, "apt-mark", "")
    program(host, "apt-cache", "")
    program(host, "apt-get", "cat policy > seen; stat --format=%a policy >> seen; exit 100")
    return host / "policy"


def install_jicofo() -> None:
    with pytest.raises(PackageError):
        Apt(Module()).install(["jicofo"])


def test_nothing_starts_while_apt_installs(host: Path, policy: Path) -> None:
    install_jicofo()
    assert (host / "seen").read_text().splitlines()[2:] == ["exit 101", "755"]
    assert list(host.glob("policy*")) == []


def test_a_policy_of_the_operator_that_lets_services_start_steps_aside(
    host: Path, policy: Path
) -> None:
    policy.write_text("#!/bin/sh\nexit 0\n")
    policy.chmod(0o700)
    install_jicofo()
    assert "exit 101" in (host / "seen").read_text()
    assert (policy.read_text(), policy.stat().st_mode & 0o777) == ("#!/bin/sh\nexit 0\n", 0o700)
    assert list(host.glob("policy*")) == [policy]


@pytest.mark.parametrize("operators", ["", "#!/bin/sh\nexit 0\n"], ids=["none", "operator's"])
@pytest.mark.parametrize("missing", [[], ["jicofo"]], ids=["all there", "something to install"])
def test_what_a_killed_run_left_is_put_right_by_the_next(
    install: Callable[..., dict[str, Any]],
    policy: Path,
    monkeypatch: pytest.MonkeyPatch,
    operators: str,
    missing: list[str],
) -> None:
    if operators:
        policy.write_text(operators)
    with monkeypatch.context() as killed:
        killed.setattr(managers, "restore_policy", lambda: None)
        install_jicofo()
    assert "exit 101" in policy.read_text()
    told = install(Manager({}), names=missing, _ansible_check_mode=True)
    assert told["changed"] is True
    assert "exit 101" in policy.read_text()
    assert install(Manager({}), names=missing)["changed"] is True
    assert (policy.read_text() if policy.exists() else "") == operators
    assert install(Manager({}), names=[])["changed"] is False


def test_pacman_holds_again_after_a_transaction_that_failed(host: Path, pacman: Pacman) -> None:
    before = (host / "ignored").read_text()
    assert pacman.ours() == {"jicofo", "nginx"}
    with pytest.raises(PackageError, match="pacman cannot install jicofo"):  # noqa: SIM117
        with pacman.released({"jicofo"}):
            pacman.install(["jicofo=2-1"])
    assert (host / "seen").read_text() == "[options]\nIgnorePkg = nginx\n"
    assert (host / "ignored").read_text() == before
    assert list(host.glob(".*")) == []


def test_pacman_knows_what_other_hands_hold_as_patterns_or_besides(pacman: Pacman) -> None:
    names = ["jicofo", "linux-lts", "nginx", "openssl"]
    assert pacman.held_by_others(names) == {"linux-lts", "nginx"}


def test_pacman_upgrades_nothing_that_nobody_asked_for(host: Path, pacman: Pacman) -> None:
    (host / "transaction").write_text("sudo 1-1\nopenssl 4-1\nglibc 2-1\nnginx 2-1\n")
    with (
        pytest.raises(PackageError, match="sudo cannot be installed without upgrading openssl, of"),
        pacman.released({"nginx"}),
    ):
        pacman.install(["sudo"])
    assert not (host / "seen").exists()


def test_upgrades_that_wait_are_told_on_arch(host: Path, pacman: Pacman) -> None:
    (host / "-Qu").write_text("nginx 1-1 -> 2-1 [ignored]\n")
    assert pacman.warning() == ""
    (host / "-Qu").write_text("nginx 1-1 -> 2-1 [ignored]\nglibc 2-1 -> 3-1\nlua 5-1 -> 5-2\n")
    assert pacman.warning().startswith("Upgrades wait on this host, 2 in number. Arch")


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Another program holds a lock meanwhile; its number."""
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
        yield other.pid
        other.communicate()


def test_a_lock_is_waited_for_and_its_holder_named(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    with locked(path) as pid:
        assert f"(process {pid})" in package_locks.holder_of(str(path))
        with pytest.raises(PackageError, match=rf"process {pid}\) has held .* for 0 s"):
            wait_for([str(path)], 0)
    assert wait_for([str(path)], 0) == (0.0, "")
    with path.open("r+") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the look has let go of it


def test_what_came_while_this_run_waited_counts_as_installed_by_it(
    install: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its controller knows the host from before, so it has to ask again."""
    manager = Manager({})

    def wait(*_: object) -> tuple[float, str, str]:
        manager._installed["prosody"] = "1"
        return 7.0, "", "apt"

    monkeypatch.setattr(package_locks, "wait", wait)
    result = install(manager, names=["prosody"])
    assert (result["changed"], result["missing"]) == (True, [])
    assert manager.done == []


@pytest.fixture(name="journal")
def _journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where dpkg writes down steps that it has not brought to an end."""
    folder = tmp_path / "updates"
    folder.mkdir()
    monkeypatch.setattr(managers, "_JOURNAL", str(folder))
    monkeypatch.setattr(Apt, "locks", (str(tmp_path / "dpkg"),))
    return folder


def test_what_dpkg_was_ended_in_is_finished_and_nothing_starts(
    host: Path, policy: Path, journal: Path
) -> None:
    program(host, "dpkg", 'cat policy > seen; echo "$@" > told; rm updates/0001')
    program(host, "apt-get", 'echo "$@" >> told')
    (journal / "tmp.i").touch()  # which is there in any case
    assert not Apt(Module()).was_cut_off()
    (journal / "0001").touch()
    assert Apt(Module()).was_cut_off()
    Apt(Module()).finish()
    assert "exit 101" in (host / "seen").read_text()
    first, second = (host / "told").read_text().splitlines()
    assert first == "--force-confdef --force-confold --configure -a"
    assert second.startswith("install --fix-broken --no-remove --yes ")
    assert not policy.exists()
    assert not Apt(Module()).was_cut_off()


def test_what_cannot_be_finished_is_said(host: Path, policy: Path, journal: Path) -> None:
    program(host, "dpkg", "exit 1")
    program(host, "apt-get", "echo 'E: half-configured: shop'; exit 100")
    (journal / "0001").touch()
    with pytest.raises(PackageError, match="half-configured: shop Run dpkg --configure -a"):
        Apt(Module()).finish()
    assert not policy.exists()


def test_a_dpkg_that_is_at_work_was_not_ended(host: Path, policy: Path, journal: Path) -> None:
    (journal / "0001").touch()
    (host / "dpkg").touch()
    with locked(host / "dpkg"):
        assert not Apt(Module()).was_cut_off()
    assert Apt(Module()).was_cut_off()


def test_a_lock_of_pacman_that_nobody_holds_was_left(
    host: Path, pacman: Pacman, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = host / "db.lck"
    monkeypatch.setattr(package_locks, "PACMAN", str(lock))
    assert not pacman.was_cut_off()
    with lock.open("w"):
        assert not pacman.was_cut_off()
    assert pacman.was_cut_off()
    pacman.finish()
    assert not lock.exists()
    program(host, "pacman", 'case "$*" in -Q) ;; *--print*) ;; *) echo "$@" > told;; esac')
    pacman.install(["jicofo"])
    assert (host / "told").read_text() == "-S --noconfirm --needed --overwrite * jicofo\n"


def test_a_full_disk_is_named_whatever_the_last_lines_say() -> None:
    output = (
        "cannot copy extracted data: failed to write (No space left on device)\n"
        "Errors were encountered while processing:\nE: Sub-process dpkg returned an error code (1)"
    )
    said = managers.hint(output, Manager({}))  # type: ignore[arg-type]
    assert said == " No space is left on a disk of this host: make room there."


def test_lists_that_somebody_removed_are_not_fresh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(managers, "_LISTS", str(tmp_path / "lists"))
    apt = Apt(Module())
    assert not apt.are_lists_fresh()
    (tmp_path / "lists/partial").mkdir(parents=True)
    assert not apt.are_lists_fresh()
    (tmp_path / "lists/example.org_dists_stable_InRelease").touch()
    assert apt.are_lists_fresh()
