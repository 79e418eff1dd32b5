"""The locked versions are what pyproject.toml asks for, and come from wherever pip is pointed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
RUNTIME = PROJECT["dependencies"]
BROWSER = [*RUNTIME, *PROJECT["optional-dependencies"]["browser"]]
DEVELOPMENT = [*BROWSER, *PROJECT["optional-dependencies"]["dev"]]
LOCKS = {
    "requirements.txt": RUNTIME,
    "requirements-browser.txt": BROWSER,
    "requirements-dev.txt": DEVELOPMENT,
}


def locked(name: str) -> dict[str, str]:
    """Version by name of package."""
    text = (ROOT / name).read_text("utf-8")
    found = re.findall(r"^(\S+)==(\S+) \\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE)
    assert len(found) == text.count("==")
    return dict(found)


@pytest.mark.parametrize(("name", "wanted"), LOCKS.items())
def test_the_lock_holds_what_the_project_asks_for(name: str, wanted: list[str]) -> None:
    versions = locked(name)
    assert wanted
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(versions[requirement.name.lower()]), requirement


def test_tests_run_with_the_versions_that_operators_get() -> None:
    runtime, browser, development = (locked(name).items() for name in LOCKS)
    assert runtime <= browser <= development


@pytest.mark.parametrize("name", LOCKS)
def test_no_registry_is_named(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert not re.search(r"^\s*-(-(extra-)?index|-find|-trusted|i |f )|://", text, re.MULTILINE)
