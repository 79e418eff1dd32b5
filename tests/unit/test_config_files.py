"""Module ``config_files``: a set of files is in place as a whole, or nothing has changed."""

from __future__ import annotations

import getpass
import grp
import json
import os
import stat
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import basic
from ansible.module_utils.vestibule import config_files, leftovers

RunModule = Callable[..., dict[str, Any]]
Snapshot = dict[str, tuple[str, bytes, int]]
GOOD = {"argv": ["true"]}
BAD = {"argv": ["sh", "-c", "echo 'line 3: bad option'; echo hint >&2; exit 2"]}
ME = {"owner": str(os.getuid()), "group": str(os.getgid())}
CANARY = "canary-Zm9yIHRlc3Rz"


def file(path: Path, content: str = "new\n", mode: str = "0640", **more: Any) -> dict[str, Any]:
    return {"path": str(path), "content": content, "mode": mode, **ME, **more}


def link(path: Path, target: str) -> dict[str, Any]:
    return {"path": str(path), "link": target}


def absent(path: Path) -> dict[str, Any]:
    return {"path": str(path), "state": "absent"}


def directory(path: Path, mode: str = "0750") -> dict[str, Any]:
    return {"path": str(path), "mode": mode, **ME}


def snapshot(folder: Path) -> Snapshot:
    """Everything below the folder: kind, content or target, permissions."""
    found: Snapshot = {}
    for path in sorted(folder.rglob("*")):
        mode = stat.S_IMODE(path.lstat().st_mode)
        if path.is_symlink():
            found[str(path)] = ("link", os.fsencode(path.readlink()), mode)
        elif path.is_dir():
            found[str(path)] = ("directory", b"", mode)
        else:
            found[str(path)] = ("file", path.read_bytes(), mode)
    return found


@pytest.fixture
def lived_in(tmp_path: Path) -> Path:
    """A folder with one of everything, before the module comes."""
    (tmp_path / "replaced").write_text("old\n")
    (tmp_path / "replaced").chmod(0o600)
    (tmp_path / "removed").write_text("gone soon\n")
    (tmp_path / "removed").chmod(0o644)
    (tmp_path / "relinked").symlink_to("replaced")
    (tmp_path / "was_link").symlink_to("removed")
    (tmp_path / "tightened").write_text("same\n")
    (tmp_path / "tightened").chmod(0o644)
    (tmp_path / "open").mkdir(mode=0o755)
    return tmp_path


def whole_set(folder: Path) -> dict[str, Any]:
    """Every kind of change at once, over what `lived_in` made."""
    return {
        "directories": [
            directory(folder / "open", "0700"),
            directory(folder / "made"),
            directory(folder / "made" / "deeper"),
        ],
        "files": [
            file(folder / "made" / "deeper" / "created"),
            file(folder / "replaced"),
            absent(folder / "removed"),
            link(folder / "relinked", "tightened"),
            file(folder / "was_link"),
            file(folder / "tightened", "same\n", "0600"),
            link(folder / "new_link", "made/deeper/created"),
        ],
    }


def test_everything_is_written_with_its_content_and_mode(
    lived_in: Path, run_module: RunModule
) -> None:
    result = run_module(config_files, **whole_set(lived_in), check=GOOD)
    assert result["changed"] and result["checked"]
    assert len(result["paths"]) == 10
    assert snapshot(lived_in) == {
        str(lived_in / name): expected
        for name, expected in {
            "made": ("directory", b"", 0o750),
            "made/deeper": ("directory", b"", 0o750),
            "made/deeper/created": ("file", b"new\n", 0o640),
            "new_link": ("link", b"made/deeper/created", 0o777),
            "open": ("directory", b"", 0o700),
            "relinked": ("link", b"tightened", 0o777),
            "replaced": ("file", b"new\n", 0o640),
            "tightened": ("file", b"same\n", 0o600),
            "was_link": ("file", b"new\n", 0o640),
        }.items()
    }


