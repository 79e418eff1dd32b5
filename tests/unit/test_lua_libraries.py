"""Module ``lua_libraries``: libraries load in the Lua that runs Prosody, or the task fails."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import basic
from ansible.module_utils.vestibule import lua_libraries
from ansible.module_utils.vestibule.lua_libraries import (
    Answer,
    LibraryError,
    parse_answer,
    place_link,
    shipped_file,
)

RunModule = Callable[..., dict[str, Any]]

# dpkg-query --listfiles on Debian 13, pacman -Qlq on Arch
INSPECT = [
    "/.",
    "/usr/share/doc/lua-inspect/copyright",
    "/usr/share/lua/5.1/inspect.lua",
    "/usr/share/lua/5.2/inspect.lua",
    "/usr/share/lua/5.3/inspect.lua",
]


@pytest.mark.parametrize(
    ("files", "module", "expected"),
    [
        pytest.param(
            INSPECT, "inspect", ("/usr/share/lua/5.3/inspect.lua", "inspect.lua"), id="newest Lua"
        ),
        pytest.param(
            ["/usr/share/lua/5.10/a.lua", "/usr/share/lua/5.9/a.lua"],
            "a",
            ("/usr/share/lua/5.10/a.lua", "a.lua"),
            id="versions are numbers",
        ),
        pytest.param(
            ["/usr/share/lua/5.1/a/b.lua", "/usr/share/lua/5.2/b.lua"],
            "a.b",
            ("/usr/share/lua/5.1/a/b.lua", "a/b.lua"),
            id="submodule",
        ),
        pytest.param(
            ["/usr/share/lua/5.1/a/init.lua"],
            "a",
            ("/usr/share/lua/5.1/a/init.lua", "a/init.lua"),
            id="folder with an init",
        ),
        pytest.param(INSPECT, "spect", None, id="other name"),
        pytest.param(["/usr/lib/lua/5.1/inspect.so"], "inspect", None, id="compiled"),
        pytest.param([], "inspect", None, id="package not installed"),
    ],
)
def test_the_file_that_a_package_ships(
    files: list[str], module: str, expected: tuple[str, str] | None
) -> None:
    assert shipped_file(files, module) == expected


def test_an_answer_is_read() -> None:
    output = "Lua 5.4\n/a/?.lua;/b/?.lua\nloads\tcjson.safe\ttable: 0x1\nfails\tx\tno x: really\n"
    assert parse_answer(output, ["x", "cjson.safe"]) == Answer(
        "5.4", "/a/?.lua;/b/?.lua", {"x": "no x: really"}
    )


@pytest.mark.parametrize(
    "output",
    ["", "sh: -E: bad option\n", "Lua 5.4\n/a/?.lua\n", "Lua 5.4\n/a/?.lua\nloads\ty\tt\n"],
)
def test_an_answer_that_lacks_something_is_none(output: str) -> None:
    assert parse_answer(output, ["x"]) is None


@pytest.mark.parametrize("version", ["5.2", "5.3", "5.4"])
def test_the_lua_program_answers_in_that_form(version: str) -> None:
    lua = importlib.import_module(f"lupa.lua{version.replace('.', '')}").LuaRuntime()
    printed: list[str] = []
    lua.globals().names = lua.table("string", "not.there", "broken")
    lua.globals().printed = lambda *fields: printed.append("\t".join(map(str, fields)))
    lua.execute(
        "print = function (...) printed(...) end;"
        "io = { lines = function () return function () return table.remove(names, 1) end end };"
        "package.preload.broken = function () error('two\\nlines') end;"
    )
    lua.execute(lua_libraries._LUA)
    answer = parse_answer("\n".join(printed), ["string", "not.there", "broken"])
    assert answer is not None
    assert answer.version == version
    assert answer.failures.keys() == {"not.there", "broken"}
    assert answer.failures["not.there"].startswith("module 'not.there' not found: no field")
    assert answer.failures["broken"].endswith("two lines")


def test_a_link_is_placed_with_its_folders_readable_by_all(tmp_path: Path, umask_077: None) -> None:
    link = tmp_path / "share/lua/5.4/a/b.lua"
    place_link(link, "/usr/share/lua/5.3/a/b.lua")
    assert str(link.readlink()) == "/usr/share/lua/5.3/a/b.lua"
    assert link.parent.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in link.parent.iterdir()] == ["b.lua"]


@pytest.fixture(name="umask_077")
def _umask_077() -> Any:
    before = os.umask(0o077)
    yield
    os.umask(before)


def test_a_link_to_nowhere_is_replaced(tmp_path: Path) -> None:
    link = tmp_path / "a.lua"
    link.symlink_to("/nowhere")
    place_link(link, "/usr/share/lua/5.3/a.lua")
    assert str(link.readlink()) == "/usr/share/lua/5.3/a.lua"


def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "a.lua"
    file.write_text("broken")
    with pytest.raises(LibraryError, match="is in the way"):
        place_link(file, "/usr/share/lua/5.3/a.lua")
    assert file.read_text() == "broken"


# The module, with a stand-in for the interpreter and the package manager


@pytest.fixture(name="host")
def _host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host whose interpreter loads what is in ``path``, and whose packages list ``files``."""
    (tmp_path / "path").mkdir()
    (tmp_path / "files").write_text("")
    programs = {
        "lua": "import pathlib, sys\n"
        "here = pathlib.Path(__file__).parent\n"
        "with (here / 'asked').open('a') as log: print(*sys.argv[1:2], file=log)\n"
        "print('Lua 5.4')\n"
        "print(f'/usr/share/lua/5.4/?.lua;{here}/path/?.lua')\n"
        "for name in sys.stdin.read().splitlines():\n"
        "    found = (here / 'path' / f'{name}.lua').exists()\n"
        "    print('loads' if found else 'fails', name, f'module {name} not found', sep='\\t')\n",
        "apt-get": "",
        "dpkg-query": "import pathlib\n"
        "print((pathlib.Path(__file__).parent / 'files').read_text())\n",
    }
    for name, code in programs.items():
        (tmp_path / name).write_text(f"#!{sys.executable}\n{code}")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "prosody").write_text(f"#!{tmp_path}/lua\n-- Prosody\n")
    monkeypatch.setattr(lua_libraries, "_DIRECTORY", f"{tmp_path}/path")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(
        basic.AnsibleModule,
        "get_bin_path",
        lambda module, name: str(path) if (path := tmp_path / name).exists() else None,
    )
    return tmp_path


