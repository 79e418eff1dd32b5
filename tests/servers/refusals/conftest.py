"""One fresh server, which stays fresh, and one controller."""

from __future__ import annotations

import pytest

from tests.servers.support import Controller, Server

NAME = "refusals"


@pytest.fixture(scope="session")
def server() -> Server:
    """The server of the scenario; `molecule create --scenario-name refusals` boots it."""
    return Server(NAME)


@pytest.fixture(scope="session")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Controller:
    """The operator's side."""
    return Controller(tmp_path_factory.mktemp("controller"), NAME)


@pytest.fixture(scope="session", autouse=True)
def _fresh(server: Server) -> None:
    assert server.is_fresh(), f"molecule destroy, create and prepare --scenario-name {NAME} first"
