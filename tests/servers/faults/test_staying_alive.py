"""Services that are killed, stopped or switched off: who brings them back, and who says so."""

from __future__ import annotations

import json
import re
import time

import pytest

from tests.servers.support import DOMAIN, Controller, Server

pytestmark = pytest.mark.usefixtures("deployed")

# Where each of them listens
_PORTS = {
    "prosody": 5222,
    "jicofo": 8888,
    "nginx": 443,
    "coturn": 5349,
    "jitsi-videobridge2": 8080,
}
# Seconds after a kill in which there is another process, and in which it listens: the rig shares
# its processors
_BACK, _SERVES = 10, 30
_UP = "--skip-tags=jitsi_verify"


def main_process(server: Server, name: str) -> int:
    """Number of the main process, 0 where systemd knows none."""
    return int(server.run(f"systemctl show --property=MainPID --value {name}"))


def listens(server: Server, name: str) -> bool:
    """Whether the main process of this service takes connections on its port."""
    shown = server.run(f"ss -Hltnp sport = {_PORTS[name]}")
    return f"pid={main_process(server, name)}," in shown


def wait_until_back(server: Server, name: str, former: int) -> None:
    """Until another process listens; fails when one of both takes too long."""
    began = time.monotonic()
    while main_process(server, name) in (0, former):
        assert time.monotonic() - began < _BACK, server.run(f"journalctl -n 30 -u {name}")
        time.sleep(0.1)
    while not listens(server, name):
        assert time.monotonic() - began < _SERVES, server.run(f"journalctl -n 30 -u {name}")
        time.sleep(0.1)


def prove(controller: Controller) -> None:
    """Two people meet in a room, and have a relay, for which all of them are needed."""
    run = controller.play(
        "verify.yml", jitsi_domain=DOMAIN, jitsi_verify_cases=["two_people_meet", "turn_relays"]
    )
    assert run.returncode == 0, run.output[-3000:]


@pytest.mark.parametrize("name", _PORTS)
@pytest.mark.parametrize("signal", ["KILL", "TERM", "ABRT"])
def test_a_killed_service_is_back_by_itself(
    server: Server, controller: Controller, name: str, signal: str
) -> None:
    former = main_process(server, name)
    server.run(f"kill -{signal} {former}")
    wait_until_back(server, name, former)
    if signal == "KILL":
        prove(controller)


@pytest.mark.parametrize("name", _PORTS)
def test_all_of_a_service_killed_is_back_by_itself(server: Server, name: str) -> None:
    former = main_process(server, name)
    server.run(f"systemctl kill --kill-whom=all --signal=KILL {name}")
    wait_until_back(server, name, former)


# Halted: it has a process and a socket, and systemd believes that all is well
_HALT = "kill -STOP $(systemctl show -P MainPID {0})"


@pytest.mark.parametrize(
    ("name", "fault", "word"),
    [
        pytest.param("prosody", "systemctl stop {0}", "started", id="prosody stopped"),
        pytest.param("jicofo", "systemctl stop {0}", "started", id="jicofo stopped"),
        pytest.param(
            "nginx", "systemctl disable --now {0}", r"enabled\n +- started", id="nginx disabled"
        ),
        pytest.param("jicofo", "systemctl disable {0}", "enabled", id="jicofo not at boot"),
        pytest.param("jitsi-videobridge2", "systemctl stop {0}", "started", id="bridge stopped"),
        pytest.param(
            "jitsi-videobridge2", "systemctl disable {0}", "enabled", id="bridge not at boot"
        ),
        pytest.param("prosody", _HALT, "restarted", id="prosody halted"),
        pytest.param("jicofo", _HALT, "restarted", id="jicofo halted"),
        pytest.param("nginx", _HALT, "restarted", id="nginx halted"),
        pytest.param("jitsi-videobridge2", _HALT, "restarted", id="bridge halted"),
    ],
)
def test_the_next_run_says_and_mends_it(
    server: Server, controller: Controller, name: str, fault: str, word: str
) -> None:
    server.run(fault.format(name))
    run = controller.deploy(_UP, "-v")
    assert run.returncode == 0, run.output[-3000:]
    assert run.recap["changed"] == 1
    assert re.search(rf"done:\n +- {word}\n", run.output), run.output[-3000:]
    assert listens(server, name)
    assert server.run(f"systemctl is-enabled {name}").strip() == "enabled"


# A unit of ours in /etc, as Jicofo's, takes the place of a mask
@pytest.mark.parametrize("name", ["prosody", "nginx", "jitsi-videobridge2"])
def test_a_masked_service_is_refused_before_anything_changes(
    server: Server, controller: Controller, name: str
) -> None:
    server.run(f"systemctl mask --runtime {name}")
    try:
        run = controller.deploy(_UP, jitsi_token_issuer="another")
    finally:
        server.run(f"systemctl unmask --runtime {name}")
    assert run.returncode != 0
    assert run.recap["changed"] == 0
    assert f"Run `systemctl unmask {name}` there" in " ".join(run.messages[-1].split())


def test_a_service_that_cannot_start_is_given_up_and_brought_back(
    server: Server, controller: Controller
) -> None:
    """Not in a loop for ever: systemd says "failed", and the next run starts it again."""
    program = "/usr/share/jicofo/jicofo.sh"
    server.run(f"mv {program} {program}.away; systemctl restart jicofo")
    try:
        server.run("timeout 120 sh -c 'until systemctl is-failed --quiet jicofo; do sleep 1; done'")
        run = controller.deploy(_UP)
        assert run.returncode != 0
        assert "jicofo ends again after each start." in run.messages[-1]
        assert "No such file or directory" in run.messages[-1]
    finally:
        server.run(f"mv {program}.away {program}")
    run = controller.deploy(_UP)
    assert run.returncode == 0, run.output[-3000:]
    assert listens(server, "jicofo")


def test_a_unit_of_the_package_wins(server: Server, controller: Controller) -> None:
    """As a later package may bring one: ours goes, and its service is watched all the same."""
    ours, theirs = (f"{folder}/systemd/system/jicofo.service" for folder in ("/etc", "/usr/lib"))
    unit = server.run(f"cat {ours}")
    server.run(f"cat > {theirs}", stdin=unit.replace("Made by Vestibule", "Of the package"))
    try:
        run = controller.deploy(_UP)
        assert run.returncode == 0, run.output[-3000:]
        shown = server.run("systemctl show --property=FragmentPath,Restart jicofo")
        assert dict(line.split("=", 1) for line in shown.splitlines()) == {
            "FragmentPath": theirs,
            "Restart": "always",
        }
        assert controller.deploy(_UP).recap["changed"] == 0
    finally:
        server.run(f"rm {theirs}")
    run = controller.deploy(_UP)
    assert run.returncode == 0, run.output[-3000:]
    assert server.run(f"cat {ours}") == unit
    assert json.loads(server.run("systemctl show -P MainPID jicofo")) > 0
