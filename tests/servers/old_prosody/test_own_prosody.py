"""Ubuntu 22.04's own Prosody is too old. Runs before anything is deployed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.support import Controller, Server, differences

NAME = "ubuntu2204"


@pytest.fixture(name="server")
def _server() -> Iterator[Server]:
    server = Server(NAME)
    yield server
    # The deployment that follows is to find a server that never fetched lists of packages
    server.run("find /var/lib/apt/lists /var/cache/apt -type f -delete")


def test_it_is_refused_before_the_host_is_touched(server: Server, tmp_path: Path) -> None:
    controller = Controller(tmp_path, NAME)
    before = server.snapshot()
    run = controller.deploy(prosody_repository="distribution")

    assert run.returncode != 0
    assert run.messages == [
        "Prosody 0.11.13 is older than prosody_minimum_version (0.12). Use a newer release of the"
        " distribution, or set prosody_repository: upstream, which takes Prosody from its own"
        " repository."
    ]
    assert run.recap["failed"] == 1
    assert differences(before, server.snapshot()) == []
    # It was on offer: what was refused is what would have been installed
    assert "Candidate: 0.11.13-1\n" in server.run("apt-cache policy prosody")
