"""One server and one controller for all tests of what goes wrong."""

from __future__ import annotations

import pytest

from tests.servers.support import Controller

NAME = "faults"
# For deployments whose subject is something else than the doors: one case is proof enough
BRIEF = {"jitsi_verify_cases": ["valid_token_enters"]}


@pytest.fixture(scope="session")
def scenario() -> str:
    """What the servers are booted for."""
    return NAME


@pytest.fixture(scope="session")
def deployed(controller: Controller) -> None:
    """The server is deployed, with the secrets of its inventory, whichever test came first."""
    run = controller.deploy("--skip-tags=jitsi_verify", jitsi_history_new_keys=True)
    assert run.returncode == 0, run.output[-3000:]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What watches the first deployment comes before what needs a deployed server."""
    items.sort(key=lambda item: item.path.stem != "test_secrets")
