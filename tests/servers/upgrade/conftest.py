"""One server that is deployed once, upgraded, and taken back."""

from __future__ import annotations

import pytest

from tests.servers.support import DOMAIN, Controller, Server
from tests.servers.upgrades import CASES, Offers


@pytest.fixture(scope="session")
def scenario() -> str:
    """What the server is booted for."""
    return "upgrade"


@pytest.fixture(scope="session")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What the operator sets in every run."""
    return {
        "jitsi_domain": DOMAIN,
        "jitsi_verify_cases": CASES,
        "jitsi_history_new_keys": True,
        "jitsi_lock_directory": str(tmp_path_factory.mktemp("locks")),
    }


@pytest.fixture(scope="session", autouse=True)
def deployed(controller: Controller, given: dict[str, object]) -> None:
    """The server is deployed with the packages of the repository's present suite."""
    run = controller.play("site.yml", **given)
    assert run.returncode == 0, run.output[-3000:]


@pytest.fixture(scope="session")
def offers(server: Server) -> Offers:
    """Where the server finds later packages."""
    return Offers(server)