def ship(host: Path, *names: str) -> None:
    """Let the packages have files for Lua 5.3 only."""
    folder = host / "usr/share/lua/5.3"
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"{name}.lua").write_text("return {}")
    (host / "files").write_text("\n".join(str(path) for path in folder.iterdir()))


def libraries(*names: str, pure: bool = True) -> list[dict[str, Any]]:
    return [{"module": name, "package": f"lua-{name}", "pure": pure} for name in names]


def states(result: dict[str, Any]) -> list[str]:
    return [each["state"] for each in result["libraries"]]


def test_what_loads_is_asked_for_once_and_left_alone(host: Path, run_module: RunModule) -> None:
    (host / "path/ssl.lua").write_text("return {}")
    result = run_module(lua_libraries, libraries=libraries("ssl"))
    assert result["changed"] is False
    assert (result["lua_version"], result["interpreter"]) == ("5.4", f"{host}/lua")
    assert (states(result), result["missing"]) == (["loads"], [])
    # -E: the variables of whoever runs the task are not Prosody's
    assert (host / "asked").read_text() == "-E\n"


def test_a_pure_library_is_linked_where_the_interpreter_looks(
    host: Path, run_module: RunModule
) -> None:
    ship(host, "basexx")
    options = {"libraries": libraries("basexx")}

    check = run_module(lua_libraries, _ansible_check_mode=True, **options)
    assert (check["changed"], states(check), check["missing"]) == (True, ["linked"], [])
    assert not list((host / "path").iterdir())

    made = run_module(lua_libraries, **options)
    link = host / "path/basexx.lua"
    assert (made["changed"], states(made)) == (True, ["linked"])
    assert made["diff"]["after"] == f"{link} -> {host}/usr/share/lua/5.3/basexx.lua\n"
    assert link.is_symlink()

    again = run_module(lua_libraries, **options)
    assert (again["changed"], states(again)) == (False, ["loads"])


