"""The server and the operator of a folder of tests whose ``conftest.py`` names the scenario."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.shares import is_left_for_another_day
from tests.servers.support import Controller, Server


@pytest.fixture(scope="session")
def server(scenario: str) -> Server:
    """The server of the scenario; `molecule create --scenario-name …` boots it."""
    return Server(scenario)


@pytest.fixture(scope="session")
def controller(scenario: str, tmp_path_factory: pytest.TempPathFactory) -> Controller:
    """The operator's side."""
    return Controller(tmp_path_factory.mktemp("controller"), scenario)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out what is not of today's share."""
    return is_left_for_another_day(collection_path) or None
