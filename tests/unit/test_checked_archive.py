"""Archives of plugins: what is wrong with one is said, and nothing of it is unpacked."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any, ClassVar

import pytest

from vestibule import archives
from vestibule.archives import CONTENTS, ArchiveError, get, inspect, sha256_of

PLUGINS, CLIENT = CONTENTS["plugins"], CONTENTS["client"]

_TREE = (
    "plugins/mod_auth_token.lua",
    "plugins/mod_token_verification.lua",
    "plugins/util.lib.lua",
    "plugins/token/util.lib.lua",
)


_PAGES = (
    "plugins/index.html",
    "plugins/interface_config.js",
    "plugins/css/all.css",
    "plugins/libs/app.bundle.min.js",
    "plugins/libs/lib-jitsi-meet.min.js",
)


def pack(path: Path, names: tuple[str, ...] = _TREE, **odd: Any) -> Path:
    """A tarball with these files, and one more member that has the attributes ``odd``."""
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 3
            archive.addfile(member, io.BytesIO(b"-- "))
        if odd:
            member = tarfile.TarInfo(odd.pop("name", "plugins/mod_extra.lua"))
            for key, value in odd.items():
                setattr(member, key, value)
            archive.addfile(member)
    return path


def try_it(
    source: str, tmp_path: Path, *, sha256: str = "", content: archives.Content = PLUGINS
) -> Any:
    return get(source, sha256, tmp_path / "cache", 5, content)


def test_a_good_archive_is_named_by_its_sum(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar.gz")
    found = try_it(str(path), tmp_path, sha256=sha256_of(path).upper())
    assert found["path"] == str(path)
    assert found["sha256"] == sha256_of(path)
    assert "token/util.lib.lua" in found["files"]


def test_the_options_of_its_modules_are_told(tmp_path: Path) -> None:
    text = b'local limit = module:get_option_number("limit", 1);'
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name in _TREE:
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    found = try_it(str(tmp_path / "a.tar"), tmp_path)["options"]
    assert found == ["auth_token.limit", "token_verification.limit"]


def test_names_that_begin_with_a_dot_are_the_same(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar.gz", tuple(f"./{name}" for name in _TREE))
    assert "mod_auth_token.lua" in inspect(path, PLUGINS)


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        pytest.param({"name": "/etc/cron.d/x"}, "leads out of its folder", id="absolute"),
        pytest.param({"name": "plugins/../../x"}, "leads out of its folder", id="dots"),
        pytest.param({"type": tarfile.SYMTYPE, "linkname": "/etc"}, "is a link", id="symlink"),
        pytest.param({"type": tarfile.LNKTYPE, "linkname": "x"}, "is a link", id="hard link"),
        pytest.param({"type": tarfile.CHRTYPE}, "is a link or a device", id="device"),
        pytest.param({"type": tarfile.FIFOTYPE}, "is a link or a device", id="pipe"),
        pytest.param({"name": "other/x"}, "no single folder", id="two folders"),
    ],
)
@pytest.mark.parametrize("content", [PLUGINS, CLIENT], ids=["plugins", "client"])
def test_a_dangerous_archive_is_refused(
    tmp_path: Path, content: archives.Content, odd: dict[str, Any], words: str
) -> None:
    names = _TREE if content == PLUGINS else _PAGES
    path = pack(tmp_path / "a.tar.gz", names, **odd)
    with pytest.raises(ArchiveError, match=words):
        inspect(path, content)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        pytest.param(_TREE[1:], r"lacks mod_auth_token\.lua\.", id="without auth_token"),
        pytest.param(("plugins/readme",), "no single folder", id="something else"),
        pytest.param(("mod_auth_token.lua",), "no single folder", id="no folder"),
        pytest.param((), "no single folder", id="empty"),
    ],
)
def test_an_archive_without_the_modules_is_refused(
    tmp_path: Path, names: tuple[str, ...], words: str
) -> None:
    with pytest.raises(ArchiveError, match=words):
        inspect(pack(tmp_path / "a.tar.gz", names), PLUGINS)


def test_an_archive_that_grows_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pack(tmp_path / "a.tar.gz")
    monkeypatch.setattr(archives, "_MIB", 0)
    with pytest.raises(ArchiveError, match="far larger"):
        inspect(path, PLUGINS)


@pytest.mark.parametrize("keep", [0, 40])
def test_half_an_archive_is_refused(tmp_path: Path, keep: int) -> None:
    path = pack(tmp_path / "a.tar.gz")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ArchiveError, match="cannot be read as a tarball"):
        inspect(path, PLUGINS)


def test_another_sum_is_refused(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar.gz")
    with pytest.raises(ArchiveError, match=r"but jitsi_tokens_archive_sha256 is 0{64}\."):
        try_it(str(path), tmp_path, sha256="0" * 64)


@pytest.mark.parametrize(
    ("source", "sha256", "words"),
    [
        pytest.param("nowhere.tar", "", "is no file on this controller", id="no file"),
        pytest.param("nowhere.tar", "abc", "is no SHA-256", id="no sum"),
        pytest.param("http://example.org/a.tar", "", "begin with https", id="plain http"),
        pytest.param("https://example.org/a.tar", "", "sha256 is empty", id="address, no sum"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, source: str, sha256: str, words: str) -> None:
    with pytest.raises(ArchiveError, match=words):
        try_it(source, tmp_path, sha256=sha256)


def test_a_fetched_archive_is_checked_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pack(tmp_path / "a.tar.gz")
    asked = []

    class Answer(io.BytesIO):
        headers: ClassVar[dict[str, str]] = {}

    def open_url(url: str, timeout: int) -> Answer:
        asked.append((url, timeout))
        return Answer(path.read_bytes())

    monkeypatch.setattr(archives, "open_url", open_url)
    url = "https://example.org/a.tar.gz"
    first = try_it(url, tmp_path, sha256=sha256_of(path))
    assert try_it(url, tmp_path, sha256=sha256_of(path)) == first
    assert asked == [(url, 5)]
    with pytest.raises(ArchiveError, match="has the SHA-256"):
        try_it(url, tmp_path, sha256="0" * 64)
    assert [file.name for file in (tmp_path / "cache").iterdir()] == [f"{sha256_of(path)}.tar"]


def test_an_address_that_does_not_answer_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_url(url: str, timeout: int) -> None:
        raise OSError("timed out")

    monkeypatch.setattr(archives, "open_url", open_url)
    with pytest.raises(ArchiveError, match=r"cannot be fetched \(timed out\)"):
        try_it("https://example.org/a.tar", tmp_path, sha256="0" * 64)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_client_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pack(tmp_path / "a.tar.bz2", _PAGES)
    first = try_it(str(path), tmp_path, content=CLIENT)
    assert "libs/app.bundle.min.js" in first["files"] and first["options"] == []
    kept = tmp_path / "cache" / f"{sha256_of(path)}.json"
    monkeypatch.setattr(archives, "_read_members", None)
    assert try_it(str(path), tmp_path, content=CLIENT) == first
    monkeypatch.undo()
    kept.write_text('["x"]')
    assert try_it(str(path), tmp_path, content=CLIENT) == first


@pytest.mark.parametrize(
    ("names", "sha256", "words"),
    [
        pytest.param(_PAGES[1:], "", r"lacks index\.html\. Set jitsi_web_archive", id="no page"),
        pytest.param(_TREE, "", "no single folder with Jitsi's web client", id="plugins"),
        pytest.param(_PAGES, "0" * 64, r"but jitsi_web_archive_sha256 is 0{64}\.", id="other sum"),
        pytest.param(_PAGES, "abc", "jitsi_web_archive_sha256 is no SHA-256", id="no sum"),
    ],
)
def test_a_client_that_is_none_is_refused_by_its_variable(
    tmp_path: Path, names: tuple[str, ...], sha256: str, words: str
) -> None:
    path = pack(tmp_path / "a.tar.gz", names)
    with pytest.raises(ArchiveError, match=words):
        try_it(str(path), tmp_path, sha256=sha256, content=CLIENT)
    assert not (tmp_path / "cache").exists()
