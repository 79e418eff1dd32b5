"""One fresh server and one controller for all tests of faults, which run in the order of files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "molecule" / "shared")]

from tests.faults.support import Controller, Server  # noqa: E402 — the path comes first


@pytest.fixture(scope="session")
def server() -> Server:
    """The server of the scenario; `molecule create --scenario-name faults` boots it."""
    return Server()


@pytest.fixture(scope="session")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Controller:
    """The operator's side."""
    return Controller(tmp_path_factory.mktemp("controller"))
