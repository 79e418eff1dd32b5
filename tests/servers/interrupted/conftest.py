"""One server whose runs end half way, and one on which none does."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.servers.support import Controller, Server

from .runs import FIRST, Operator, of_any_server, state_of


@pytest.fixture(scope="session")
def scenario() -> str:
    """What the servers are booted for."""
    return "interrupted"


@pytest.fixture(scope="session")
def operator(controller: Controller) -> Operator:
    """Who deploys to the server whose runs end half way."""
    return Operator(controller, "interrupted")


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """Somebody who deploys there as well, with connections of their own."""
    return Operator(Controller(tmp_path_factory.mktemp("other"), "interrupted"), "interrupted")


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Future[dict[str, str]]]:
    """What a server is like after its first run, which nobody cut off, as soon as that is known."""
    controller = Controller(tmp_path_factory.mktemp("calm"), "interrupted")

    def deploy() -> dict[str, str]:
        run = Operator(controller, "uninterrupted").deploy(FIRST, "--skip-tags=jitsi_verify")
        assert run.returncode == 0, run.output[-3000:]
        return of_any_server(state_of(Server("uninterrupted")))

    with ThreadPoolExecutor(max_workers=1) as pool:
        yield pool.submit(deploy)
