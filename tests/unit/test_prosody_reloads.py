"""A reload of Prosody is noted, for the process that did it, and counts for what it read alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import basic
from ansible.module_utils.vestibule import (
    config_files,
    going_back,
    leftovers,
    prosody_console,
    prosody_reloads,
)
from ansible.module_utils.vestibule.services import Service

import prosody_reload

RunModule = Callable[..., dict[str, Any]]
BEGAN = 1_700_000_000  # seconds since 1970
OLD, NEW = BEGAN - 100, BEGAN + 100
START = 5_000_000  # microseconds
REREAD = {"token_guard": ["leeway"]}


def text(leeway: int, app_id: str = "a") -> str:
    return (
        f'VirtualHost "meet.example.org"\n    app_id = "{app_id}"\n    leeway = {leeway}\n'
        '    modules_enabled = { "token_guard" }\n'
    )


class Host:
    """A host with a file of Prosody's, and programs that say what a test decides."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.file = folder / "hosts.cfg.lua"
        self.write(text(30), OLD)
        self.prosody()
        self.answer("Result: reloaded")
        note = folder / "run/prosody-reloaded.json"
        monkeypatch.setattr(prosody_reloads, "PLACE", str(note))
        program = lambda _, name, **more: str(folder / name)  # noqa: E731
        monkeypatch.setattr(basic.AnsibleModule, "get_bin_path", program)

    def write(self, content: str, moment: float) -> None:
        """The file is this, since then."""
        self.file.write_text(content)
        os.utime(self.file, (moment, moment))

    def _program(self, name: str, said: str) -> None:
        (self.folder / name).write_text(f"#!/bin/sh\ncat <<'E'\n{said}\nE\n")
        (self.folder / name).chmod(0o755)

    def prosody(self, state: str = "active", start: int = START) -> None:
        """Prosody is in this state since its start."""
        began = datetime.fromtimestamp(BEGAN, UTC)
        said = [
            *("Id=prosody.service", f"ActiveState={state}"),
            f"ExecMainStartTimestampMonotonic={start}",
            f"ExecMainStartTimestamp={began:%a %Y-%m-%d %H:%M:%S.%f} UTC",
        ]
        self._program("systemctl", "\n".join(said))

    def answer(self, said: str) -> None:
        """What the console answers."""
        self._program("prosodyctl", said)

    def unread(self, start: int = START) -> list[str]:
        """What prosody_health finds that has the file among its sources."""
        newer = [str(self.file)] if self.file.stat().st_mtime > BEGAN else []
        return prosody_reloads.unread(newer, start / 1e6)


@pytest.fixture(name="host")
def _host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


@pytest.fixture(name="write")
def _write(host: Host, run_module: RunModule) -> Callable[..., list[str]]:
    """Let config_files write a content; what a reload does for then."""

    def write(content: str, **more: Any) -> list[str]:
        wanted = {"path": str(host.file), "content": content, "mode": "0644"}
        wanted |= {"owner": str(os.getuid()), "group": str(os.getgid())}
        found: list[str] = run_module(config_files, files=[wanted], reread=REREAD, **more)[
            "rereads"
        ]
        if not more:
            os.utime(host.file, (NEW, NEW))
        return found

    return write


def test_what_was_read_again_is_no_longer_unread(host: Host, run_module: RunModule) -> None:
    host.write(text(5), NEW)
    assert host.unread() == [str(host.file)]
    assert run_module(prosody_reload, files=[str(host.file)])["changed"]
    assert host.unread() == []
    # Of that process and that content alone
    assert host.unread(start=START + 1) == [str(host.file)]
    host.write(text(6), NEW)
    assert host.unread() == [str(host.file)]


def test_who_goes_back_to_what_was_there_before_has_to_tell_prosody(
    host: Host, run_module: RunModule
) -> None:
    host.write(text(5), NEW)
    run_module(prosody_reload, files=[str(host.file)])
    host.write(text(30), OLD)
    assert host.unread() == [str(host.file)]


def test_a_reload_for_certificates_alone_counts_for_no_file(
    host: Host, run_module: RunModule
) -> None:
    host.write(text(5), NEW)
    run_module(prosody_reload)
    assert host.unread() == [str(host.file)]
    run_module(prosody_reload, files=[str(host.file)])
    run_module(prosody_reload)
    assert host.unread() == []


def test_check_mode_reloads_nothing(host: Host, run_module: RunModule) -> None:
    host.answer("(nobody shall ask)")
    assert run_module(prosody_reload, _ansible_check_mode=True)["changed"]
    assert not Path(prosody_reloads.PLACE).exists()


@pytest.mark.parametrize(
    "said",
    [
        "Result: refused: parser: hosts.cfg.lua:3: unexpected symbol",
        "****\na box\n****\nconsole:1: no number",
        "",
    ],
)
def test_a_reload_that_is_refused_fails_and_is_not_noted(
    host: Host, run_module: RunModule, said: str
) -> None:
    host.write(text(5), NEW)
    host.answer(said)
    result = run_module(prosody_reload, files=[str(host.file)])
    assert result["failed"]
    assert f"It said: {(said or '(nothing)').splitlines()[-1]} Look" in result["msg"]
    assert host.unread() == [str(host.file)]


def test_a_prosody_that_does_not_run_is_not_reloaded(host: Host, run_module: RunModule) -> None:
    host.prosody("failed")
    assert "Prosody does not run." in run_module(prosody_reload)["msg"]


def test_a_broken_note_is_none(host: Host) -> None:
    host.write(text(5), NEW)
    Path(prosody_reloads.PLACE).parent.mkdir()
    for broken in ("", "[", "{"):
        Path(prosody_reloads.PLACE).write_text(broken)
        assert host.unread() == [str(host.file)]


