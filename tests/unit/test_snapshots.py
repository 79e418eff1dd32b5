"""The state of files is kept whole, and comes back whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.vestibule import before, former, leftovers, snapshots
from ansible.module_utils.vestibule.managers import parse_simulation
from ansible.module_utils.vestibule.snapshots import SnapshotError

import host_snapshot


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where snapshots are."""
    monkeypatch.setattr(snapshots, "PLACE", str(tmp_path / "snapshots"))
    monkeypatch.setattr(snapshots, "_UNDECIDED", str(tmp_path / "snapshots/undecided"))
    monkeypatch.setattr(former, "PLACE", str(tmp_path / "former"))
    monkeypatch.setattr(leftovers, "MANIFESTS", str(tmp_path / "files"))
    snapshots.prepare()
    return tmp_path / "snapshots"


@pytest.fixture(name="tree")
def _tree(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    (folder / "inner").mkdir(parents=True)
    (folder / "file").write_text("secret")
    (folder / "file").chmod(0o640)
    (folder / "inner/other").write_text("text")
    (folder / "link").symlink_to("file")
    return folder


def take(tree: Path, *more: str, **fields: object) -> str:
    """A snapshot of a folder and some files."""
    paths = snapshots.look([str(tree)], more)
    snapshots.keep_bodies(paths)
    name = snapshots.new_name()
    manifest = {"made": 0.0, "why": "", "kept": {}, "versions": {}, "trees": [], "paths": paths}
    snapshots.write(name, {**manifest, **fields})
    return name


def restore(name: str, tree: Path, *more: str) -> list[str]:
    return snapshots.restore(snapshots.read(name)["paths"], [str(tree)], more)


def test_all_comes_back_with_owner_mode_and_time(tree: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.write_text("alone")
    before = snapshots.look([str(tree)], [str(alone)])
    name = take(tree, str(alone))

    (tree / "file").write_text("changed")
    (tree / "file").chmod(0o600)
    (tree / "link").unlink()
    (tree / "link").mkdir()
    (tree / "link/deep").write_text("new")
    (tree / "inner/other").unlink()
    (tree / "inner").rmdir()
    (tree / "inner").write_text("a file now")
    (tree / "more").symlink_to("nowhere")
    alone.unlink()

    assert restore(name, tree, str(alone))
    assert snapshots.look([str(tree)], [str(alone)]) == before
    assert restore(name, tree, str(alone)) == []


def test_what_was_not_there_goes(tree: Path, tmp_path: Path) -> None:
    later, absent = tmp_path / "later", tmp_path / "absent"
    name = take(tree, str(absent))
    later.write_text("of a later list")
    absent.write_text("came since")
    restore(name, tree, str(later))
    assert not later.exists()
    assert not absent.exists()


def test_the_snapshots_are_no_part_of_themselves(place: Path, tree: Path) -> None:
    name = take(tree.parent)
    assert not any(path.startswith(str(place)) for path in snapshots.read(name)["paths"])


def test_root_alone_may_read_it(place: Path, tree: Path) -> None:
    take(tree)
    modes = {path: path.stat().st_mode & 0o077 for path in [place, *place.rglob("*")]}
    assert set(modes.values()) == {0}
    # What files hold is told by digests alone
    (manifest,) = place.glob("*.json")
    assert "secret" not in manifest.read_text()


def test_only_the_latest_are_kept_and_what_they_have(place: Path, tree: Path) -> None:
    first = take(tree, kept={"a": "a_1.deb"})
    (tree / "file").write_text("second")
    second = take(tree, kept={"a": "a_2.deb"})
    for each in ("a_1.deb", "a_2.deb", ".new-1"):
        (place / "packages" / each).touch()
    assert snapshots.names() == [first, second]
    assert snapshots.prune(1) == [first]
    assert [each.name for each in (place / "packages").iterdir()] == ["a_2.deb"]
    assert len(list((place / "bodies").iterdir())) == 2
    (tree / "file").write_text("third")
    restore(second, tree)
    assert (tree / "file").read_text() == "second"


def test_the_undecided_one_stays(tree: Path) -> None:
    first, second = take(tree), take(tree)
    snapshots.decide_later(first)
    assert snapshots.prune(1) == []
    assert snapshots.undecided() == first
    snapshots.decide()
    assert snapshots.prune(1) == [first]
    assert snapshots.names() == [second]


def test_the_one_that_is_gone_back_to_stays(tree: Path) -> None:
    first, second = take(tree), take(tree)
    third = take(tree, towards=first)
    snapshots.decide_later(third)
    assert snapshots.prune(2) == []
    assert snapshots.prune(1) == [second]
    assert snapshots.names() == [first, third]


def test_what_a_failed_change_left_goes_before_what_was_good(tree: Path) -> None:
    first = take(tree)
    failed = [take(tree, taken_back=True) for _ in range(3)]
    assert snapshots.prune(2) == failed[:2]
    assert snapshots.names() == [first, failed[2]]


def test_what_has_not_begun_leaves_no_snapshot(
    tree: Path, run_module: Callable[..., dict[str, object]]
) -> None:
    first, second = take(tree), take(tree, towards="20000101T000000Z")
    snapshots.decide_later(second)
    assert run_module(host_snapshot, state="withdrawn")["name"] == second
    assert snapshots.names() == [first]
    assert snapshots.undecided() == ""
    assert run_module(host_snapshot, state="withdrawn")["name"] == ""


def test_a_damaged_one_is_in_nobodys_way(place: Path, tree: Path) -> None:
    damaged, good, latest = take(tree), take(tree), take(tree)
    (place / f"{damaged}.json").write_text("{")
    told = host_snapshot.tell()
    assert [each["name"] for each in told["snapshots"]] == [good, latest]
    assert told["default"] == latest
    # What it had is not known, and stays
    assert snapshots.prune(1) == [good]
    assert len(list((place / "bodies").iterdir())) == 2
    with pytest.raises(SnapshotError, match="cannot be read"):
        snapshots.read(damaged)


def test_one_that_would_count_as_older_is_refused(tree: Path) -> None:
    host_snapshot.refuse_an_earlier_one("20260101T000000Z")
    latest = take(tree)
    for name in ("20260101T000000Z", latest):
        with pytest.raises(SnapshotError, match=f"{latest}, and this one would be {name}: a clock"):
            host_snapshot.refuse_an_earlier_one(name)
    host_snapshot.refuse_an_earlier_one(snapshots.new_name())


def test_a_service_that_has_no_unit_of_ours_any_more_is_told() -> None:
    """Here none of them is there."""
    paths = ["/etc/systemd/system/coturn.service", "/etc/systemd/system/others.service", "/etc/x"]
    assert host_snapshot.without_a_unit(paths) == ["coturn"]


def test_only_what_came_by_us_goes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has installed a database since a run was cut off."""
    gone: list[str] = []

    class Manager:
        def packages(self) -> dict[str, tuple[str, bool]]:
            return {"prosody": ("1", False), "postgresql": ("15", False), "libours": ("1", True)}

        def unfinished(self) -> list[str]:
            return []

        def put_back(self, files: list[str], names: list[str]) -> None:
            gone.extend(names)

        def set_automatic(self, names: list[str]) -> None:
            assert names == []

    monkeypatch.setattr(before, "read", lambda: {"packages": ["libours", "prosody"]})
    manifest = {"versions": {"prosody": "1"}, "kept": {"prosody": "prosody_1.deb"}}
    manager: Any = Manager()
    host_snapshot.put_packages_back(manager, manifest, whatever_is_new=True)
    assert gone == ["libours"]


def test_a_name_that_is_none_is_refused(tree: Path) -> None:
    name = take(tree)
    for wrong in ("yesterday", "../x", "20000101T000000Z"):
        with pytest.raises(SnapshotError, match=rf"there are: {name}\."):
            snapshots.read(wrong)


def test_where_to_go_back_to(tree: Path) -> None:
    first, second, third = take(tree), take(tree), take(tree, towards="20000101T000000Z")
    assert host_snapshot.tell()["default"] == third
    # A run that was cut off: what was there before it counts
    snapshots.decide_later(second)
    assert host_snapshot.tell()["default"] == second
    # A way back that was cut off goes where it was going
    fourth = take(tree, towards=first)
    snapshots.decide_later(fourth)
    assert host_snapshot.tell()["default"] == first
    # So does one that was taken back; and one that proved good can be undone
    snapshots.decide()
    assert host_snapshot.tell()["default"] == first
    snapshots.write(fourth, {**snapshots.read(fourth), "added": []})
    assert host_snapshot.tell()["default"] == fourth


def test_a_disk_that_is_too_small_is_refused(tmp_path: Path) -> None:
    host_snapshot.check_space([(str(tmp_path / "not/there/yet"), 1)])
    with pytest.raises(SnapshotError, match=r"MB free, and \d+ MB are needed .*upgrade_kept"):
        host_snapshot.check_space([(str(tmp_path), 1 << 60)])


def test_a_simulation_is_read() -> None:
    text = """\
Inst jicofo [1.0.1-1] (1.0.2-1 Stand-ins:stable [all])
Inst libnew (3:1.0-1 Debian:13 [amd64])
Remv old [0.1]
Conf jicofo (1.0.2-1 Stand-ins:stable [all])
"""
    assert parse_simulation(text) == {
        "jicofo": ("1.0.1-1", "1.0.2-1"),
        "libnew": (None, "3:1.0-1"),
        "old": ("0.1", None),
    }
