"""Module ``aur_packages``: a helper builds, as a user, without a way to ask, and never as root."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils.vestibule import package_locks
from ansible.module_utils.vestibule.managers import parse_info

import aur_packages
from aur_packages import BuildError, Helper, judge

OFFERED = {"jicofo-bin": "1.0.1149-1", "lua-inspect": "3.1.3-2"}
# As paru and yay write it, one package after the other, what is unknown among them
INFO = """\
Repository                    : aur
Name                          : jicofo-bin
Version                       : 1.0.1149-1
Description                   : Focus
error: package 'jicofo-git' was not found

Repository      : aur
Name            : lua-inspect
Version         : 3.1.3-2
"""
# Drops the user and the login shell, whose PATH would lead past the other programs
RUNUSER = '#!/bin/sh\necho "$2 $8 $9" >> {log}\nshift 7\nexec "$@"\n'


class Rig:
    """Programs that stand in for those of a host, and what was called as whom."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = folder / "log"
        self.program("runuser", RUNUSER.format(log=self._log))
        self.program("sudo", "#!/bin/sh\nexit 0\n")
        self.program("pacman", "#!/bin/sh\nexit 0\n")
        self.program("paru", "#!/bin/sh\nexit 0\n")

    def program(self, name: str, text: str) -> None:
        """Write a program that the module can find."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        """User, program and first argument of each call."""
        return self._log.read_text("utf-8").splitlines() if self._log.exists() else []


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock that a module of ours holds while it installs."""
    monkeypatch.setattr(package_locks, "OURS", str(tmp_path / "run" / "installing"))


@pytest.fixture(name="rig")
def _rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    users = {
        "builder": SimpleNamespace(pw_uid=1000, pw_dir=str(tmp_path)),
        "toor": SimpleNamespace(pw_uid=0, pw_dir=str(tmp_path)),
        "homeless": SimpleNamespace(pw_uid=1001, pw_dir=str(tmp_path / "nowhere")),
    }
    monkeypatch.setattr("pwd.getpwnam", users.__getitem__)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return Rig(tmp_path)


def test_the_versions_that_a_helper_names_are_read() -> None:
    assert parse_info(INFO) == OFFERED


@pytest.mark.parametrize(
    ("names", "versions", "words"),
    [
        pytest.param(["jicofo-bin"], {}, None, id="no version asked for"),
        pytest.param(["jicofo-bin"], {"jicofo-bin": "1.0.1149-1"}, None, id="the latest"),
        pytest.param(["jicofo-bin"], {"lua-inspect": "1-1"}, None, id="of another package"),
        pytest.param(
            ["jicofo-bin"],
            {"jicofo-bin": "1.0.1000-1"},
            "jicofo-bin 1.0.1000-1 is no longer offered; paru builds only 1.0.1149-1.",
            id="an older one",
        ),
        pytest.param(["jicofo"], {}, "paru finds no package jicofo.", id="no such package"),
    ],
)
def test_what_cannot_be_built_as_asked_is_said_before(
    names: list[str], versions: dict[str, str], words: str | None
) -> None:
    sentence = judge(names, versions, OFFERED, "paru")
    assert sentence == "" if words is None else words in sentence


@pytest.mark.parametrize("state", ["checked", "present"])
@pytest.mark.parametrize(
    ("user", "program", "sudo", "words"),
    [
        pytest.param("stranger", "paru", "exit 0", "no user stranger. Create one", id="no user"),
        pytest.param("toor", "paru", "exit 0", "toor, which is root", id="root by another name"),
        pytest.param("homeless", "paru", "exit 0", "no home directory", id="no home"),
        pytest.param("builder", "yay", "exit 0", "builder has no yay on this host", id="no helper"),
        pytest.param(
            "builder",
            "paru",
            "echo sudo: a password is required; exit 1",
            "NOPASSWD: /usr/bin/pacman), or build the packages there by hand. It said: sudo: a",
            id="sudo wants a password",
        ),
    ],
)
def test_refused_before_the_helper_is_called(
    rig: Rig, run_module: Callable[..., dict[str, Any]],
    user: str, program: str, sudo: str, words: str, state: str,
) -> None:  # fmt: skip
    rig.program("sudo", f"#!/bin/sh\n{sudo}\n")
    options = {"names": ["jicofo-bin"], "program": program, "user": user, "variable": "v"}
    result = run_module(aur_packages, **options, state=state)
    assert result["failed"] is True
    assert words in result["msg"]
    assert [call for call in rig.calls if call.startswith(("toor", "root"))] == []
    assert [call for call in rig.calls if "paru" in call.split()[1]] == []


