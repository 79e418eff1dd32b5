"""Packages that go: with their configuration, and nothing else with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.vestibule import managers, uninstall
from ansible.module_utils.vestibule.managers import Apt, PackageError, Pacman

_ANNOUNCED = """\
The following NEW packages will be installed:
  lua5.4 jicofo
The following packages will be upgraded:
  prosody
Abort.
"""
_STATES = "nginx\tinstalled\njicofo\tconfig-files\nprosody\thalf-configured\nlua\tnot-installed\n"


class Module:
    """Answers commands by their first words, and remembers them."""

    def __init__(self, **answers: str) -> None:
        self._answers = answers
        self.ran: list[list[str]] = []

    def run_command(self, argv: list[str], **_: Any) -> tuple[int, str, str]:
        self.ran.append(argv)
        words = "_".join(argv[:2]).replace("-", "_").replace("/", "_")
        return 0, self._answers.get(words, ""), ""

    def atomic_move(self, source: str, target: str, keep_dest_attrs: bool = True) -> None:
        Path(source).replace(target)


@pytest.fixture(autouse=True)
def _own_policy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(managers, "POLICY", str(tmp_path / "policy-rc.d"))


def test_of_what_apt_announces_what_is_new_counts() -> None:
    apt: Any = Apt(Module(apt_get_install=_ANNOUNCED))
    assert apt.planned(["jicofo", "prosody"]) == ["lua5.4", "jicofo"]


def test_of_arch_what_is_not_installed_counts() -> None:
    module = Module(pacman__S="prosody\nlua\n", pacman__Q="lua 5.4-1\n", pacman_conf___config="")
    assert Pacman(module).planned(["prosody"]) == ["prosody"]


def test_what_an_interrupted_removal_left_is_found() -> None:
    apt = Apt(Module(dpkg_query___show=_STATES))
    assert apt.remains(["nginx", "jicofo", "prosody", "lua"]) == ["jicofo", "prosody"]


def test_questions_that_debconf_knows_are_somebody_else_s(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    known = tmp_path / "config.dat"
    known.write_text("Name: jitsi-meet/cert-choice\nValue: theirs\n")
    monkeypatch.setattr(managers, "_DEBCONF", str(known))
    answers = "a jitsi-meet/cert-choice select x\nb jitsi-videobridge/jvb-hostname string y\n"
    asked = Apt(Module()).unasked(answers)
    assert asked == [("b", "jitsi-videobridge/jvb-hostname")]


def test_nothing_is_removed_where_something_else_would_go() -> None:
    module = Module(apt_get___simulate="Purg jicofo [1.0-2]\nRemv theirs [2] \n")
    with pytest.raises(PackageError, match="would also remove theirs, so none was removed"):
        Apt(module).remove(["jicofo"], needed=[])
    assert [argv for argv in module.ran if argv[:2] == ["apt-get", "purge"]] == []


def test_they_go_with_their_configuration_and_what_others_use_stays() -> None:
    module = Module(apt_get___simulate="Purg jicofo:amd64 [1.0-2]\n")
    Apt(module).remove(["jicofo"], needed=["java"])
    assert ["apt-mark", "manual", "java"] in module.ran
    (purged,) = [argv for argv in module.ran if argv[:2] == ["apt-get", "purge"]]
    assert purged[-1] == "jicofo"


def test_where_none_goes_apt_is_not_asked() -> None:
    module = Module()
    Apt(module).remove([], needed=[])
    assert module.ran == []


@pytest.mark.parametrize(
    ("entry", "now", "is_ours"),
    [
        ({"wrote": ["a", "b"]}, "b", True),
        ({"wrote": ["a", "b"]}, "a", True),
        ({"wrote": ["a"]}, "edited", False),
        ({"wrote": ["*"]}, "whatever", True),
        ({"wrote": []}, "edited", False),
    ],
)
def test_what_is_not_as_it_was_written_is_somebody_s(
    entry: dict[str, Any], now: str, is_ours: bool
) -> None:
    assert uninstall._is_ours("/nowhere", entry, now) is is_ours


def test_a_plan_names_what_comes_back_and_what_moves() -> None:
    plan = uninstall.Plan(
        paths={"/etc/back": {"kind": "file"}, "/etc/gone": {"kind": "absent"}},
        data=["/var/lib/prosody"],
        packages=["jicofo"],
        folders=["/etc/vestibule"],
    )
    assert plan.lines(keeps_data=True) == [
        "/etc/back (as it was before)",
        "/etc/gone",
        "/var/lib/prosody (moved)",
        "package jicofo",
        "/etc/vestibule/",
    ]
    assert "/var/lib/prosody (purged)" in plan.lines(keeps_data=False)