def test_second_run_changes_nothing_and_checks_nothing(
    lived_in: Path, run_module: RunModule
) -> None:
    run_module(config_files, **whole_set(lived_in), check=GOOD)
    before = {path: path.lstat().st_mtime_ns for path in lived_in.rglob("*")}
    result = run_module(config_files, **whole_set(lived_in), check=BAD)
    assert (result["changed"], result["paths"], result["checked"]) == (False, [], False)
    assert result["unchecked_because"] == "nothing changed"
    assert {path: path.lstat().st_mtime_ns for path in lived_in.rglob("*")} == before


def test_a_refused_set_leaves_everything_as_it_was(lived_in: Path, run_module: RunModule) -> None:
    before = snapshot(lived_in)
    result = run_module(config_files, **whole_set(lived_in), check=BAD)
    assert result["failed"] and result["rc"] == 2
    assert "line 3: bad option\nhint" in result["msg"]
    assert snapshot(lived_in) == before


def test_the_check_sees_the_new_files(lived_in: Path, run_module: RunModule) -> None:
    argv = ["cmp", str(lived_in / "replaced"), str(lived_in / "new_link")]
    assert run_module(config_files, **whole_set(lived_in), check={"argv": argv})["checked"]


def test_a_check_program_that_is_not_there_counts_as_refusal(
    lived_in: Path, run_module: RunModule
) -> None:
    before = snapshot(lived_in)
    result = run_module(config_files, **whole_set(lived_in), check={"argv": ["/no/such/program"]})
    assert result["failed"] and "/no/such/program" in result["msg"]
    assert snapshot(lived_in) == before


def test_other_exit_codes_may_be_good(tmp_path: Path, run_module: RunModule) -> None:
    check = {**BAD, "ok_codes": [0, 2]}
    assert run_module(config_files, files=[file(tmp_path / "a")], check=check)["checked"]


