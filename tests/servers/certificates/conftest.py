"""One server and one controller for all tests of certificates."""

from __future__ import annotations

import pytest

from tests.servers.support import Controller, Server

NAME = "certificates"


@pytest.fixture(scope="session")
def scenario() -> str:
    """What the servers are booted for."""
    return NAME


@pytest.fixture(scope="session", autouse=True)
def _deployed(server: Server, controller: Controller) -> None:
    """The server is deployed, with a certificate of its own."""
    if server.is_fresh():
        run = controller.deploy("--skip-tags=jitsi_verify")
        assert run.returncode == 0, run.output[-3000:]
