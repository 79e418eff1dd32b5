"""Module ``package_holds``: what it holds it releases, and nothing that somebody else holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.vestibule import managers

import package_holds

RunModule = Callable[..., dict[str, Any]]

# apt-mark, with its holds in a file of its own; the file `locked` makes it fail
_APT_MARK = """\
#!/bin/sh
cd {folder}
verb=$1; shift
[ ! -e locked ] || { echo 'E: Could not get lock' >&2; rm locked; exit 100; }
case $verb in
    showhold) cat holds;;
    hold) for name; do echo "$name"; done >> holds;;
    unhold) for name; do sed -i "/^$name$/d" holds; done;;
esac
"""


@pytest.fixture(name="holds")
def _holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The packages that are held on this host, one a line."""
    program = tmp_path / "apt-mark"
    program.write_text(_APT_MARK.replace("{folder}", str(tmp_path)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(managers, "HELD_BY_US", f"{tmp_path}/state/held")
    monkeypatch.setattr(managers, "of", managers.Apt)
    (tmp_path / "holds").write_text("theirs\n")
    return tmp_path / "holds"


def hold(run_module: RunModule, holds: Path, *names: str, **options: Any) -> dict[str, Any]:
    return run_module(package_holds, names=list(names), **options)


def test_holds_come_and_go(run_module: RunModule, holds: Path) -> None:
    record = holds.parent / "state/held"
    first = hold(run_module, holds, "jicofo", "prosody")
    assert (first["changed"], first["held"]) == (True, ["jicofo", "prosody"])
    assert record.read_text() == "jicofo\nprosody\n"
    assert hold(run_module, holds, "jicofo", "prosody")["changed"] is False

    second = hold(run_module, holds, "prosody")
    assert (second["held"], second["released"]) == ([], ["jicofo"])
    assert holds.read_text() == "theirs\nprosody\n"
    assert hold(run_module, holds)["released"] == ["prosody"]
    assert holds.read_text() == "theirs\n"
    assert not record.exists()


def test_what_somebody_else_held_first_stays_theirs(run_module: RunModule, holds: Path) -> None:
    assert hold(run_module, holds, "theirs")["changed"] is False
    assert hold(run_module, holds)["changed"] is False
    assert holds.read_text() == "theirs\n"


def test_what_others_released_is_no_longer_ours(run_module: RunModule, holds: Path) -> None:
    hold(run_module, holds, "jicofo")
    holds.write_text("")
    hold(run_module, holds)  # nothing of ours is held
    holds.write_text("jicofo\n")
    assert hold(run_module, holds)["released"] == []


def test_check_mode_tells_and_holds_nothing(run_module: RunModule, holds: Path) -> None:
    told = hold(run_module, holds, "jicofo", _ansible_check_mode=True)
    assert (told["changed"], told["held"]) == (True, ["jicofo"])
    assert holds.read_text() == "theirs\n"
    assert not (holds.parent / "state").exists()


def test_another_program_that_has_the_lock_is_waited_for(
    run_module: RunModule, holds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    plain = package_holds.plan

    def locked_meanwhile(*arguments: Any) -> Any:
        (holds.parent / "locked").touch()
        return plain(*arguments)

    monkeypatch.setattr(package_holds, "plan", locked_meanwhile)
    assert hold(run_module, holds, "jicofo")["held"] == ["jicofo"]
    assert pauses == [1]
    assert holds.read_text() == "theirs\njicofo\n"


def test_a_refusal_of_apt_is_quoted(run_module: RunModule, holds: Path) -> None:
    program = holds.parent / "apt-mark"
    program.write_text("#!/bin/sh\n[ $1 = showhold ] || { echo 'E: read-only' >&2; exit 100; }\n")
    failed = hold(run_module, holds, "jicofo")
    assert failed["msg"] == "apt-mark cannot hold jicofo. It said: E: read-only"


# pacman-conf as far as it matters: sections come again, and an included file may have one
_PACMAN_CONF = """\
#!/bin/sh
[ "$1 $3" = "--config IgnorePkg" ] || exit 1
sed -n 's/^Include = //p' "$2" | xargs -r cat -- > {folder}/included || exit 1
sed -n '/^\\[options]$/,/^$/ s/^IgnorePkg = //p' "$2" {folder}/included
"""
_CONFIGURATION = """\
[options]
HoldPkg = pacman
IgnorePkg = theirs

[core]
Include = /dev/null
"""


@pytest.fixture(name="arch")
def _arch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration of pacman on a host without apt."""
    program = tmp_path / "pacman-conf"
    program.write_text(_PACMAN_CONF.replace("{folder}", str(tmp_path)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    configuration = tmp_path / "pacman.conf"
    monkeypatch.setattr(managers, "HELD_BY_US", f"{tmp_path}/state/held")
    monkeypatch.setattr(managers, "IGNORED_BY_US", f"{tmp_path}/ignored.conf")
    monkeypatch.setattr(managers, "PACMAN_CONF", str(configuration))
    monkeypatch.setattr(managers, "of", managers.Pacman)
    configuration.write_text(_CONFIGURATION)
    return configuration


def ignore(run_module: RunModule, arch: Path, *names: str, **options: Any) -> dict[str, Any]:
    return run_module(package_holds, names=list(names), **options)


def test_pacman_is_told_in_a_file_of_ours(run_module: RunModule, arch: Path) -> None:
    ignored, record = arch.parent / "ignored.conf", arch.parent / "state/held"
    first = ignore(run_module, arch, "prosody", "jicofo", "theirs")
    assert (first["changed"], first["held"]) == (True, ["jicofo", "prosody"])
    told = ignored.read_text().splitlines()
    assert told[1:] == ["[options]", "IgnorePkg = jicofo", "IgnorePkg = prosody"]
    assert arch.read_text() == f"{_CONFIGURATION}Include = {ignored}\n"
    assert record.read_text() == "jicofo\nprosody\n"
    assert ignore(run_module, arch, "prosody", "jicofo", "theirs")["changed"] is False

    second = ignore(run_module, arch, "prosody")
    assert (second["held"], second["released"]) == ([], ["jicofo"])
    assert "jicofo" not in ignored.read_text()
    assert arch.read_text().count("Include") == 2

    assert ignore(run_module, arch)["released"] == ["prosody"]
    assert arch.read_text() == _CONFIGURATION
    assert sorted(path.name for path in arch.parent.iterdir()) == [
        "included",
        "pacman-conf",
        "pacman.conf",
        "state",
    ]
    assert list(record.parent.iterdir()) == []


def test_a_line_that_somebody_took_out_comes_back(run_module: RunModule, arch: Path) -> None:
    ignore(run_module, arch, "prosody")
    arch.write_text(_CONFIGURATION)
    assert ignore(run_module, arch, "prosody")["held"] == ["prosody"]
    assert arch.read_text().endswith(f"Include = {arch.parent}/ignored.conf\n")


def test_check_mode_tells_pacman_nothing(run_module: RunModule, arch: Path) -> None:
    told = ignore(run_module, arch, "jicofo", _ansible_check_mode=True)
    assert (told["changed"], told["held"]) == (True, ["jicofo"])
    assert arch.read_text() == _CONFIGURATION
    assert not (arch.parent / "ignored.conf").exists()


def test_pacman_conf_keeps_its_mode_and_stays_a_link(run_module: RunModule, arch: Path) -> None:
    real = arch.rename(arch.parent / "pacman-of-the-operator.conf")
    real.chmod(0o640)
    arch.symlink_to(real)
    assert ignore(run_module, arch, "prosody")["held"] == ["prosody"]
    assert real.read_text() == f"{_CONFIGURATION}Include = {arch.parent}/ignored.conf\n"
    assert (arch.is_symlink(), real.stat().st_mode & 0o777) == (True, 0o640)
    assert (arch.parent / "ignored.conf").stat().st_mode & 0o777 == 0o644
