"""Module ``host_history``: what others configured is found, and cut out with a copy kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.vestibule import host_history

RunModule = Callable[..., dict[str, Any]]

DEBIAN = "deb http://deb.example.org/debian trixie main\n"
JITSI = "deb [signed-by=/usr/share/keyrings/jitsi.gpg] https://download.jitsi.org stable/\n"
COMMENT = "# deb https://download.jitsi.org testing/\n"
STANZA = "Types: deb\nURIs: {}\nSuites: stable/\nSigned-By: /usr/share/keyrings/jitsi.gpg\n"
OTHER, OURS = STANZA.format("https://x.example.org"), STANZA.format("http://download.jitsi.org/")


REPOSITORIES = ["https://download.jitsi.org/", "http://1.2.3.4/a"]


@pytest.mark.parametrize(
    ("name", "text", "rest"),
    [
        pytest.param("x.list", JITSI, "", id="alone"),
        pytest.param("x.list", DEBIAN + JITSI + COMMENT, DEBIAN + COMMENT, id="between others"),
        pytest.param("x.list", JITSI.replace("https", "http"), "", id="by http"),
        pytest.param("x.list", JITSI.replace(".org", ".org/"), "", id="slash at the end"),
        pytest.param("x.list", "deb http://1.2.3.4/a stable/\n" + DEBIAN, DEBIAN, id="the other"),
        pytest.param("x.list", COMMENT, COMMENT, id="comment"),
        pytest.param("x.list", JITSI.replace(".org", ".org.uk"), None, id="longer name"),
        pytest.param("x.list", JITSI.replace("//down", "//my-down"), None, id="other name"),
        pytest.param("x.sources", OURS, "", id="deb822"),
        pytest.param("x.sources", f"{OTHER}\n{OURS}", f"{OTHER}\n", id="deb822, last of two"),
        pytest.param("x.sources", f"{OURS} \n\n{OTHER}", OTHER, id="deb822, first of two"),
        pytest.param("x.sources", f"#{OURS}", "", id="deb822, type in a comment"),
        pytest.param("x.sources", f"# {COMMENT}{OTHER}", None, id="deb822, comment"),
    ],
)
def test_entries_of_a_repository_are_cut_out(name: str, text: str, rest: str | None) -> None:
    pattern = host_history.entries_of(REPOSITORIES)
    assert host_history.cut(name, text, pattern) == (text if rest is None else rest)


@pytest.fixture(name="look")
def _look(run_module: RunModule, tmp_path: Path) -> RunModule:
    rule = {
        "paths": [f"{tmp_path}/sources.list", f"{tmp_path}/*.sources"],
        "repositories": REPOSITORIES,
        "action": "cut",
        "description": "named twice",
    }

    def look(**options: Any) -> dict[str, Any]:
        return run_module(
            host_history,
            rules=[rule],
            made_by="Made by Vestibule",
            backup=str(tmp_path / "backup"),
            **options,
        )

    return look


def test_sources_are_found_and_left_alone_unless_adopted(look: RunModule, tmp_path: Path) -> None:
    ours = f"# Made by Vestibule\n{OURS}"
    for name, text in {"sources.list": DEBIAN + JITSI, "ours.sources": ours}.items():
        (tmp_path / name).write_text(text)
    for options in ({}, {"adopt": True, "_ansible_check_mode": True}):
        result = look(**options)
        assert result["changed"] is bool(options)
        assert [each["path"] for each in result["findings"]] == [f"{tmp_path}/sources.list"]
        assert result["in_the_way"] == [
            f"the entries of {' and '.join(REPOSITORIES)} in {tmp_path}/sources.list"
        ]
        assert (tmp_path / "sources.list").read_text() == DEBIAN + JITSI
        assert not (tmp_path / "backup").exists()


def test_adopted_sources_lose_these_entries_and_a_copy_is_kept(
    look: RunModule, tmp_path: Path
) -> None:
    latin = DEBIAN.encode() + b"# caf\xe9\n"
    (tmp_path / "sources.list").write_bytes(latin + JITSI.encode())
    (tmp_path / "sources.list").chmod(0o640)
    (tmp_path / "jitsi.sources").write_text(OURS)
    result = look(adopt=True)
    assert result["changed"] is True
    assert (tmp_path / "sources.list").read_bytes() == latin
    assert (tmp_path / "sources.list").stat().st_mode & 0o777 == 0o640
    assert not (tmp_path / "jitsi.sources").exists()
    assert Path(f"{result['backup']}{tmp_path}/jitsi.sources").read_text() == OURS
    kept = Path(f"{result['backup']}{tmp_path}/sources.list").read_bytes()
    assert kept == latin + JITSI.encode()
    assert look(adopt=True)["changed"] is False


def test_dpkg_is_asked_once_for_all_files() -> None:
    calls: list[list[str]] = []

    class Module:
        """What of AnsibleModule is called."""

        def get_bin_path(self, name: str) -> str | None:
            return name if name == "apt-get" else None

        def run_command(self, argv: list[str]) -> tuple[int, str, str]:
            calls.append(argv)
            return (
                1,
                "one, two:amd64: /a/mod_b.lua\n",
                "no path found matching pattern /a/mod_c.lua",
            )

    packages = host_history.Packages(Module())
    assert packages.own(["/a/mod_b.lua", "/a/mod_c.lua"]) == {"/a/mod_b.lua"}
    assert len(calls) == 1
    assert packages.own([]) == set()
    assert len(calls) == 1
