"""All languages say the same: who adds one, or another end, has all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from vestibule.access.cases.dead_ends import ENDS

ROLE = Path(__file__).parents[2] / "roles/jitsi_web"
FILES = sorted(ROLE.glob("languages/*"))
TEXTS = {"name", "login", "again", "ask", "contact"}


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def test_the_ends_are_those_of_nginx_and_of_the_cases() -> None:
    assert read(ROLE / "vars/main.yml")["__jitsi_web_ends"] == list(ENDS)


def test_english_and_german_are_there() -> None:
    assert {"en", "de"} <= {path.stem for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_language_says_all_of_it(path: Path) -> None:
    assert path.suffix == ".yml" and path.stem.isalpha() and path.stem.islower()
    said = read(path)
    assert said.keys() == TEXTS | {"ends"}
    assert list(said["ends"]) == list(ENDS)
    texts = [said[name] for name in TEXTS]
    for end in said["ends"].values():
        assert end.keys() == {"title", "text"}
        texts += end.values()
    assert all(isinstance(text, str) and text.strip() for text in texts)
