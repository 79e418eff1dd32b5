"""One server whose runs end half way, and one on which none does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.support import Controller, Server

from .runs import FIRST, Operator, state_of


@pytest.fixture(scope="session")
def scenario() -> str:
    """What the servers are booted for."""
    return "interrupted"


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """Somebody who deploys from another folder, with connections of their own."""
    controller = Controller(tmp_path_factory.mktemp("other"), "interrupted")
    return Operator(controller, "interrupted")


@pytest.fixture(scope="session")
def operator(controller: Controller) -> Operator:
    """Who deploys to the server whose runs end half way."""
    return Operator(controller, "interrupted")


@pytest.fixture(scope="session")
def deployed(server: Server, operator: Operator) -> dict[str, str]:
    """State of the server after a run that nobody interrupted, and that found it as it is now."""
    assert operator.deploy(FIRST).returncode == 0
    return state_of(server)


@pytest.fixture(scope="session")
def short() -> Path:
    """Where scripts/test keeps what was played."""
    return Path("build/interrupted")