def test_a_link_whose_target_vanished_is_repaired(host: Path, run_module: RunModule) -> None:
    ship(host, "basexx")
    (host / "path/basexx.lua").symlink_to(host / "usr/share/lua/5.2/basexx.lua")
    result = run_module(lua_libraries, libraries=libraries("basexx"))
    assert (result["changed"], states(result)) == (True, ["linked"])


@pytest.mark.parametrize("check", [True, False])
def test_a_file_that_the_package_lost_is_never_linked(
    host: Path, run_module: RunModule, check: bool
) -> None:
    ship(host, "basexx")
    (host / "usr/share/lua/5.3/basexx.lua").unlink()
    options = {"libraries": libraries("basexx")}
    result = run_module(lua_libraries, _ansible_check_mode=check, **options)
    if check:
        assert (result["changed"], states(result)) == (False, ["missing"])
    else:
        assert "Install or repair the package lua-basexx" in result["msg"]
    assert not list((host / "path").iterdir())


def test_a_compiled_library_is_never_linked(host: Path, run_module: RunModule) -> None:
    ship(host, "cjson")
    result = run_module(lua_libraries, libraries=libraries("cjson", pure=False))
    assert result["failed"]
    assert not list((host / "path").iterdir())


def test_what_does_not_load_is_named_with_package_and_interpreter(
    host: Path, run_module: RunModule
) -> None:
    (host / "path/ssl.lua").write_text("return {}")
    result = run_module(lua_libraries, libraries=libraries("ssl", "cjson", "inspect"))
    assert result["failed"]
    assert result["msg"].splitlines() == [
        "Prosody would start without the modules that guard its doors: these Lua libraries do not"
        f" load in Lua 5.4 ({host}/lua).",
        "  cjson: module cjson not found. Install or repair the package lua-cjson.",
        "  inspect: module inspect not found. Install or repair the package lua-inspect.",
    ]


def test_a_folder_that_the_interpreter_ignores_is_refused(
    host: Path, run_module: RunModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    ship(host, "basexx")
    monkeypatch.setattr(lua_libraries, "_DIRECTORY", f"{host}/elsewhere")
    result = run_module(lua_libraries, libraries=libraries("basexx"))
    assert result["failed"]
    assert "is not in the search path" in result["msg"]
    assert not (host / "elsewhere").exists()


def test_an_interpreter_that_is_no_lua_is_named(host: Path, run_module: RunModule) -> None:
    (host / "lua").write_text("#!/bin/sh\necho 'no such option' >&2; exit 2\n")
    result = run_module(lua_libraries, libraries=libraries("ssl"))
    assert result["failed"]
    assert result["msg"] == (
        f"The interpreter of Prosody, {host}/lua, did not answer as Lua 5.2 and later do (it ended"
        " with 2). Install such a Lua, and let that command start it. It said: no such option"
    )


def test_without_prosody_only_check_mode_goes_on(host: Path, run_module: RunModule) -> None:
    (host / "prosody").unlink()
    result = run_module(lua_libraries, libraries=libraries("ssl"))
    assert result["failed"]
    assert "Prosody is not installed" in result["msg"]

    check = run_module(lua_libraries, libraries=libraries("ssl"), _ansible_check_mode=True)
    assert (check["changed"], check["missing"], check["lua_version"]) == (False, ["ssl"], "")
