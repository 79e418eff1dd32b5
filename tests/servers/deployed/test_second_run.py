"""A second run finds everything as it has to be, and changes nothing.

The access cases were played by the first one, and would meet the same server.
"""

from __future__ import annotations

import pytest
from testinfra.host import Host

from tests.servers.support import Controller


def test_a_second_run_changes_nothing(host: Host, tmp_path_factory: pytest.TempPathFactory) -> None:
    name = host.backend.get_hostname()
    # Not tmp_path: sockets of SSH lie below, whose paths have to be short
    folder = tmp_path_factory.mktemp("controller")
    run = Controller.of(name, folder).deploy("--skip-tags=jitsi_verify", f"--limit={name}")

    assert run.returncode == 0, run.output[-6000:]
    assert run.recap_of(name)["changed"] == 0, run.output[-6000:]
    assert "TASK [Install, configure and start everything]" not in run.output
