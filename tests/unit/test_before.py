"""What stood on a host before is noted once, and can be brought back."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.vestibule import before, former, leftovers


@pytest.fixture(autouse=True)
def _host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(before, "_packages", lambda module: set())
    monkeypatch.setattr(before, "DROP_INS", str(tmp_path / "*.d/vestibule.conf"))
    monkeypatch.setattr(leftovers, "MANIFESTS", str(tmp_path / "files"))
    for find in ("_users", "_groups", "_listing"):
        monkeypatch.setattr(before, find, set)


def entry(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = before.read()["paths"][str(path)]
    return found


def written(path: Path, text: str) -> str:
    """The digest of what is about to be there."""
    digest = former.digest_of("file", text.encode())
    before.note(None, {str(path): digest})
    path.write_text(text)
    return digest


def test_what_was_there_first_is_kept_whatever_is_written_later(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text("theirs\n")
    path.chmod(0o640)
    digests = [written(path, text) for text in ("one\n", "two\n")]
    assert before.body_of(entry(path)) == b"theirs\n"
    assert entry(path)["mode"] == 0o640
    assert entry(path)["wrote"] == digests
    assert before.digest(str(path)) == digests[-1]


def test_what_was_not_there_is_noted_as_such(tmp_path: Path) -> None:
    written(tmp_path / "new", "ours\n")
    assert entry(tmp_path / "new")["kind"] == "absent"
    assert before.body_of(entry(tmp_path / "new")) == b""


def test_a_link_comes_back_as_one(tmp_path: Path) -> None:
    path = tmp_path / "default"
    path.symlink_to("/etc/nginx/sites-available/default")
    before.note(None, {str(path): former.digest_of("absent", b"")})
    assert before.body_of(entry(path)) == b"/etc/nginx/sites-available/default"


def test_what_says_that_it_is_ours_is_nobody_s_former_file(tmp_path: Path) -> None:
    """As on a server that an earlier version deployed."""
    path = tmp_path / "jicofo.conf"
    path.write_text("# Made by Vestibule, role jicofo.\n")
    written(path, "# Made by Vestibule, anew.\n")
    assert entry(path)["kind"] == "absent"


def test_it_is_complete_only_where_nothing_of_ours_was_there(tmp_path: Path) -> None:
    assert before.begun(None)["complete"] is True
    (tmp_path / "nginx.service.d").mkdir()
    (tmp_path / "nginx.service.d/vestibule.conf").touch()
    assert before.begun(None)["complete"] is False
    (tmp_path / "nginx.service.d/vestibule.conf").unlink()
    (tmp_path / "files").mkdir()
    assert before.begun(None)["complete"] is False


def test_folders_are_noted_with_their_mode_or_as_new(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir(mode=0o700)
    before.note(None, {}, [str(there), str(tmp_path / "new")])
    known = before.read()["directories"]
    assert known[str(there)]["mode"] == 0o700
    assert known[str(tmp_path / "new")] is None


def test_what_an_installation_brings_is_known_before_and_after_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = tmp_path / "made"
    with before.installing(None, ["prosody"]):
        assert before.read()["packages"] == ["prosody"]
        made.write_text("by a script\n")
        monkeypatch.setattr(before, "_packages", lambda module: {"prosody", "lua"})
        monkeypatch.setattr(before, "_users", lambda: {"prosody"})
        monkeypatch.setattr(before, "_listing", lambda: {str(made)})
    known = before.read()
    assert known["packages"] == ["lua", "prosody"]
    assert known["users"] == ["prosody"]
    assert known["made"] == {str(made): before.digest(str(made))}


def test_an_installation_that_fails_is_noted_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    class FailedError(Exception):
        pass

    def fails() -> None:
        monkeypatch.setattr(before, "_users", lambda: {"prosody"})
        raise FailedError

    with pytest.raises(FailedError), before.installing(None, ["prosody"]):
        fails()
    assert before.read()["users"] == ["prosody"]


def test_notes_are_for_root_alone_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "secrets.cfg.lua"
    path.write_text("secret\n")
    written(path, "ours\n")
    place = Path(before.PLACE)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in place.iterdir()} == {0o600}
    assert json.loads((place / "manifest.json").read_text()) == before.read()
    assert list(place.glob("*.new")) == []


def test_a_service_is_noted_as_it_was_first() -> None:
    before.note_unit(None, "nginx", enabled=False, runs=False)
    before.note_unit(None, "nginx", enabled=True, runs=True)
    assert before.read()["units"] == {"nginx": {"enabled": False, "runs": False}}
