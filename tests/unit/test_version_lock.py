"""Action ``version_lock``: the file of versions says what proved good, and is given back as is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleActionFail

from plugins.action import version_lock
from vestibule.versions import LockError, check_pins, lock_of, render

_LOCK = {"default-jre-headless": "2:1.21-76", "jicofo": "1.0", "prosody": "13.0.1-1"}
_INSTALLED = {"vim": "9", **_LOCK}
_ASKED_FOR = ["prosody", "jicofo", "default-jre-headless"]


@pytest.fixture(name="run")
def _run(tmp_path: Path) -> Any:
    def run(*, check_mode: bool = False, **arguments: Any) -> dict[str, Any]:
        given = {"path": str(tmp_path / "meet.versions.yml"), "installed": _INSTALLED, **arguments}
        task = SimpleNamespace(check_mode=check_mode, args=given, async_val=0, diff=False)
        connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=""))
        action = version_lock.ActionModule(task, connection, SimpleNamespace(), None, None, None)
        result: dict[str, Any] = action.run(task_vars={"inventory_hostname": "meet"})
        return result

    return run


def test_only_what_was_asked_for_is_locked() -> None:
    assert lock_of(_ASKED_FOR, _INSTALLED) == _LOCK


def test_versions_are_texts_when_they_are_read_back() -> None:
    versions = {"a": "1.0", "b": "2:1.21-76", "c": "1:30", "d": "20220711", "e": "1e5", "f": "010"}
    text = render("meet", "meet.versions.yml", versions)
    assert yaml.safe_load(text) == {"jitsi_versions": versions}
    assert text.startswith("# Versions on meet")
    assert "-e @meet.versions.yml" in text


@pytest.mark.parametrize("inventory", ["inventory/mine", ""])
def test_the_head_says_where_the_file_is(
    inventory: str, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vestibule.versions._ROOT", tmp_path.resolve() / ("" if inventory else "x"))
    path = tmp_path / inventory / "meet.versions.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    head = run(path=str(path), packages=_ASKED_FOR, write=True)["diff"]["after"]
    assert f" -e @{inventory or '<folder>'}/meet.versions.yml\n" in head
    assert "put what is below into host_vars/meet.yml instead" in head


def test_a_version_that_nobody_brought_about_is_refused() -> None:
    check_pins({"jicofo": "1.0"}, _INSTALLED)
    with pytest.raises(LockError, match=r"those installed: jicofo 1.0, nginx not at all\. "):
        check_pins({"jicofo": "2.0", "nginx": "1.26", "prosody": "13.0.1-1"}, _INSTALLED)


def test_the_file_is_written_once(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "meet.versions.yml"
    compared = run(packages=_ASKED_FOR)
    assert (compared["changed"], compared["stale"]) == (False, True)
    assert not path.exists()

    written = run(installed=compared["lock"], write=True)
    assert written["changed"] is True
    assert written["diff"]["after"] == path.read_text()
    assert path.stat().st_mode & 0o777 == 0o644
    assert yaml.safe_load(path.read_text())["jitsi_versions"] == compared["lock"]
    assert [each.name for each in tmp_path.iterdir()] == [path.name]

    assert run(packages=_ASKED_FOR)["stale"] is False
    assert run(installed=compared["lock"], write=True)["changed"] is False


def test_the_file_stays_where_it_is_not_known_what_belongs_in_it(run: Any, tmp_path: Path) -> None:
    run(write=True)
    before = (tmp_path / "meet.versions.yml").read_text()
    nothing = {"changed": False, "lock": {}, "stale": False}
    assert run(packages=[], write=True) == nothing
    assert run(packages=["nginx"], complete=True) == nothing
    assert run(packages=["jicofo"], versions={"jicofo": "2.0"}, complete=True) == nothing
    assert run(packages=["jicofo"], complete=True)["stale"]
    assert (tmp_path / "meet.versions.yml").read_text() == before


def test_check_mode_tells_and_writes_nothing(run: Any, tmp_path: Path) -> None:
    told = run(write=True, check_mode=True)
    assert told["changed"] is True
    assert "prosody: 13.0.1-1" in told["diff"]["after"]
    assert list(tmp_path.iterdir()) == []


def test_check_mode_knows_nothing_of_a_host_without_the_packages(run: Any) -> None:
    assert run(packages=[*_ASKED_FOR, "nginx"], check_mode=True)["stale"] is False
    # Nor whether that run would bring the version
    assert run(packages=_ASKED_FOR, versions={"jicofo": "2.0"}, check_mode=True)["stale"] is True


def test_a_folder_that_cannot_be_written_is_named(run: Any, tmp_path: Path) -> None:
    with pytest.raises(AnsibleActionFail, match=r"The versions of meet cannot be kept: .*away"):
        run(path=str(tmp_path / "away/meet.versions.yml"), write=True)
