"""One fresh server, which stays fresh, and one controller."""

from __future__ import annotations

import pytest

from tests.servers.support import Server

NAME = "refusals"


@pytest.fixture(scope="session")
def scenario() -> str:
    """What the servers are booted for."""
    return NAME


@pytest.fixture(scope="session", autouse=True)
def _fresh(server: Server) -> None:
    assert server.is_fresh(), f"molecule destroy, create and prepare --scenario-name {NAME} first"
