"""A second run finds everything as it has to be. It says so beforehand, and changes nothing.

The access cases were played by the first one, and would meet the same server.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from testinfra.host import Host

from tests.servers.support import ROOT, Controller


@pytest.fixture(scope="module")
def controller(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Controller:
    """The operator whose inventory has this server."""
    return Controller(tmp_path_factory.mktemp("controller"), scenario_of(host))


def scenario_of(host: Host) -> str:
    """Where this server is in the inventory."""
    inventories = (ROOT / "molecule").glob("*/hosts.yml")
    (found,) = (path.parent.name for path in inventories if name_of(host) in hosts_in(path))
    return found


def name_of(host: Host) -> str:
    name: str = host.backend.get_hostname()
    return name


def hosts_in(inventory: Path) -> set[str]:
    return set(yaml.safe_load(inventory.read_text(encoding="utf-8"))["rig"]["hosts"])


@pytest.mark.parametrize("flags", [("--check", "--diff"), ()], ids=["check mode", "second run"])
def test_there_is_nothing_to_change(
    host: Host, controller: Controller, flags: tuple[str, ...]
) -> None:
    run = controller.deploy("--skip-tags=jitsi_verify", f"--limit={name_of(host)}", *flags)

    assert run.returncode == 0, run.output[-6000:]
    assert run.recap_of(name_of(host))["changed"] == 0, run.output[-6000:]
