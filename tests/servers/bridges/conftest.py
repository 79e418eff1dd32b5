"""A server in two parts, and one controller for all tests of it."""

from __future__ import annotations

import pytest

from tests.servers.support import Controller, Deployment, Server

TURN_CASES = [
    "turn_is_announced",
    "turn_relays",
    "turn_without_credentials_refused",
    "turn_leads_nowhere_inside",
]
# Whatever a bridge and a TURN server on another host could get wrong
CASES = [
    "two_people_meet",
    "media_reaches_the_bridge",
    "bridge_channel_opens",
    "bridge_channel_refused",
    "bridge_keeps_to_itself",
    "every_bridge_answers",
    "bridges_alone_log_in_directly",
    *TURN_CASES,
    "turn_leads_not_to_the_server",
]


@pytest.fixture(scope="session")
def scenario() -> str:
    """What the servers are booted for."""
    return "bridges"


@pytest.fixture(scope="session")
def server() -> Server:
    """The host with the signalling."""
    return Server("bridges-meet")


@pytest.fixture(scope="session")
def far() -> Server:
    """The host with the bridge and a TURN server."""
    return Server("bridges-far")


@pytest.fixture(scope="module", autouse=True)
def deployed(controller: Controller) -> Deployment:
    """Both are deployed, and the cases are right."""
    run = controller.deploy(jitsi_verify_cases=CASES)
    assert run.returncode == 0, run.output[-6000:]
    return run
