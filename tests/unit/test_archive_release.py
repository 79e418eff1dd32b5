"""Module ``archive_release``: a release is whole or not there, and the one before stays."""

from __future__ import annotations

import io
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.vestibule import archive_release

RunModule = Callable[..., dict[str, Any]]
A, B, C = "a" * 16, "b" * 16, "c" * 16


def pack(path: Path, *names: str, **odd: Any) -> str:
    """A tarball with these files, and one member with the attributes ``odd``."""
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.uid = 3, 0o666, 1000
            archive.addfile(member, io.BytesIO(b"one"))
        if odd:
            member = tarfile.TarInfo(odd.pop("name", "client/x"))
            for key, value in odd.items():
                setattr(member, key, value)
            archive.addfile(member)
    return str(path)


def test_a_release_is_unpacked_without_its_top_folder(
    tmp_path: Path, run_module: RunModule
) -> None:
    archive = pack(tmp_path / "up.tar", "./client/index.html", "client/libs/app.js")
    releases = tmp_path / "releases"
    arguments = {"archive": archive, "directory": str(releases), "name": A}
    assert run_module(archive_release, _ansible_check_mode=True, **arguments)["unpacked"] is True
    assert not releases.exists()
    result = run_module(archive_release, **arguments)
    assert (result["changed"], result["unpacked"], result["removed"]) == (True, True, [])
    assert (releases / A / "libs/app.js").read_text() == "one"
    assert stat.S_IMODE((releases / A / "index.html").stat().st_mode) == 0o644
    assert [path.name for path in releases.iterdir()] == [A]
    assert run_module(archive_release, **arguments)["changed"] is False


def test_the_one_before_stays_and_others_go(tmp_path: Path, run_module: RunModule) -> None:
    for name in (A, B, C, f"{C}.part", "somebody's"):
        (tmp_path / name).mkdir()
    (tmp_path / f"{A}.tar").write_text("uploaded")
    result = run_module(archive_release, directory=str(tmp_path), keep=[str(tmp_path / A), B, ""])
    assert result["removed"] == [f"{A}.tar", C, f"{C}.part"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [A, B, "somebody's"]


def test_what_is_refused_leaves_nothing(tmp_path: Path, run_module: RunModule) -> None:
    archive = pack(tmp_path / f"{A}.tar", "client/index.html")
    result = run_module(
        archive_release,
        archive=archive,
        directory=str(tmp_path),
        name=A,
        check=["sh", "-c", "cat index.html >&2; exit 3"],
        refusal="It cannot be read",
        remedy="Mend it.",
    )
    assert "It cannot be read: one. Mend it." in result["msg"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ({"name": "client/../../x"}, "leads out of its folder"),
        ({"name": "/etc/x"}, "leads out of its folder"),
        ({"type": tarfile.SYMTYPE, "linkname": "/etc"}, "is no file in its folder"),
        ({"type": tarfile.FIFOTYPE}, "is no file in its folder"),
        ({"name": "alone"}, "is no file in its folder"),
    ],
)
def test_only_files_in_the_folder_are_unpacked(
    tmp_path: Path, run_module: RunModule, odd: dict[str, Any], words: str
) -> None:
    archive = pack(tmp_path / "up.tar", "client/index.html", **odd)
    result = run_module(archive_release, archive=archive, directory=str(tmp_path), name=A)
    assert words in result["msg"]
    assert list(tmp_path.iterdir()) == []


def test_a_release_has_a_name_of_one(tmp_path: Path, run_module: RunModule) -> None:
    result = run_module(archive_release, archive="x", directory=str(tmp_path), name="../x")
    assert "is no name of a release" in result["msg"]
