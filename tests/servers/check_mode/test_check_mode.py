"""On a deployed server, check mode and drift.yml say that there is nothing to change."""

from __future__ import annotations

import pytest
from testinfra.host import Host

from tests.servers.support import Controller


def test_there_is_nothing_to_change(host: Host, tmp_path_factory: pytest.TempPathFactory) -> None:
    name = host.backend.get_hostname()
    # Not tmp_path: sockets of SSH lie below, whose paths have to be short
    folder = tmp_path_factory.mktemp("controller")
    flags = ("--check", "--diff", "--skip-tags=jitsi_verify", f"--limit={name}")
    run = Controller.of(name, folder).deploy(*flags)

    assert run.returncode == 0, run.output[-6000:]
    assert run.recap_of(name)["changed"] == 0, run.output[-6000:]


def test_nothing_has_drifted(host: Host, tmp_path_factory: pytest.TempPathFactory) -> None:
    name = host.backend.get_hostname()
    controller = Controller.of(name, tmp_path_factory.mktemp("controller"))
    run = controller.play("drift.yml", f"--limit={name}")
    assert run.returncode == 0, run.output[-6000:]
