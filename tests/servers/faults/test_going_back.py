"""A configuration that only fails at the start is taken back, and the server is what it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.servers.support import Controller, Server, differences

from .test_faults import our_files
from .test_staying_alive import _PORTS, listens

pytestmark = pytest.mark.usefixtures("deployed")

_BACK = "This run has put the former configuration back"
_SERVICES = "prosody, nginx, coturn, jicofo, jitsi-videobridge2"
_PROVEN = f"{_SERVICES} run with it, and listen where they did before."
_KEPT = "/var/lib/vestibule/former"
_HOARD = "import socket, time; s = socket.create_server(('127.0.0.1', {0})); time.sleep(600)"


@contextmanager
def hoarded(server: Server, port: int, since: str = "") -> Iterator[None]:
    """Another program has this port of the loopback, or takes it once this file is another one."""
    options = f"--path-property=PathChanged={since}" if since else ""
    program = f'python3 -c "{_HOARD.format(port)}"'
    try:
        server.run(f"systemd-run --quiet --collect --unit=hoard {options} {program}")
        if not since:
            server.wait_for_listener(port)
        yield
    finally:
        server.run("systemctl stop hoard.path hoard.service 2>&1", ok=(0, 5))


def is_as_before(server: Server, before: dict[str, str]) -> None:
    """Files, services and the place for what is kept are what they were."""
    assert differences(before, our_files(server)) == []
    assert [name for name in _PORTS if not listens(server, name)] == []
    assert server.run(f"ls {_KEPT}", ok=(2,)) == ""


def test_a_module_that_prosody_lacks_is_taken_back(server: Server, controller: Controller) -> None:
    before = our_files(server)
    modules = ["fail_closed", "no_such_module"]
    run = controller.deploy("--skip-tags=jitsi_verify", prosody_modules=modules)
    assert run.returncode != 0
    assert "Unable to load module 'no_such_module'" in run.messages[-1]
    assert _BACK in run.messages[-1]
    assert _PROVEN in run.messages[-1]
    is_as_before(server, before)


def test_a_port_that_somebody_took_is_taken_back(server: Server, controller: Controller) -> None:
    """It was free when the run looked."""
    before = our_files(server)
    with hoarded(server, 5299, since="/etc/prosody/prosody.cfg.lua"):
        run = controller.deploy("--skip-tags=jitsi_verify", prosody_c2s_port=5299)
    assert run.returncode != 0
    assert _PROVEN in run.messages[-1]
    is_as_before(server, before)


def test_what_jicofo_cannot_use_is_taken_back(server: Server, controller: Controller) -> None:
    before = our_files(server)
    settings = json.loads(server.run("grep -v '^#' /etc/jitsi/jicofo/jicofo.conf"))["jicofo"]
    del settings["xmpp"]["client"]["password"]
    settings["rest"] = {**settings.get("rest", {}), "host": "127.0.0.1", "port": 8899}
    with hoarded(server, 8899, since="/etc/jitsi/jicofo/jicofo.conf"):
        run = controller.deploy("--skip-tags=jitsi_verify", jicofo_settings=settings)
    assert run.returncode != 0
    assert "jicofo ends again after each start." in run.messages[-1]
    assert _PROVEN in run.messages[-1]
    is_as_before(server, before)


def test_what_nginx_refuses_though_its_test_passed_is_taken_back(
    server: Server, controller: Controller
) -> None:
    """A port of a site of somebody else's is taken, which nginx's own test lets through."""
    site = "/etc/nginx/conf.d/somebodys.conf"
    before = our_files(server)
    with hoarded(server, 8443):
        server.run(f"cat > {site}", stdin="server { listen 127.0.0.1:8443; }\n")
        try:
            run = controller.deploy("--skip-tags=jitsi_verify", jitsi_web_header_size="6k")
        finally:
            server.run(f"rm {site}")
    assert run.returncode != 0
    assert "nginx keeps its former configuration, as it cannot use the new one." in run.messages[-1]
    assert "bind() to 127.0.0.1:8443 failed" in run.messages[-1]
    assert _PROVEN in run.messages[-1]
    is_as_before(server, before)


def test_a_file_of_the_operators_that_is_broken_is_named_and_left(
    server: Server, controller: Controller
) -> None:
    """What stands in their folder is theirs, right or wrong."""
    file = "/etc/nginx/vestibule.d/wiki.conf"
    before = our_files(server)
    server.run(f"cat > {file}", stdin="location ^~ /wiki/ { return 200 wiki }\n")
    try:
        run = controller.deploy("--skip-tags=jitsi_verify", jitsi_web_contact="help@example.org")
        assert run.returncode != 0
        assert f"in {file}:1" in run.messages[-1]
        assert _PROVEN in run.messages[-1]
        assert "return 200 wiki }" in server.run(f"cat {file}")
    finally:
        server.run(f"rm {file}")
    is_as_before(server, before)