def test_a_file_is_read_again_where_only_such_settings_differ(
    host: Host, write: Callable[..., list[str]]
) -> None:
    assert write(text(5), _ansible_check_mode=True) == [str(host.file)]
    assert write(text(5)) == [str(host.file)]


def test_other_settings_need_a_restart(write: Callable[..., list[str]]) -> None:
    assert write(text(5, "b")) == []


def test_another_mode_alone_needs_nothing_more(host: Host, write: Callable[..., list[str]]) -> None:
    host.file.chmod(0o600)
    assert write(text(30)) == [str(host.file)]


@pytest.mark.parametrize("state", ["inactive", "failed"])
def test_a_prosody_that_does_not_run_is_started(
    host: Host, write: Callable[..., list[str]], state: str
) -> None:
    host.prosody(state)
    assert write(text(5)) == []


def test_what_was_never_read_is_not_built_upon(
    host: Host, write: Callable[..., list[str]], run_module: RunModule
) -> None:
    """A run was cut off after it wrote what needs a restart."""
    host.write(text(30, "b"), NEW)
    assert write(text(5, "b")) == []
    host.write(text(5), NEW)
    run_module(prosody_reload, files=[str(host.file)])
    assert write(text(6)) == [str(host.file)]
    # And now one that was cut off before its reload
    assert write(text(7)) == []


def test_a_file_that_is_new_needs_a_restart(host: Host, write: Callable[..., list[str]]) -> None:
    host.file.unlink()
    assert write(text(5)) == []


def test_a_folder_that_is_new_needs_a_restart(host: Host, run_module: RunModule) -> None:
    owner = {"owner": str(os.getuid()), "group": str(os.getgid())}
    folder = {"path": str(host.folder / "prosody.service.d"), "mode": "0755", **owner}
    file = {"path": str(host.file), "content": text(5), "mode": "0644", **owner}
    wish = {"files": [file], "directories": [folder], "reread": REREAD}
    assert run_module(config_files, **wish)["rereads"] == []


def test_the_list_of_the_set_is_read_with_it(
    host: Host, run_module: RunModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(host.folder / "lists")
    monkeypatch.setattr(leftovers, "manifest_of", lambda name: f"{folder}/{name}.json")
    file = {"path": str(host.file), "content": text(5), "mode": "0644"}
    file |= {"owner": str(os.getuid()), "group": str(os.getgid())}
    result = run_module(config_files, files=[file], reread=REREAD, leftovers={"name": "prosody"})
    assert result["rereads"] == [str(host.file), f"{folder}/prosody.json"]


def test_a_reload_that_failed_half_way_is_gone_back_from_with_a_restart(
    host: Host, run_module: RunModule
) -> None:
    """Some modules may have their new settings, whatever stands in the files afterwards."""
    host.write(text(5), NEW)
    host.answer("Error: a module says no")
    assert run_module(prosody_reload, files=[str(host.file)])["failed"]
    host.write(text(30), OLD)
    assert host.unread() == [str(host.file)]


@pytest.fixture(name="told")
def _told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What a host with Prosody and Jicofo is told that goes back."""
    known = {
        name: Service(
            name,
            active="active",
            started=START / 1e6,
            processes=(1,),
            listeners=frozenset({"127.0.0.1:5222"}),
        )
        for name in ("prosody", "jicofo")
    }
    told: list[tuple[str, ...]] = []
    monkeypatch.setattr(going_back.Host, "__init__", lambda self: None)
    monkeypatch.setattr(going_back.Host, "_module", None, raising=False)
    monkeypatch.setattr(going_back.Host, "look", lambda self, names: known)
    monkeypatch.setattr(going_back.Host, "tell", lambda self, *words: told.append(words))
    return told


def read_anew(paths: list[str]) -> list[str]:
    back = going_back.Host()  # type: ignore[call-arg]
    listeners = {"prosody": ["127.0.0.1:5222"], "jicofo": ["127.0.0.1:5222"]}
    return back.read_anew(["prosody", "jicofo"], 1e12, listeners, paths)


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize(
    ("paths", "said", "done", "restarts"),
    [
        (["/etc/prosody/conf.avail/meet.example.org.cfg.lua"], "", ["prosody"], []),
        (
            ["/etc/prosody/conf.avail/meet.example.org.cfg.lua"],
            "console:1: no",
            ["prosody", "jicofo"],
            ["prosody", "jicofo"],
        ),
        (["/etc/nginx/sites-available/meet.example.org.conf"], "", [], []),
    ],
    ids=["it reloads", "it cannot", "nothing of Prosody's"],
)
def test_going_back_has_prosody_read_its_former_files(
    told: list[tuple[str, ...]],
    monkeypatch: pytest.MonkeyPatch,
    paths: list[str],
    said: str,
    done: list[str],
    restarts: list[str],
) -> None:
    """Somebody else may have had it reload meanwhile, as who rotates its logs does."""
    monkeypatch.setattr(prosody_console, "reload", lambda module: said)
    assert read_anew(paths) == done
    assert [words[1] for words in told if words[0] == "restart"] == restarts


@pytest.mark.parametrize("taken", [5, 30])
def test_going_back_restarts_a_prosody_that_has_read_something_else(
    host: Host, told: list[tuple[str, ...]], taken: int
) -> None:
    host.write(text(taken), NEW)
    prosody_reloads.note(START / 1e6, {str(host.file): prosody_reloads.digest(str(host.file))})
    host.write(text(30), OLD)
    assert ("prosody" in read_anew([])) is (taken == 5)
    assert (("restart", "prosody") in told) is (taken == 5)
