"""What a run replaces is kept until the new files are good, and comes back when they are not."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from ansible.module_utils.vestibule import config_files, former
from ansible.module_utils.vestibule.config_files import Entry

import former_files

RUNNING = {"nginx": ["0.0.0.0:443"]}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the former files are kept."""
    monkeypatch.setattr(former, "PLACE", str(tmp_path / "former"))
    return tmp_path / "former"


@pytest.fixture(name="etc")
def _etc(tmp_path: Path) -> Path:
    """A folder with a file and a link, and room for a file that is not there yet."""
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "file").write_text("old")
    (folder / "file").chmod(0o640)
    os.utime(folder / "file", ns=(1_700_000_000_000_000_000, 1_700_000_000_000_000_000))
    (folder / "link").symlink_to("old")
    return folder


def wanted(etc: Path, text: str) -> list[Entry]:
    """A run's files: each of the three becomes this text, or a link to it."""
    ours = (os.getuid(), os.getgid(), 0o600)
    return [
        Entry(str(etc / "file"), "file", text.encode(), *ours),
        Entry(str(etc / "link"), "link", text.encode()),
        Entry(str(etc / "made"), "file", text.encode(), *ours),
    ]


def write(entries: list[Entry]) -> None:
    """What the module config_files does with C(keep_former)."""
    digests = {each.path: former.digest_of(each.kind, each.body) for each in entries}
    former.keep(digests, lambda: RUNNING)
    config_files.apply([], entries, lambda: None)


def look(etc: Path) -> dict[str, str]:
    """What stands in the folder."""
    return {
        path.name: str(path.readlink()) if path.is_symlink() else path.read_text()
        for path in sorted(etc.iterdir())
    }


def test_all_comes_back(etc: Path) -> None:
    before, status = look(etc), (etc / "file").stat()
    write(wanted(etc, "new"))
    assert look(etc) == {"file": "new", "link": "new", "made": "new"}
    assert former.read()["listeners"] == RUNNING
    restored = former_files.restore(former.read()["files"])
    assert sorted(map(os.path.basename, restored)) == ["file", "link", "made"]
    assert look(etc) == before
    # A service that read what was there meanwhile is told before the file looks as old as it was
    assert (etc / "file").stat().st_mtime_ns > status.st_mtime_ns
    former_files.make_as_old(former.read()["files"], restored)
    after = (etc / "file").stat()
    assert (after.st_mode, after.st_mtime_ns) == (status.st_mode, status.st_mtime_ns)
    assert former_files.restore(former.read()["files"]) == []


def test_a_run_that_was_cut_off_does_not_become_the_former_state(etc: Path) -> None:
    before = look(etc)
    write(wanted(etc, "unproven"))
    write(wanted(etc, "new"))
    former_files.restore(former.read()["files"])
    assert look(etc) == before


def test_what_somebody_wrote_between_two_runs_is_not_lost(etc: Path) -> None:
    write(wanted(etc, "unproven"))
    (etc / "file").write_text("by hand")
    write(wanted(etc, "new"))
    former_files.restore(former.read()["files"])
    assert look(etc) == {"file": "by hand", "link": "old"}


def test_only_its_owner_reads_what_is_kept(etc: Path, place: Path) -> None:
    write(wanted(etc, "new"))
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (place, *place.iterdir())}
    assert len(modes) > 2
    assert modes.pop(place) == 0o700
    assert set(modes.values()) == {0o600}


def test_nothing_stays_once_it_is_forgotten(etc: Path, place: Path) -> None:
    assert not former.is_kept()
    write(wanted(etc, "new"))
    assert former.is_kept()
    former.forget()
    assert not former.is_kept()
    assert not place.exists()


def test_a_manifest_that_was_cut_off_is_none(place: Path) -> None:
    place.mkdir()
    (place / "manifest.json").write_text('{"began": 1')
    assert former.read() == {}


def test_what_was_done_is_said() -> None:
    names = ["prosody", "nginx"]
    assert former_files.render([], [], [], names) == ""
    assert former_files.render(["/a", "/b"], ["prosody"], [], names) == (
        "This run has put the former configuration back (2 files). prosody, nginx run with it, and"
        " listen where they did before."
    )
    said = former_files.render(["/a"], ["prosody"], ["nginx"], names)
    assert "But nginx does not run with it as before: look at `journalctl -u nginx`" in said
