"""One server that works, and one controller that wants something else of it."""

from __future__ import annotations

import pytest

from tests.servers.support import Controller, Server


@pytest.fixture(scope="session")
def scenario() -> str:
    """What the server is booted for."""
    return "second_run"


@pytest.fixture(scope="session")
def server() -> Server:
    """The server, whose name a host may have."""
    return Server("second-run")


@pytest.fixture(scope="session")
def whole(server: Server, controller: Controller) -> dict[str, str]:
    """The server with every feature that has hosts, accounts or certificates of its own."""
    run = controller.deploy(**ALL)
    assert run.returncode == 0, run.output[-3000:]
    return server.snapshot()


ALL = {
    "jitsi_features": ["guests", "recording", "sip_gateway", "lobby"],
    # One case is proof enough that it works
    "jitsi_verify_cases": ["valid_token_enters"],
}
