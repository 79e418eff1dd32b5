"""What is said to count after a reload is read again then by whoever reads it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PLUGINS = ROOT / "roles/jitsi_tokens/files"
SOURCES = {path: path.read_text(encoding="utf-8") for path in sorted(PLUGINS.glob("*/*.lua"))}
REREADS: dict[str, list[str]] = yaml.safe_load(
    (ROOT / "roles/jitsi_tokens/vars/main.yml").read_text(encoding="utf-8")
)["jitsi_tokens_rereads"]
_AGAIN = re.compile(r"^local function read_settings\(\w*\)\n.*?^end\n", re.MULTILINE | re.DOTALL)
_AT_ONCE = 'read_settings();\nmodule:hook_global("config-reloaded", read_settings);\n'
_READ = re.compile(r'get_option\w*\(\s*"(\w+)"')
_LIBRARY = re.compile(r'module:require\(?\s*"(\w+)"')


def test_those_that_read_again_are_listed() -> None:
    assert {f"mod_{name}" for name in REREADS} == {
        path.stem for path, text in SOURCES.items() if "config-reloaded" in text
    }


@pytest.mark.parametrize("name", REREADS)
def test_all_that_is_listed_is_read_there_alone(name: str) -> None:
    text = SOURCES[PLUGINS / "plugins" / f"mod_{name}.lua"]
    (again,) = _AGAIN.findall(text)
    assert _AT_ONCE in text
    assert sorted(_READ.findall(again)) == sorted(REREADS[name])
    libraries = [f"{each}.lib.lua" for each in _LIBRARY.findall(text)]
    ours = [source for path, source in SOURCES.items() if path.name in libraries]
    once = {each for source in [text.replace(again, ""), *ours] for each in _READ.findall(source)}
    assert once & set(REREADS[name]) == set()
