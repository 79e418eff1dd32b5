"""Data of a server: packed as it is, and put in place as a whole or not at all."""

from __future__ import annotations

import base64
import io
import os
import shutil
import socket
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.vestibule import before, former, leftovers, services, stored

import stored_data

RunModule = Callable[..., dict[str, Any]]


@pytest.fixture(name="home", autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host of its own, where nothing runs."""
    home = tmp_path / "vestibule"
    (home / "files").mkdir(parents=True)
    monkeypatch.setattr(before, "HOME", str(home))
    monkeypatch.setattr(before, "_packages", lambda module: set())
    monkeypatch.setattr(leftovers, "MANIFESTS", str(home / "files"))
    monkeypatch.setattr(stored, "PACKED", str(home / "backup/data.tar.gz"))
    monkeypatch.setattr(stored, "ARRIVED", str(home / "restored/data.tar.gz"))
    monkeypatch.setattr(former, "PLACE", str(home / "former"))
    monkeypatch.setattr(services, "running", lambda module: {})
    return home


@pytest.fixture(name="data")
def _data(tmp_path: Path) -> Path:
    """A folder as Prosody has one."""
    folder = tmp_path / "prosody"
    (folder / "accounts").mkdir(parents=True)
    (folder / "accounts/focus.dat").write_text("salt\n")
    (folder / "accounts/focus.dat").chmod(0o640)
    (folder / "current").symlink_to("accounts/focus.dat")
    folder.chmod(0o750)
    return folder


def carried(run_module: RunModule, data: Path) -> dict[str, Any]:
    """The archive, brought in parts to where it is put back. What is known of it."""
    packed = run_module(stored_data, state="packed", paths=[str(data)])
    for offset in range(0, packed["size"], 100):
        part = run_module(stored_data, state="read", offset=offset, length=100)
        told = run_module(stored_data, state="written", offset=offset, content=part["content"])
        assert "failed" not in told, told
    return packed


def restored(run_module: RunModule, tmp_path: Path, packed: dict[str, Any]) -> dict[str, Any]:
    return run_module(
        stored_data,
        state="restored",
        paths=packed["tops"],
        sha256=packed["sha256"],
        unpacked=packed["unpacked"],
        backup=str(tmp_path / "copies"),
    )


def test_it_comes_back_as_it_was_and_what_was_there_is_kept(
    run_module: RunModule, tmp_path: Path, data: Path
) -> None:
    packed = carried(run_module, data)
    (data / "accounts/focus.dat").write_text("other\n")
    (data / "new.dat").touch()
    told = restored(run_module, tmp_path, packed)
    assert told["paths"] == [str(data)]
    assert (data / "accounts/focus.dat").read_text() == "salt\n"
    assert stat.S_IMODE((data / "accounts/focus.dat").stat().st_mode) == 0o640
    assert stat.S_IMODE(data.stat().st_mode) == 0o750
    assert (data / "current").readlink() == Path("accounts/focus.dat")
    assert not (data / "new.dat").exists()
    (kept,) = (tmp_path / "copies").iterdir()
    assert (kept / str(data)[1:] / "new.dat").exists()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert [path.name for path in data.parent.iterdir() if "restored" in path.name] == []


def test_the_archive_is_for_root_alone_and_removed(
    run_module: RunModule, home: Path, data: Path
) -> None:
    run_module(stored_data, state="packed", paths=[str(data)])
    packed = home / "backup/data.tar.gz"
    assert stat.S_IMODE(packed.stat().st_mode) == 0o600
    run_module(stored_data, state="removed")
    assert not packed.parent.exists()


def test_sockets_and_links_that_lead_out_are_left_out(run_module: RunModule, data: Path) -> None:
    (data / "out").symlink_to("/etc/shadow")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(data / "socket"))
    run_module(stored_data, state="packed", paths=[str(data)])
    with tarfile.open(stored.PACKED) as archive:
        names = {Path(name).name for name in archive.getnames()}
    assert names == {"prosody", "accounts", "focus.dat", "current"}


def test_what_arrived_otherwise_changes_nothing(
    run_module: RunModule, tmp_path: Path, data: Path
) -> None:
    packed = carried(run_module, data)
    (data / "accounts/focus.dat").write_text("other\n")
    told = restored(run_module, tmp_path, {**packed, "sha256": "0" * 64})
    assert "arrived with other content" in told["msg"]
    told = restored(run_module, tmp_path, {**packed, "unpacked": 2**60})
    assert "make room first" in told["msg"]
    assert (data / "accounts/focus.dat").read_text() == "other\n"


def test_a_folder_that_is_a_link_is_refused_by_both(
    run_module: RunModule, tmp_path: Path, data: Path
) -> None:
    packed = carried(run_module, data)
    data.rename(tmp_path / "elsewhere")
    data.symlink_to(tmp_path / "elsewhere")
    told = run_module(stored_data, state="packed", paths=[str(data)])
    assert f"{data} is a link to {tmp_path}/elsewhere" in told["msg"]
    told = restored(run_module, tmp_path, packed)
    assert "is a mount or a link" in told["msg"]
    assert (data / "accounts/focus.dat").read_text() == "salt\n"
    assert not (tmp_path / "copies").exists()


def test_what_cannot_be_replaced_stays_as_it_was(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "web"
    other.mkdir()
    for path in (data, other):
        shutil.copytree(path, f"{path}{stored._NEW}", symlinks=True)
    (data / "accounts/focus.dat").write_text("of now\n")
    rename = os.rename

    def broken(source: str, target: str) -> None:
        if source == f"{other}{stored._NEW}":
            raise OSError("the disk is broken")
        rename(source, target)

    monkeypatch.setattr(os, "rename", broken)
    with pytest.raises(OSError, match="the disk is broken"):
        stored._replace([str(data), str(other)], str(tmp_path / "kept"))
    assert (data / "accounts/focus.dat").read_text() == "of now\n"
    assert other.is_dir()


def test_a_run_that_fails_later_knows_what_ran(
    run_module: RunModule, tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = carried(run_module, data)
    told: list[list[str]] = []
    monkeypatch.setattr(AnsibleModule, "run_command", lambda _, argv, **__: told.append(argv))
    monkeypatch.setattr(services, "running", lambda module: {"prosody": ["127.0.0.1:5280"]})
    assert restored(run_module, tmp_path, packed)["paths"] == [str(data)]
    assert former.read()["listeners"] == {"prosody": ["127.0.0.1:5280"]}
    assert told == [["systemctl", "stop", "prosody"]]

    packed = carried(run_module, data)

    def broken(paths: object, kept: object) -> None:
        raise OSError("the disk is broken")

    monkeypatch.setattr(stored, "_replace", broken)
    told.clear()
    assert "the disk is broken" in restored(run_module, tmp_path, packed)["msg"]
    assert told == [["systemctl", "stop", "prosody"], ["systemctl", "start", "prosody"]]


def test_a_part_that_is_missing_is_noticed(run_module: RunModule) -> None:
    part = base64.b64encode(b"part").decode()
    run_module(stored_data, state="written", offset=0, content=part)
    told = run_module(stored_data, state="written", offset=8, content=part)
    assert "A part of the backup is missing" in told["msg"]


def test_a_member_that_leads_out_changes_nothing(
    run_module: RunModule, tmp_path: Path, data: Path
) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        archive.add(data, arcname=str(data)[1:])
        archive.addfile(tarfile.TarInfo(f"{str(tmp_path)[1:]}/elsewhere"))
    content = base64.b64encode(made.getvalue()).decode()
    run_module(stored_data, state="written", offset=0, content=content)
    (data / "accounts/focus.dat").write_text("other\n")
    known = {"tops": [str(data)], "sha256": stored.sha256_of(stored.ARRIVED), "unpacked": 5}
    told = restored(run_module, tmp_path, known)
    assert "in no folder of a server's data" in told["msg"]
    assert (data / "accounts/focus.dat").read_text() == "other\n"
    assert not (tmp_path / "elsewhere").exists()


def test_a_host_without_a_deployment_has_nothing_to_back_up(
    run_module: RunModule, home: Path, data: Path
) -> None:
    (home / "files").rmdir()
    told = run_module(stored_data, state="packed", paths=[str(data)])
    assert "Nothing is deployed on this host" in told["msg"]
