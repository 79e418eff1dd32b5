"""The header of each of our Prosody modules says where it goes and what it reads."""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import Path

import pytest

MODULES = sorted((Path(__file__).parents[2] / "roles/jitsi_tokens/files").glob("*/mod_*.lua"))
_READ = re.compile(r'(?:module:get_option\w*\(|config\w*\.get\([^,]+, )"(\w+)"')


def test_there_are_modules() -> None:
    assert len(MODULES) >= 13


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_the_header_has_every_option(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    header = "\n".join(takewhile(lambda line: line.startswith("--"), text.splitlines()))
    options = set(_READ.findall(text))
    assert ("\n-- Options (" in header) == bool(options)
    assert ("No options." in header) == (not options)
    assert {name for name in options if not re.search(rf"\b{name}\b", header)} == set()