@pytest.mark.parametrize("function", ["stage", "put_in_place"])
@pytest.mark.parametrize("survivors", range(7))
@pytest.mark.parametrize("late", [False, True], ids=["before its work", "after its work"])
def test_a_failure_half_way_is_undone(
    function: str,
    survivors: int,
    late: bool,
    lived_in: Path,
    run_module: RunModule,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = snapshot(lived_in)
    monkeypatch.setattr(config_files, function, failing_after(function, survivors, late))
    result = run_module(config_files, **whole_set(lived_in), check=GOOD)
    assert result["failed"] and "disk full" in result["msg"]
    assert snapshot(lived_in) == before


@pytest.mark.parametrize("function", ["stage", "put_in_place", "forget"])
@pytest.mark.parametrize("survivors", range(7))
@pytest.mark.parametrize("late", [False, True], ids=["before its work", "after its work"])
def test_a_crash_half_way_is_undone_by_the_next_run(
    function: str,
    survivors: int,
    late: bool,
    lived_in: Path,
    run_module: RunModule,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A crash runs no handler, so neither does the test: undoing is switched off with it."""
    with monkeypatch.context() as crash:
        crash.setattr(config_files, function, failing_after(function, survivors, late))
        crash.setattr(config_files, "_take_back", lambda steps, cause: None)
        assert run_module(config_files, **whole_set(lived_in), check=GOOD)["failed"]
    result = run_module(config_files, **whole_set(lived_in), check=GOOD)
    if result["changed"]:  # else the crash came after the last word of the first run
        assert result["checked"]
    else:
        assert function == "forget" and survivors == 6 and late
    assert not [name for name in snapshot(lived_in) if ".config_files-" in name]
    again = run_module(config_files, **whole_set(lived_in), check=BAD)
    assert again["changed"] is False


def test_a_failure_between_the_two_names_of_a_file_is_undone(
    lived_in: Path, run_module: RunModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The previous file has its second name already, and still its first."""
    before = snapshot(lived_in)
    real = os.rename

    def rename(source: str, target: str) -> None:
        if source == str(lived_in / ".replaced.config_files-new"):
            raise OSError("disk full")
        real(source, target)

    monkeypatch.setattr(os, "rename", rename)
    assert run_module(config_files, **whole_set(lived_in))["failed"]
    assert snapshot(lived_in) == before


def test_files_of_a_crashed_run_are_not_trusted_unchecked(
    tmp_path: Path, run_module: RunModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while the check ran, all new files stand in their places; nobody has judged them."""
    new = {"files": [file(tmp_path / "a"), link(tmp_path / "b", "a")]}
    with monkeypatch.context() as crash:
        crash.setattr(config_files, "_take_back", lambda steps, cause: None)
        assert run_module(config_files, **new, check=BAD)["failed"]
    assert (tmp_path / "a").read_text() == "new\n"
    result = run_module(config_files, **new, check=BAD)
    assert result["failed"]
    assert snapshot(tmp_path) == {}


def test_check_mode_tells_of_an_unfinished_run_and_leaves_it(
    tmp_path: Path, run_module: RunModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as crash:
        crash.setattr(config_files, "_take_back", lambda steps, cause: None)
        run_module(config_files, files=[file(tmp_path / "a")], check=BAD)
    before = snapshot(tmp_path)
    result = run_module(config_files, files=[file(tmp_path / "a")], _ansible_check_mode=True)
    assert result["changed"] and result["paths"] == [str(tmp_path / "a")]
    assert snapshot(tmp_path) == before


def failing_after(
    function: str, survivors: int, late: bool
) -> Callable[[config_files.Entry], None]:
    """The function of the module, which breaks at its call number `survivors` (from 0)."""
    real = getattr(config_files, function)
    calls = iter(range(100))

    def breaking(entry: config_files.Entry) -> None:
        number = next(calls)
        if number == survivors and not late:
            raise OSError("disk full")
        real(entry)
        if number == survivors:
            raise OSError("disk full")

    return breaking


def test_what_cannot_be_put_back_is_said(
    lived_in: Path, run_module: RunModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = config_files.undo

    def undo(entry: config_files.Entry) -> None:
        if entry.path.endswith("relinked"):
            raise OSError("read-only file system")
        real(entry)

    monkeypatch.setattr(config_files, "undo", undo)
    result = run_module(config_files, **whole_set(lived_in), check=BAD)
    assert "line 3: bad option" in result["msg"]
    assert "Not everything could be put back: read-only file system" in result["msg"]
    assert (lived_in / "replaced").read_text() == "old\n"  # the others were


def test_check_mode_tells_the_truth_and_touches_nothing(
    lived_in: Path, run_module: RunModule
) -> None:
    before = snapshot(lived_in)
    foreseen = run_module(config_files, **whole_set(lived_in), check=BAD, _ansible_check_mode=True)
    assert foreseen["changed"]
    assert foreseen["unchecked_because"] == "check mode writes no files"
    assert snapshot(lived_in) == before
    assert run_module(config_files, **whole_set(lived_in))["paths"] == foreseen["paths"]


def test_check_mode_passes_on_a_host_without_the_packages(
    tmp_path: Path, run_module: RunModule
) -> None:
    wanted = file(tmp_path / "etc" / "prosody" / "a", owner="no-such-user")
    result = run_module(config_files, files=[wanted], _ansible_check_mode=True)
    assert result["changed"] and result["paths"] == [wanted["path"]]


def test_the_check_waits_for_its_program(tmp_path: Path, run_module: RunModule) -> None:
    missing = str(tmp_path / "prosodyctl")
    result = run_module(
        config_files, files=[file(tmp_path / "a")], check=BAD, check_requires=missing
    )
    assert result["changed"] and not result["checked"]
    assert result["unchecked_because"] == f"{missing} does not exist on this host"
    refused = run_module(
        config_files, files=[file(tmp_path / "b")], check=BAD, check_requires=str(tmp_path / "a")
    )
    assert refused["failed"]


def test_a_link_is_replaced_and_never_written_through(
    tmp_path: Path, run_module: RunModule
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious\n")
    (tmp_path / "target").symlink_to(victim)
    run_module(config_files, files=[file(tmp_path / "target")])
    assert victim.read_text() == "precious\n"
    assert not (tmp_path / "target").is_symlink()


def test_a_planted_link_at_the_staging_name_is_not_followed(
    tmp_path: Path, run_module: RunModule
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious\n")
    (tmp_path / ".target.config_files-new").symlink_to(victim)
    result = run_module(config_files, files=[file(tmp_path / "target")])
    assert result["changed"] and (tmp_path / "target").read_text() == "new\n"
    assert victim.read_text() == "precious\n"


def test_a_directory_behind_a_link_is_accepted(tmp_path: Path, run_module: RunModule) -> None:
    (tmp_path / "real").mkdir(mode=0o755)
    (tmp_path / "alias").symlink_to("real")
    run_module(config_files, directories=[directory(tmp_path / "alias", "0700")], files=[])
    assert (tmp_path / "alias").is_symlink()
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o700


def test_no_file_is_ever_wider_open_than_asked(
    tmp_path: Path, run_module: RunModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []
    real = os.fchown

    def fchown(descriptor: int, uid: int, gid: int) -> None:
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        real(descriptor, uid, gid)

    monkeypatch.setattr(os, "fchown", fchown)
    run_module(config_files, files=[file(tmp_path / "a", mode="0600")])
    assert modes == [0o600]


def test_the_mode_does_not_depend_on_the_umask(tmp_path: Path, run_module: RunModule) -> None:
    before = os.umask(0o077)
    try:
        run_module(
            config_files,
            directories=[directory(tmp_path / "d", "0755")],
            files=[file(tmp_path / "d" / "a", mode="0664")],
        )
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "d" / "a").stat().st_mode) == 0o664


def test_users_and_groups_go_by_name(tmp_path: Path, run_module: RunModule) -> None:
    names = {"owner": getpass.getuser(), "group": grp.getgrgid(os.getgid()).gr_name}
    result = run_module(config_files, files=[file(tmp_path / "a", **names)])
    assert result["changed"]
    assert (tmp_path / "a").stat().st_uid == os.getuid()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_a_changed_owner_is_a_change(tmp_path: Path, run_module: RunModule) -> None:
    run_module(config_files, files=[file(tmp_path / "a")])
    result = run_module(config_files, files=[file(tmp_path / "a", owner="daemon", group="daemon")])
    assert result["changed"]
    assert (tmp_path / "a").owner() == (tmp_path / "a").group() == "daemon"


@pytest.mark.parametrize(
    ("make", "files", "sentence"),
    [
        (
            lambda at: (at / "a").mkdir(),
            lambda at: [file(at / "a")],
            "{at}/a is a directory. Move it away, or choose another path.",
        ),
        (
            lambda at: os.mkfifo(at / "a"),
            lambda at: [absent(at / "a")],
            "{at}/a is no regular file. Move it away, or choose another path.",
        ),
        (
            lambda at: None,
            lambda at: [file(at / "no" / "a")],
            "{at}/no/a: the directory {at}/no does not exist. Name it under directories, or "
            "install the package that creates it first.",
        ),
        (
            lambda at: None,
            lambda at: [file(at / "a", owner="nobody-here")],
            "{at}/a: this host has no user nobody-here. Install the package that creates it first, "
            "or name another owner.",
        ),
        (
            lambda at: None,
            lambda at: [file(at / "a", group="nobody-here")],
            "{at}/a: this host has no group nobody-here. Install the package that creates it "
            "first, or name another group.",
        ),
        (
            lambda at: None,
            lambda at: [file(at / "a"), link(at / "b" / ".." / "a", "c")],
            "{at}/a is named twice. Every path has one entry.",
        ),
        (
            lambda at: None,
            lambda at: [file(Path("etc/a"))],
            "etc/a is not absolute. Give the path from / on.",
        ),
        (
            lambda at: None,
            lambda at: [file(at / "a", mode="416")],
            '{at}/a: mode 416 is not four octal digits in quotes ("0640").',
        ),
        (
            lambda at: None,
            lambda at: [file(at / "a", state="absent")],
            "{at}/a is absent and has content or link. Drop one of them.",
        ),
    ],
    ids=[
        "directory in the way",
        "pipe in the way",
        "no such directory",
        "no such user",
        "no such group",
        "path named twice",
        "relative path",
        "mode without quotes",
        "absent with content",
    ],
)
def test_the_impossible_is_refused_before_anything_is_touched(
    make: Callable[[Path], None],
    files: Callable[[Path], list[dict[str, Any]]],
    sentence: str,
    tmp_path: Path,
    run_module: RunModule,
) -> None:
    make(tmp_path)
    before = {path: path.lstat().st_mode for path in tmp_path.rglob("*")}
    result = run_module(config_files, files=[file(tmp_path / "first"), *files(tmp_path)])
    assert result["failed"] and result["msg"] == sentence.format(at=tmp_path)
    assert {path: path.lstat().st_mode for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize(
    "options",
    [
        {"content": "x", "link": "y", "mode": "0644"},
        {"content": "x"},
        {},
    ],
    ids=["content and link", "content without mode", "neither content nor link"],
)
def test_entries_that_make_no_sense_are_refused(
    options: dict[str, str], tmp_path: Path, run_module: RunModule
) -> None:
    result = run_module(config_files, files=[{"path": str(tmp_path / "a"), **options}])
    assert result["failed"]
    assert snapshot(tmp_path) == {}


def test_a_file_in_place_of_a_directory_is_refused(tmp_path: Path, run_module: RunModule) -> None:
    (tmp_path / "d").write_text("")
    result = run_module(config_files, directories=[directory(tmp_path / "d")], files=[])
    assert result["msg"] == f"{tmp_path}/d exists and is no directory. Move it away."


def test_the_diff_shows_contents_targets_and_rights(lived_in: Path, run_module: RunModule) -> None:
    result = run_module(
        config_files, **whole_set(lived_in), _ansible_diff=True, _ansible_check_mode=True
    )
    shown: dict[str, list[tuple[Any, Any]]] = {}
    for part in result["diff"]:
        assert part["before_header"] == part["after_header"]
        name = Path(part["after_header"]).name
        shown.setdefault(name, []).append((part["before"], part["after"]))
    assert shown["replaced"][0] == ("old\n", "new\n")
    assert shown["removed"] == [("gone soon\n", "")]
    assert shown["relinked"] == [("link to replaced\n", "link to tightened\n")]
    assert shown["was_link"][0] == ("link to removed\n", "new\n")
    assert [(before["mode"], after["mode"]) for before, after in shown["tightened"]] == [
        ("0644", "0600")
    ]
    assert shown["created"][1][1]["mode"] == "0640"
    assert shown["open"][0][1]["mode"] == "0700"


@pytest.mark.parametrize("check", [GOOD, BAD], ids=["accepted", "refused"])
def test_a_secret_file_is_shown_nowhere(
    check: dict[str, Any],
    tmp_path: Path,
    run_module: RunModule,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logged: list[str] = []
    monkeypatch.setattr(basic, "has_journal", False)
    monkeypatch.setattr(
        basic.AnsibleModule, "_log_to_syslog", lambda module, message: logged.append(message)
    )
    (tmp_path / "key").write_text(f"old {CANARY}\n")
    content = f'-- two lines\napp_secret = "{CANARY}"\n'
    result = run_module(
        config_files,
        files=[file(tmp_path / "key", content, secret=True)],
        check=check,
        _ansible_diff=True,
    )
    assert logged  # the module does log, as every module does
    assert CANARY not in str(result) + str(logged)
    if check is GOOD:
        assert result["diff"][0]["before"] != result["diff"][0]["after"]
        assert CANARY in (tmp_path / "key").read_text()


def test_what_is_no_secret_is_named_in_full(tmp_path: Path, run_module: RunModule) -> None:
    """Ansible masks every string of an option that is kept out of the log, unless told not to."""
    result = run_module(config_files, files=[file(tmp_path / "a", "a"), absent(tmp_path / "b")])
    assert result["paths"] == [str(tmp_path / "a")]


def test_bytes_are_kept_as_they_are(tmp_path: Path, run_module: RunModule) -> None:
    content = "één\r\nno newline at the end, %s {{ braces }} \\"
    run_module(config_files, files=[file(tmp_path / "a", content)])
    assert (tmp_path / "a").read_bytes() == content.encode()


def test_what_the_check_always_says_is_not_in_the_message(
    tmp_path: Path, run_module: RunModule
) -> None:
    says = r"printf '***\nbox\nof lines\n***\nline 3: bad option\n***\nnot the box\n'; exit 1"
    check = {"argv": ["sh", "-c", says], "noise": r"\*+\nbox\n.*?\n\*+\n"}
    result = run_module(config_files, files=[file(tmp_path / "a")], check=check)
    assert result["msg"].endswith("It said:\nline 3: bad option\n***\nnot the box")
    assert "of lines" in result["stdout"]


@pytest.mark.parametrize(
    ("state", "seconds_ago", "expected"),
    [
        pytest.param("active", 10, True, id="runs since before"),
        pytest.param("active", -10, False, id="started later"),
        pytest.param("inactive", 10, False, id="does not run"),
    ],
)
def test_files_that_their_reader_has_not_read_are_a_change(
    tmp_path: Path,
    run_module: RunModule,
    monkeypatch: pytest.MonkeyPatch,
    state: str,
    seconds_ago: float,
    expected: bool,
) -> None:
    path = tmp_path / "a"
    run_module(config_files, files=[file(path)])
    began = datetime.fromtimestamp(time.time() - seconds_ago, UTC)
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(
        f"#!/bin/sh\necho Id=jicofo.service\necho ActiveState={state}\n"
        f"echo 'ExecMainStartTimestamp={began:%a %Y-%m-%d %H:%M:%S.%f} UTC'\n"
    )
    systemctl.chmod(0o755)
    monkeypatch.setattr(basic.AnsibleModule, "get_bin_path", lambda *_: str(systemctl))
    for mode in (True, False):
        result = run_module(
            config_files, files=[file(path)], reader="jicofo", _ansible_check_mode=mode
        )
        assert result["changed"] is expected
        assert result["unread"] == ([str(path)] if expected else [])
        assert result["paths"] == []


def copy_of(original: Path, path: Path) -> dict[str, Any]:
    return {"path": str(path), "copy_of": str(original), "mode": "0644", **ME}


def test_a_copy_follows_its_original(tmp_path: Path, run_module: RunModule) -> None:
    (tmp_path / "original").write_bytes(b"\xff\x00 one")
    files = [copy_of(tmp_path / "original", tmp_path / "copy")]
    assert run_module(config_files, files=files)["changed"] is True
    assert (tmp_path / "copy").read_bytes() == b"\xff\x00 one"
    assert run_module(config_files, files=files)["changed"] is False
    (tmp_path / "original").write_text("two")
    assert run_module(config_files, files=files)["changed"] is True
    assert (tmp_path / "copy").read_text() == "two"


def test_a_copy_of_nothing_is_refused_unless_it_may_come_first(
    tmp_path: Path, run_module: RunModule
) -> None:
    files = [copy_of(tmp_path / "original", tmp_path / "copy")]
    assert run_module(config_files, files=files, _ansible_check_mode=True)["changed"] is True
    result = run_module(config_files, files=files)
    assert result["failed"]
    assert "which is no file on this host. Create that first" in result["msg"]
    assert list(tmp_path.iterdir()) == []


def test_files_newer_than_what_is_made_of_them_are_a_change(
    tmp_path: Path, run_module: RunModule
) -> None:
    product = tmp_path / "store"
    options = {"files": [file(tmp_path / "a")], "product": str(product)}
    run_module(config_files, **options)
    assert run_module(config_files, **options)["changed"] is False  # there is no store
    product.touch()
    os.utime(product, (1, 1))
    again = run_module(config_files, **options)
    assert (again["changed"], again["unread"]) == (True, [str(tmp_path / "a")])
    product.touch()
    assert run_module(config_files, **options)["changed"] is False


FORMER = "a set"


@pytest.fixture
def left_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of configuration, and places for the manifest and for copies beside it."""
    monkeypatch.setattr(leftovers, "MANIFESTS", str(tmp_path / "manifests"))
    monkeypatch.setattr(leftovers, "BACKUP", str(tmp_path / "backup"))
    (tmp_path / "etc").mkdir()
    return tmp_path / "etc"


def named(folder: Path, name: str, *also: Path) -> dict[str, Any]:
    """The set for a wish of this name."""
    return {
        "files": [
            file(folder / name, f"-- Made by Vestibule\n{name}\n"),
            link(folder / f"{name}.link", str(folder / name)),
            file(folder / "same"),
        ],
        "leftovers": {
            "name": FORMER,
            "also": [str(path) for path in also],
            "places": [str(folder / "*")],
        },
    }


def copies(folder: Path) -> dict[str, bytes]:
    """What was kept, by name."""
    found = (folder.parent / "backup").rglob("*")
    return {path.name: path.read_bytes() for path in found if path.is_file()}


@pytest.mark.parametrize("manifest", [True, False], ids=["written down", "before manifests"])
def test_what_a_former_wish_had_goes_with_the_new_one(
    left_over: Path, run_module: RunModule, manifest: bool
) -> None:
    key = left_over / "key"
    run_module(config_files, **named(left_over, "one", key))
    key.write_text("made by another task")
    (left_over / "theirs").write_text("of somebody else")
    if not manifest:
        (left_over.parent / f"manifests/{FORMER}.json").unlink()
        key.unlink()
    new = named(left_over, "two")
    foreseen = run_module(config_files, **new, _ansible_check_mode=True)
    assert (left_over / "one").exists() and not copies(left_over)
    check = {"argv": ["test", "!", "-e", str(left_over / "one")]}
    result = run_module(config_files, **new, check=check)
    assert result["checked"] and result["paths"] == foreseen["paths"]
    assert {path.name for path in left_over.iterdir()} == {"two", "two.link", "same", "theirs"}
    assert {"one", "one.link"} <= copies(left_over).keys()
    assert ("key" in copies(left_over)) is manifest
    assert stat.S_IMODE((left_over.parent / "backup").stat().st_mode) == 0o700
    assert str(left_over / "one") in str(result["warnings"])
    assert run_module(config_files, **new, check=BAD)["changed"] is False


def test_a_refused_set_brings_back_what_was_to_go(left_over: Path, run_module: RunModule) -> None:
    run_module(config_files, **named(left_over, "one"))
    before = snapshot(left_over.parent)
    assert run_module(config_files, **named(left_over, "two"), check=BAD)["failed"]
    after = snapshot(left_over.parent)
    assert after.pop(str(left_over.parent / "backup"), None)  # an empty folder
    assert after == before


@pytest.mark.parametrize("function", ["stage", "put_in_place", "forget"])
@pytest.mark.parametrize("survivors", range(5))
@pytest.mark.parametrize("next_wish", ["one", "two"])
@pytest.mark.parametrize("manifest", [True, False], ids=["written down", "before manifests"])
def test_a_crash_between_taking_away_and_writing_converges(
    function: str,
    survivors: int,
    next_wish: str,
    manifest: bool,
    left_over: Path,
    run_module: RunModule,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_module(config_files, **named(left_over, "one"))
    if not manifest:
        (left_over.parent / f"manifests/{FORMER}.json").unlink()
    with monkeypatch.context() as crash:
        crash.setattr(config_files, function, failing_after(function, survivors, late=False))
        crash.setattr(config_files, "_take_back", lambda steps, cause: None)
        assert run_module(config_files, **named(left_over, "two"), check=GOOD)["failed"]
    run_module(config_files, **named(left_over, next_wish), check=GOOD)
    names = {next_wish, f"{next_wish}.link", "same"}
    assert {path.name for path in left_over.iterdir()} == names
    assert run_module(config_files, **named(left_over, next_wish))["changed"] is False


def test_what_somebody_changed_is_named(left_over: Path, run_module: RunModule) -> None:
    run_module(config_files, **named(left_over, "one"))
    (left_over / "one").write_text("mine now\n")
    said = run_module(config_files, **named(left_over, "two"))["warnings"]
    assert f"somebody had changed {left_over / 'one'}." in str(said)
    assert copies(left_over)["one"] == b"mine now\n"


def test_what_is_no_longer_ours_may_be_kept(left_over: Path, run_module: RunModule) -> None:
    run_module(config_files, **named(left_over, "one"))
    new = named(left_over, "two")
    new["leftovers"]["keep"] = [str(left_over / "one")]
    run_module(config_files, **new)
    assert (left_over / "one").exists()
    known = (left_over.parent / f"manifests/{FORMER}.json").read_text()
    assert "/one" not in known and "/two" in known


def test_it_tells_who_changed_what(left_over: Path, run_module: RunModule) -> None:
    """Somebody on the host, or who wishes for something else since."""
    run_module(config_files, **named(left_over, "one"))
    wish = named(left_over, "one")
    wish["files"][2] = file(left_over / "same", "another wish")
    (left_over / "one").write_text("mine now\n")
    (left_over / "one.link").unlink()
    (left_over / "one.link").symlink_to("elsewhere")
    result = run_module(config_files, **wish, _ansible_check_mode=True)
    assert result["differences"] == {
        str(left_over / "one"): ["content changed on the host"],
        str(left_over / "one.link"): ["leads elsewhere"],
        str(left_over / "same"): ["content of an earlier wish"],
    }
    result = run_module(config_files, **named(left_over, "two"), _ansible_check_mode=True)
    assert result["differences"][str(left_over / "one")] == ["no wish any more"]


def test_no_manifest_has_the_hash_of_a_secret(left_over: Path, run_module: RunModule) -> None:
    files = [file(left_over / "key", CANARY, secret=True), file(left_over / "open", CANARY)]
    run_module(config_files, files=files, leftovers={"name": FORMER})
    known = json.loads((left_over.parent / f"manifests/{FORMER}.json").read_text())
    assert known[str(left_over / "key")] == {}
    assert known[str(left_over / "open")] != {}


@pytest.mark.parametrize(
    ("name", "subject", "goes"),
    [
        pytest.param("auth.one.example.org", "/CN=auth.one.example.org", True, id="ours"),
        pytest.param("auth.one.example.org", "/CN=Our CA", False, id="another name"),
        pytest.param("auth.one.example.org", "/O=We/CN=auth.one.example.org", False, id="a firm"),
        pytest.param("localhost", "/CN=localhost", False, id="of the distribution"),
    ],
)
def test_certificates_from_before_manifests_go_with_their_keys(
    name: str, subject: str, goes: bool, left_over: Path, run_module: RunModule
) -> None:
    pair = {left_over / f"{name}.crt", left_over / f"{name}.key"}
    made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "9"]
    places = ["-out", str(left_over / f"{name}.crt"), "-keyout", str(left_over / f"{name}.key")]
    subprocess.run(
        ["openssl", "req", "-x509", "-subj", subject, *made, *places],
        check=True,
        capture_output=True,
    )
    new = named(left_over, "two")
    new["leftovers"]["places"] = [str(left_over / "*.crt")]
    run_module(config_files, **new)
    assert {path for path in pair if path.exists()} == (set() if goes else pair)