@pytest.fixture(name="somebody_types")
def _somebody_types() -> Iterator[None]:
    reading, writing = os.pipe()
    os.write(writing, b"yes\n")
    before = os.dup(0)
    os.dup2(reading, 0)
    yield
    os.dup2(before, 0)
    for descriptor in (reading, writing, before):
        os.close(descriptor)


@pytest.mark.usefixtures("somebody_types")
def test_it_builds_as_the_user_and_nothing_can_ask(
    rig: Rig, run_module: Callable[..., dict[str, Any]]
) -> None:
    told = rig.folder / "told"
    rig.program(
        "paru",
        f'#!/bin/sh\necho "$@" > {told}\n(: < /dev/tty) 2>/dev/null && exit 1\nread x && exit 1\n'
        f"pwd >> {told}\n",
    )
    result = run_module(
        aur_packages, names=["jicofo-bin", "lua-inspect"], program="paru", user="builder",
        variable="v",
    )  # fmt: skip
    assert result["changed"] is True
    call, folder = told.read_text("utf-8").splitlines()
    assert call == "-S --needed --noconfirm jicofo-bin lua-inspect"
    assert folder == str(rig.folder)
    assert "builder paru -S" in rig.calls
    assert {each.split()[0] for each in rig.calls} == {"builder"}


def test_check_mode_builds_nothing(rig: Rig, run_module: Callable[..., dict[str, Any]]) -> None:
    result = run_module(
        aur_packages, names=["jicofo-bin"], program="paru", user="builder", variable="v",
        _ansible_check_mode=True,
    )  # fmt: skip
    assert result["changed"] is True
    assert "builder paru -S" not in rig.calls


def test_what_would_be_built_is_named_with_its_version(
    rig: Rig, run_module: Callable[..., dict[str, Any]]
) -> None:
    rig.program("paru", f"#!/bin/sh\ncat <<'END'\n{INFO}END\n")
    result = run_module(
        aur_packages, names=["lua-inspect"], program="paru", user="builder", variable="v",
        state="checked",
    )  # fmt: skip
    assert result["changed"] is False
    assert result["building"] == ["lua-inspect 3.1.3-2"]


def test_an_aur_out_of_reach_is_said(rig: Rig) -> None:
    rig.program("paru", "#!/bin/sh\necho error: dns error >&2\nexit 1\n")
    helper = Helper("paru", "builder", "v")
    helper.look()
    with pytest.raises(
        BuildError, match=r"cannot tell what the AUR has.*It said: error: dns error"
    ):
        helper.offered(["jicofo-bin"])


@pytest.mark.parametrize(
    ("paru", "pacman", "words"),
    [
        pytest.param("seq 200; exit 1", "exit 0", "cannot build jicofo-bin. Try `paru -S", id="no"),
        pytest.param("seq 200", "exit 1", "ended without an error, but did not install", id="lies"),
    ],
)
def test_a_failed_build_shows_its_last_lines(rig: Rig, paru: str, pacman: str, words: str) -> None:
    rig.program("paru", f"#!/bin/sh\n{paru}\n")
    rig.program("pacman", f"#!/bin/sh\n{pacman}\n")
    with pytest.raises(BuildError, match=words) as failure:
        Helper("paru", "builder", "v").build(["jicofo-bin"], 10)
    assert failure.value.output == [str(number) for number in range(101, 201)]


def test_a_build_that_does_not_end_is_ended_with_all_its_children(rig: Rig) -> None:
    late = rig.folder / "late"
    rig.program("paru", f"#!/bin/sh\necho begun\n(sleep 2; touch {late}) &\nsleep 60\n")
    with pytest.raises(BuildError, match=r"within 1 s.*raise jitsi_tokens_aur_timeout") as failure:
        Helper("paru", "builder", "v").build(["jicofo-bin"], 1)
    assert failure.value.output[0] == "begun"
    time.sleep(1.5)
    assert not late.exists()
