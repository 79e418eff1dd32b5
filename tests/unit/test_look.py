"""Module ``look``: it names what needs no task, changes nothing, and tells nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.vestibule import config_files

import look

RunModule = Callable[..., dict[str, Any]]
SECRET = "kanarienvogel" * 3


def file(path: Path, content: str = SECRET) -> dict[str, Any]:
    owner = {"owner": str(os.getuid()), "group": str(os.getgid())}
    return {
        "config_files": {"files": [{"path": str(path), "content": content, "mode": "0640"} | owner]}
    }


def history(path: Path, action: str = "move") -> dict[str, Any]:
    rule = {"paths": [str(path)], "action": action, "description": "theirs"}
    return {"host_history": {"rules": [rule], "made_by": "us", "backup": "/nowhere"}}


@pytest.fixture(name="settled")
def _settled(run_module: RunModule) -> Callable[[dict[str, Any]], list[str]]:
    def settled(wishes: dict[str, Any]) -> list[str]:
        result = run_module(look, wishes=wishes)
        assert (result["changed"], result.get("failed", False)) == (False, False)
        names: list[str] = result["ansible_facts"]["vestibule_settled"]
        assert sorted(names + result["unsettled"]) == sorted(wishes)
        return names

    return settled


Settled = Callable[[dict[str, Any]], list[str]]


def test_what_is_as_it_has_to_be_is_named_and_nothing_else(
    tmp_path: Path, settled: Settled
) -> None:
    (tmp_path / "same").write_text(SECRET)
    (tmp_path / "same").chmod(0o640)
    (tmp_path / "other").write_text("before")
    wishes = {
        "other": file(tmp_path / "other"),
        "same": file(tmp_path / "same"),
        "missing": file(tmp_path / "missing"),
        "certificate": {"self_signed": {"names": ["a"], "directory": str(tmp_path), "days": 9}},
    }
    assert settled(wishes) == ["same"]
    (tmp_path / "a.crt").write_text("bought")
    assert settled(wishes) == ["same", "certificate"]
    assert (tmp_path / "other").read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.crt", "other", "same"]


@pytest.mark.parametrize(
    "wish",
    [
        pytest.param({"config_files": {"files": [], "chek": {}}}, id="an option that is none"),
        pytest.param({"config_files": {}}, id="an option is missing"),
        pytest.param({"copy": {"dest": "/x"}}, id="a module that cannot be looked at"),
        pytest.param({"prosody_account": {"accounts": {"A B": "x"}}}, id="the module raises"),
        pytest.param(
            {"lua_libraries": {"libraries": [{"module": "no.such", "package": "x"}]}},
            id="check mode lets it pass",
        ),
    ],
)
def test_what_cannot_be_told_is_left_to_its_task(settled: Settled, wish: dict[str, Any]) -> None:
    nothing: dict[str, Any] = {"config_files": {"files": []}}
    assert settled({"wish": wish, "nothing": nothing}) == ["nothing"]


def test_nothing_counts_where_others_left_something(tmp_path: Path, settled: Settled) -> None:
    (tmp_path / "theirs").write_text("x")
    nothing: dict[str, Any] = {"config_files": {"files": []}}
    left = {"history": history(tmp_path / "theirs"), "nothing": nothing}
    assert settled(left) == []
    assert settled({**left, "history": history(tmp_path / "gone")}) == ["history", "nothing"]
    assert settled({**left, "history": history(tmp_path / "theirs", "note")}) == ["nothing"]


def test_what_a_reload_does_for_is_named(
    tmp_path: Path, run_module: RunModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_files, "rereads", lambda module, *_: module.params["reread"])
    taken = file(tmp_path / "taken")
    taken["config_files"]["reread"] = {"token_guard": ["token_guard_leeway"]}
    wishes = {"taken": taken, "other": file(tmp_path / "other")}
    result = run_module(look, wishes=wishes)
    assert (result["rereads"], result["unsettled"]) == (["taken"], ["taken", "other"])


def test_it_shows_nothing_of_what_it_is_given(tmp_path: Path, run_module: RunModule) -> None:
    result = run_module(look, wishes={"a": file(tmp_path / "a")}, _ansible_diff=True)
    assert "vestibule_settled" in str(result)
    assert SECRET not in str(result)


def test_it_says_what_differs_by_its_path_and_nothing_of_the_content(
    tmp_path: Path, run_module: RunModule
) -> None:
    for name in ("content", "mode", "directory"):
        (tmp_path / name).write_text(SECRET if name == "mode" else "before")
        (tmp_path / name).chmod(0o640)
    (tmp_path / "mode").chmod(0o644)
    (tmp_path / "directory").unlink()
    (tmp_path / "directory").mkdir()
    (tmp_path / "left").write_text("x")
    here = str(tmp_path)
    wishes = {
        "left": history(tmp_path / "left"),
        "noted": history(tmp_path / "left", "note"),
        **{name: file(tmp_path / name) for name in ("content", "mode", "missing", "directory")},
        "gone": {"config_files": {"files": [{"path": f"{here}/left", "state": "absent"}]}},
        "certificate": {"self_signed": {"names": ["a"], "directory": here, "days": 9}},
        "copy": {
            "config_files": {
                "files": [{"path": f"{here}/b", "copy_of": f"{here}/a.crt", "mode": "0644"}]
            }
        },
        "wrong": {"config_files": {}},
    }
    result = run_module(look, wishes=wishes, thorough=True)
    said = [(each["wish"], each["subject"], each["what"]) for each in result["differences"]]
    directory = next(what for wish, _, what in said if wish == "directory")
    assert directory.startswith(f"{here}/directory is a directory")
    assert [each for each in said if each[0] != "directory"] == [
        ("left", f"{here}/left", "theirs"),
        ("content", f"{here}/content", "other content"),
        ("mode", f"{here}/mode", "mode 0644, not 0640"),
        ("missing", f"{here}/missing", "missing"),
        ("gone", f"{here}/left", "should not be there"),
        ("certificate", f"{here}/a.crt", "missing"),
        ("copy", f"{here}/b", "missing"),
        ("wrong", "wrong", "wrong options"),
    ]
    assert SECRET not in str(result)
    # Otherwise what stands on it is not looked at
    result = run_module(look, wishes=wishes)
    assert [each["wish"] for each in result["differences"]] == ["left"]
